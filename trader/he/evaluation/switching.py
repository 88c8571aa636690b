"""Key switching: automorphisms, relinearisation and rescaling under the other party's keys.

All of it is deterministic and knows no secret: residue by residue it gives what SEAL's evaluator gives, for which the
tests compare the two. SEAL itself holds the interpreter lock, takes ciphertexts through compressed files, and refuses
some results (transparent ciphertexts), by which an error would tell a buyer which weights add up to zero.

A polynomial t of a ciphertext that belongs to another key s' is taken apart by primes, t_i = t mod q_i. Key i of a
switching key is an encryption under s of P·s' modulo q_i, and of zero modulo the other primes, P the special prime; so
that Σ_i t_i·key_i is one of P·t·s', and divided by P one of t·s' with little noise (hybrid key switching: Gentry,
Halevi and Smart, 2012; Bajard, Eynard, Hasan and Zucca, 2016, for residues; section 3.2 of Kim, Polyakov and Zucca,
2021, compares the variants). A result of division is rounded to the nearest, in NTT form: the last residue's
coefficients are centred, transformed modulo the other primes, and subtracted.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trader.he.ring import kernels
from trader.he.ring.kernels import add_product, forward_transform, inverse_transform, reduce_values, reduce_words
from trader.he.ring.transform import RingTables, bit_reversal, ring_tables
from trader.he.seal import Parameters, conjugation_element, rotation_element
from trader.he.types import Residues


class _SwitchingKey:
    """A key for one key switching: one [2, primes + 1, N] per prime, the special prime last; nothing says it is one."""

    def __init__(self, parameters: Parameters, key: Residues) -> None:
        self._parameters = parameters
        self._key = key

    def add(self, polynomial: Residues, result: Residues) -> None:
        """Add what `polynomial` [l, N] times the foreign key encrypts to a ciphertext [2, l, N]."""
        primes = (*self._parameters.primes[: len(polynomial)], self._parameters.special_prime)
        _switch(polynomial, self._key, ring_tables(self._parameters.degree, primes), result)


class Refresher:
    """Relinearises and rescales ciphertexts under the other party's relinearisation key.

    `trader.he.wire.container` has checked the form of the key; nothing says that it is one. If it isn't, the results
    are noise, which its sender will decrypt.

    Args:
        parameters: of the ring.
        key: one [2, primes + 1, N] per prime, the special prime last.
    """

    def __init__(self, parameters: Parameters, key: Residues) -> None:
        self._parameters = parameters
        self._key = _SwitchingKey(parameters, key)

    def refresh(self, residues: Residues, dropped: int) -> Residues:
        """Return a ciphertext [2 or 3, l, N] as [2, l - dropped, N], its scale divided by the last primes."""
        result = residues[:2].copy()
        for polynomial in residues[2:]:
            self._key.add(polynomial, result)
        for _ in range(dropped):
            result = self._rescale(result)
        return result

    def _rescale(self, residues: Residues) -> Residues:
        primes = self._parameters.primes[: residues.shape[1]]
        result = np.empty((2, len(primes) - 1, self._parameters.degree), dtype=np.uint32)
        for component, quotient in zip(residues, result, strict=True):
            _divide_by_last(component, ring_tables(self._parameters.degree, primes), quotient)
        return result


class Automorphisms:
    """Automorphisms of ciphertexts under the other party's Galois keys, which are as unproven as all its keys.

    Slot i of a ciphertext that is rotated by s holds what was in slot i + s, modulo N/2.

    Args:
        parameters: of the ring.
        keys: by Galois element, one [2, primes + 1, N] per prime, the special prime last.
    """

    def __init__(self, parameters: Parameters, keys: Mapping[int, Residues]) -> None:
        self._parameters = parameters
        self._keys = {element: _SwitchingKey(parameters, key) for element, key in keys.items()}

    def rotations(self, residues: Residues, turns: Sequence[int]) -> Iterator[Residues]:
        """Yield a ciphertext [2, l, N] rotated by 0, 1, 2, … times the sum of some turns, each of which has a key."""
        while True:
            yield residues
            residues = self._rotate(residues, turns)

    def rotated_sum(self, parts: Residues, turns: Sequence[int], folds: Sequence[Sequence[int]]) -> Residues:
        """Σ_i of part i of [k, 2, l, N] rotated i times by the turns; then, fold by fold, that and its rotation."""
        total: Residues = parts[-1].copy()
        for part in reversed(parts[:-1]):
            total = self._rotate(total, turns)
            self._add(part, total)
        for fold in folds:
            self._add(self._rotate(total, fold), total)
        return total

    def conjugate(self, residues: Residues) -> Residues:
        """Return a ciphertext [2, l, N] with its slots' complex conjugates."""
        return self._apply(residues, conjugation_element(self._parameters.degree))

    def _rotate(self, residues: Residues, turns: Sequence[int]) -> Residues:
        for turn in turns:
            residues = self._apply(residues, rotation_element(turn, self._parameters.degree))
        return residues

    def _apply(self, residues: Residues, element: int) -> Residues:
        """X → X^element moves the values of a polynomial in NTT form; the key under which they are moves as well."""
        first, second = residues[..., _moves(self._parameters.degree, element)]
        result = np.stack([first, np.zeros_like(first)])
        self._keys[element].add(second, result)
        return result

    def _add(self, addend: Residues, total: Residues) -> None:
        for component, addends in zip(total, addend, strict=True):
            for row, other, prime in zip(component, addends, self._parameters.primes, strict=False):
                kernels.add(other, prime, row)


