"""From residues modulo some primes to residues modulo others, of the number nearest to zero.

A number x with residues x_i modulo the primes q_i of a basis, Q their product, is Σ_i y_i·Q/q_i - v·Q with
y_i = x_i·(Q/q_i)^-1 mod q_i, and x is in (-Q/2, Q/2] for v = round(Σ_i y_i/q_i) (Halevi, Polyakov and Shoup, "An
improved RNS variant of the BFV homomorphic encryption scheme", 2019, section 2.2). The sum is in doubles: within some
2^-50 of ±Q/2 either of two numbers may come out, which are the same modulo Q.

With the basis (5, 7) and x = -2, so that x_i = (3, 5): y = (3·7^-1, 5·5^-1) = (4, 1) modulo 5 and 7, v = 1, the
nearest to 4/5 + 1/7, and 4·7 + 1·5 - 35 = -2.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.compiling import kernel
from trader.he.ring.kernels import add_multiple, scale
from trader.he.types import Residues


class Conversion(NamedTuple):
    """Tables from a basis of m primes to t other primes, factors with their Shoup quotients.

    Attributes:
        primes: of the basis, [m].
        inverses: (Q/q_i)^-1 modulo q_i, [m, 2].
        fractions: 1/q_i, [m].
        targets: [t].
        factors: Q/q_i modulo each target, and at the end -Q, [t, m + 1, 2].
        quotients: 1/Q modulo each target, [t, 2]; 0 where the target is of the basis.
    """

    primes: NDArray[np.int64]
    inverses: Residues
    fractions: NDArray[np.float64]
    targets: NDArray[np.int64]
    factors: Residues
    quotients: Residues


@lru_cache(maxsize=256)
def conversion(basis: tuple[int, ...], targets: tuple[int, ...]) -> Conversion:
    """Tables for a basis and targets, primes below 2^31."""
    product = 1
    for prime in basis:
        product *= prime
    inverses = [_with_quotient(pow(product // prime, -1, prime), prime) for prime in basis]
    multiples = [*(product // prime for prime in basis), -product]
    factors = [[_with_quotient(multiple % target, target) for multiple in multiples] for target in targets]
    return Conversion(
        np.array(basis, dtype=np.int64),
        np.array(inverses, dtype=np.uint32),
        1.0 / np.array(basis),
        np.array(targets, dtype=np.int64),
        np.array(factors, dtype=np.uint32),
        np.array(
            [(0, 0) if product % t == 0 else _with_quotient(pow(product, -1, t), t) for t in targets], dtype=np.uint32
        ),
    )


@kernel
def split_values(residues: Residues, tables: Conversion, parts: Residues) -> None:
    """Write y and v, [m + 1, n], of residues [m, n]: what is the same for all targets."""
    count = residues.shape[0]
    for i in range(count):
        factor, quotient = tables.inverses[i]
        scale(residues[i], factor, quotient, tables.primes[i], parts[i])
    for k in range(residues.shape[1]):
        total = 0.5
        for i in range(count):
            total += parts[i, k] * tables.fractions[i]
        parts[count, k] = np.uint32(total)


@kernel
def join_values(parts: Residues, tables: Conversion, target: int, result: Residues) -> None:
    """Write the residues [n] modulo one target, by its place among them."""
    prime, factors = tables.targets[target], tables.factors[target]
    scale(parts[0], factors[0, 0], factors[0, 1], prime, result)
    for i in range(1, parts.shape[0]):
        add_multiple(parts[i], factors[i, 0], factors[i, 1], prime, result)


def _with_quotient(factor: int, prime: int) -> tuple[int, int]:
    """Return a factor and its Shoup quotient."""
    return factor, (factor << 32) // prime
