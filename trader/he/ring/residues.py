"""Exact linear algebra on residues, through floating-point BLAS.

A sum of products of integers is exact in float64 as long as every partial sum stays below 2^53. Residues are taken from
(-q/2, q/2], so that |Σ w·r| <= ‖w‖₁·q/2: with primes of 31 bits one product suffices for columns of weights with
‖w‖₁ < 2^23. Heavier ones are split into limbs, W = Σ_k 2^(k·b)·W_k, whose products are taken together and recombined
modulo q. Ciphertexts are columns here: a tile [elements, components, coefficients] of values modulo one prime.

In small numbers, with q = 13, and 100 in place of 2^53: residues are in -6 … 6. A column of weights (5, -7) has
‖w‖₁ = 12, and 12·6 < 100, so that one product is exact: with the residues (6, -3) it is 5·6 + 7·3 = 51 = -1 (mod 13).
The column (37, -29) has ‖w‖₁ = 66, and 66·6 > 100. With limbs of b = 4 bits it is (5, 3) + 2^4·(2, -2), where
(5 + 3)·6 < 100 and (2 + 2)·6 < 100. The two products are 5·6 - 3·3 = 21 and 2·6 + 2·3 = 18; together
21 + 16·18 = 309 = -3 (mod 13), and indeed 37·6 + 29·3 = 309.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trader.he.ring import conjugates, kernels

Tile = NDArray[np.float64]
"""Centred residues [elements, components, coefficients] modulo one prime."""

EXACT = 1 << 53
CENTRE_SLACK = 16
"""Rounding may leave a reduced value this far beyond q/2."""


def heaviest_column(largest_prime: int) -> int:
    """Return the largest ‖w‖₁ for exact products; the multiple of q that is taken off these is below 2^53, too."""
    return EXACT // (largest_prime // 2 + CENTRE_SLACK) - 1


@dataclass(frozen=True, slots=True)
class ExactWeights:
    """An integer matrix [a, b], prepared for exact products modulo primes up to a size.

    Attributes:
        limbs: float64 [limb count · b, a], lowest limb first, transposed.
        limb_bits: position of a limb relative to the one before.
        outputs: b.
    """

    takes_integers: ClassVar = False

    limbs: NDArray[np.float64] = field(repr=False)
    limb_bits: int
    outputs: int

    @property
    def inputs(self) -> int:
        """Rows of the matrix, a."""
        return int(self.limbs.shape[1])


def prepare_weights(weights: NDArray[np.int32], largest_prime: int) -> ExactWeights:
    """Split a matrix [a, b] into as few limbs as exactness allows."""
    limit = heaviest_column(largest_prime)
    bits = int(np.abs(weights.astype(np.int64)).max(initial=1)).bit_length() + 1
    for count in range(1, bits + 1):
        limb_bits = -(-bits // count)
        limbs = _split(weights.astype(np.int64), limb_bits, count)
        if all(np.abs(limb).sum(axis=0).max(initial=0) <= limit for limb in limbs):
            stacked = np.concatenate([limb.T for limb in limbs]).astype(np.float64)
            return ExactWeights(np.ascontiguousarray(stacked), limb_bits, weights.shape[1])
    raise OverflowError(f"{weights.shape[0]} inputs are too many for exact products modulo {largest_prime}")


def _split(weights: NDArray[np.int64], limb_bits: int, count: int) -> Sequence[NDArray[np.int64]]:
    """Signed limbs: all but the last lie in [-2^(b-1), 2^(b-1))."""
    limbs = []
    for _ in range(count - 1):
        low = ((weights + (1 << (limb_bits - 1))) & ((1 << limb_bits) - 1)) - (1 << (limb_bits - 1))
        limbs.append(low)
        weights = (weights - low) >> limb_bits
    return [*limbs, weights]


def multiply_weights(weights: ExactWeights, values: Tile, prime: int) -> Tile:
    """y_b = Σ_a W[a, b]·x_a modulo the prime: values [..., a, c, t] to [..., b, c, t]."""
    columns = values.reshape(*values.shape[:-2], -1)
    products = weights.limbs @ columns
    kernels.reduce_doubles(products, prime)
    count = weights.limbs.shape[0] // weights.outputs
    limbs = products.reshape(*products.shape[:-2], count, weights.outputs, products.shape[-1])
    result = np.ascontiguousarray(limbs[..., count - 1, :, :])
    for limb in range(count - 2, -1, -1):
        kernels.shift_and_add(result, weights.limb_bits, np.ascontiguousarray(limbs[..., limb, :, :]), prime)
    return result.reshape(*result.shape[:-1], *values.shape[-2:])


def select_values(values: Tile, indices: NDArray[np.int64], factors: NDArray[np.float64], prime: int) -> Tile:
    """y_b = factor_b·x_(index_b) modulo the prime: [e, c, t] to [b, c, t]; |factor| as `heaviest_column`."""
    chosen: Tile = values[indices]
    chosen *= factors[:, np.newaxis, np.newaxis]
    kernels.reduce_doubles(chosen, prime)
    return chosen


def multiply_values(left: Tile, right: Tile, prime: int) -> Tile:
    """Products of ciphertexts, element by element: [e, c, t] and [e, d, t] to [e, c + d - 1, t]."""
    components = left.shape[1] + right.shape[1] - 1
    result = np.zeros((left.shape[0], components, left.shape[2]))
    kernels.convolve_components(left, right, prime, result)
    return result


def split_halves(values: Tile, unit: int, prime: int) -> Tile:
    """Ciphertexts [e, 2, t] in conjugate form, the first samples' positions and then the second ones': [e, 2, 2t]."""
    result = np.empty((*values.shape[:2], 2 * values.shape[2]))
    conjugates.split_conjugates(values, _centred(unit, prime), prime, result)
    return result


def join_parts(values: Tile, unit: int, prime: int) -> Tile:
    """Values u, then v, [2e, 2, t], as Re u + Im v in conjugate form at twice the scale: [e, 2, t]."""
    result = np.empty((len(values) // 2, *values.shape[1:]))
    conjugates.join_conjugates(values, _centred(unit, prime), prime, result)
    return result


def _centred(residue: int, prime: int) -> float:
    return float(residue - prime * (residue > prime // 2))


def multiply_conjugates(left: Tile, right: Tile, halves: int, prime: int) -> Tile:
    """Products of values in conjugate form, of one or both samples: [e, 2, t·halves] each to [e, 4, t·halves]."""
    result = np.empty((left.shape[0], 4, left.shape[2]))
    if left is right:
        conjugates.square_conjugates(left, halves, prime, result)
    else:
        conjugates.multiply_conjugates(left, right, halves, prime, result)
    return result


def add_values(left: Tile, right: Tile, prime: int) -> Tile:
    """Add up ciphertexts of the same shape."""
    total: Tile = left + right
    kernels.reduce_doubles(total, prime)
    return total


def sum_terms(values: Tile, terms: int, prime: int) -> Tile:
    """Add up `terms` successive elements: [e·terms, c, t] to [e, c, t]."""
    total: Tile = values.reshape(-1, terms, *values.shape[1:]).sum(axis=1)
    kernels.reduce_doubles(total, prime)
    return total


def scale_values(values: Tile, factor: int, prime: int) -> Tile:
    """Values times an integer modulo the prime."""
    if factor == 1:
        return values
    scaled = values.copy()
    kernels.scale_doubles(scaled, factor % prime, prime)
    return scaled
