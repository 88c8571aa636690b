"""Where tiles are computed: what a place must offer, and the CPU, which is the default and the reference.

A tile [elements, components, positions] holds centred residues modulo one prime. Whatever computes it, the results are
exact, so that all places give the same residues.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.he.ring import kernels, residues
from trader.he.ring.integer_weights import IntegerWeights
from trader.he.types import Residues

Weights: TypeAlias = residues.ExactWeights | IntegerWeights
"""Prepared for exact products, in doubles or in 16-bit integers."""

BLOCK = 1024
"""Positions in a tile of the CPU's; divides every ring degree, and is whole buffers of `trader.he.ring.expansion`."""


class Arithmetic(Protocol):
    """Residues of one prime at a time; tiles are arrays of the place's own kind."""

    block: int | None
    """Positions per tile; None for all of a ciphertext."""
    chunk_bytes: int
    """Operands of one product."""

    def scratch(self, shape: tuple[int, int, int], as_integers: bool = False) -> Any:
        """Memory for `load` to use again; integers serve weights that take them, and nothing else but `gather`."""

    def load(self, blocks: Sequence[Sequence[Residues]], prime: int, scratch: Any) -> Any:
        """Blocks of positions, each of components [size, t'], side by side as a tile."""

    def store(self, tile: Any, prime: int, target: Residues) -> None:
        """Write a tile as residues [size, components, t]."""

    def prepare_weights(self, weights: NDArray[np.int32], prime: int) -> Weights:
        """Split a matrix [a, b] for exact products."""

    def multiply_weights(self, weights: Weights, values: Any, prime: int) -> Any:
        """Values [..., a, c, t] to [..., b, c, t]."""

    def select_values(self, values: Any, indices: NDArray[np.int64], factors: NDArray[np.float64], prime: int) -> Any:
        """Elements by index, each times an integer: below 2^53 times the largest residue; an index is not negative."""

    def multiply_values(self, left: Any, right: Any, prime: int) -> Any:
        """Products of ciphertexts, element by element."""

    def split_halves(self, values: Any, unit: int, prime: int) -> Any:
        """Ciphertexts [e, 2, t] in conjugate form, [e, 2, 2t]; `unit` is J in the first half of positions."""

    def join_parts(self, values: Any, unit: int, prime: int) -> Any:
        """Values u, then v, [2e, 2, t], as Re u + Im v in conjugate form at twice the scale, [e, 2, t]."""

    def multiply_conjugates(self, left: Any, right: Any, halves: int, prime: int) -> Any:
        """Products of values in conjugate form, [e, 2, t·halves] to [e, 4, t·halves], of one or both samples."""

    def add_values(self, left: Any, right: Any, prime: int) -> Any:
        """Add values up."""

    def sum_terms(self, values: Any, terms: int, prime: int) -> Any:
        """Add successive elements up."""

    def scale_values(self, values: Any, factor: int, prime: int) -> Any:
        """Values times an integer."""

    def add_constants(self, values: Any, constants: NDArray[np.float64], prime: int) -> None:
        """Add constants [e] to the first components of values [e, c, t], in place."""

    def gather(self, values: Any, indices: NDArray[np.int64]) -> Any:
        """Elements by index; 0 where it is negative."""

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Return a tile to be filled."""

    def concatenate(self, tiles: Sequence[Any]) -> Any:
        """Elements of all tiles."""

    def widen(self, tile: Any, components: int) -> Any:
        """With zero for missing components."""


class CpuArithmetic:
    """NumPy, BLAS and compiled kernels; tiles that stay in a core's cache."""

    block: int | None = BLOCK
    chunk_bytes = 4 << 20
    """What should stay in cache."""

    select_values = staticmethod(residues.select_values)
    multiply_values = staticmethod(residues.multiply_values)
    split_halves = staticmethod(residues.split_halves)
    join_parts = staticmethod(residues.join_parts)
    multiply_conjugates = staticmethod(residues.multiply_conjugates)
    add_values = staticmethod(residues.add_values)
    sum_terms = staticmethod(residues.sum_terms)
    scale_values = staticmethod(residues.scale_values)
    add_constants = staticmethod(kernels.add_constants)

    def scratch(self, shape: tuple[int, int, int], as_integers: bool = False) -> Any:
        """Memory for `load` to use again; integers take half of what doubles take."""
        return np.empty(shape, dtype=np.int32 if as_integers else np.float64)

    def prepare_weights(self, weights: NDArray[np.int32], prime: int) -> Weights:
        """Split a matrix [a, b] for exact products."""
        return IntegerWeights.of(weights, prime) or residues.prepare_weights(weights, prime)

    def multiply_weights(self, weights: Weights, values: Any, prime: int) -> residues.Tile:
        """Values [..., a, c, t] to [..., b, c, t]."""
        if isinstance(weights, IntegerWeights):
            return weights.multiply(values, prime)
        return residues.multiply_weights(weights, values, prime)

    def load(self, blocks: Sequence[Sequence[Residues]], prime: int, scratch: Any) -> Any:
        """Blocks of positions, each of components [size, t'], side by side as a tile."""
        centre, start = kernels.centre_integers if scratch.dtype == np.int32 else kernels.centre, 0
        for components in blocks:
            stop = start + components[0].shape[1]
            for component, values in enumerate(components):
                centre(values, prime, scratch[:, component, start:stop])
            start = stop
        return scratch

    def store(self, tile: residues.Tile, prime: int, target: Residues) -> None:
        """Write a tile as residues [size, components, t]."""
        kernels.uncentre(tile, prime, target)

    def gather(self, values: residues.Tile, indices: NDArray[np.int64]) -> residues.Tile:
        """Elements by index; 0 where it is negative."""
        tile: residues.Tile = values[indices]
        tile[indices < 0] = 0
        return tile

    def empty(self, shape: tuple[int, ...]) -> residues.Tile:
        """Return a tile to be filled."""
        return np.empty(shape)

    def concatenate(self, tiles: Sequence[residues.Tile]) -> residues.Tile:
        """Elements of all tiles."""
        return np.concatenate(tiles)

    def widen(self, tile: residues.Tile, components: int) -> residues.Tile:
        """With zero for missing components."""
        return np.pad(tile, ((0, 0), (0, components - tile.shape[1]), (0, 0)))


CPU = CpuArithmetic()
