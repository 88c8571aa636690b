"""The chain whose events are indexed."""

from collections.abc import Iterator

import pytest

from tests.contracts.stage import Stage


@pytest.fixture(scope="module")
def shared_stage() -> Stage:
    return Stage()


@pytest.fixture
def stage(shared_stage: Stage) -> Iterator[Stage]:
    with shared_stage.restored():
        yield shared_stage
