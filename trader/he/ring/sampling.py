"""Randomness for hiding, flooding and dithering, from the operating system. Keys and encryption errors are SEAL's."""

import math
import os

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.kernels import join_bytes
from trader.he.types import Residues


def random_words(shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Uniform 64-bit words."""
    return np.frombuffer(os.urandom(8 * math.prod(shape)), dtype=np.uint64).reshape(shape)


def random_fractions(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniform multiples of 2^-53 in [0, 1)."""
    fractions: NDArray[np.float64] = (random_words(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return fractions


def random_residues(count: int, prime: int) -> Residues:
    """Uniform residues [count] modulo a prime below 2^32.

    Words modulo the prime would favour small residues, so that those beyond its largest multiple are drawn again.
    """
    words = np.frombuffer(os.urandom(4 * count), dtype=np.uint32).copy()
    last = np.uint32((1 << 32) // prime * prime - 1)
    while (beyond := words > last).any():
        words[beyond] = np.frombuffer(os.urandom(4 * int(beyond.sum())), dtype=np.uint32)
    return words % np.uint32(prime)


def round_at_random(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integers below or above, each with probability equal to the distance from the other; |values| below 2^62."""
    rounded: NDArray[np.int64] = np.floor(values + random_fractions(values.shape)).astype(np.int64)
    return rounded


def random_signed(bits: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Uniform integers in [-2^(bits - 1), 2^(bits - 1)), bits at most 31; whole bytes are drawn, spare bits dropped."""
    values = np.empty(math.prod(shape), dtype=np.int32)
    content = np.frombuffer(os.urandom(values.size * (-(-bits // 8))), dtype=np.uint8)
    join_bytes(content, bits, 1 << (bits - 1), values)
    return values.reshape(shape)
