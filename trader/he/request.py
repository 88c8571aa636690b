"""What is in a request, for the buyer who fills it and the seller who reads it.

`trader.he.planning.request_order` says in which order, and `trader.he.wire.container` how it is written down.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.he.parallel import run_tasks
from trader.he.planning.plan import HePlan
from trader.he.planning.request_order import PUBLIC_KEY_SEED, Part, RequestOrder
from trader.he.ring.expansion import SEED_BYTES, Expansion
from trader.he.seal import Parameters, Secret, Seeded
from trader.he.types import Residues
from trader.he.wire.key_proof import Form, Statement


@dataclass(frozen=True, slots=True)
class Inputs:
    """The ciphertexts of one batch.

    Attributes:
        firsts: First components [ciphertexts, N], by prime; the request's own.
        seconds: Second components, expanded where they are read.
    """

    firsts: Sequence[Residues]
    seconds: Expansion

    @property
    def count(self) -> int:
        """Number of ciphertexts."""
        return len(self.firsts[0])

    @property
    def degree(self) -> int:
        """N."""
        return self.seconds.degree

    def components(self, prime: int, columns: slice) -> tuple[Residues, Residues]:
        """Return both components [ciphertexts, t] at t positions, modulo one prime."""
        first = self.firsts[prime][:, columns]
        second = np.empty(first.shape, dtype=np.uint32)
        self.seconds.write(prime, columns.start, second)
        return first, second

    def expand(self) -> Residues:
        """Return whole ciphertexts, [ciphertexts, 2, primes, N]."""
        by_prime = [self.components(prime, slice(0, self.degree)) for prime in range(len(self.firsts))]
        return np.stack([np.stack(components, axis=1) for components in by_prime], axis=2)


@dataclass(frozen=True, slots=True)
class RequestParts:
    """The parts of a request by what they mean.

    Attributes:
        plan: The plan for this number of samples.
        samples: Number of samples.
        parameters: Of the ring.
        parts: In the order of `RequestOrder`.
    """

    plan: HePlan
    samples: int
    parameters: Parameters
    parts: Sequence[Residues]

    @property
    def order(self) -> RequestOrder:
        """Where each part stands."""
        return self.plan.request_order(self.samples)

    def write_public_key(self, key: Seeded) -> None:
        """Put the public key in its place."""
        self.parts[Part.PUBLIC_KEY][:] = key.residues
        self._write_seed(PUBLIC_KEY_SEED, key)

    def read_public_key(self) -> Residues:
        """Return the public key, [2, primes + 1, N].

        The second component is that of a seed: one that the buyer chose, 0 for instance, would hide nothing.
        """
        return Seeded(self.parts[Part.PUBLIC_KEY], self._seed(PUBLIC_KEY_SEED)).expand(self.parameters.all_primes)

    def statement(self, nonce: bytes, context: bytes) -> Statement:
        """Return what the proof of the public key says, of the key that is in its place.

        Args:
            nonce: The request's.
            context: What the caller binds requests to.
        """
        first, second = self.read_public_key()
        own = bytes.fromhex(self.plan.digest[2:]) + self.samples.to_bytes(8, "big") + nonce
        form = Form(self.parameters.degree, self.parameters.all_primes)
        return Statement(form, first, second, self._seed(PUBLIC_KEY_SEED), own + context)

    def write_proof(self, proof: bytes) -> None:
        """Put the public key's proof in its place."""
        self.parts[Part.PROOF][:] = np.frombuffer(proof, dtype="<u4")

    def read_proof(self) -> bytes:
        """Return the public key's proof; `statement(...).verify` says whether it is one."""
        return self.parts[Part.PROOF].tobytes()

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts per batch."""
        return self.order.ciphertexts

    def write_key(self, index: int, key: Sequence[Seeded]) -> None:
        """Put a key-switching key in its place."""
        order = self.order
        for digit, seeded in enumerate(key):
            self.parts[order.key(index)][digit] = seeded.residues
            self._write_seed(order.key_seed(index, digit), seeded)

    def read_keys(self) -> dict[Secret, Residues]:
        """Return the key-switching keys by what they switch from: one [2, all primes, N] per digit each."""
        primes, degree, order = self.parameters.all_primes, self.parameters.degree, self.order
        keys = {index: np.empty((order.digits, 2, len(primes), degree), dtype=np.uint32) for index in range(order.keys)}

        def expand(place: tuple[int, int]) -> None:
            index, digit = place
            seeded = Seeded(self.parts[order.key(index)][digit], self._seed(order.key_seed(index, digit)))
            seeded.expand_into(keys[index][digit], primes)

        run_tasks(expand, itertools.product(keys, range(order.digits)))
        return dict(zip(self.plan.switched_secrets(self.samples), keys.values(), strict=True))

    def write_ciphertext(self, batch: int, index: int, ciphertext: Seeded) -> None:
        """Put a ciphertext in its place."""
        order = self.order
        for part, residues in zip(self.parts[order.batch(batch)], ciphertext.residues, strict=True):
            part[index] = residues
        self._write_seed(order.ciphertext_seed(batch, index), ciphertext)

    def read_ciphertexts(self, batch: int) -> Inputs:
        """Return the ciphertexts of a batch."""
        order = self.order
        seeds = [self._seed(order.ciphertext_seed(batch, index)) for index in range(order.ciphertexts)]
        seconds = Expansion.of(seeds, self.parameters.primes, self.parameters.degree)
        return Inputs(self.parts[order.batch(batch)], seconds)

    def _seed(self, index: int) -> bytes:
        return bytes(self.parts[Part.SEEDS][index])

    def _write_seed(self, index: int, seeded: Seeded) -> None:
        self.parts[Part.SEEDS][index] = np.frombuffer(seeded.seed, dtype="<u4", count=SEED_BYTES // 4)
