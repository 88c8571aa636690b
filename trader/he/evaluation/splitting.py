"""Two values per slot, as real and imaginary parts: how samples come apart, and outputs together.

With J = X^(N/2), whose square is -1, a ciphertext x of m + J·m' under conjugation X → 1/X becomes x̄, of m - J·m', if
the slots of m and m' are real. Their sum is 2m, and their difference over J is 2m'. What was linear before is linear in
both samples; biases, which belong to both, are added here.

x̄ = (c̄0, c̄1) belongs to the key s̄ = s(1/X). To add the two, a switched key takes x̄ to s for every value that is split
(`Splitter`): so it is done where the halves are refreshed afterwards. Where they enter one product, and then nothing
but sums and linear maps, they are left in *conjugate form* instead, which costs no key switching at all:

    m:   d0 + d1·s + d̄1·s̄, with d0 = c0 + c̄0 and d1 = c1; m' likewise, with -J·c0 and -J·c1
    m·n: d0 + d1·s + d̄1·s̄ + d2·s² + d̄2·s̄² + d3·s·s̄, with d2 = m1·n1 and d3 = m1·n̄1 + m̄1·n1, for instance

As the slots are real, components of s̄ and s̄² are images of those of s and s², and are not computed. In NTT form the
image of a polynomial is the same values in reverse: position i has the value at ζ^(2·r(i) + 1), r the bit reversal,
N - 1 - i that at its inverse. So all of it happens within a tile that holds both positions
(`trader.he.evaluation.tiling`). What is left at the end is to switch outputs, of which there are few: s², s̄, s̄² and s·s̄
to s, by four keys, divided once (`trader.he.evaluation.switching.Folder`). The buyer gets two components.

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


def with_images(ciphertexts: Residues) -> Residues:
    """Products in conjugate form, [k, 4, l, N], with all components: of 1, s, s², s̄, s̄² and s·s̄, [k, 6, l, N].

    Those of s̄ and s̄² are the mirror images of those of s and s².
    """
    return np.concatenate([ciphertexts[:, :3], ciphertexts[:, 1:3, :, ::-1], ciphertexts[:, 3:]], axis=1)


def split_offsets(model: CanonicalModel, program: Program, scales: Mapping[str, Fraction]) -> dict[str, Sequence[int]]:
    """Return what biases add to each split value, by element, at its scale: it is what zero inputs give."""
    if not program.splits:
        return {}
    values = evaluate_values(model, np.zeros((1, model.graph.features), dtype=np.int64))
    return {
        step.name: [round(Fraction(value) * scales[step.name]) for value in values[step.inputs[0]][0].tolist()]
        for step in program.splits
    }


@dataclass(frozen=True, slots=True)
class Splitter:
    """Takes apart what a paired program splits.

    Attributes:
        primes: of ciphertexts.
        splits: steps.
        offsets: `split_offsets`.
        automorphisms: the buyer's key for conjugation.
    """

    primes: tuple[int, ...]
    splits: Sequence[Split]
    offsets: Mapping[str, Sequence[int]] = field(repr=False)
    automorphisms: Automorphisms

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
        imaginary = imaginary_unit(self.primes, source.shape[-1])
        zero = np.zeros(source.shape[-1], dtype=np.uint32)
        for component in range(len(source)):
            for index, prime in enumerate(self.primes):
                original, conjugated = source[component, index], conjugate[component, index]
                first[component, index] = original
                kernels.add(conjugated, prime, first[component, index])
                kernels.subtract(original, prime, conjugated)
                kernels.multiply_accumulate(conjugated, imaginary[index], zero, prime, second[component, index])
        for half in (first, second):
            for index, prime in enumerate(self.primes):
                kernels.add(np.full_like(zero, offset % prime), prime, half[0, index])
