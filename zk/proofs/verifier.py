"""Verify a proof off-chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zk.circuits.audit import AuditCircuit
    from zk.proofs.prover import Proof
    from zk.srs import Srs


def verify(
    circuit: AuditCircuit,
    proof: Proof,
    srs: Srs,
    *,
    input_points: Sequence[bytes],
    parameter_points: Sequence[bytes],
) -> None:
    """Check a proof and that it is about the given commitments; silent on success.

    Not checked: that the circuit is the listed one (:func:`zk.rebuild_audit_circuit` does), and what the outputs are.

    Raises:
        MalformedProof: Wrong length, wrong number of instances, or an instance outside the field.
        CommitmentMismatch: The proof's prefix is not the given commitments.
        InvalidProof: The proof does not hold.
    """
    raise NotImplementedError