@lru_cache(maxsize=64)
def _moves(degree: int, element: int) -> NDArray[np.int64]:
    """Where m(X^element) has its values in NTT form: position i is the value at ζ^(2·r(i) + 1), r the bit reversal."""
    reversal = bit_reversal(degree)
    exponents = (2 * reversal + 1) * element % (2 * degree)
    return reversal[exponents // 2]


@njit(cache=True, nogil=True, error_model="numpy")
def _switch(polynomial: Residues, key: Residues, tables: RingTables, result: Residues) -> None:
    """Add Σ_i (polynomial mod q_i)·key_i, divided by the special prime, to a ciphertext.

    Args:
        polynomial: NTT form [l, N].
        key: [at least l, 2, primes + 1, N], the special prime last.
        tables: of the l primes and the special prime.
        result: [2, l, N].
    """
    count, degree = polynomial.shape
    digits = polynomial.copy()
    for i in range(count):
        inverse_transform(
            digits[i], tables.primes[i], tables.inverse_roots[i], tables.inverse_quotients[i], tables.scaling[i]
        )
    digit = np.empty(degree, dtype=np.uint32)
    totals = np.empty((2, degree), dtype=np.uint64)
    products = np.empty((2, count + 1, degree), dtype=np.uint32)
    for row in range(count + 1):
        place = row if row < count else key.shape[2] - 1
        prime = tables.primes[row]
        totals[:] = 0
        for i in range(count):
            if i == row:
                digit[:] = polynomial[i]
            else:
                reduce_values(digits[i], prime, digit)
                forward_transform(digit, prime, tables.roots[row], tables.quotients[row])
            for component in range(2):
                add_product(digit, key[i, component, place], prime, totals[component])
        for component in range(2):
            reduce_words(totals[component], prime, products[component, row])
    quotient = np.empty((count, degree), dtype=np.uint32)
    for component in range(2):
        _divide_by_last(products[component], tables, quotient)
        for row in range(count):
            kernels.add(quotient[row], tables.primes[row], result[component, row])


@njit(cache=True, nogil=True, error_model="numpy")
def _divide_by_last(values: Residues, tables: RingTables, result: Residues) -> None:
    """Divide a polynomial [l + 1, N] in NTT form by the last prime, to the nearest; `result` is [l, N]."""
    last = len(result)
    divisor = np.uint32(tables.primes[last])
    half = divisor >> np.uint32(1)
    rest = values[last].copy()
    inverse_transform(
        rest, tables.primes[last], tables.inverse_roots[last], tables.inverse_quotients[last], tables.scaling[last]
    )
    # Shifted by half, as the shift is taken back modulo each prime, the rest is centred.
    for i in range(rest.size):
        shifted = np.uint32(rest[i] + half)
        rest[i] = min(shifted, np.uint32(shifted - divisor))
    moved = np.empty(rest.size, dtype=np.uint32)
    for row in range(last):
        q = np.uint32(tables.primes[row])
        shift = half % q
        reduce_values(rest, tables.primes[row], moved)
        for i in range(moved.size):
            difference = np.uint32(moved[i] - shift)
            moved[i] = min(difference, np.uint32(difference + q))
        forward_transform(moved, tables.primes[row], tables.roots[row], tables.quotients[row])
        factor, quotient = tables.last_inverses[row]
        for i in range(moved.size):
            difference = np.uint32(values[row, i] - moved[i])
            result[row, i] = kernels.multiply_shoup(min(difference, np.uint32(difference + q)), factor, quotient, q)
