"""Number-theoretic transforms in compiled loops, and what is transformed row by row while it stays in the cache.

The transform is Harvey's ("Faster arithmetic for number-theoretic transforms", 2014) with Shoup's precomputed
quotients, Cooley-Tukey order, output in bit-reversed order: SEAL's convention. `trader.he.ring.transform` has the
tables that the loops are given.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.kernels import add_doubles, inlined, kernel, multiply_accumulate, multiply_shoup, subtract
from trader.he.types import Residues

_TILE = 256
"""Blocks of 8 values that the short stages of a transform take at once: many vectors, which stay in the cache."""


@inlined
def _butterfly(low: Any, high: Any, root: Any, quotient: Any, q: Any) -> Any:
    """(low + root·high, low - root·high) mod q."""
    product = multiply_shoup(high, root, quotient, q)
    total = np.uint32(low + product)
    difference = np.uint32(low - product)
    return min(total, np.uint32(total - q)), min(difference, np.uint32(difference + q))


@kernel
def forward_transform(values: Residues, prime: int, roots: Residues, quotients: Residues) -> None:
    """Coefficients to NTT form, in place, one polynomial of at least 8 coefficients."""
    q = np.uint32(prime)
    span = values.size >> 1
    blocks = 1
    while span >= 8:
        for block in range(blocks):
            root, quotient = roots[blocks + block], quotients[blocks + block]
            start = 2 * block * span
            low = values[start : start + span]
            high = values[start + span : start + 2 * span]
            for j in range(span):
                low[j], high[j] = _butterfly(low[j], high[j], root, quotient, q)
        span >>= 1
        blocks <<= 1
    _short_stages(values, q, roots, quotients)


@inlined
def _gather(values: Any, start: Any, rows: Any) -> None:
    """Columns of 8 values each, from a place on, as rows [8, n]: spans 4, 2 and 1 are then vectors, n at a time."""
    for i in range(8):
        row = rows[i]
        for b in range(row.size):
            row[b] = values[start + 8 * b + i]


@inlined
def _scatter(rows: Any, start: Any, values: Any) -> None:
    """Undo `_gather`."""
    for b in range(rows.shape[1]):
        for i in range(8):
            values[start + 8 * b + i] = rows[i, b]


@inlined
def _short_stage(rows: Any, span: Any, first: Any, roots: Any, quotients: Any, q: Any, butterfly: Any) -> None:
    """One stage of a span of 4, 2 or 1 on gathered columns; `first` is N/8 plus the first one's number among all."""
    per_block = 4 // span
    r = roots[per_block * first : per_block * (first + rows.shape[1])]
    s = quotients[per_block * first : per_block * (first + rows.shape[1])]
    for i in range(4):
        block = i // span
        low, high = rows[i + block * span], rows[i + (block + 1) * span]
        for b in range(rows.shape[1]):
            place = per_block * b + block
            low[b], high[b] = butterfly(low[b], high[b], r[place], s[place], q)


@kernel
def _short_stages(values: Residues, q: Any, roots: Residues, quotients: Residues) -> None:
    """Spans 4, 2 and 1 of the transform, which in their places are too short to vectorise."""
    blocks = values.size >> 3
    rows = np.empty((8, min(blocks, _TILE)), dtype=np.uint32)
    for first in range(blocks, 2 * blocks, rows.shape[1]):
        start = 8 * (first - blocks)
        _gather(values, start, rows)
        _short_stage(rows, 4, first, roots, quotients, q, _butterfly)
        _short_stage(rows, 2, first, roots, quotients, q, _butterfly)
        _short_stage(rows, 1, first, roots, quotients, q, _butterfly)
        _scatter(rows, start, values)


@inlined
def _inverse_butterfly(low: Any, high: Any, root: Any, quotient: Any, q: Any) -> Any:
    """(low + high, root·(low - high)) mod q."""
    total = np.uint32(low + high)
    difference = np.uint32(low - high)
    moved = multiply_shoup(min(difference, np.uint32(difference + q)), root, quotient, q)
    return min(total, np.uint32(total - q)), moved


@kernel
def _short_inverse_stages(values: Residues, q: Any, roots: Residues, quotients: Residues) -> None:
    """Spans 1, 2 and 4 of the inverse transform."""
    blocks = values.size >> 3
    rows = np.empty((8, min(blocks, _TILE)), dtype=np.uint32)
    for first in range(blocks, 2 * blocks, rows.shape[1]):
        start = 8 * (first - blocks)
        _gather(values, start, rows)
        _short_stage(rows, 1, first, roots, quotients, q, _inverse_butterfly)
        _short_stage(rows, 2, first, roots, quotients, q, _inverse_butterfly)
        _short_stage(rows, 4, first, roots, quotients, q, _inverse_butterfly)
        _scatter(rows, start, values)


@kernel
def inverse_transform(values: Residues, prime: int, roots: Residues, quotients: Residues, scaling: Residues) -> None:
    """NTT form to coefficients, in place, one polynomial of at least 8; `scaling` is (1/N, its Shoup quotient)."""
    q = np.uint32(prime)
    _short_inverse_stages(values, q, roots, quotients)
    span = 8
    blocks = values.size >> 4
    while blocks >= 1:
        for block in range(blocks):
            root, quotient = roots[blocks + block], quotients[blocks + block]
            start = 2 * block * span
            low = values[start : start + span]
            high = values[start + span : start + 2 * span]
            for j in range(span):
                low[j], high[j] = _inverse_butterfly(low[j], high[j], root, quotient, q)
        span <<= 1
        blocks >>= 1
    for j in range(values.size):
        values[j] = multiply_shoup(values[j], scaling[0], scaling[1], q)


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
