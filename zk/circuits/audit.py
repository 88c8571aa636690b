"""The audit circuit: what is proven about a model, and where its committed values stand in the proof.

Statement: *the committed parameters give the public outputs on the k committed inputs*. The circuit's tensors are
tensor 0, `[1, k·F + salt]` (the k samples, row-major, then salt elements that no operation reads), one tensor per
parameter input of `architecture.onnx`, in its order, and, if layers of many rows are proven by a random check
(`zk.circuits.batching`), a tensor with these layers' results and one with the challenge. Tensors go row-major into
columns of `2^logrows - 6` values, a longer one continues in further columns, and the proof begins with one commitment
(64 bytes) per column. The public instances are the k·O outputs and, with a random check, the challenge and a zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BLINDING_ROWS = 6
"""Rows at the end of each column that ezkl sets to 1 (halo2's blinding factors + 1)."""

SALT_ELEMENTS = 27
"""Salt elements after the samples, at least. Commitment and proof each tell a field element (254 bits) that depends on
samples and salt: 27 random 24-bit values leave 128 bits unknown after both, and guessed samples can't be confirmed."""


VALUE_BITS = 24
"""Inputs and parameters are below 2^24 in magnitude, so that float32 holds them."""

HIDDEN_SALT_ELEMENTS = 5
"""Salt elements at the end of each column of the hidden tensor (one fewer where the last column would be full).

They are uniform in the field: two of them hide the column behind its commitment and its one evaluation in the proof."""


@dataclass(frozen=True)
class HiddenTensor:
    """The committed tensor of layers' results: values, and salt at the end of each of its columns.

    Attributes:
        products: Names of the layers, in order, as the integer graph calls them.
        values: Number of values.
        capacity: Of a column.
    """

    products: tuple[str, ...]
    values: int
    capacity: int

    @property
    def _room(self) -> int:
        return self.capacity - HIDDEN_SALT_ELEMENTS

    @property
    def columns(self) -> int:
        """Number of columns."""
        return -(-self.values // self._room)

    @property
    def elements(self) -> int:
        """Values and salt."""
        full = self.values % self._room == 0
        return self.values + HIDDEN_SALT_ELEMENTS * self.columns - full

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Where values stand in the tensor: half-open ranges, one per column."""
        starts = range(0, self.values, self._room)
        return [
            (column * self.capacity, column * self.capacity + min(self._room, self.values - start))
            for column, start in enumerate(starts)
        ]

    def lay_out(self, values: Sequence[int], salt: Callable[[], int]) -> list[int]:
        """Return the tensor of some values, with salt drawn where it belongs."""
        tensor = [salt() for _ in range(self.elements)]
        done = 0
        for start, end in self.runs:
            tensor[start:end] = values[done : done + end - start]
            done += end - start
        return tensor


@dataclass(frozen=True)
class AuditCircuit:
    """An audit circuit: all that is public about it.

    Attributes:
        digest: keccak256 over the words of `vka`: what the on-chain verifier returns.
        onnx: The batched architecture that ezkl compiles.
        integers: The same computation without committed results, as ONNX on integers; empty if it is rounded.
        hidden: The tensor of committed results, if layers are proven by a random check.
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
    integers: bytes = field(repr=False)
    hidden: HiddenTensor | None
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
        return len(column_lengths_of(self.input_elements, self.column_capacity))

    @property
    def parameter_lengths(self) -> tuple[int, ...]:
        """Values of each parameter tensor."""
        return tuple(math.prod(shape) for shape in self.parameter_shapes)

    @property
    def column_lengths(self) -> tuple[int, ...]:
        """Parameters in each parameter column, in order: the layout's `columnLengths`."""
        tensors = (column_lengths_of(length, self.column_capacity) for length in self.parameter_lengths)
        return tuple(length for columns in tensors for length in columns)

    @property
    def parameter_columns(self) -> int:
        """Committed columns of all parameter tensors."""
        return len(self.column_lengths)

    @property
    def hidden_columns(self) -> int:
        """Committed columns of layers' results; 0 if no layer is proven by a random check."""
        return self.hidden.columns if self.hidden else 0

    @property
    def committed_columns(self) -> int:
        """All committed columns, in the order of their commitments: inputs, parameters, hidden, and the challenge's."""
        return self.input_columns + self.parameter_columns + self.hidden_columns + (self.hidden is not None)

    @property
    def output_count(self) -> int:
        """k·O."""
        return self.audit_samples * self.outputs


def column_capacity(logrows: int) -> int:
    """Values that fit one committed column."""
    return (1 << logrows) - BLINDING_ROWS


def column_lengths_of(elements: int, capacity: int) -> tuple[int, ...]:
    """Return how many values of a tensor go into each of its columns (`zk.binding.chunks.split_columns` cuts them)."""
    full, rest = divmod(elements, capacity)
    return (capacity,) * full + ((rest,) if rest else ())


def leaves_empty_column(elements: int, capacity: int) -> bool:
    """Whether ezkl adds a column that holds nothing: it does for whole multiples of the capacity.

    Such a column is committed but not tied to anything, and the layout has no place for it: circuits avoid it.
    """
    return elements % capacity == 0
