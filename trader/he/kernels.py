"""Compiled loops over residues: number-theoretic transforms, modular arithmetic, samplers.

Everything here is plain arithmetic on arrays that the callers have checked; nothing knows of keys or plans. All kernels
release the interpreter lock, so that threads run them side by side. Primes are below 2^31 and residues are stored as
uint32 in [0, q); products of two residues then fit into 64 bits.

The transform is Harvey's ("Faster arithmetic for number-theoretic transforms", 2014) with Shoup's precomputed
quotients, Cooley-Tukey order, output in bit-reversed order: SEAL's convention.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trader.he.types import Residues


def _kernel(function: Any) -> Any:
    """Compile without the interpreter lock and keep the machine code on disk."""
    return njit(cache=True, nogil=True, error_model="numpy")(function)


@_kernel
def forward_transform(values: Residues, prime: int, roots: Residues, quotients: Residues) -> None:
    """Coefficients to NTT form, in place, one polynomial."""
    q = np.uint32(prime)
    span = values.size >> 1
    blocks = 1
    while span >= 1:
        for block in range(blocks):
            w = np.uint64(roots[blocks + block])
            w_quotient = np.uint64(quotients[blocks + block])
            start = 2 * block * span
            low = values[start : start + span]
            high = values[start + span : start + 2 * span]
            for j in range(span):
                x = np.uint64(high[j])
                estimate = (x * w_quotient) >> np.uint64(32)
                product = np.uint32(x * w - estimate * np.uint64(q))
                product = min(product, np.uint32(product - q))
                total = np.uint32(low[j] + product)
                difference = np.uint32(low[j] - product)
                low[j] = min(total, np.uint32(total - q))
                high[j] = min(difference, np.uint32(difference + q))
        span >>= 1
        blocks <<= 1


@_kernel
def inverse_transform(values: Residues, prime: int, roots: Residues, quotients: Residues, scaling: Residues) -> None:
    """NTT form to coefficients, in place, one polynomial; `scaling` is (1/N, its Shoup quotient)."""
    q = np.uint32(prime)
    span = 1
    blocks = values.size >> 1
    while blocks >= 1:
        for block in range(blocks):
            w = np.uint64(roots[blocks + block])
            w_quotient = np.uint64(quotients[blocks + block])
            start = 2 * block * span
            low = values[start : start + span]
            high = values[start + span : start + 2 * span]
            for j in range(span):
                total = np.uint32(low[j] + high[j])
                difference = np.uint32(low[j] - high[j])
                x = np.uint64(min(difference, np.uint32(difference + q)))
                low[j] = min(total, np.uint32(total - q))
                estimate = (x * w_quotient) >> np.uint64(32)
                product = np.uint32(x * w - estimate * np.uint64(q))
                high[j] = min(product, np.uint32(product - q))
        span <<= 1
        blocks >>= 1
    for j in range(values.size):
        x = np.uint64(values[j])
        estimate = (x * np.uint64(scaling[1])) >> np.uint64(32)
        product = np.uint32(x * np.uint64(scaling[0]) - estimate * np.uint64(q))
        values[j] = min(product, np.uint32(product - q))


@_kernel
def accept_below(words: Residues, prime: int, accepted: Residues) -> int:
    """Fill `accepted` with those words, cut to the prime's length, that are below it; returns how many were found."""
    mask = np.uint32(1)
    while mask < prime:
        mask = np.uint32(2 * mask + 1)
    filled = 0
    for word in words:
        if filled == accepted.size:
            break
        candidate = np.uint32(word & mask)
        accepted[filled] = candidate
        if candidate < prime:
            filled += 1
    return filled


