"""Number-theoretic transforms in compiled loops, and what is transformed row by row while it stays in the cache.

The transform is Harvey's ("Faster arithmetic for number-theoretic transforms", 2014) with Shoup's precomputed
quotients, Cooley-Tukey order, output in bit-reversed order: SEAL's convention. `trader.he.ring.transform` has the
tables that the loops are given.
"""

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from trader.he.ring import vectors
from trader.he.ring.compiling import inlined, kernel
from trader.he.ring.kernels import add_doubles, multiply_accumulate, scale, subtract
from trader.he.types import Residues

_Stages: TypeAlias = tuple[tuple[tuple[list[int], list[int]], list[int]], ...]

_SPAN_4 = ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])
_SPAN_2 = ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
_FORWARD: _Stages = (
    (_SPAN_4, [0, 0, 0, 0, 1, 1, 1, 1]),
    (_SPAN_2, [0, 0, 1, 1, 2, 2, 3, 3]),
    (([0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15]), [0, 2, 1, 3, 4, 6, 5, 7]),
    (([0, 8, 2, 10, 1, 9, 3, 11], [4, 12, 6, 14, 5, 13, 7, 15]), []),
)
"""Which of two vectors' words, low ones and high ones, two blocks of eight values have before each short stage, and
which root goes to which lane; and which words after the last one."""
_INVERSE: _Stages = (
    (([0, 4, 2, 6, 8, 12, 10, 14], [1, 5, 3, 7, 9, 13, 11, 15]), [0, 2, 1, 3, 4, 6, 5, 7]),
    (([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]), [0, 0, 1, 1, 2, 2, 3, 3]),
    (_SPAN_2, [0, 0, 0, 0, 1, 1, 1, 1]),
    (_SPAN_4, []),
)
"""The same from span 1 to span 4."""


def _butterfly(builder: Any, low: Any, high: Any, root: Any, quotient: Any, q: Any) -> tuple[Any, Any]:
    """Return low + root·high and low - root·high, mod q."""
    product = vectors.multiply_shoup(builder, high, root, quotient, q)
    total, difference = builder.add(low, product), builder.sub(low, product)
    total = vectors.smaller(builder, total, builder.sub(total, q))
    return total, vectors.smaller(builder, difference, builder.add(difference, q))


def _inverse_butterfly(builder: Any, low: Any, high: Any, root: Any, quotient: Any, q: Any) -> tuple[Any, Any]:
    """Return low + high and root·(low - high), mod q."""
    total, difference = builder.add(low, high), builder.sub(low, high)
    difference = vectors.smaller(builder, difference, builder.add(difference, q))
    total = vectors.smaller(builder, total, builder.sub(total, q))
    return total, vectors.multiply_shoup(builder, difference, root, quotient, q)


def _butterflies(butterfly: Any) -> Any:
    """Return an intrinsic: butterflies of the values from two places on, eight and eight, with one root."""

    def typed(_context: Any, values: Any, low: Any, high: Any, root: Any, quotient: Any, q: Any) -> Any:
        """Return the intrinsic's type, and what writes it."""

        def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            base, places = vectors.data(context, builder, signature, operands, 0, written=True), operands[1:3]
            words = [vectors.load(builder, base, place, vectors.WORDS) for place in places]
            constants = [vectors.repeat(builder, word) for word in operands[3:]]
            for result, place in zip(butterfly(builder, *words, *constants), places, strict=True):
                vectors.store(builder, result, base, place)
            return context.get_dummy_value()

        return types.void(values, low, high, root, quotient, q), generate

    return intrinsic(typed)


