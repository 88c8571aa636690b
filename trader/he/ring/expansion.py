"""The uniform half of a seeded ciphertext: SEAL's expansion of a 64-byte public seed.

A fresh symmetric encryption is (b, a) with a uniform, so its maker sends b and the seed of a; that halves requests and
keys. Nothing here is secret. The generator is BLAKE2Xb keyed with the seed, in buffers of 4,096 bytes whose message is
a counter (Aumasson, Neves, Wilcox-O'Hearn and Winnerlein, "BLAKE2X", 2016, section 2). A buffer is a root hash and the
64 leaves that follow from it, each one call of BLAKE2b's compression function (RFC 7693, section 3.2), many leaves side
by side in vector registers. SEAL draws all words, prime by prime, and draws again where a word is too large to be
reduced without bias.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.compiling import inlined, kernel
from trader.he.ring.kernels import reduce_words
from trader.he.types import Residues

SEED_BYTES = 64
_BUFFER_BYTES = 4096
BUFFER_WORDS = _BUFFER_BYTES // 8
_HASH_BYTES = 64
_BLOCK_BYTES = 128
_LANES = 16
"""Enough for the compiler to use the widest registers."""
_XOF_LENGTH = _BUFFER_BYTES << 32
"""BLAKE2X puts the output's length into the upper half of the node offset."""

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
        residues: [primes, N] to be written, N a multiple of `BUFFER_WORDS`.
    """
    polynomials = Expansion.of([seed], primes, residues.shape[1])
    for index in range(len(primes)):
        polynomials.write(index, 0, residues[index : index + 1])


@dataclass(frozen=True, slots=True)
class Expansion:
    """The uniform polynomials of n seeds, in NTT form, [n, primes, N], of which no more exists than is asked for.

    Attributes:
        seeds: [n, 8], little-endian words.
        primes: in SEAL's order.
        degree: N.
        keyed: states of the seeds' root hashes, [n, 8].
    """

    seeds: NDArray[np.uint64]
    primes: tuple[int, ...]
    degree: int
    keyed: NDArray[np.uint64] = field(repr=False)

    @classmethod
    def of(cls, seeds: Sequence[bytes], primes: tuple[int, ...], degree: int) -> "Expansion":
        """Those of some seeds."""
        words = np.frombuffer(b"".join(seeds), dtype="<u8").reshape(-1, SEED_BYTES // 8)
        keyed = np.empty_like(words)
        for seed, state in zip(words, keyed, strict=True):
            _key(seed, state)
        return cls(words, primes, degree, keyed)

    def write(self, index: int, start: int, residues: Residues) -> None:
        """Write some positions of all polynomials modulo one prime.

        Args:
            index: the prime's.
            start: the first position, a multiple of `BUFFER_WORDS`.
            residues: [n, positions], so many positions as well.
        """
        limit = _limit(self.primes[index])
        too_large = np.empty(len(residues), dtype=np.bool_)
        first = (index * self.degree + start) // BUFFER_WORDS
        _expand(self.keyed, first, self.primes[index], np.uint64(limit), residues, too_large)
        for polynomial in np.flatnonzero(too_large):
            whole = _draw_again(self.seeds[polynomial], self.primes, [_limit(q) for q in self.primes], self.degree)
            residues[polynomial] = whole[index, start : start + residues.shape[1]]


def _limit(prime: int) -> int:
    """Words from here on are not reduced, since small residues would be more probable than others."""
    return 2**64 - 2 - (2**64 - 1) % prime


def _draw_again(seed: NDArray[np.uint64], primes: Sequence[int], limits: Sequence[int], degree: int) -> Residues:
    """Return a polynomial [primes, N] of a seed with words that were too large, for which SEAL takes the next ones."""
    buffers = len(primes) * degree // BUFFER_WORDS
    words, spare = _words(seed, 0, buffers).reshape(-1, degree), _spare_words(seed, buffers)
    for row, limit in zip(words, limits, strict=True):
        for position in np.flatnonzero(row >= np.uint64(limit)):
            row[position] = next(word for word in spare if word < limit)
    return (words % np.array(primes, dtype=np.uint64)[:, np.newaxis]).astype(np.uint32)


def _spare_words(seed: NDArray[np.uint64], buffers: int) -> Iterator[np.uint64]:
    """Yield the words that SEAL draws after so many buffers."""
    while True:
        yield from _words(seed, buffers, buffers + 1)
        buffers += 1


@inlined
def _mix(v: Any, m: Any, lanes: int, a: int, b: int, c: int, d: int, x: Any, y: Any) -> None:
    """RFC 7693's G on every lane; the message is the same in all of them."""
    for lane in range(lanes):
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


