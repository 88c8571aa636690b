"""Key switching, relinearisation, rotation and rescaling of ciphertexts in residue form.

SEAL's operations on our arrays: its bindings take and give one ciphertext at a time through files, these run on all
cores. Ciphertexts are [components, l, N] in NTT form, where l primes of the modulus are left; dropping primes from the
end is rescaling.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.encryption import subtract_masks, to_residues
from trader.he.ring import Basis, automorphism, basis
from trader.he.sampling import BLOCK, KEY_BATCH, Position, SecretSampler, UniformExpander
from trader.he.seal import Parameters
from trader.he.switching_kernels import divide_by_prime, inner_product_with_key
from trader.he.types import Residues

ROTATION_GENERATOR = 3
"""X to X^(3^r) moves slot j + r to slot j."""


def _position(key_number: int, digit: int, prime_index: int, block: int) -> Position:
    """Where a switching key's uniform half stands in the expansion; the public key has `KEY_BATCH` itself."""
    return Position(KEY_BATCH - 1 - key_number * 64 - digit, prime_index, block)


def write_switching_key(
    parameters: Parameters, secret: Residues, target: Residues, seed: bytes, key_number: int, key: Residues
) -> None:
    """First halves of a key that turns multiples of `target` into ciphertexts under `secret`.

    Args:
        parameters: of the ring.
        secret: [primes + 1, N] in NTT form, the special prime last.
        target: [primes, N] in NTT form: s² to relinearise, the image of s to rotate.
        seed: of the uniform halves.
        key_number: of this key among those of the seed.
        key: [digits, primes + 1, N], written.
    """
    primes = parameters.all_primes
    expander = UniformExpander(seed, 1)
    for digit in range(len(parameters.primes)):
        error = SecretSampler().errors((1, parameters.degree))
        for index, prime in enumerate(primes):
            row = key[digit, index : index + 1]
            to_residues(error, parameters.degree, prime, row)
            for block in range(parameters.degree // BLOCK):
                subtract_masks(row, secret[index], expander, _position(key_number, digit, index, block), prime)
        prime = primes[digit]
        special = np.full(parameters.degree, parameters.special_prime % prime, dtype=np.uint32)
        kernels.multiply_accumulate(target[digit], special, key[digit, digit], prime, key[digit, digit])


def expand_switching_key(parameters: Parameters, seed: bytes, key_number: int, first: Residues) -> Residues:
    """Both halves of a key: [digits, 2, primes + 1, N]."""
    key = np.empty((first.shape[0], 2, *first.shape[1:]), dtype=np.uint32)
    key[:, 0] = first
    expander = UniformExpander(seed, 1)
    for digit, index, block in np.ndindex(first.shape[0], first.shape[1], parameters.degree // BLOCK):
        uniform = expander.expand(_position(key_number, digit, index, block), parameters.all_primes[index])
        key[digit, 1, index, block * BLOCK : (block + 1) * BLOCK] = uniform[0]
    return key


def square_of(parameters: Parameters, secret: Residues) -> Residues:
    """s² in NTT form: what relinearisation keys are made for."""
    square = np.zeros((len(parameters.primes), parameters.degree), dtype=np.uint32)
    for row, values, prime in zip(square, secret, parameters.primes, strict=False):
        kernels.multiply_accumulate(values, values, row, prime, row)
    return square


def rotation_exponent(degree: int, steps: int) -> int:
    """Exponent of the automorphism that moves slot j + steps to slot j."""
    return pow(ROTATION_GENERATOR, steps % (degree // 2), 2 * degree)


def rotated(polynomials: Residues, steps: int) -> Residues:
    """Slots moved by `steps`, for polynomials [..., N] in NTT form."""
    degree = polynomials.shape[-1]
    return polynomials[..., automorphism(degree, rotation_exponent(degree, steps))]


@lru_cache(maxsize=64)
def _inverses(primes: tuple[int, ...], divisor: int) -> NDArray[np.int64]:
    """1/divisor modulo each prime; 0 modulo the divisor itself."""
    return np.array([0 if prime == divisor else pow(divisor, -1, prime) for prime in primes], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Switcher:
    """Operations under one set of parameters; keys are handed in."""

    parameters: Parameters

    @property
    def _basis(self) -> Basis:
        return basis(self.parameters.degree, self.parameters.all_primes)

    def _tables(self) -> tuple[Residues, ...]:
        tables = self._basis
        return (
            tables.roots,
            tables.root_quotients,
            tables.inverse_roots,
            tables.inverse_quotients,
            tables.scalings,
        )

    def switch(self, polynomial: Residues, key: Residues) -> Residues:
        """A ciphertext [2, l, N] of what `polynomial` [l, N] times the key's target is."""
        level, special = polynomial.shape[0], len(self.parameters.primes)
        result = np.zeros((2, level + 1, self.parameters.degree), dtype=np.uint32)
        inner_product_with_key(polynomial, key, self._basis.primes, *self._tables(), result)
        for component in result:
            self._divide(component, special)
        return result[:, :level]

    def relinearise(self, ciphertext: Residues, key: Residues) -> Residues:
        """Three components [3, l, N] to two."""
        return self._add(self.switch(ciphertext[2], key), ciphertext[:2])

    def rotate(self, ciphertext: Residues, steps: int, key: Residues) -> Residues:
        """Slot j + steps to slot j, for a ciphertext [2, l, N] and the key of these steps."""
        image = rotated(ciphertext, steps)
        switched = self.switch(image[1], key)
        switched[0] = self._add(switched[:1], image[:1])[0]
        return switched

    def rescale(self, ciphertext: Residues, count: int) -> Residues:
        """Divide by the last `count` primes that are left: [components, l, N] to [components, l - count, N]."""
        result = ciphertext.copy()
        for level in range(ciphertext.shape[1], ciphertext.shape[1] - count, -1):
            for component in result:
                self._divide(component[:level], level - 1)
        return result[:, : ciphertext.shape[1] - count]

    def _divide(self, values: Residues, divisor: int) -> None:
        """Divide rows [l, N] by the prime of the last row, whose table row is `divisor`."""
        primes = self.parameters.all_primes
        rows = np.arange(values.shape[0] - 1, dtype=np.int64)
        divide_by_prime(values, rows, divisor, _inverses(primes, primes[divisor]), self._basis.primes, *self._tables())

    def _add(self, left: Residues, right: Residues) -> Residues:
        primes = np.array(self.parameters.primes[: left.shape[1]], dtype=np.uint64)[:, np.newaxis]
        total: Residues = ((left.astype(np.uint64) + right) % primes).astype(np.uint32)
        return total