@_kernel
def centred_binomial(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(ones among 21 bits) - (ones among 21 other bits) of each word."""
    errors = np.empty(words.size, dtype=np.int64)
    for i in range(words.size):
        errors[i] = _ones(words[i] & np.uint64(0x1FFFFF)) - _ones((words[i] >> np.uint64(21)) & np.uint64(0x1FFFFF))
    return errors


@njit(cache=True, inline="always")
def _ones(word: np.uint64) -> np.int64:
    """Number of ones in a word below 2^32."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x55555555))
    word = (word & np.uint64(0x33333333)) + ((word >> np.uint64(2)) & np.uint64(0x33333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F)
    return np.int64(((word * np.uint64(0x01010101)) >> np.uint64(24)) & np.uint64(0xFF))


@_kernel
def reduce_integers(integers: NDArray[np.int64], prime: int, factor: int, residues: Residues) -> None:
    """Residues += integers·factor mod q; |integers| < 2^62, factor in [0, q)."""
    q = np.int64(prime)
    for i in range(integers.size):
        residue = integers[i] % q
        residues[i] = (residue * np.int64(factor) + np.int64(residues[i])) % q


@_kernel
def subtract_product(values: Residues, left: Residues, right: Residues, prime: int) -> None:
    """values[r] -= left[r]·right for every row r, element by element."""
    q = np.uint64(prime)
    for row in range(values.shape[0]):
        for i in range(values.shape[1]):
            product = np.uint64(left[row, i]) * np.uint64(right[i]) % q
            values[row, i] = (np.uint64(values[row, i]) + q - product) % q


@_kernel
def multiply_accumulate(left: Residues, right: Residues, addend: Residues, prime: int, result: Residues) -> None:
    """Result = left·right + addend, element by element."""
    q = np.uint64(prime)
    for i in range(result.size):
        result[i] = (np.uint64(left[i]) * np.uint64(right[i]) + np.uint64(addend[i])) % q


@_kernel
def centre(residues: Residues, prime: int, centred: NDArray[np.float64]) -> None:
    """Residues as signed doubles in (-q/2, q/2]."""
    half = np.uint32(prime >> 1)
    for row in range(residues.shape[0]):
        for i in range(residues.shape[1]):
            value = residues[row, i]
            centred[row, i] = np.float64(np.int64(value) - (np.int64(prime) if value > half else np.int64(0)))


@_kernel
def uncentre(centred: NDArray[np.float64], prime: int, residues: Residues) -> None:
    """Signed doubles [e, c, t], less than a prime away from zero, as residues in [0, q)."""
    for element in range(centred.shape[0]):
        for component in range(centred.shape[1]):
            for t in range(centred.shape[2]):
                value = np.int64(centred[element, component, t])
                residues[element, component, t] = np.uint32(value + (np.int64(prime) if value < 0 else np.int64(0)))


@_kernel
def reduce_doubles(values: NDArray[np.float64], prime: int) -> None:
    """Integers of less than 53 bits to their centred residues, in place."""
    q = np.float64(prime)
    inverse = 1.0 / q
    flat = values.reshape(-1)
    for i in range(flat.size):
        flat[i] -= q * np.rint(flat[i] * inverse)


@_kernel
def shift_and_add(high: NDArray[np.float64], bits: int, low: NDArray[np.float64], prime: int) -> None:
    """High = high·2^bits + low modulo the prime, in place; bits <= 21."""
    q = np.float64(prime)
    inverse = 1.0 / q
    factor = np.float64(1 << bits)
    for row in range(high.shape[0]):
        for i in range(high.shape[1]):
            value = high[row, i] * factor + low[row, i]
            high[row, i] = value - q * np.rint(value * inverse)


@_kernel
def convolve_components(
    left: NDArray[np.float64], right: NDArray[np.float64], prime: int, result: NDArray[np.float64]
) -> None:
    """result[e, i + j] += left[e, i]·right[e, j] modulo the prime, position by position; `result` starts at zero."""
    q = np.int64(prime)
    inverse = 1.0 / np.float64(prime)
    for element in range(left.shape[0]):
        for i in range(left.shape[1]):
            for j in range(right.shape[1]):
                for t in range(left.shape[2]):
                    product = np.int64(left[element, i, t]) * np.int64(right[element, j, t])
                    quotient = np.int64(np.rint(np.float64(product) * inverse))
                    total = np.float64(product - quotient * q) + result[element, i + j, t]
                    result[element, i + j, t] = total - np.float64(q) * np.rint(total * inverse)


@_kernel
def add_constants(values: NDArray[np.float64], constants: NDArray[np.float64], prime: int) -> None:
    """values[e, 0] += constants[e] modulo the prime: constant polynomials have the same value in every NTT position."""
    q = np.float64(prime)
    inverse = 1.0 / q
    for element in range(values.shape[0]):
        for t in range(values.shape[2]):
            total = values[element, 0, t] + constants[element]
            values[element, 0, t] = total - q * np.rint(total * inverse)
