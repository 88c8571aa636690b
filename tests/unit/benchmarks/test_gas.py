"""The evidence and the arithmetic behind the gas figures."""

from __future__ import annotations

import pytest

from benchmarks.disputes import Dispute, disputes
from benchmarks.gas import trade_gas
from contracts import Layout, Statement
from zk.binding import ColumnLayout, verify_path
from zk.binding.chunks import sum_salt, sums_leaf
from zk.binding.merkle import keccak256

AUDITED = Statement(bytes(32), bytes(32), Layout(1, 1, 0, 5000, 10, 26, 10, (32,)))
KEY = bytes(range(32))


def dispute_of(function: str, parameters: int) -> Dispute:
    (found,) = [dispute for dispute in disputes(parameters, AUDITED, KEY) if dispute.function == function]
    return found


@pytest.mark.parametrize(("parameters", "columns", "chunks"), [(10**4, 1, 42), (10**5, 4, 419), (10**6, 31, 4182)])
def test_the_layout_holds_the_model(parameters: int, columns: int, chunks: int) -> None:
    for dispute in disputes(parameters, AUDITED, KEY):
        layout = dispute.statement.layout
        assert (sum(layout.column_lengths), len(layout.column_lengths)) == (parameters, columns)
        assert ColumnLayout(layout.logrows, layout.column_lengths).chunk_count == chunks
        assert layout.proof_bytes == AUDITED.layout.proof_bytes


@pytest.mark.parametrize("function", ["disputeWeightsChunk", "disputeSumChunk"])
@pytest.mark.parametrize("parameters", [10**4, 10**5, 10**6])
def test_chunk_evidence_leads_to_the_roots(function: str, parameters: int) -> None:
    dispute = dispute_of(function, parameters)
    evidence, layout = dispute.evidence, dispute.statement.layout
    count = ColumnLayout(layout.logrows, layout.column_lengths).chunk_count
    root = dispute.weights_root if function == "disputeWeightsChunk" else dispute.sums_root
    verify_path(root, evidence.leaf, evidence.index, evidence.path, count)
    delivered = keccak256(evidence.ciphertext)
    verify_path(dispute.ciphertext_root, delivered, evidence.index, evidence.ciphertext_path, count)


@pytest.mark.parametrize("parameters", [10**4, 10**5, 10**6])
def test_step_evidence_leads_to_the_roots(parameters: int) -> None:
    dispute = dispute_of("disputeSumStep", parameters)
    evidence, layout = dispute.evidence, dispute.statement.layout
    count = ColumnLayout(layout.logrows, layout.column_lengths).chunk_count
    verify_path(
        dispute.weights_root,
        keccak256(evidence.salt + evidence.parameters),
        evidence.index,
        evidence.weights_path,
        count,
    )
    for index, value, salt, path in (
        (evidence.index, evidence.sum, evidence.salt, evidence.sum_path),
        (evidence.index - 1, evidence.previous_sum, evidence.previous_salt, evidence.previous_path),
    ):
        leaf = sums_leaf(index, value.to_bytes(32, "big"), sum_salt(salt))
        verify_path(dispute.sums_root, leaf, index, path, count)


def test_a_trade_is_counted_without_the_verifier_and_its_calldata() -> None:
    gas = {"list": 7, "openSession": 5, "respond": 3, "purchase": 50_000, "prove": 1_000_000, "reveal": 35_000,
           "confirm": 40_000}  # fmt: skip
    assert trade_gas(gas, verifier=921_000) == 225_000
    assert trade_gas(gas | {"accept": 30_000}, verifier=921_000) == 255_000
