"""Columns and chunks: the bytes in which a model is delivered, and the leaves that commit to them.

Tensors go row-major into columns of 2^logrows - 6 values, as in the circuit; each column is cut into chunks of 240
values. A chunk is 1024 bytes: `S_j (32, big-endian) ‖ salt_j (32) ‖ 240 x int32 (big-endian)`. A column starts a new
chunk; the last chunk of a column is padded with zeros that no sum reads. All chunks in a row are the *artifact*.

Leaf of chunk j in the weights tree: keccak256(salt_j ‖ values); in the sums tree, with the chunk's *sum salt*
keccak256(salt_j): keccak256(uint256(j) ‖ S_j ‖ keccak256(salt_j)).

In the order of use: `ColumnLayout`, `split_columns`, `encode_chunks`, `weights_tree`, `with_sums`, `sums_tree`. For
reading: `decode_columns`, `stored_sums`, `join_columns`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from zk.binding.errors import ChunkError
from zk.binding.merkle import ChunkTree, keccak256
from zk.circuits.audit import column_capacity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHUNK_BYTES = 1024
CHUNK_PARAMETERS = 240
SUM_BYTES = 32
SALT_BYTES = 32
_VALUES_AT = SUM_BYTES + SALT_BYTES


@dataclass(frozen=True)
class ColumnLayout:
    """How many parameters stand in each committed column; public.

    Attributes:
        logrows: log2 of a column's rows.
        lengths: Parameters in each column, in order.

    Raises:
        ChunkError: No columns, or a length that no column of this size holds.
    """

    logrows: int
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not self.lengths or not all(0 < length <= self.capacity for length in self.lengths):
            raise ChunkError(f"columns of 2^{self.logrows} rows cannot hold {self.lengths} parameters")

    @property
    def capacity(self) -> int:
        """Values that fit one column."""
        return column_capacity(self.logrows)

    @property
    def chunk_counts(self) -> tuple[int, ...]:
        """Chunks of each column."""
        return tuple(-(-length // CHUNK_PARAMETERS) for length in self.lengths)

    @property
    def chunk_count(self) -> int:
        """Chunks of all columns."""
        return sum(self.chunk_counts)


def split_columns(tensors: Sequence[NDArray[np.int32]], layout: ColumnLayout) -> list[NDArray[np.int32]]:
    """Flatten tensors row-major into the layout's columns.

    Raises:
        ChunkError: A tensor is not int32, or the tensors do not begin and end where the layout's columns do.
    """
    if any(tensor.dtype != np.int32 for tensor in tensors):
        raise ChunkError(f"parameters are int32, not {sorted({str(tensor.dtype) for tensor in tensors})}")
    _check_boundaries([tensor.size for tensor in tensors], layout)
    flat = np.concatenate([tensor.ravel() for tensor in tensors])
    return np.split(flat, np.cumsum(layout.lengths)[:-1])


def join_columns(
    columns: Sequence[NDArray[np.int32]], shapes: Sequence[tuple[int, ...]]
) -> tuple[NDArray[np.int32], ...]:
    """Make tensors of the columns: the inverse of `split_columns`.

    Raises:
        ChunkError: The shapes do not use up the columns exactly.
    """
    sizes = [prod(shape) for shape in shapes]
    flat = np.concatenate(columns)
    if sum(sizes) != flat.size:
        raise ChunkError(f"tensors of shapes {tuple(shapes)} have {sum(sizes)} values, the columns {flat.size}")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def encode_chunks(columns: Sequence[NDArray[np.int32]], salts: bytes) -> bytes:
    """Lay columns out in chunks whose sums are still 0: the sums depend on the root over these chunks.

    Args:
        columns: int32, in order.
        salts: 32 secret random bytes per chunk, one after another.

    Raises:
        ChunkError: There are more or fewer salts than chunks.
    """
    values = b"".join(_padded(column) for column in columns)
    count = len(values) // (4 * CHUNK_PARAMETERS)
    if len(salts) != count * SALT_BYTES:
        raise ChunkError(f"{count} chunks need {count * SALT_BYTES} bytes of salt, not {len(salts)}")
    chunks = np.zeros((count, CHUNK_BYTES), dtype=np.uint8)
    chunks[:, SUM_BYTES:_VALUES_AT] = np.frombuffer(salts, dtype=np.uint8).reshape(count, SALT_BYTES)
    chunks[:, _VALUES_AT:] = np.frombuffer(values, dtype=np.uint8).reshape(count, -1)
    return chunks.tobytes()


def with_sums(artifact: bytes, sums: Sequence[int]) -> bytes:
    """Return the artifact with S_j in chunk j."""
    chunks = np.frombuffer(artifact, dtype=np.uint8).reshape(len(sums), CHUNK_BYTES).copy()
    encoded = b"".join(running_sum.to_bytes(SUM_BYTES, "big") for running_sum in sums)
    chunks[:, :SUM_BYTES] = np.frombuffer(encoded, dtype=np.uint8).reshape(len(sums), SUM_BYTES)
    return chunks.tobytes()


def stored_sums(artifact: bytes) -> list[int]:
    """S_j of each chunk as it stands there; a cheating seller's may exceed the modulus."""
    return [
        int.from_bytes(artifact[start : start + SUM_BYTES], "big") for start in range(0, len(artifact), CHUNK_BYTES)
    ]


