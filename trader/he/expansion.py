"""The uniform half of a seeded ciphertext: SEAL's expansion of a 64-byte public seed.

A fresh symmetric encryption is (b, a) with a uniform, so its maker sends b and the seed of a; that halves requests and
keys. Nothing here is secret. The generator is BLAKE2Xb keyed with the seed, in buffers of 4,096 bytes whose message is
a counter (Aumasson, Neves, Wilcox-O'Hearn and Winnerlein, "BLAKE2X", 2016, section 2). Root hashes are the standard
library's; the 64 leaves of a root are one call of BLAKE2b's compression function each (RFC 7693, section 3.2), many of
them side by side in vector registers. SEAL draws all words, prime by prime, and draws again where a word is too large
to be reduced without bias.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trader.he.types import Residues

SEED_BYTES = 64
_BUFFER_BYTES = 4096
_BUFFER_WORDS = _BUFFER_BYTES // 8
_HASH_BYTES = 64
_LANES = 16
"""Enough for the compiler to use the widest registers."""
_XOF_LENGTH = _BUFFER_BYTES << 32
"""BLAKE2X puts the output's length into the upper half of the node offset."""
_COUNTER = struct.Struct("<Q")

_IV = np.array(
    [
        *(0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1),
        *(0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179),
    ],
    dtype=np.uint64,
)
_SCHEDULE = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    dtype=np.int64,
)
"""Order of message words in each of the 12 rounds (RFC 7693, section 2.7)."""


def expand_seed(seed: bytes, primes: tuple[int, ...], residues: Residues) -> None:
    """Write the uniform polynomial of a seed, in NTT form.

    Args:
        seed: `SEED_BYTES` bytes.
        primes: in SEAL's order.
        residues: [primes, N] to be written, N at least 1,024.
    """
    buffers = residues.size // _BUFFER_WORDS
    limits = np.array([2**64 - 2 - (2**64 - 1) % prime for prime in primes], dtype=np.uint64)
    if _expand_reduced(_roots(seed, 0, buffers), np.array(primes, dtype=np.uint64), limits, residues):
        _draw_again(seed, buffers, primes, limits, residues)


def _draw_again(
    seed: bytes, buffers: int, primes: tuple[int, ...], limits: NDArray[np.uint64], residues: Residues
) -> None:
    """Replace residues of words that were too large, one seed in many thousands, as SEAL does: by the next words."""
    words = np.empty(residues.size, dtype=np.uint64)
    _expand_roots(_roots(seed, 0, buffers), words)
    spare = _spare_words(seed, buffers)
    for prime, limit, part, row in zip(primes, limits, words.reshape(residues.shape), residues, strict=True):
        for position in np.flatnonzero(part >= limit):
            word = next(spare)
            while word >= limit:
                word = next(spare)
            row[position] = word % np.uint64(prime)


def _spare_words(seed: bytes, buffers: int) -> Iterator[np.uint64]:
    """The words that SEAL draws after so many buffers."""
    while True:
        words = np.empty(_BUFFER_WORDS, dtype=np.uint64)
        _expand_roots(_roots(seed, buffers, buffers + 1), words)
        buffers += 1
        yield from words


def _roots(seed: bytes, start: int, stop: int) -> NDArray[np.uint64]:
    """Root hashes of buffers, [stop - start, 8]."""
    digests = b"".join(
        hashlib.blake2b(_COUNTER.pack(counter), key=seed, node_offset=_XOF_LENGTH).digest()
        for counter in range(start, stop)
    )
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 8)


