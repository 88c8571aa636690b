"""Ciphertexts as residues: the buyer's symmetric encryption, its public key, and fresh encryptions of zero.

The construction is SEAL's (`encrypt_zero_symmetric`, `encrypt_zero_asymmetric`): c1 = a uniform, c0 = -(a·s + e) + m;
the public key is an encryption of zero; public-key encryption blinds it with a ternary u. It stands here since SEAL's
bindings hand ciphertexts out one at a time through compressed files, at several times the cost of the encryption
itself, and so that the seed of a can travel in place of a. The secret key is SEAL's, and SEAL decrypts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.ring import prime_tables
from trader.he.sampling import BLOCK, KEY_BATCH, Position, SecretSampler, UniformExpander, expand_uniform
from trader.he.seal import Parameters
from trader.he.types import Residues


def to_residues(polynomials: NDArray[np.int64], degree: int, prime: int, residues: Residues) -> None:
    """Integer polynomials [k, N] to NTT form modulo one prime, written to `residues` [k, N]."""
    tables = prime_tables(degree, prime)
    residues[:] = 0
    for polynomial, row in zip(polynomials, residues, strict=True):
        kernels.add_integers(polynomial, prime, 1, row)
        tables.forward(row)


def subtract_masks(
    residues: Residues, secret: Residues, expander: UniformExpander, position: Position, prime: int
) -> None:
    """c0 -= a·s for one block of every row: residues [rows, N], secret [N] in NTT form modulo the prime."""
    uniform = expander.expand(position, prime)
    columns = slice(position.block * BLOCK, (position.block + 1) * BLOCK)
    kernels.subtract_product(residues[:, columns], uniform, secret[columns], prime)


def write_public_key(parameters: Parameters, secret: Residues, seed: bytes, key: Residues) -> None:
    """First half of a public key, [primes, N]; the second half is `public_mask` of the seed."""
    error = SecretSampler().errors((1, parameters.degree))
    expander = UniformExpander(seed, 1)
    for index, prime in enumerate(parameters.primes):
        row = key[index : index + 1]
        to_residues(error, parameters.degree, prime, row)
        for block in range(parameters.degree // BLOCK):
            subtract_masks(row, secret[index], expander, Position(KEY_BATCH, index, block), prime)


def public_mask(parameters: Parameters, seed: bytes) -> Residues:
    """Second half of the public key, [primes, N]."""
    mask = np.empty((len(parameters.primes), parameters.degree), dtype=np.uint32)
    for index, prime in enumerate(parameters.primes):
        for block in range(parameters.degree // BLOCK):
            uniform = expand_uniform(seed, Position(KEY_BATCH, index, block), prime, 1)
            mask[index, block * BLOCK : (block + 1) * BLOCK] = uniform[0]
    return mask


@dataclass(frozen=True, slots=True)
class PublicKey:
    """(p0, p1) with p0 + p1·s small, each [primes, N] in NTT form."""

    first: Residues
    second: Residues

    def encrypt_zero(self, parameters: Parameters, sampler: SecretSampler) -> Residues:
        """A fresh encryption of zero, [2, primes, N]: (p0·u + e0, p1·u + e1)."""
        shape = (1, parameters.degree)
        u, errors = sampler.ternary(shape), [sampler.errors(shape), sampler.errors(shape)]
        ciphertext = np.empty((2, len(parameters.primes), parameters.degree), dtype=np.uint32)
        blind = np.empty(shape, dtype=np.uint32)
        for index, prime in enumerate(parameters.primes):
            to_residues(u, parameters.degree, prime, blind)
            for half, key in enumerate((self.first, self.second)):
                row = ciphertext[half, index]
                to_residues(errors[half], parameters.degree, prime, row[np.newaxis])
                kernels.multiply_accumulate(key[index], blind[0], row, prime, row)
        return ciphertext