def salt_of(artifact: bytes, index: int) -> bytes:
    """salt_j of chunk `index`."""
    start = index * CHUNK_BYTES + SUM_BYTES
    return artifact[start : start + SALT_BYTES]


def values_of(artifact: bytes, index: int) -> bytes:
    """Return the 960 bytes of values of chunk `index`, padding included."""
    start = index * CHUNK_BYTES + _VALUES_AT
    return artifact[start : (index + 1) * CHUNK_BYTES]


def decode_columns(artifact: bytes, layout: ColumnLayout) -> list[NDArray[np.int32]]:
    """Return the columns (int32) of an artifact, without padding.

    Raises:
        ChunkError: The artifact does not have the layout's length.
    """
    if len(artifact) != layout.chunk_count * CHUNK_BYTES:
        raise ChunkError(
            f"the layout has {layout.chunk_count} chunks of {CHUNK_BYTES} bytes, not {len(artifact)} bytes"
        )
    chunks = np.frombuffer(artifact, dtype=np.uint8).reshape(-1, CHUNK_BYTES)[:, _VALUES_AT:]
    values = np.ascontiguousarray(chunks).view(">i4").astype(np.int32)
    first_chunks = list(accumulate(layout.chunk_counts))[:-1]
    per_column = np.split(values, first_chunks)
    return [rows.ravel()[:length] for rows, length in zip(per_column, layout.lengths, strict=True)]


def weights_tree(artifact: bytes) -> ChunkTree:
    """Return the tree over salts and values, whose root is `weightsRoot`; independent of the sums."""
    return ChunkTree([keccak256(chunk[SUM_BYTES:]) for chunk in cut_chunks(artifact)])


def sums_tree(artifact: bytes) -> ChunkTree:
    """Return the tree over the running sums, whose root is `sumsRoot`."""
    return ChunkTree(
        [
            sums_leaf(index, chunk[:SUM_BYTES], sum_salt(chunk[SUM_BYTES:_VALUES_AT]))
            for index, chunk in enumerate(cut_chunks(artifact))
        ]
    )


def sum_salt(salt: bytes) -> bytes:
    """Return what hides a chunk's sum; it may be published without its preimage, the salt that hides the values."""
    return keccak256(salt)


def sums_leaf(index: int, running_sum: bytes, sum_salt: bytes) -> bytes:
    """Leaf `index` of the sums tree: the sum salt hides the sum; the length sets it apart from other hashes."""
    return keccak256(index.to_bytes(32, "big") + running_sum + sum_salt)


def cut_chunks(artifact: bytes) -> list[bytes]:
    """Return the chunks of an artifact or of a ciphertext.

    Raises:
        ChunkError: The length is not a whole number of chunks, or zero.
    """
    if not artifact or len(artifact) % CHUNK_BYTES:
        raise ChunkError(f"{len(artifact)} bytes are not a whole number of chunks of {CHUNK_BYTES} bytes")
    return [artifact[start : start + CHUNK_BYTES] for start in range(0, len(artifact), CHUNK_BYTES)]


def _padded(column: NDArray[np.int32]) -> bytes:
    """Return a column's values, big-endian, up to a whole number of chunks."""
    padding = -column.size % CHUNK_PARAMETERS
    return column.astype(">i4").tobytes() + bytes(4 * padding)


def _check_boundaries(sizes: Sequence[int], layout: ColumnLayout) -> None:
    """Every tensor begins a column, and all columns together hold all tensors."""
    starts = set(accumulate(layout.lengths))
    if sum(sizes) != sum(layout.lengths) or not set(accumulate(sizes)) <= starts:
        raise ChunkError(f"tensors of {tuple(sizes)} values do not fill columns of {layout.lengths}")
