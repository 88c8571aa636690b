"""Encryption parameters as SEAL sees them: ring degree, primes, and the automorphisms of the ring."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from trader.he.errors import PlanError
from trader.he.seal.process import make_context

MAXIMUM_PRIME_BITS = 31
"""The kernels keep residues in 32-bit words."""
ERROR_DEVIATION = 10.5**0.5
"""Standard deviation of an error coefficient: SEAL's centred binomial distribution of 2·21 coins."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Encryption parameters as SEAL sees them.

    Attributes:
        degree: N.
        primes: of ciphertexts; the special primes are left out.
        special_primes: the last primes, of keys only.
        parameters_id: SEAL's hash of scheme, N and all primes.
        context: SEAL's context.
    """

    degree: int
    primes: tuple[int, ...]
    special_primes: tuple[int, ...]
    parameters_id: str
    context: Any

    @property
    def all_primes(self) -> tuple[int, ...]:
        """Primes of ciphertexts, then the special primes."""
        return (*self.primes, *self.special_primes)

    @property
    def special_prime(self) -> int:
        """The product of the special primes, by which key switching divides."""
        return math.prod(self.special_primes)

    @property
    def digits(self) -> tuple[range, ...]:
        """The primes of each digit of a ciphertext under key switching, by place (`digit_places`)."""
        sizes, specials = ([prime.bit_length() for prime in some] for some in (self.primes, self.special_primes))
        return digit_places(sizes, specials)


def digit_places(bits: Sequence[int], special_bits: Sequence[int]) -> tuple[range, ...]:
    """Return which primes, of these sizes, each digit of a key switching takes together, by place.

    A key has a part for each digit, and the noise of a digit is divided by the special primes: so digits are as large
    as all of these together. One special prime takes a digit for each prime.
    """
    if len(special_bits) == 1:
        return tuple(range(place, place + 1) for place in range(len(bits)))
    most, first, digits = sum(special_bits), 0, []
    for place in range(1, len(bits) + 1):
        if place == len(bits) or sum(bits[first : place + 1]) > most:
            digits.append(range(first, place))
            first = place
    return tuple(digits)


@lru_cache(maxsize=8)
def parameters(degree: int, modulus_bits: tuple[int, ...], special_primes: int = 1) -> Parameters:
    """SEAL's parameters for a ring degree and prime sizes, the special primes last.

    SEAL itself knows of one special prime. To it, the others are of ciphertexts: of what it makes their residues are
    left out, which an encryption remains one without.

    SEAL's own security table isn't asked: `SecurityPolicy.check` is stricter and comes first.

    Raises:
        PlanError: there are no such parameters.
    """
    try:
        context = make_context(degree, modulus_bits)
    except (ValueError, RuntimeError) as error:
        raise PlanError(f"no primes of {modulus_bits} bits for ring degree {degree}: {error}") from error
    if not context.parameters_set():
        raise PlanError(
            f"SEAL refuses ring degree {degree} with {modulus_bits} bits: {context.parameters_error_message()}"
        )
    moduli = context.key_context_data().parms().coeff_modulus()
    primes = tuple(modulus.value() for modulus in moduli)
    identifier = "0x" + struct.pack("<4Q", *context.key_parms_id()).hex()
    return Parameters(degree, primes[:-special_primes], primes[-special_primes:], identifier, context)


def conjugation_element(degree: int) -> int:
    """Return the automorphism X → X^e that conjugates slots: e = 2N - 1."""
    return 2 * degree - 1


def rotation_element(rotation: int, degree: int) -> int:
    """Return the automorphism X → X^e that rotates slots: e = 3^rotation modulo 2N."""
    return pow(3, rotation, 2 * degree)
