"""Two values per slot, as real and imaginary parts: how samples come apart, and outputs together.

With J = X^(N/2), whose square is -1, a ciphertext of m + J·m' under conjugation X → 1/X becomes one of m - J·m', if the
slots of m and m' are real. Their sum is 2m, and J times their difference 2m'. What was linear before is linear in both
samples; biases, which belong to both, are added here.

Outputs are joined two by two, m + J·m', before they are protected: that halves the response, and what it costs to
protect it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np

from trader.he.evaluation.switching import Automorphisms
from trader.he.parallel import run_tasks
from trader.he.program.steps import Program, Split
from trader.he.request import RequestParts
from trader.he.ring import kernels
from trader.he.ring.transform import transform
from trader.he.types import Advance, Residues
from trader.model.bounds import evaluate_values
from trader.model.canonical import CanonicalModel


@lru_cache(maxsize=8)
def imaginary_unit(primes: tuple[int, ...], degree: int) -> Residues:
    """J in NTT form, [primes, N]."""
    unit: Residues = transform(np.eye(1, degree, degree // 2, dtype=np.int64)[np.newaxis], (0,), primes)[0]
    return unit


def join(ciphertexts: Residues, primes: tuple[int, ...]) -> Residues:
    """Ciphertexts [k, components, primes, N] two by two, m + J·m': [⌈k/2⌉, components, primes, N]."""
    joined = ciphertexts[::2].copy()
    unit = imaginary_unit(primes, ciphertexts.shape[-1])
    for real, imaginary in zip(joined, ciphertexts[1::2], strict=False):
        for component in range(len(real)):
            for index, prime in enumerate(primes):
                total = real[component, index]
                kernels.multiply_accumulate(imaginary[component, index], unit[index], total, prime, total)
    return joined


@dataclass(frozen=True, slots=True)
class Splitter:
    """Takes apart what a paired program splits.

    Attributes:
        primes: of ciphertexts.
        splits: steps.
        offsets: of each split value, by element: what biases add to it, at its scale.
        imaginary: J in NTT form, [primes, N].
        automorphisms: the buyer's key for conjugation.
    """

    primes: tuple[int, ...]
    splits: Sequence[Split]
    offsets: Mapping[str, Sequence[int]] = field(repr=False)
    imaginary: Residues = field(repr=False)
    automorphisms: Automorphisms

    @classmethod
    def prepare(
        cls, model: CanonicalModel, program: Program, scales: Mapping[str, Fraction], parts: RequestParts
    ) -> "Splitter":
        """Read the key; see what the biases amount to, which is what zero inputs give."""
        primes, degree = parts.parameters.primes, parts.parameters.degree
        values = evaluate_values(model, np.zeros((1, model.graph.features), dtype=np.int64))
        offsets = {
            step.name: [round(Fraction(value) * scales[step.name]) for value in values[step.inputs[0]][0].tolist()]
            for step in program.splits
        }
        imaginary = imaginary_unit(primes, degree)
        automorphisms = Automorphisms(parts.parameters, parts.read_galois_keys())
        return cls(primes, program.splits, offsets, imaginary, automorphisms)

    @property
    def steps(self) -> int:
        """Ciphertexts that are split in a batch."""
        return sum(map(len, self.offsets.values()))

    def split(self, kept: Mapping[str, Residues], advance: Advance) -> tuple[dict[str, Residues], dict[str, Residues]]:
        """Split values of the first and of the second samples; `kept` has ciphertexts [size, 2, primes, N]."""
        first: dict[str, Residues] = {}
        second: dict[str, Residues] = {}
        for step in self.splits:
            source = kept[step.inputs[0]]
            first[step.name], second[step.name] = np.empty_like(source), np.empty_like(source)

            def split_one(
                index: int,
                source: Residues = source,
                halves: tuple[Residues, Residues] = (first[step.name], second[step.name]),
                offsets: Sequence[int] = self.offsets[step.name],
            ) -> None:
                self._split_ciphertext(source[index], halves[0][index], halves[1][index], offsets[index])
                advance()

            run_tasks(split_one, range(len(source)))
        return first, second

    def _split_ciphertext(self, source: Residues, first: Residues, second: Residues, offset: int) -> None:
        conjugate = self.automorphisms.conjugate(source)
        zero = np.zeros(source.shape[-1], dtype=np.uint32)
        for component in range(len(source)):
            for index, prime in enumerate(self.primes):
                original, conjugated = source[component, index], conjugate[component, index]
                first[component, index] = original
                kernels.add(conjugated, prime, first[component, index])
                kernels.subtract(original, prime, conjugated)
                kernels.multiply_accumulate(conjugated, self.imaginary[index], zero, prime, second[component, index])
        for half in (first, second):
            for index, prime in enumerate(self.primes):
                kernels.add(np.full_like(zero, offset % prime), prime, half[0, index])
