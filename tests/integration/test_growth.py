"""How binding a model, and checking its delivery, grow with its size: linearly, in time and in memory.

Ratios of one run on one machine, no absolute times: four times the parameters in columns of the same length.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.simulators.trapdoor_srs import TrapdoorSrs
from trader.delivery import DeliveryTerms, check_delivery, encrypt_artifact, generate_key
from zk.binding import BoundParameters, ColumnLayout
from zk.binding.bind import bind_columns
from zk.binding.tensors import commitment_digest
from zk.circuits.audit import column_lengths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LOGROWS = 12
SMALL = 20_000
SELLER = bytes(20)
FACTOR = 4
SLACK = 1.6
"""Time and memory may grow so much faster than the size before a test fails."""


@pytest.fixture(scope="module")
def srs(tmp_path_factory: pytest.TempPathFactory) -> TrapdoorSrs:
    return TrapdoorSrs.make(tmp_path_factory.mktemp("srs"), LOGROWS)


class Model:
    """A model of one tensor."""

    def __init__(self, parameters: int, srs: TrapdoorSrs) -> None:
        self.srs = srs
        values = np.random.default_rng(parameters).integers(-(2**23), 2**23, parameters).astype(np.int32)
        self.layout = ColumnLayout(LOGROWS, column_lengths_of(parameters, (1 << LOGROWS) - 6))
        self.columns: list[NDArray[np.int32]] = np.split(values, np.cumsum(self.layout.lengths)[:-1])
        self.points = [srs.commit(column.tolist()) for column in self.columns]
        self.bound = self.bind()
        self.key = generate_key()
        self.ciphertext = encrypt_artifact(self.bound.artifact, self.key)

    def bind(self) -> BoundParameters:
        return bind_columns(self.columns, self.layout, self.points, self.srs.srs, self.srs.commit, seller=SELLER)

    def check(self) -> tuple[NDArray[np.int32], ...]:
        digest = commitment_digest(self.points)
        terms = DeliveryTerms(self.layout, ((sum(self.layout.lengths),),), digest, self.bound.commitments, SELLER)
        return check_delivery(self.ciphertext, self.key, terms)


@pytest.fixture(scope="module")
def models(srs: TrapdoorSrs) -> tuple[Model, Model]:
    return Model(SMALL, srs), Model(FACTOR * SMALL, srs)


def cpu_seconds(work: Callable[[], object]) -> float:
    """The fastest of three runs."""
    runs = []
    for _ in range(3):
        started = time.process_time()
        work()
        runs.append(time.process_time() - started)
    return min(runs)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("work", [Model.bind, Model.check], ids=["bind", "check"])
def test_time_and_memory_grow_with_the_size(work: Callable, models: tuple[Model, Model]) -> None:
    small, large = models
    assert cpu_seconds(lambda: work(large)) < SLACK * FACTOR * cpu_seconds(lambda: work(small))
    assert peak_bytes(lambda: work(large)) < SLACK * FACTOR * peak_bytes(lambda: work(small))


@pytest.mark.slow
def test_what_is_checked_is_what_was_bound(models: tuple[Model, Model]) -> None:
    for model in models:
        (delivered,) = model.check()
        np.testing.assert_array_equal(delivered, np.concatenate(model.columns))
