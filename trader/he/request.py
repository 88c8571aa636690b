"""What is in a request, for the one who fills it and the one who reads it; `trader.he.wire` says how it looks."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.he.expansion import SEED_BYTES, Expansion
from trader.he.key_proof import Form, Statement
from trader.he.parallel import run_tasks
from trader.he.plan import HePlan
from trader.he.seal import Parameters, Seeded
from trader.he.types import Residues

_PROOF, _KEYS = 2, 3
"""Parts of the public key's proof and of the first key-switching key."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The ciphertexts of one batch.

    Attributes:
        firsts: first components [ciphertexts, N], by prime; the request's own.
        seconds: second components, expanded where they are read.
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
        """Both components [ciphertexts, t], some positions modulo one prime."""
        first = self.firsts[prime][:, columns]
        second = np.empty(first.shape, dtype=np.uint32)
        self.seconds.write(prime, columns.start, second)
        return first, second

    def expand(self) -> Residues:
        """Whole ciphertexts, [ciphertexts, 2, primes, N]."""
        by_prime = [self.components(prime, slice(0, self.degree)) for prime in range(len(self.firsts))]
        return np.stack([np.stack(components, axis=1) for components in by_prime], axis=2)


@dataclass(frozen=True, slots=True)
class RequestParts:
    """The parts of a request by what they mean.

    Attributes:
        plan: the plan for so many samples.
        samples: number of samples.
        parameters: of the ring.
        parts: in the order of `HePlan.request_layout`.
    """

    plan: HePlan
    samples: int
    parameters: Parameters
    parts: Sequence[Residues]

    def write_public_key(self, key: Seeded) -> None:
        """Put the public key in its place."""
        self.parts[0][:] = key.residues
        self._write_seed(0, key)

    def read_public_key(self) -> Residues:
        """[2, primes + 1, N].

        The second component is that of a seed: one that the buyer chose, 0 for instance, would hide nothing.
        """
        return Seeded(self.parts[0], self._seed(0)).expand(self.parameters.all_primes)

    def statement(self, nonce: bytes, context: bytes) -> Statement:
        """What the proof of the public key says, of the key that is in its place.

        Args:
            nonce: the request's.
            context: what the caller binds requests to.
        """
        first, second = self.read_public_key()
        own = bytes.fromhex(self.plan.digest[2:]) + self.samples.to_bytes(8, "big") + nonce
        form = Form(self.parameters.degree, self.parameters.all_primes)
        return Statement(form, first, second, self._seed(0), own + context)

    def write_proof(self, proof: bytes) -> None:
        """Put the public key's proof in its place."""
        self.parts[_PROOF][:] = np.frombuffer(proof, dtype="<u4")

    def read_proof(self) -> bytes:
        """The public key's proof; `statement(...).verify` says whether it is one."""
        return self.parts[_PROOF].tobytes()

    @property
    def keys(self) -> int:
        """Number of key-switching keys: for relinearisation, if the plan refreshes, then by Galois element."""
        return self.plan.switching_keys(self.samples)

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts per batch."""
        return self.plan.request_ciphertexts(self.samples)

    def write_key(self, index: int, key: Sequence[Seeded]) -> None:
        """Put a key-switching key in its place."""
        for digit, seeded in enumerate(key):
            self.parts[_KEYS + index][digit] = seeded.residues
            self._write_seed(1 + index * self.plan.primes + digit, seeded)

    def read_relinearisation_key(self) -> Residues:
        """One [2, primes + 1, N] per prime."""
        (key,) = self._read_keys(range(1))
        return key

    def read_galois_keys(self) -> dict[int, Residues]:
        """By Galois element one [2, primes + 1, N] per prime."""
        keys = self._read_keys(range(int(self.plan.refreshes), self.keys))
        return dict(zip(self.plan.galois_elements(self.samples), keys, strict=True))

    def _read_keys(self, indices: range) -> list[Residues]:
        primes, degree = self.parameters.all_primes, self.parameters.degree
        keys = {index: np.empty((self.plan.primes, 2, len(primes), degree), dtype=np.uint32) for index in indices}

        def expand(place: tuple[int, int]) -> None:
            index, digit = place
            seeded = Seeded(self.parts[_KEYS + index][digit], self._seed(1 + index * self.plan.primes + digit))
            keys[index][digit] = seeded.expand(primes)

        run_tasks(expand, itertools.product(indices, range(self.plan.primes)))
        return list(keys.values())

    def write_ciphertext(self, batch: int, index: int, ciphertext: Seeded) -> None:
        """Put a ciphertext in its place."""
        for part, residues in zip(self._batch(batch), ciphertext.residues, strict=True):
            part[index] = residues
        self._write_seed(self._seed_index(batch, index), ciphertext)

    def read_ciphertexts(self, batch: int) -> Inputs:
        """The ciphertexts of a batch."""
        seeds = [self._seed(self._seed_index(batch, index)) for index in range(self.ciphertexts)]
        return Inputs(self._batch(batch), Expansion.of(seeds, self.parameters.primes, self.parameters.degree))

    def _batch(self, batch: int) -> Sequence[Residues]:
        start = _KEYS + self.keys + batch * self.plan.primes
        return self.parts[start : start + self.plan.primes]

    def _seed_index(self, batch: int, index: int) -> int:
        return 1 + self.keys * self.plan.primes + batch * self.ciphertexts + index

    def _seed(self, index: int) -> bytes:
        return bytes(self.parts[1][index])

    def _write_seed(self, index: int, seeded: Seeded) -> None:
        self.parts[1][index] = np.frombuffer(seeded.seed, dtype="<u4", count=SEED_BYTES // 4)
