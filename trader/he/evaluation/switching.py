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

Plans for deep programs take digits of several primes, t mod q_i·q_j·…, and as many special primes (dnum in Han and Ki,
"Better bootstrapping for approximate homomorphic encryption", 2020): a key then has as many parts as there are digits,
each of one more row per special prime. A digit is written modulo the primes that aren't its own by
`trader.he.ring.conversion`, and so is the rest of the division by P.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.he.ring import kernels
from trader.he.ring.compiling import kernel
from trader.he.ring.conversion import Conversion, conversion, join_values, split_values
from trader.he.ring.kernels import add_product, reduce_values, reduce_words
from trader.he.ring.ntt import forward_transform, inverse_transform
from trader.he.ring.transform import RingTables, bit_reversal, ring_tables
from trader.he.seal import Parameters, Secret, conjugation_element, rotation_element
from trader.he.types import Residues


class _SwitchingKey:
    """A key for one key switching: one [2, all primes, N] per digit, special primes last; nothing says it is one."""

    def __init__(self, parameters: Parameters, key: Residues) -> None:
        self._parameters = parameters
        self._key = key

    def add(self, polynomial: Residues, result: Residues) -> None:
        """Add what `polynomial` [l, N] times the foreign key encrypts to a ciphertext [2, l, N]."""
        parameters, count = self._parameters, len(polynomial)
        primes = (*parameters.primes[:count], *parameters.special_primes)
        tables = ring_tables(parameters.degree, primes)
        if len(parameters.special_primes) == 1:
            _switch(polynomial[np.newaxis], self._key[np.newaxis], tables, result)
        else:
            self._add_grouped(polynomial, primes, tables, result)

    def _add_grouped(self, polynomial: Residues, primes: tuple[int, ...], tables: RingTables, result: Residues) -> None:
        """`add` for digits of several primes."""
        count, own = len(polynomial), self._parameters.primes[: len(polynomial)]
        rows = np.array([*range(count), *range(len(self._parameters.primes), self._key.shape[2])])
        totals = np.zeros((2, len(primes), polynomial.shape[1]), dtype=np.uint64)
        for places, key in zip(self._parameters.digits, self._key, strict=True):
            if places.start < count:
                stop = min(places.stop, count)
                digit = conversion(own[places.start : stop], primes)
                _add_digit(polynomial, places.start, stop, digit, key, rows, tables, totals)
        _divide_by_special(totals, conversion(self._parameters.special_primes, own), tables, result)


class Folder:
    """Switches several foreign keys of a ciphertext to the other party's at once, and divides once for all of them.

    Args:
        parameters: of a ring with one special prime.
        keys: one [digits, 2, all primes, N] for each polynomial that is switched, the special prime last.
    """

    def __init__(self, parameters: Parameters, keys: Sequence[Residues]) -> None:
        self._parameters = parameters
        self._keys = np.stack(keys)

    def fold(self, residues: Residues) -> Residues:
        """Return a ciphertext [c, l, N] without its last components, one per key, which are added to the first two."""
        count = residues.shape[1]
        result = residues[: -len(self._keys)].copy()
        primes = (*self._parameters.primes[:count], *self._parameters.special_primes)
        tables = ring_tables(self._parameters.degree, primes)
        _switch(residues[-len(self._keys) :], self._keys, tables, result[:2])
        return result


class Refresher:
    """Relinearises and rescales ciphertexts under the other party's relinearisation key.

    `trader.he.wire.container` has checked the form of the key; nothing says that it is one. If it isn't, the results
    are noise, which its sender will decrypt.

    Args:
        parameters: of the ring.
        key: one [2, all primes, N] per digit, the special primes last.
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
        keys: by what they switch from, one [2, all primes, N] per digit, the special primes last; those for products
            are left alone.
    """

    def __init__(self, parameters: Parameters, keys: Mapping[Secret, Residues]) -> None:
        self._parameters = parameters
        self._keys = {secret[0]: _SwitchingKey(parameters, key) for secret, key in keys.items() if len(secret) == 1}

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
        # An index array would leave values of a polynomial apart in memory.
        first, second = np.take(residues, _moves(self._parameters.degree, element), axis=-1)
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


