"""What is in a request, for the one who fills it and the one who reads it; `trader.he.wire` says how it looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.he.expansion import SEED_BYTES, expand_seed
from trader.he.parallel import run_tasks
from trader.he.plan import HePlan
from trader.he.seal import Parameters, Seeded
from trader.he.types import Residues


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

    @property
    def public_key(self) -> Residues:
        """[2, primes + 1, N]."""
        return self.parts[0]

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
            self.parts[2 + index][digit] = seeded.residues
            self._write_seed(index * self.plan.primes + digit, seeded)

    def read_key(self, index: int) -> list[Residues]:
        """A key-switching key, one [2, primes + 1, N] per prime."""
        primes = self.parameters.all_primes
        first = index * self.plan.primes
        return [
            Seeded(residues, self._seed(first + digit)).expand(primes)
            for digit, residues in enumerate(self.parts[2 + index])
        ]

    def read_galois_keys(self) -> dict[int, list[Residues]]:
        """Keys by Galois element."""
        elements = self.plan.galois_elements(self.samples)
        return {element: self.read_key(self.plan.refreshes + index) for index, element in enumerate(elements)}

    def write_ciphertext(self, batch: int, index: int, ciphertext: Seeded) -> None:
        """Put a ciphertext in its place."""
        for part, residues in zip(self._batch(batch), ciphertext.residues, strict=True):
            part[index] = residues
        self._write_seed(self._seed_index(batch, index), ciphertext)

    def read_ciphertexts(self, batch: int) -> list[tuple[Residues, Residues]]:
        """The ciphertexts of a batch by prime, both components [ciphertexts, N]; the first are the request's own."""
        first, primes = self._batch(batch), self.parameters.primes
        second = np.empty((self.ciphertexts, len(primes), self.parameters.degree), dtype=np.uint32)
        seeds = [self._seed(self._seed_index(batch, index)) for index in range(self.ciphertexts)]
        run_tasks(lambda index: expand_seed(seeds[index], primes, second[index]), range(self.ciphertexts))
        return [(part, second[:, index]) for index, part in enumerate(first)]

    def _batch(self, batch: int) -> Sequence[Residues]:
        start = 2 + self.keys + batch * self.plan.primes
        return self.parts[start : start + self.plan.primes]

    def _seed_index(self, batch: int, index: int) -> int:
        return self.keys * self.plan.primes + batch * self.ciphertexts + index

    def _seed(self, index: int) -> bytes:
        return bytes(self.parts[1][index])

    def _write_seed(self, index: int, seeded: Seeded) -> None:
        self.parts[1][index] = np.frombuffer(seeded.seed, dtype="<u4", count=SEED_BYTES // 4)
