"""Encryption parameters as SEAL sees them: ring degree, primes, and the automorphisms of the ring."""

import struct
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
        primes: of ciphertexts; the special prime is left out.
        special_prime: the last prime, of keys only.
        parameters_id: SEAL's hash of scheme, N and all primes.
        context: SEAL's context.
    """

    degree: int
    primes: tuple[int, ...]
    special_prime: int
    parameters_id: str
    context: Any

    @property
    def all_primes(self) -> tuple[int, ...]:
        """Primes of ciphertexts, then the special prime."""
        return (*self.primes, self.special_prime)


@lru_cache(maxsize=8)
def parameters(degree: int, modulus_bits: tuple[int, ...]) -> Parameters:
    """SEAL's parameters for a ring degree and prime sizes, the special prime last.

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
    return Parameters(degree, primes[:-1], primes[-1], identifier, context)


def conjugation_element(degree: int) -> int:
    """Return the automorphism X → X^e that conjugates slots: e = 2N - 1."""
    return 2 * degree - 1


def rotation_element(rotation: int, degree: int) -> int:
    """Return the automorphism X → X^e that rotates slots: e = 3^rotation modulo 2N."""
    return pow(3, rotation, 2 * degree)
