"""The ring Z_q[X]/(X^N + 1) for several word-sized primes q: tables and transforms that agree with SEAL's.

SEAL takes the smallest primitive 2N-th root of unity modulo each prime and stores its powers in bit-reversed order
(Longa and Naehrig, 2016); whoever does the same gets the same NTT form, residue by residue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trader.he.ring import ntt
from trader.he.types import Residues


@dataclass(frozen=True, slots=True)
class PrimeTables:
    """Powers of the root of unity modulo one prime, with Shoup quotients floor(w·2^32 / q)."""

    prime: int
    roots: Residues
    root_quotients: Residues
    inverse_roots: Residues
    inverse_quotients: Residues
    scaling: Residues

    def forward(self, values: Residues) -> None:
        """Coefficients to NTT form, in place; values [N]."""
        ntt.forward_transform(values, self.prime, self.roots, self.root_quotients)

    def inverse(self, values: Residues) -> None:
        """NTT form to coefficients, in place; values [N]."""
        ntt.inverse_transform(values, self.prime, self.inverse_roots, self.inverse_quotients, self.scaling)


@lru_cache(maxsize=128)
def prime_tables(degree: int, prime: int) -> PrimeTables:
    """Tables for a ring degree N and a prime q = 1 mod 2N below 2^31."""
    root = _minimal_root(degree, prime)
    roots = _powers_bit_reversed(root, degree, prime)
    inverse_roots = _powers_bit_reversed(pow(root, -1, prime), degree, prime)
    return PrimeTables(
        prime=prime,
        roots=roots.astype(np.uint32),
        root_quotients=_shoup(roots, prime),
        inverse_roots=inverse_roots.astype(np.uint32),
        inverse_quotients=_shoup(inverse_roots, prime),
        scaling=np.array(_with_quotient(pow(degree, -1, prime), prime), dtype=np.uint32),
    )


class RingTables(NamedTuple):
    """Tables of several primes, for kernels that go through all of them.

    Attributes:
        primes: [l].
        roots: [l, N].
        quotients: Shoup quotients, [l, N].
        inverse_roots: [l, N].
        inverse_quotients: [l, N].
        scaling: 1/N, and its quotient, [l, 2].
        last_inverses: the last prime's inverse modulo the others, and its quotient, [l - 1, 2].
    """

    primes: NDArray[np.int64]
    roots: Residues
    quotients: Residues
    inverse_roots: Residues
    inverse_quotients: Residues
    scaling: Residues
    last_inverses: Residues


@lru_cache(maxsize=16)
def ring_tables(degree: int, primes: tuple[int, ...]) -> RingTables:
    """Tables for a ring degree N and some primes."""
    tables = [prime_tables(degree, prime) for prime in primes]
    *others, last = primes
    return RingTables(
        np.array(primes, dtype=np.int64),
        np.stack([table.roots for table in tables]),
        np.stack([table.root_quotients for table in tables]),
        np.stack([table.inverse_roots for table in tables]),
        np.stack([table.inverse_quotients for table in tables]),
        np.stack([table.scaling for table in tables]),
        np.array([_with_quotient(pow(last, -1, prime), prime) for prime in others], dtype=np.uint32).reshape(-1, 2),
    )


def transform(
    limbs: NDArray[np.int64] | NDArray[np.float64], positions: Sequence[int], primes: tuple[int, ...]
) -> Residues:
    """NTT form [k, primes, N] of the polynomials Σ_m limb_m·2^position_m, limbs [k, m, N], integers below 2^51."""
    count, _, degree = limbs.shape
    factors = np.array([[pow(2, position, prime) for position in positions] for prime in primes], dtype=np.int64)
    residues = np.empty((count, len(primes), degree), dtype=np.uint32)
    tables = ring_tables(degree, primes)
    doubles = limbs.astype(np.float64, copy=False)
    ntt.transform_integers(doubles, factors, tables.primes, tables.roots, tables.quotients, residues)
    return residues


def monomial_places(degree: int, exponents: Sequence[int]) -> NDArray[np.int32]:
    """Where the values of X^c in NTT form stand among `RingTables.roots`, [k, N]; N more where they are negative.

    Args:
        degree: N.
        exponents: c, each in [0, 2N).
    """
    reversal = bit_reversal(degree)
    # Position j holds the value at root^(2·reversal_j + 1), and root^N is -1.
    powers = np.outer(exponents, 2 * reversal + 1) & (2 * degree - 1)
    places: NDArray[np.int64] = reversal[powers & (degree - 1)] + (powers & degree)
    return places.astype(np.int32)


def _minimal_root(degree: int, prime: int) -> int:
    """Return the smallest primitive 2N-th root of unity modulo the prime: the least odd power of any of them."""
    base = next(
        root
        for root in (pow(generator, (prime - 1) // (2 * degree), prime) for generator in range(2, prime))
        if pow(root, degree, prime) == prime - 1
    )
    return int(_powers(base, 2 * degree, prime)[1::2].min())


def _powers(base: int, count: int, prime: int) -> NDArray[np.uint64]:
    """base^0 … base^(count - 1) modulo the prime, by doubling."""
    powers = np.ones(count, dtype=np.uint64)
    filled = 1
    while filled < count:
        step = np.uint64(pow(base, filled, prime))
        powers[filled : 2 * filled] = powers[:filled] * step % np.uint64(prime)
        filled *= 2
    return powers


def bit_reversal(count: int) -> NDArray[np.int64]:
    """Return indices 0 … count - 1 with their bits in reverse order; count is a power of two."""
    indices = np.zeros(1, dtype=np.int64)
    while indices.size < count:
        indices = np.concatenate([2 * indices, 2 * indices + 1])
    return indices


def _powers_bit_reversed(base: int, degree: int, prime: int) -> NDArray[np.uint64]:
    return _powers(base, degree, prime)[bit_reversal(degree)]


def _with_quotient(factor: int, prime: int) -> tuple[int, int]:
    """Return a factor and its Shoup quotient."""
    return factor, (factor << 32) // prime


def _shoup(values: NDArray[np.uint64], prime: int) -> Residues:
    return ((values << np.uint64(32)) // np.uint64(prime)).astype(np.uint32)
