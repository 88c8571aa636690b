"""The order of a request's parts, and of the seeds in one of them: the only place that knows it.

A container (`trader.he.wire.container`) is a list of arrays. Those of a request are, in this order:

    public key | seeds | proof of the public key | key-switching keys | ciphertexts

Key-switching keys have the order of `HePlan.switched_secrets`. Ciphertexts
stand by batch and prime: all ciphertexts of a batch modulo the first prime, then modulo the second, and so on. Only
first components are sent; each second component is expanded from a seed. Seeds have the order of what they belong to:
the public key, then every digit of every key, then every ciphertext.
"""

from dataclasses import dataclass
from enum import IntEnum

from trader.he.ring.expansion import SEED_BYTES
from trader.he.wire.container import PartLayout
from trader.he.wire.key_proof import Form


class Part(IntEnum):
    """The parts that every request has once, by their place; keys and ciphertexts follow."""

    PUBLIC_KEY = 0
    SEEDS = 1
    PROOF = 2


PUBLIC_KEY_SEED = 0
"""Place of the public key's seed among the seeds."""


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """Where the parts of a request stand, from its numbers alone.

    Attributes:
        degree: N.
        primes: Number of primes of a ciphertext.
        digits: Number of digits of a key.
        keys: Number of key-switching keys.
        batches: Number of batches.
        ciphertexts: Ciphertexts per batch.
    """

    degree: int
    primes: int
    digits: int
    keys: int
    batches: int
    ciphertexts: int

    def key(self, index: int) -> int:
        """Return the place of a key-switching key."""
        return len(Part) + index

    def batch(self, batch: int) -> slice:
        """Return the places of a batch's ciphertexts, one per prime."""
        start = len(Part) + self.keys + batch * self.primes
        return slice(start, start + self.primes)

    def key_seed(self, index: int, digit: int) -> int:
        """Return the place, among the seeds, of the one of a key's digit."""
        return PUBLIC_KEY_SEED + 1 + index * self.digits + digit

    def ciphertext_seed(self, batch: int, index: int) -> int:
        """Return the place, among the seeds, of a ciphertext's."""
        return self.key_seed(self.keys, 0) + batch * self.ciphertexts + index

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return self.ciphertext_seed(self.batches, 0)

    def layout(self, primes: tuple[int, ...]) -> list[PartLayout]:
        """Return the shapes of all parts, in order; `primes` are those of the ring, the special ones last."""
        once = {
            Part.PUBLIC_KEY: PartLayout((len(primes), self.degree), primes),
            Part.SEEDS: PartLayout((self.seeds, SEED_BYTES // 4), ()),
            Part.PROOF: PartLayout((Form(self.degree, primes).byte_count // 4,), ()),
        }
        key = PartLayout((self.digits, len(primes), self.degree), primes)
        by_prime = [PartLayout((self.ciphertexts, self.degree), (prime,)) for prime in primes[: self.primes]]
        return [*(once[part] for part in Part), *[key] * self.keys, *by_prime * self.batches]
