"""Columns and chunks: the bytes in which a model is delivered, and the leaves that commit to them.

Tensors go row-major into columns of 2^logrows - 6 values, as in the circuit; each column is cut into chunks of 240
values. A chunk is 1024 bytes: ``S_j (32, big-endian) ‖ salt_j (32) ‖ 240 x int32 (big-endian)``. A column starts a new
chunk; the last chunk of a column is padded with zeros that no check reads.

Leaf of chunk j in the weights tree: keccak256(salt_j ‖ values); in the sums tree: keccak256(uint256(j) ‖ S_j ‖ salt_j).

Read :class:`ColumnLayout` first, then :class:`ChunkArray`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHUNK_BYTES = 1024
CHUNK_PARAMETERS = 240
SALT_BYTES = 32


@dataclass(frozen=True)
class ColumnLayout:
    """How many parameters stand in each committed column; public.

    Attributes:
        logrows: log2 of a column's rows.
        lengths: Parameters in each column, in order.

    Raises:
        ChunkError: No columns, or a length outside 1 … 2^logrows - 6.
    """

    logrows: int
    lengths: tuple[int, ...]

    @property
    def chunk_counts(self) -> tuple[int, ...]:
        """Chunks of each column."""
        return tuple(math.ceil(length / CHUNK_PARAMETERS) for length in self.lengths)

    @property
    def chunk_count(self) -> int:
        """Chunks of all columns."""
        return sum(self.chunk_counts)


def layout_of(shapes: Sequence[tuple[int, ...]], logrows: int) -> ColumnLayout:
    """The layout of tensors of these shapes: a long tensor continues in further columns."""
    raise NotImplementedError


def split_columns(tensors: Sequence[NDArray[np.int32]], layout: ColumnLayout) -> list[NDArray[np.int32]]:
    """Flatten tensors row-major into the layout's columns.

    Raises:
        ChunkError: The tensors do not have this layout.
    """
    raise NotImplementedError


def join_columns(
    columns: Sequence[NDArray[np.int32]], shapes: Sequence[tuple[int, ...]]
) -> tuple[NDArray[np.int32], ...]:
    """The inverse of :func:`split_columns`."""
    raise NotImplementedError


@dataclass(frozen=True)
class Chunk:
    """One chunk.

    Attributes:
        running_sum: S_j as it stands in the chunk; not necessarily below the modulus when a seller cheats.
        salt: 32 bytes.
        parameters: 240 int32 values, padding included.
    """

    running_sum: int = field(repr=False)
    salt: bytes = field(repr=False)
    parameters: NDArray[np.int32] = field(repr=False)

    def encode(self) -> bytes:
        """The chunk's 1024 bytes."""
        raise NotImplementedError

    @classmethod
    def decode(cls, data: bytes) -> Chunk:
        """Read a chunk.

        Raises:
            ChunkError: ``data`` is not 1024 bytes long.
        """
        raise NotImplementedError


def weights_leaf(chunk: bytes) -> bytes:
    """Leaf of an encoded chunk in the weights tree."""
    raise NotImplementedError


def sums_leaf(index: int, chunk: bytes) -> bytes:
    """Leaf of the encoded chunk ``index`` in the sums tree."""
    raise NotImplementedError
