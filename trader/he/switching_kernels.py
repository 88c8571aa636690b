"""Compiled key switching and rescaling: the two operations that leave NTT form and mix primes.

A key-switching key has one pair of polynomials per prime of the modulus ("digit"), over all primes and the special one:
b_i = -(a_i·s + e_i) + P·t modulo prime i, and the same without the last term modulo the others. With d_i the residues
modulo prime i as small integers, Σ d_i·(b_i, a_i) / P encrypts c·t under s (Brakerski and Vaikuntanathan's
decomposition in residue form with Gentry, Halevi and Smart's special prime, as in SEAL). Signed digits halve the noise.

Rows of all tables belong to primes in the order of `Basis`; the special prime is the last row.
"""

import numpy as np
from numpy.typing import NDArray

from trader.he.kernels import _kernel, _multiply, forward_transform, inverse_transform
from trader.he.types import Residues


@_kernel
def _lift(coefficients: Residues, source: int, target: int, lifted: Residues) -> None:
    """Signed representatives modulo `source`, reduced modulo `target`."""
    q = np.int64(target)
    inverse = 1.0 / np.float64(target)
    half = np.int64(source >> 1)
    for t in range(coefficients.size):
        value = np.int64(coefficients[t])
        value -= np.int64(source) if value > half else np.int64(0)
        remainder = value - np.int64(np.floor(np.float64(value) * inverse)) * q
        remainder += q if remainder < 0 else np.int64(0)
        lifted[t] = np.uint32(remainder - (q if remainder >= q else np.int64(0)))


@_kernel
def _accumulate(values: Residues, factors: Residues, prime: int, total: Residues) -> None:
    q = np.int64(prime)
    inverse = 1.0 / np.float64(prime)
    for t in range(values.size):
        sum_ = _multiply(values[t], factors[t], q, inverse) + np.int64(total[t])
        total[t] = np.uint32(sum_ - (q if sum_ >= q else np.int64(0)))


@_kernel
def _subtract_and_divide(values: Residues, lifted: Residues, factor: int, prime: int) -> None:
    """(values - lifted)·factor modulo the prime, in place."""
    q = np.int64(prime)
    inverse = 1.0 / np.float64(prime)
    for t in range(values.size):
        difference = np.int64(values[t]) - np.int64(lifted[t])
        difference += q if difference < 0 else np.int64(0)
        values[t] = np.uint32(_multiply(difference, factor, q, inverse))


@_kernel
def divide_by_prime(
    values: Residues,
    rows: NDArray[np.int64],
    divisor: int,
    inverses: NDArray[np.int64],
    primes: NDArray[np.int64],
    roots: Residues,
    root_quotients: Residues,
    inverse_roots: Residues,
    inverse_quotients: Residues,
    scalings: Residues,
) -> None:
    """Round(values / q) for the prime q of the last row of `values` [l, N], left in the other rows, in NTT form.

    The last row is used up. `rows` and `divisor` are the table rows of the other rows and of the last one, `inverses`
    is 1/q modulo the prime of each table row; then come the tables (see `Basis`).
    """
    last = values[values.shape[0] - 1]
    d = divisor
    inverse_transform(last, primes[d], inverse_roots[d], inverse_quotients[d], scalings[d])
    lifted = np.empty_like(last)
    for index in range(values.shape[0] - 1):
        row = rows[index]
        _lift(last, primes[d], primes[row], lifted)
        forward_transform(lifted, primes[row], roots[row], root_quotients[row])
        _subtract_and_divide(values[index], lifted, inverses[row], primes[row])


@_kernel
def inner_product_with_key(
    polynomial: Residues,
    key: Residues,
    primes: NDArray[np.int64],
    roots: Residues,
    root_quotients: Residues,
    inverse_roots: Residues,
    inverse_quotients: Residues,
    scalings: Residues,
    result: Residues,
) -> None:
    """Σ_i d_i·key_i: polynomial [l, N] in NTT form and key [digits, 2, k + 1, N] to result [2, l + 1, N].

    The result is added to what `result` holds.
    """
    level = polynomial.shape[0]
    special = primes.size - 1
    digit = np.empty_like(polynomial[0])
    lifted = np.empty_like(digit)
    for i in range(level):
        digit[:] = polynomial[i]
        inverse_transform(digit, primes[i], inverse_roots[i], inverse_quotients[i], scalings[i])
        for j in range(level + 1):
            row = j if j < level else special
            if row == i:
                lifted[:] = polynomial[i]
            else:
                _lift(digit, primes[i], primes[row], lifted)
                forward_transform(lifted, primes[row], roots[row], root_quotients[row])
            _accumulate(lifted, key[i, 0, row], primes[row], result[0, j])
            _accumulate(lifted, key[i, 1, row], primes[row], result[1, j])
