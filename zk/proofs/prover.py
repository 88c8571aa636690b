"""Prove an audit circuit, and compute the commitments that both sides need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from zk.circuits.audit import AuditCircuit
    from zk.srs import Srs


@dataclass(frozen=True)
class Proof:
    """A verified proof, in the form that the escrow's ``prove`` takes beside the circuit's ``vka``.

    Attributes:
        proof: Exactly the circuit's ``proof_bytes``; 64 bytes per committed column come first.
        instances: The k·O outputs, row-major, as canonical field elements.
    """

    proof: bytes = field(repr=False)
    instances: tuple[int, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The instances as signed integers at scale 2^output_scale_bits."""
        raise NotImplementedError


def draw_input_salt() -> tuple[int, ...]:
    """Draw the salt elements that hide the audited inputs behind their commitment (secret until sent to the seller)."""
    raise NotImplementedError


def input_commitment(
    circuit: AuditCircuit, inputs: NDArray[np.int64], input_salt: Sequence[int], srs: Srs
) -> tuple[bytes, ...]:
    """Commit to the audited samples as a proof does.

    Args:
        circuit: The listing's circuit.
        inputs: k x F integers at scale 2^scale_bits.
        input_salt: Salt elements of :func:`draw_input_salt`.
        srs: The circuit's SRS.

    Returns:
        One point per input column, 64 bytes each (x, y big-endian); :func:`commitment_digest` hashes them.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
    """
    raise NotImplementedError


def commit_elements(circuit: AuditCircuit, elements: Sequence[int], srs: Srs) -> tuple[bytes, ...]:
    """Commit to any vector of canonical field elements, as the circuit commits to a tensor.

    Rows past the vector are 0 and the last :data:`~zk.circuits.audit.BLINDING_ROWS` rows are 1:
    ``C = sum(v_t L_t) + sum(L_i for the last rows)``.

    Returns:
        One point per column of ``2^logrows - 6`` values, 64 bytes each (x, y big-endian).
    """
    raise NotImplementedError


def parameter_commitment(circuit: AuditCircuit, parameters: Sequence[NDArray[np.int32]], srs: Srs) -> tuple[bytes, ...]:
    """Commit to the parameter tensors as a proof does (one point per parameter column, 64 bytes each)."""
    raise NotImplementedError


def commitment_digest(points: Sequence[bytes]) -> bytes:
    """keccak256 over the points: ``inputCommitment`` or ``parameterCommitment`` of the escrow."""
    raise NotImplementedError


def prove(
    circuit: AuditCircuit,
    inputs: NDArray[np.int64],
    input_salt: Sequence[int],
    parameters: Sequence[NDArray[np.int32]],
    srs: Srs,
) -> Proof:
    """Prove that the parameters give the outputs on the inputs, and verify the proof before returning it.

    Raises:
        StatementError: Shapes or ranges do not fit the circuit.
        ProofError: The made proof does not hold or is not about these inputs and parameters.
        WorkerError: ezkl failed, ran out of memory or of time.
    """
    raise NotImplementedError
