from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.contracts.stage import FIRST, Delivery, Stage, model_of


@cache
def brought_to(state: str) -> Stage:
    """One chain per state: proofs are slow to verify on it."""
    stage = Stage()
    stage.bring_to(state)
    return stage


@pytest.fixture
def stage_at() -> Iterator[Callable[[str], Stage]]:
    """Gives the market with one listing and, but for `None`, one trade in the named state."""
    with ExitStack() as undo:

        def bring(state: str) -> Stage:
            stage = brought_to(state)
            undo.enter_context(stage.restored())
            return stage

        yield bring


@cache
def honestly_revealed() -> Delivery:
    # Five chunks (3 + 1 + 1, extreme values among the parameters), so trees of eight leaves.
    columns = [[17 * i - 4000 for i in range(500)], [1 - 2**24, 2**24 - 1], list(range(240))]
    return Stage().reveal_model(model_of(FIRST, columns))


@pytest.fixture
def honest() -> Iterator[Delivery]:
    """A trade whose seller has done everything right, and a buyer who can still dispute."""
    delivery = honestly_revealed()
    with delivery.stage.restored():
        yield delivery


@pytest.fixture
def stage(stage_at: Callable[[str], Stage]) -> Stage:
    """The market with one listing and no trade."""
    return stage_at("None")
