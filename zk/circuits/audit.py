"""The audit circuit: what is proven about a model, and where its committed values stand in the proof.

Statement: *the committed parameters give the public outputs on the k committed inputs*. The circuit's tensors are
tensor 0, ``[1, k·F + salt]`` (the k samples, row-major, then salt elements that no operation reads), and one tensor per
parameter input of ``architecture.onnx``, in its order. Tensors go row-major into columns of ``2^logrows - 6`` values, a
longer one continues in further columns, and the proof begins with one commitment (64 bytes) per column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BLINDING_ROWS = 6
"""Rows at the end of each column that ezkl sets to 1 (halo2's blinding factors + 1)."""

SALT_ELEMENTS = 27
"""Salt elements after the samples, at least. Commitment and proof each tell a field element (254 bits) that depends on
samples and salt: 27 random 24-bit values leave 128 bits unknown after both, and guessed samples can't be confirmed."""


@dataclass(frozen=True)
class AuditCircuit:
    """An audit circuit: all that is public about it.

    Attributes:
        digest: keccak256 over the words of ``vka``: what the on-chain verifier returns.
        onnx: The batched architecture that ezkl compiles.
        settings: Canonical JSON; with the architecture and k all that a rebuild needs.
        vka: The verifying key artifact for the reusable verifier: 32-byte words.
        srs_digest: Digest of the SRS that the keys were made with.
        logrows: log2 of the number of rows.
        audit_samples: k, the samples in one proof.
        features: Values per sample, F.
        outputs: Raw outputs per sample, O.
        salt_elements: Salt elements of tensor 0.
        scale_bits: Inputs and parameters are integers at scale 2^scale_bits.
        output_scale_bits: Instances are integers at scale 2^output_scale_bits.
        is_exact: Instances are exact integers; otherwise every operation rounds to about 2^-scale_bits.
        parameter_shapes: Shape of each parameter tensor.
        proof_bytes: Exact length of a proof.
    """

    digest: bytes
    onnx: bytes = field(repr=False)
    settings: bytes = field(repr=False)
    vka: tuple[bytes, ...] = field(repr=False)
    srs_digest: bytes
    logrows: int
    audit_samples: int
    features: int
    outputs: int
    salt_elements: int
    scale_bits: int
    output_scale_bits: int
    is_exact: bool
    parameter_shapes: tuple[tuple[int, ...], ...]
    proof_bytes: int

    @property
    def column_capacity(self) -> int:
        """Values that fit one committed column."""
        return column_capacity(self.logrows)

    @property
    def input_elements(self) -> int:
        """Values of tensor 0, samples and salt."""
        return self.audit_samples * self.features + self.salt_elements

    @property
    def input_columns(self) -> int:
        """Committed columns of tensor 0."""
        return len(split_columns(self.input_elements, self.column_capacity))

    @property
    def parameter_lengths(self) -> tuple[int, ...]:
        """Values of each parameter tensor."""
        return tuple(math.prod(shape) for shape in self.parameter_shapes)

    @property
    def column_lengths(self) -> tuple[int, ...]:
        """Parameters in each parameter column, in order: the layout's ``columnLengths``."""
        tensors = (split_columns(length, self.column_capacity) for length in self.parameter_lengths)
        return tuple(length for columns in tensors for length in columns)

    @property
    def parameter_columns(self) -> int:
        """Committed columns of all parameter tensors."""
        return len(self.column_lengths)


def column_capacity(logrows: int) -> int:
    """Values that fit one committed column."""
    return (1 << logrows) - BLINDING_ROWS


def split_columns(elements: int, capacity: int) -> tuple[int, ...]:
    """Values of a tensor that go into each of its columns."""
    full, rest = divmod(elements, capacity)
    return (capacity,) * full + ((rest,) if rest else ())


def leaves_empty_column(elements: int, capacity: int) -> bool:
    """Whether ezkl adds a column that holds nothing: it does for whole multiples of the capacity.

    Such a column is committed but not tied to anything, and the layout has no place for it: circuits avoid it.
    """
    return elements % capacity == 0
