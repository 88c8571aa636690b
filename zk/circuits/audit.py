"""The audit circuit: what is proven about a model, and where its committed values stand in the proof.

Statement: *the committed parameters give the public outputs on the k committed inputs*. The circuit's tensors are
tensor 0, ``[1, k·F + salt]`` (the k samples, row-major, then salt elements that no operation reads), and one tensor per
parameter input of ``architecture.onnx``, in its order. Tensors go row-major into columns of ``2^logrows - 6`` values.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BLINDING_ROWS = 6
"""Rows at the end of each column that ezkl sets to 1 (halo2's blinding factors + 1)."""

SALT_ELEMENTS = 12
"""Salt elements after the inputs: 12 random 24-bit values hide them."""


@dataclass(frozen=True)
class AuditCircuit:
    """An audit circuit with the public material to prove and verify.

    Attributes:
        digest: keccak256 over the words of ``vka``: what the on-chain verifier returns.
        settings: Canonical JSON; with the architecture and k all that a rebuild needs.
        onnx: The batched architecture that ezkl compiles.
        compiled: ezkl's compiled circuit.
        verifying_key: ezkl's verifying key; its bytes differ between builds of the same circuit.
        vka: The verifying key artifact for the reusable verifier: 32-byte words.
        srs_digest: Digest of the SRS that ``verifying_key`` was made with.
        logrows: log2 of the number of rows.
        audit_samples: k, the samples in one proof.
        features: Values per sample, F.
        outputs: Raw outputs per sample, O.
        scale_bits: Inputs and parameters are integers at scale 2^scale_bits.
        output_scale_bits: Instances are integers at scale 2^output_scale_bits.
        parameter_shapes: Shape of each parameter tensor.
        proof_bytes: Exact length of a proof.
    """

    digest: bytes
    settings: bytes = field(repr=False)
    onnx: bytes = field(repr=False)
    compiled: bytes = field(repr=False)
    verifying_key: bytes = field(repr=False)
    vka: tuple[bytes, ...] = field(repr=False)
    srs_digest: bytes
    logrows: int
    audit_samples: int
    features: int
    outputs: int
    scale_bits: int
    output_scale_bits: int
    parameter_shapes: tuple[tuple[int, ...], ...]
    proof_bytes: int

    @property
    def column_capacity(self) -> int:
        """Values that fit one committed column."""
        return (1 << self.logrows) - BLINDING_ROWS

    @property
    def input_columns(self) -> int:
        """Committed columns of tensor 0."""
        raise NotImplementedError

    @property
    def parameter_columns(self) -> int:
        """Committed columns of all parameter tensors."""
        return len(self.column_lengths)

    @property
    def column_lengths(self) -> tuple[int, ...]:
        """Parameters in each parameter column, in order: the layout's ``columnLengths``."""
        raise NotImplementedError