@njit(inline="always", error_model="numpy")
def _mix(v: Any, m: Any, a: int, b: int, c: int, d: int, x: Any, y: Any) -> None:
    """RFC 7693's G on every lane; the message is the same in all of them."""
    for lane in range(_LANES):
        first = v[a, lane] + v[b, lane] + m[x]
        high = v[d, lane] ^ first
        high = (high >> np.uint64(32)) | (high << np.uint64(32))
        third = v[c, lane] + high
        low = v[b, lane] ^ third
        low = (low >> np.uint64(24)) | (low << np.uint64(40))
        first = first + low + m[y]
        high = high ^ first
        high = (high >> np.uint64(16)) | (high << np.uint64(48))
        third = third + high
        low = low ^ third
        v[a, lane] = first
        v[b, lane] = (low >> np.uint64(63)) | (low << np.uint64(1))
        v[c, lane] = third
        v[d, lane] = high


@njit(cache=True, nogil=True, error_model="numpy")
def _expand_roots(roots: NDArray[np.uint64], words: NDArray[np.uint64]) -> None:
    """Every root to its 64 leaves of 8 words, one after the other."""
    initial = np.empty((8, _LANES), dtype=np.uint64)
    v = np.empty((16, _LANES), dtype=np.uint64)
    m = np.zeros(16, dtype=np.uint64)
    # Parameter block of a leaf: digest length and leaf length; node offset and output length; inner length.
    length = np.uint64(_HASH_BYTES)
    for word in range(8):
        initial[word] = _IV[word]
    initial[0] ^= length | (length << np.uint64(32))
    initial[2] ^= length << np.uint64(8)
    position = 0
    for root in range(roots.shape[0]):
        m[:8] = roots[root]
        for group in range(_BUFFER_BYTES // _HASH_BYTES // _LANES):
            for lane in range(_LANES):
                initial[1, lane] = _IV[1] ^ (np.uint64(group * _LANES + lane) | np.uint64(_XOF_LENGTH))
                for word in range(8):
                    v[word, lane] = initial[word, lane]
                    v[8 + word, lane] = _IV[word]
                v[12, lane] ^= length
                v[14, lane] = ~v[14, lane]
            for r in range(12):
                s = _SCHEDULE[r]
                _mix(v, m, 0, 4, 8, 12, s[0], s[1])
                _mix(v, m, 1, 5, 9, 13, s[2], s[3])
                _mix(v, m, 2, 6, 10, 14, s[4], s[5])
                _mix(v, m, 3, 7, 11, 15, s[6], s[7])
                _mix(v, m, 0, 5, 10, 15, s[8], s[9])
                _mix(v, m, 1, 6, 11, 12, s[10], s[11])
                _mix(v, m, 2, 7, 8, 13, s[12], s[13])
                _mix(v, m, 3, 4, 9, 14, s[14], s[15])
            for lane in range(_LANES):
                for word in range(8):
                    words[position] = initial[word, lane] ^ v[word, lane] ^ v[8 + word, lane]
                    position += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce(words: NDArray[np.uint64], q: Any, residues: Residues) -> None:
    """64-bit words modulo a prime; the quotient's estimate is wrong by one or two at most."""
    inverse = 1.0 / np.float64(q)
    double = q << np.uint64(1)
    for i in range(words.size):
        rest = words[i] - np.uint64(np.float64(words[i]) * inverse) * q + double
        rest = min(rest, rest - double)
        residues[i] = np.uint32(min(rest, rest - q))


@njit(cache=True, nogil=True, error_model="numpy")
def _expand_reduced(
    roots: NDArray[np.uint64], primes: NDArray[np.uint64], limits: NDArray[np.uint64], residues: Residues
) -> bool:
    """Every root's words modulo their primes, [primes, N]; whether a word was too large to be reduced without bias."""
    words = np.empty(_BUFFER_WORDS, dtype=np.uint64)
    per_prime = residues.shape[1] // _BUFFER_WORDS
    too_large = False
    for root in range(roots.shape[0]):
        _expand_roots(roots[root : root + 1], words)
        row, start = root // per_prime, root % per_prime * _BUFFER_WORDS
        largest = np.uint64(0)
        for i in range(_BUFFER_WORDS):
            largest = max(largest, words[i])
        too_large |= largest >= limits[row]
        _reduce(words, primes[row], residues[row, start : start + _BUFFER_WORDS])
    return too_large
