"""SEAL, through TenSEAL's raw bindings: parameters, keys, encryption and decryption.

Read `keys` first; `serialization` is SEAL's file format, `process` the script that runs SEAL beside this process, and
`workers` what starts it.
"""

from trader.he.seal.encryption_parameters import (
    ERROR_DEVIATION,
    MAXIMUM_PRIME_BITS,
    Parameters,
    conjugation_element,
    digit_places,
    parameters,
    rotation_element,
)
from trader.he.seal.keys import RELINEARISATION, PublicKey, Secret, SecretKey
from trader.he.seal.primes import largest_prime
from trader.he.seal.serialization import Seeded

__all__ = [
    "ERROR_DEVIATION",
    "MAXIMUM_PRIME_BITS",
    "RELINEARISATION",
    "Parameters",
    "PublicKey",
    "Secret",
    "SecretKey",
    "Seeded",
    "conjugation_element",
    "digit_places",
    "largest_prime",
    "parameters",
    "rotation_element",
]
