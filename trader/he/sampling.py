"""Randomness: uniform residues from a public seed, and secret errors, masks and noise from the system's generator.

A public seed stands for the uniform half of a ciphertext, which halves what travels. Its expansion is AES-256 in
counter mode, one stream per `Position`, with rejection of words that are not below the prime: exactly uniform, and any
block can be had without the ones before it. Errors follow the centred binomial distribution with 2·21 coins (standard
deviation 3.24), SEAL's default and within the Homomorphic Encryption Standard.
"""

import os
import struct
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.types import Residues

SEED_BYTES = 32
BLOCK = 512
"""Coefficients per block of the expansion; part of the format."""
KEY_BATCH = 0xFFFFFFFF
"""Batch number that stands for the public key."""
ERROR_DEVIATION = 10.5**0.5
"""Standard deviation of an error coefficient."""


@dataclass(frozen=True, slots=True)
class Position:
    """Which block of the uniform half: coefficients [block·BLOCK, (block + 1)·BLOCK) modulo one prime of one batch."""

    batch: int
    prime_index: int
    block: int


class UniformExpander:
    """Expands a seed block by block into memory of its own; one per thread.

    Args:
        seed: 32 public bytes.
        rows: ciphertexts per block.
    """

    def __init__(self, seed: bytes, rows: int) -> None:
        self._seed = seed
        self._residues = np.empty((rows, BLOCK), dtype=np.uint32)
        self._zeros = b""
        self._stream = np.empty(0, dtype=np.uint8)

    def expand(self, position: Position, prime: int) -> Residues:
        """Uniform residues [rows, BLOCK] that the seed stands for at a position; valid until the next call."""
        wanted = self._residues.size
        acceptance = prime / (1 << prime.bit_length())
        words = int(wanted / acceptance + 8 * (wanted * (1 - acceptance)) ** 0.5) + 64
        nonce = struct.pack("<4I", position.batch, position.prime_index, position.block, 0)
        flat = self._residues.reshape(-1)
        while kernels.accept_below(self._words(nonce, words), prime, flat) < wanted:
            words *= 2
        return self._residues

    def _words(self, nonce: bytes, count: int) -> Residues:
        """The first words of the stream that belongs to a nonce."""
        if len(self._zeros) < 4 * count:
            self._zeros = bytes(4 * count)
            self._stream = np.empty(4 * count, dtype=np.uint8)
        cipher = Cipher(algorithms.AES(self._seed), modes.CTR(nonce)).encryptor()
        cipher.update_into(memoryview(self._zeros)[: 4 * count], self._stream.data)
        words: Residues = self._stream.view(np.uint32)[:count]
        return words


def expand_uniform(seed: bytes, position: Position, prime: int, rows: int) -> Residues:
    """One block of a `UniformExpander`, in fresh memory."""
    return UniformExpander(seed, rows).expand(position, prime)


class SecretSampler:
    """Secret randomness in bulk: AES-256 in counter mode under a key from the operating system, used for one purpose.

    Not safe for use by several threads at once: give each task its own.
    """

    def __init__(self) -> None:
        self._cipher = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(bytes(16))).encryptor()

    def words(self, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        """Uniform 64-bit words."""
        words = np.empty(shape, dtype=np.uint64)
        self._cipher.update_into(bytes(words.nbytes), words.data.cast("B"))
        return words

    def errors(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Centred binomial errors."""
        return kernels.centred_binomial(self.words(shape).reshape(-1)).reshape(shape)  # type: ignore[no-any-return]

    def ternary(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Values in {-1, 0, 1}, uniform up to 2^-63."""
        return (self.words(shape) % np.uint64(3)).astype(np.int64) - 1

    def unit(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform multiples of 2^-53 in [0, 1)."""
        return (self.words(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