def _short_stages(butterfly: Any, stages: _Stages) -> Any:
    """Return an intrinsic: stages of spans 4, 2 and 1 of two blocks of eight values, all in two vectors.

    It takes the values and the place of the first block, N/8 plus the number of that block, roots, quotients, and q.
    """

    def typed(_context: Any, values: Any, start: Any, block: Any, roots: Any, quotients: Any, q: Any) -> Any:
        """Return the intrinsic's type, and what writes it."""

        def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            """Write all three stages, between one load of either vector and one store."""
            base = vectors.data(context, builder, signature, operands, 0, written=True)
            tables = [vectors.data(context, builder, signature, operands, place) for place in (3, 4)]
            start, block, q = operands[1], operands[2], vectors.repeat(builder, operands[5])
            places = [start, builder.add(start, vectors.INDEX(vectors.LANES))]
            low, high = (vectors.load(builder, base, place, vectors.WORDS) for place in places)
            for lanes, root_lanes in stages:
                low, high = (vectors.choose(builder, low, high, chosen) for chosen in lanes)
                if root_lanes:
                    # A stage has half as many roots for two blocks as a block has lanes, or as many, or twice as many.
                    count = max(root_lanes) + 1
                    place = builder.mul(block, vectors.INDEX(count // 2))
                    few = [vectors.load(builder, table, place, ir.VectorType(vectors.WORD, count)) for table in tables]
                    root, quotient = (vectors.choose(builder, words, words, root_lanes) for words in few)
                    low, high = butterfly(builder, low, high, root, quotient, q)
            for result, place in zip((low, high), places, strict=True):
                vectors.store(builder, result, base, place)
            return context.get_dummy_value()

        return types.void(values, start, block, roots, quotients, q), generate

    return intrinsic(typed)


_forward_butterflies: Any = _butterflies(_butterfly)
_inverse_butterflies: Any = _butterflies(_inverse_butterfly)
_short_forward_stages: Any = _short_stages(_butterfly, _FORWARD)
_short_inverse_stages: Any = _short_stages(_inverse_butterfly, _INVERSE)


@inlined
def _check_sizes(values: Any, roots: Any, quotients: Any) -> None:
    """Refuse what would be read or written beyond its end."""
    if values.size < 2 * vectors.LANES or values.size & (values.size - 1):
        raise ValueError("a polynomial has a power of two of coefficients, at least 16")
    if roots.size != values.size or quotients.size != values.size:
        raise ValueError("the tables are of another ring degree")


@kernel
def forward_transform(values: Residues, prime: int, roots: Residues, quotients: Residues) -> None:
    """Coefficients to NTT form, in place, one polynomial of at least 16 coefficients."""
    _check_sizes(values, roots, quotients)
    q = np.uint32(prime)
    span, blocks = values.size >> 1, 1
    while span >= 8:
        for block in range(blocks):
            root, quotient = roots[blocks + block], quotients[blocks + block]
            start = 2 * block * span
            for j in range(start, start + span, 8):
                _forward_butterflies(values, j, j + span, root, quotient, q)
        span, blocks = span >> 1, blocks << 1
    for block in range(0, blocks, 2):
        _short_forward_stages(values, 8 * block, blocks + block, roots, quotients, q)


@kernel
def inverse_transform(values: Residues, prime: int, roots: Residues, quotients: Residues, scaling: Residues) -> None:
    """NTT form to coefficients, in place, one polynomial of at least 16; `scaling` is (1/N, its Shoup quotient)."""
    _check_sizes(values, roots, quotients)
    q = np.uint32(prime)
    span, blocks = 8, values.size >> 3
    for block in range(0, blocks, 2):
        _short_inverse_stages(values, 8 * block, blocks + block, roots, quotients, q)
    while span < values.size:
        blocks >>= 1
        for block in range(blocks):
            root, quotient = roots[blocks + block], quotients[blocks + block]
            start = 2 * block * span
            for j in range(start, start + span, 8):
                _inverse_butterflies(values, j, j + span, root, quotient, q)
        span <<= 1
    scale(values, scaling[0], scaling[1], prime, values)


@kernel
def transform_integers(
    limbs: NDArray[np.float64],
    factors: NDArray[np.int64],
    primes: NDArray[np.int64],
    roots: Residues,
    quotients: Residues,
    residues: Residues,
) -> None:
    """Polynomials Σ_m factor_m·limb_m, limbs [k, m, N], in NTT form [k, primes, N]; factors [primes, m].

    One call for all of them, so that threads don't wait for the interpreter lock in between.
    """
    for k in range(residues.shape[0]):
        for index in range(primes.size):
            row = residues[k, index]
            row[:] = 0
            for limb in range(limbs.shape[1]):
                add_doubles(limbs[k, limb], primes[index], factors[index, limb], row)
            forward_transform(row, primes[index], roots[index], quotients[index])


@kernel
def _reduce_integers(integers: NDArray[np.int32], prime: int, residues: Residues) -> None:
    """Integers of less than 31 bits as residues."""
    q = np.uint32(prime)
    real = np.float64(prime)
    inverse = 1.0 / real
    for i in range(integers.size):
        value = np.float64(integers[i])
        centred = np.uint32(np.int32(value - real * np.rint(value * inverse)))
        # A negative one has wrapped around: with q added it is the smaller of the two.
        residues[i] = min(centred, np.uint32(centred + q))


@kernel
def transform_sums(
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    factor: Residues,
    primes: NDArray[np.int64],
    roots: Residues,
    quotients: Residues,
    sums: Residues,
) -> None:
    """Write first·factor + second in NTT form [k, primes, N]; integers [k, N], factor [primes, N] in NTT form.

    Row by row, in what stays in the cache; and a product that isn't written over its factors is one of vectors.
    """
    left, right = np.empty(first.shape[1], dtype=np.uint32), np.empty(first.shape[1], dtype=np.uint32)
    for k in range(first.shape[0]):
        for index in range(primes.size):
            _reduce_integers(first[k], primes[index], left)
            forward_transform(left, primes[index], roots[index], quotients[index])
            _reduce_integers(second[k], primes[index], right)
            forward_transform(right, primes[index], roots[index], quotients[index])
            multiply_accumulate(left, factor[index], right, primes[index], sums[k, index])


@kernel
def subtract_shifted(
    polynomial: Residues, places: NDArray[np.int32], primes: NDArray[np.int64], roots: Residues, sums: Residues
) -> None:
    """Subtract X^c times a polynomial [primes, N] from sums [k, primes, N], all in NTT form.

    Args:
        polynomial: What is shifted.
        places: Where among the roots [primes, N] the values of each X^c stand, [k, N]; N more where they are negative.
        primes: All of them.
        roots: Powers of the root of unity in bit-reversed order.
        sums: What it is subtracted from, in place.
    """
    degree = places.shape[1]
    shifts, zero, row = np.empty(degree, np.uint32), np.zeros(degree, np.uint32), np.empty(degree, np.uint32)
    for k in range(places.shape[0]):
        for index in range(primes.size):
            q = np.uint32(primes[index])
            powers = roots[index]
            for i in range(degree):
                power = powers[places[k, i] & (degree - 1)]
                shifts[i] = power if places[k, i] < degree else np.uint32(q - power)
            multiply_accumulate(shifts, polynomial[index], zero, primes[index], row)
            subtract(row, primes[index], sums[k, index])
