from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest

from tests.contracts.backends import is_shared, open_chain
from tests.contracts.board import Board, posted
from tests.contracts.stage import FIRST, Delivery, Stage, model_of


@cache
def kept_at(state: str) -> Stage:
    stage = Stage()
    stage.bring_to(state)
    return stage


@contextmanager
def brought_to(state: str) -> Iterator[Stage]:
    """One chain per state: proofs are slow to verify on it. Where there is one chain for all, it is undone instead."""
    if not is_shared():
        stage = kept_at(state)
        with stage.restored():
            yield stage
        return
    tester, _ = open_chain()
    snapshot = tester.take_snapshot()
    try:
        stage = Stage()
        stage.bring_to(state)
        yield stage
    finally:
        tester.revert_to_snapshot(snapshot)


@pytest.fixture
def stage_at() -> Iterator[Callable[[str], Stage]]:
    """Gives the market with one listing and, but for `None`, one trade in the named state."""
    with ExitStack() as undo:

        def bring(state: str) -> Stage:
            return undo.enter_context(brought_to(state))

        yield bring


def honestly_revealed() -> Delivery:
    # Five chunks (3 + 1 + 1, extreme values among the parameters), so trees of eight leaves.
    columns = [[17 * i - 4000 for i in range(500)], [1 - 2**24, 2**24 - 1], list(range(240))]
    return Stage().reveal_model(model_of(FIRST, columns))


kept_revealed = cache(honestly_revealed)


@pytest.fixture
def honest() -> Iterator[Delivery]:
    """A trade whose seller has done everything right, and a buyer who can still dispute."""
    if not is_shared():
        delivery = kept_revealed()
        with delivery.stage.restored():
            yield delivery
        return
    tester, _ = open_chain()
    snapshot = tester.take_snapshot()
    try:
        yield honestly_revealed()
    finally:
        tester.revert_to_snapshot(snapshot)


@pytest.fixture
def stage(stage_at: Callable[[str], Stage]) -> Stage:
    """The market with one listing and no trade."""
    return stage_at("None")


@pytest.fixture
def board() -> Iterator[Board]:
    """A request for a model, and a listing that reaches it."""
    with posted().chain.restored():
        yield posted()
