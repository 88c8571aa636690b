"""Randomness for hiding, flooding and dithering, from the operating system. Keys and encryption errors are SEAL's."""

import math
import os

import numpy as np
from numpy.typing import NDArray

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


def random_integers(limit: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Uniform integers in [-limit, limit], limit below 2^31; by rejection, so that no value is more likely."""
    count, width = math.prod(shape), 2 * limit + 1
    mask = np.uint32((1 << width.bit_length()) - 1)
    found = np.empty(0, dtype=np.uint32)
    while found.size < count:
        words = np.frombuffer(os.urandom(4 * 2 * (count - found.size) + 64), dtype=np.uint32) & mask
        found = np.concatenate([found, words[words < width]])
    return found[:count].astype(np.int64).reshape(shape) - limit