@kernel
def _switch(polynomials: Residues, keys: Residues, tables: RingTables, result: Residues) -> None:
    """Add Σ_k Σ_i (polynomial k mod q_i)·key_ki, divided by the special prime, to a ciphertext.

    Args:
        polynomials: NTT form [k, l, N].
        keys: [k, at least l, 2, primes + 1, N], the special prime last.
        tables: of the l primes and the special prime.
        result: [2, l, N].
    """
    count, degree = polynomials.shape[1:]
    digits = polynomials.copy()
    for k in range(len(digits)):
        for i in range(count):
            inverse_transform(
                digits[k, i], tables.primes[i], tables.inverse_roots[i], tables.inverse_quotients[i], tables.scaling[i]
            )
    totals = np.empty((2, degree), dtype=np.uint64)
    products = np.empty((2, count + 1, degree), dtype=np.uint32)
    for row in range(count + 1):
        totals[:] = 0
        for k in range(len(digits)):
            place = row if row < count else keys.shape[3] - 1
            _add_digits(polynomials[k], digits[k], keys[k, :, :, place], row, tables, totals)
        for component in range(2):
            reduce_words(totals[component], tables.primes[row], products[component, row])
    quotient = np.empty((count, degree), dtype=np.uint32)
    for component in range(2):
        _divide_by_last(products[component], tables, quotient)
        for row in range(count):
            kernels.add(quotient[row], tables.primes[row], result[component, row])


@kernel
def _add_digits(
    polynomial: Residues, digits: Residues, key: Residues, row: int, tables: RingTables, totals: NDArray[np.uint64]
) -> None:
    """Add Σ_i (polynomial mod q_i)·key_i modulo one prime to sums, as `add_product` leaves them.

    Args:
        polynomial: NTT form [l, N].
        digits: Its coefficients, [l, N].
        key: [at least l, 2, N], the rows modulo the prime.
        row: The prime's place.
        tables: Of the primes.
        totals: [2, N].
    """
    digit = np.empty(polynomial.shape[1], dtype=np.uint32)
    for i in range(len(polynomial)):
        if i == row:
            digit[:] = polynomial[i]
        else:
            reduce_values(digits[i], tables.primes[row], digit)
            forward_transform(digit, tables.primes[row], tables.roots[row], tables.quotients[row])
        for component in range(2):
            add_product(digit, key[i, component], tables.primes[row], totals[component])


@kernel
def _add_digit(
    polynomial: Residues,
    start: int,
    stop: int,
    digit: Conversion,
    key: Residues,
    rows: NDArray[np.int64],
    tables: RingTables,
    totals: NDArray[np.uint64],
) -> None:
    """Add a digit times its part of a key to sums.

    Args:
        polynomial: NTT form [l, N].
        start: The digit's first prime, by place.
        stop: The place after its last one.
        digit: To all primes.
        key: [2, all primes, N].
        rows: Places of the l primes and the special primes in it.
        tables: Of these.
        totals: [2, as many, N], as `add_product` leaves them.
    """
    own = polynomial[start:stop].copy()
    for i in range(start, stop):
        inverse_transform(
            own[i - start], tables.primes[i], tables.inverse_roots[i], tables.inverse_quotients[i], tables.scaling[i]
        )
    parts = np.empty((len(own) + 1, own.shape[1]), dtype=np.uint32)
    split_values(own, digit, parts)
    values = np.empty(own.shape[1], dtype=np.uint32)
    for row in range(len(rows)):
        if start <= row < stop:
            values[:] = polynomial[row]
        else:
            join_values(parts, digit, row, values)
            forward_transform(values, tables.primes[row], tables.roots[row], tables.quotients[row])
        for component in range(2):
            add_product(values, key[component, rows[row]], tables.primes[row], totals[component, row])


@kernel
def _divide_by_special(totals: NDArray[np.uint64], special: Conversion, tables: RingTables, result: Residues) -> None:
    """Divide sums by the product of the last k primes, to the nearest, and add them to `result` [2, l, N].

    Sums are [2, l + k, N]; `special` is from the last k primes to the others.
    """
    count, degree = result.shape[1], result.shape[2]
    rests = np.empty((len(special.primes), degree), dtype=np.uint32)
    parts = np.empty((len(rests) + 1, degree), dtype=np.uint32)
    values, rest = np.empty(degree, dtype=np.uint32), np.empty(degree, dtype=np.uint32)
    for component in range(2):
        for k in range(len(rests)):
            row = count + k
            reduce_words(totals[component, row], tables.primes[row], rests[k])
            inverse_transform(
                rests[k],
                tables.primes[row],
                tables.inverse_roots[row],
                tables.inverse_quotients[row],
                tables.scaling[row],
            )
        split_values(rests, special, parts)
        for row in range(count):
            reduce_words(totals[component, row], tables.primes[row], values)
            join_values(parts, special, row, rest)
            forward_transform(rest, tables.primes[row], tables.roots[row], tables.quotients[row])
            factor, quotient = special.quotients[row]
            kernels.subtract(rest, tables.primes[row], values)
            kernels.add_multiple(values, factor, quotient, tables.primes[row], result[component, row])


@kernel
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
        result[row] = values[row]
        kernels.subtract(moved, tables.primes[row], result[row])
        kernels.scale(result[row], factor, quotient, tables.primes[row], result[row])
