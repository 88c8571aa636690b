"""Binding the delivered bytes to the proven commitments, and checking a delivery, against the model's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.rows import measure
from trader.delivery import DeliveryTerms, check_delivery, encrypt_artifact
from zk import commit_elements, commitment_digest
from zk.binding import ColumnLayout, verify_binding
from zk.binding.bind import bind_columns
from zk.binding.merkle import keccak256
from zk.circuits.audit import column_capacity, column_lengths_of
from zk.field import to_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.statement import Statement
    from zk.binding import BoundParameters

KEY = keccak256(b"delivery key")
SELLER = bytes(20)


@dataclass(frozen=True)
class BindingCost:
    """Seconds that a model of one size takes, measured once.

    Attributes:
        parameters: Size of the model.
        bind_seconds: Seller: chunks, trees, running sums, opening.
        verify_seconds: Buyer, before it pays: the opening.
        delivery_seconds: Buyer, before it confirms: decryption, both trees, every running sum.
    """

    parameters: int
    bind_seconds: float
    verify_seconds: float
    delivery_seconds: float


def measure_binding(statement: Statement, parameters: int) -> BindingCost:
    """Bind random parameters in columns of the statement's circuit, whose keys commit to them."""
    circuit, srs = statement.circuit, statement.srs
    layout = ColumnLayout(circuit.logrows, column_lengths_of(parameters, column_capacity(circuit.logrows)))
    values = np.random.default_rng(3).integers(-(1 << 14), 1 << 14, parameters, dtype=np.int32)
    columns = np.split(values, np.cumsum(layout.lengths)[:-1])
    points = commit_elements(circuit, [to_field(value) for value in values.tolist()], srs)
    bound: list[BoundParameters] = []

    def commit(elements: Sequence[int]) -> bytes:
        return commit_elements(circuit, elements, srs)[0]

    def bind() -> None:
        bound.append(bind_columns(columns, layout, points, srs, commit, seller=SELLER))

    seconds = measure(bind, 1, warm_up=False).median
    (made,) = bound
    verify = measure(
        lambda: verify_binding(layout, points, made.commitments, made.opening, srs, seller=SELLER), 1, warm_up=False
    )
    return BindingCost(parameters, seconds, verify.median, _delivery_seconds(made, points, values))


def _delivery_seconds(bound: BoundParameters, points: Sequence[bytes], values: NDArray[np.int32]) -> float:
    ciphertext = encrypt_artifact(bound.artifact, KEY)
    terms = DeliveryTerms(bound.layout, (values.shape,), commitment_digest(points), bound.commitments, SELLER)
    return measure(lambda: check_delivery(ciphertext, KEY, terms), 1, warm_up=False).median
