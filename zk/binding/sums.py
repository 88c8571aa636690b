"""Running sums: the value of the committed polynomials at a random point, one chunk at a time.

Parameter t of column c (both counted from 0; the first *parameter* column is c = 0) stands at row t of a polynomial
over the n-th roots of unity ω^t, n = 2^logrows, whose last 6 rows are 1. By the barycentric form of Lagrange's
interpolation the columns, combined by powers of gamma, take at r the value

    y = (r^n - 1)/n · Σ_c gamma^c (Σ_t θ_{c,t} · w_t + Σ_{last 6 rows} w_t),   w_t = ω^t/(r - ω^t).

S_j is the sum over θ alone up to chunk j. r and gamma are hashes of both commitments to the parameters, of the weights
tree and of the KZG points, and of the seller's account (Fiat-Shamir). So an opening at r is valid for one account, and
one that merely copies a listing has none to show: to make its own it would have to know the polynomials.

Parameters that differ anywhere give sums that agree with probability below 2^-220: the difference is a non-zero
rational function of r with a pole at every row that differs. The poles also rule out commitments of a higher degree,
which a longer SRS would allow: their difference is a polynomial and has none.

In small numbers, modulo 17 in place of the field's modulus: a column of n = 8 rows has two parameters, say 5 and 6, and
six rows of 1. ω = 15 has order 8. At r = 3 the parameters' weights are w_0 = 1/(3 - 1) = 9 and w_1 = 15/(3 - 15) = 3,
and those of the last six rows add up to 1. With one parameter per chunk, S_0 = 5·9 = 11 and S_1 = 11 + 6·3 = 12. The
factor (3^8 - 1)/8 is 4, so that the polynomial takes the value y = 4·(12 + 1) = 1 at 3. A chunk with 7 in place of 6
has S_1 = 11 + 7·3 = 15: it does not lead to the value that the commitment opens to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

from zk.binding.chunks import CHUNK_PARAMETERS, ColumnLayout
from zk.binding.errors import BindingError
from zk.binding.merkle import keccak256
from zk.circuits.audit import BLINDING_ROWS
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

ADDRESS_BYTES = 20

_GENERATOR = 7
"""Generator of the scalar field's multiplicative group, from which halo2 derives its roots of unity."""


@dataclass(frozen=True)
class Challenge:
    """The random point and the random combination of columns.

    Attributes:
        r: Where the polynomials are evaluated.
        gamma: Column c counts gamma^c.
    """

    r: int
    gamma: int


def derive_challenge(weights_root: bytes, parameter_commitment: bytes, seller: bytes) -> Challenge:
    """Derive r and gamma from the two commitments to the parameters (32 bytes each) and the seller's address (20).

    Raises:
        BindingError: The address has another length.
    """
    if len(seller) != ADDRESS_BYTES:
        raise BindingError(f"a seller's address has {ADDRESS_BYTES} bytes, not {len(seller)}")
    transcript = weights_root + parameter_commitment + seller
    r = int.from_bytes(keccak256(b"modelseal/r" + transcript), "big") % MODULUS
    gamma = int.from_bytes(keccak256(b"modelseal/gamma" + transcript), "big") % MODULUS
    return Challenge(r, gamma)


def root_of_unity(logrows: int) -> int:
    """ω, of order 2^logrows."""
    return pow(_GENERATOR, (MODULUS - 1) >> logrows, MODULUS)


def row_weights(r: int, logrows: int, rows: range) -> list[int]:
    """w_t = ω^t/(r - ω^t) for consecutive rows t; one field inversion for all of them (Montgomery's trick).

    Raises:
        BindingError: r is one of the roots of unity, which no honest hash gives.
    """
    omega = root_of_unity(logrows)
    powers = list(accumulate(rows[1:], lambda power, _: power * omega % MODULUS, initial=pow(omega, rows[0], MODULUS)))
    differences = [r - power for power in powers]
    products = list(accumulate(differences, lambda product, d: product * d % MODULUS))
    if products[-1] == 0:
        raise BindingError(f"the challenge {r} is a root of unity of order 2^{logrows}")
    inverse = pow(products[-1], -1, MODULUS)
    for t in range(len(rows) - 1, 0, -1):
        powers[t] = powers[t] * (inverse * products[t - 1] % MODULUS) % MODULUS
        inverse = inverse * differences[t] % MODULUS
    powers[0] = powers[0] * inverse % MODULUS
    return powers


def running_sums(columns: Sequence[NDArray[np.int32]], layout: ColumnLayout, challenge: Challenge) -> list[int]:
    """S_j for every chunk j, canonical."""
    weights = row_weights(challenge.r, layout.logrows, range(max(layout.lengths)))
    sums, total, factor = [], 0, 1
    for column in columns:
        values = column.tolist()
        for start in range(0, len(values), CHUNK_PARAMETERS):
            end = start + CHUNK_PARAMETERS
            # Python integers: 24-bit times 254-bit products are summed without reduction.
            total = (total + factor * sum(map(mul, values[start:end], weights[start:end]))) % MODULUS
            sums.append(total)
        factor = factor * challenge.gamma % MODULUS
    return sums


def value_at_challenge(last_sum: int, layout: ColumnLayout, challenge: Challenge) -> int:
    """y: the combined columns' value at r, from the last running sum and the blinding rows."""
    row_count = 1 << layout.logrows
    blinding = sum(row_weights(challenge.r, layout.logrows, range(row_count - BLINDING_ROWS, row_count)))
    combined = last_sum + blinding * sum(column_factors(layout, challenge))
    vanishing = pow(challenge.r, row_count, MODULUS) - 1
    return vanishing * pow(row_count, -1, MODULUS) * combined % MODULUS


def last_sum_of(value: int, layout: ColumnLayout, challenge: Challenge) -> int:
    """S_last from y: the inverse of `value_at_challenge`."""
    offset = value_at_challenge(0, layout, challenge)
    slope = value_at_challenge(1, layout, challenge) - offset
    return (value - offset) * pow(slope, -1, MODULUS) % MODULUS


def column_factors(layout: ColumnLayout, challenge: Challenge) -> list[int]:
    """gamma^c for every column c."""
    return [pow(challenge.gamma, column, MODULUS) for column in range(len(layout.lengths))]