@inlined
def _rounds(v: Any, m: Any, lanes: int) -> None:
    """Carry out the twelve rounds of the compression function."""
    for r in range(12):
        s = _SCHEDULE[r]
        _mix(v, m, lanes, 0, 4, 8, 12, s[0], s[1])
        _mix(v, m, lanes, 1, 5, 9, 13, s[2], s[3])
        _mix(v, m, lanes, 2, 6, 10, 14, s[4], s[5])
        _mix(v, m, lanes, 3, 7, 11, 15, s[6], s[7])
        _mix(v, m, lanes, 0, 5, 10, 15, s[8], s[9])
        _mix(v, m, lanes, 1, 6, 11, 12, s[10], s[11])
        _mix(v, m, lanes, 2, 7, 8, 13, s[12], s[13])
        _mix(v, m, lanes, 3, 4, 9, 14, s[14], s[15])


@kernel
def _compress(state: NDArray[np.uint64], m: NDArray[np.uint64], length: Any, last: Any, result: Any) -> None:
    """One block of a message whose first `length` bytes end with it; `last` is all ones for the last block."""
    v = np.empty((16, 1), dtype=np.uint64)
    for word in range(8):
        v[word, 0] = state[word]
        v[8 + word, 0] = _IV[word]
    v[12, 0] ^= length
    v[14, 0] ^= last
    _rounds(v, m, 1)
    for word in range(8):
        result[word] = state[word] ^ v[word, 0] ^ v[8 + word, 0]


@kernel
def _key(seed: NDArray[np.uint64], keyed: NDArray[np.uint64]) -> None:
    """Write the state of root hashes after their first block, which is the key."""
    initial, m = np.empty(8, dtype=np.uint64), np.zeros(16, dtype=np.uint64)
    for word in range(8):
        initial[word] = _IV[word]
        m[word] = seed[word]
    # Parameter block: lengths of digest and key, fan-out and depth 1, output length.
    initial[0] ^= np.uint64(_HASH_BYTES | SEED_BYTES << 8 | 1 << 16 | 1 << 24)
    initial[1] ^= np.uint64(_XOF_LENGTH)
    _compress(initial, m, np.uint64(_BLOCK_BYTES), np.uint64(0), keyed)


@kernel
def _expand_root(root: NDArray[np.uint64], words: NDArray[np.uint64]) -> None:
    """Expand a root hash to its 64 leaves of 8 words, one after the other."""
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
    m[:8] = root
    for group in range(_BUFFER_BYTES // _HASH_BYTES // _LANES):
        for lane in range(_LANES):
            initial[1, lane] = _IV[1] ^ (np.uint64(group * _LANES + lane) | np.uint64(_XOF_LENGTH))
            for word in range(8):
                v[word, lane] = initial[word, lane]
                v[8 + word, lane] = _IV[word]
            v[12, lane] ^= length
            v[14, lane] = ~v[14, lane]
        _rounds(v, m, _LANES)
        for lane in range(_LANES):
            for word in range(8):
                words[position] = initial[word, lane] ^ v[word, lane] ^ v[8 + word, lane]
                position += 1


@kernel
def _expand_buffer(keyed: Any, counter: Any, words: NDArray[np.uint64]) -> None:
    """Write the generator's buffer of a number, for the state of its seed."""
    m, root = np.zeros(16, dtype=np.uint64), np.empty(8, dtype=np.uint64)
    m[0] = counter
    _compress(keyed, m, np.uint64(_BLOCK_BYTES + 8), ~np.uint64(0), root)
    _expand_root(root, words)


def _words(seed: NDArray[np.uint64], start: int, stop: int) -> NDArray[np.uint64]:
    """Return the generator's words of some buffers."""
    keyed, words = np.empty(8, dtype=np.uint64), np.empty((stop - start, BUFFER_WORDS), dtype=np.uint64)
    _key(seed, keyed)
    for row, counter in zip(words, range(start, stop), strict=True):
        _expand_buffer(keyed, np.uint64(counter), row)
    return words.reshape(-1)


@kernel
def _expand(
    keyed: NDArray[np.uint64], first: int, prime: int, limit: Any, residues: Residues, too_large: NDArray[np.bool_]
) -> None:
    """Every seed's words from a buffer on, modulo a prime; whether one may be too large to be reduced without bias."""
    words = np.empty(BUFFER_WORDS, dtype=np.uint64)
    for index in range(residues.shape[0]):
        # Upper halves alone are compared, which vector registers do: one in 2^32 words is looked at in vain.
        largest = np.int64(0)
        for number in range(residues.shape[1] // BUFFER_WORDS):
            _expand_buffer(keyed[index], np.uint64(first + number), words)
            for i in range(BUFFER_WORDS):
                largest = max(largest, np.int64(words[i] >> np.uint64(32)))
            reduce_words(words, prime, residues[index, number * BUFFER_WORDS : (number + 1) * BUFFER_WORDS])
        too_large[index] = largest >= np.int64(limit >> np.uint64(32))
