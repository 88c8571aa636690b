"""Encrypted evaluation with several features per ciphertext: few samples, few ciphertexts, rotations.

Affine maps are sums of rotated ciphertexts times encoded diagonals (`trader.he.layouts.packing`). Rotations take the
buyer's Galois keys (`trader.he.evaluation.switching`), the products are pointwise. What is computed element by element
is computed as in `trader.he.evaluation.batched`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.he.evaluation.switching import Automorphisms, Refresher
from trader.he.evaluation.tiles import TileEvaluator
from trader.he.evaluation.tiling import KnownValues, run_tiles
from trader.he.layouts.packing import AffineMap, MapLayout, affine_maps, map_supports
from trader.he.parallel import run_tasks
from trader.he.planning.plan import HePlan
from trader.he.planning.propagation import log2
from trader.he.program.steps import Affine, Program, Refresh, Stage, Step
from trader.he.request import Inputs, RequestParts
from trader.he.ring import kernels
from trader.he.ring.encoding import coefficients, to_residues
from trader.he.seal import RELINEARISATION
from trader.he.types import Advance, Residues
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT

ENCODED_BYTES = 32 << 20
"""Encoded diagonals at a time, about."""
_Diagonals: TypeAlias = dict[int, Residues]
"""Encoded diagonals [primes, N] by baby step."""
OFFSET_BITS = 48
"""Precision at which offsets are encoded; the rest of their scale is a factor."""


@dataclass(frozen=True, slots=True)
class PackedEvaluator:
    """A packed program, prepared for one request.

    Attributes:
        plan: for so many samples.
        model: its parameters.
        program: steps that are carried out one after the other.
        scales: of every value.
        layouts: of the affine maps.
        primes: of fresh ciphertexts.
        maps: numbers of the affine maps.
        supports: which of their entries can be other than zero.
        rotator: the buyer's Galois keys.
        refresher: the buyer's relinearisation keys.
    """

    plan: HePlan
    model: CanonicalModel
    program: Program
    scales: Mapping[str, Fraction]
    layouts: Mapping[str, MapLayout]
    primes: tuple[int, ...]
    maps: Mapping[str, AffineMap] = field(repr=False)
    supports: Mapping[str, NDArray[np.float64]] = field(repr=False)
    rotator: Automorphisms
    refresher: Refresher | None

    @classmethod
    def prepare(
        cls, model: CanonicalModel, program: Program, scales: Mapping[str, Fraction], parts: RequestParts
    ) -> "PackedEvaluator":
        """Read the keys."""
        plan, parameters = parts.plan, parts.parameters
        keys = parts.read_keys()
        rotator = Automorphisms(parameters, keys)
        refresher = Refresher(parameters, keys[RELINEARISATION]) if plan.refreshes else None
        maps, supports = affine_maps(model, program), map_supports(model, program)
        layouts = dict(zip(maps, plan.map_layouts(parts.samples), strict=True))
        return cls(plan, model, program, scales, layouts, parameters.primes, maps, supports, rotator, refresher)

    @property
    def steps(self) -> int:
        """Number of steps: the program's."""
        return len(self.program.steps)

    def run(self, inputs: Inputs, _parts: int, advance: Advance, draw_ahead: Callable[[], None]) -> Residues:
        """Ciphertexts to outputs [ciphertexts, components, primes, N]."""
        draw_ahead()
        values = KnownValues(inputs)
        for step in self.program.steps:
            match step:
                case Affine():
                    values.kept[step.name] = self._affine(step, self._read(values, step.inputs[0]))
                case Refresh():
                    values.kept[step.name] = self._refresh(step, self._read(values, step.inputs[0]))
                case _:
                    self._pointwise(step, values)
            advance()
        return values.kept[self.program.graph.output][:, :, : self.plan.response_primes]

    def _read(self, values: KnownValues, name: str) -> Residues:
        """Ciphertexts [size, components, primes, N] at the level at which they were made."""
        return values.inputs.expand() if name == INPUT else values.kept[name]

    def _pointwise(self, step: Step, values: KnownValues) -> None:
        level = self.program.levels[step.name]
        stage = Stage(level, (step,), step.inputs, (step.name,))
        primes = self.primes[: self.plan.level_primes(level)]
        evaluators = TileEvaluator.prepare(self.model, stage, self.scales, primes)
        size, _ = values.shape(step.inputs[0])
        run_tiles(stage, evaluators, {step.name: (size, self.program.components[step.name])}, values)

    def _refresh(self, step: Refresh, source: Residues) -> Residues:
        if self.refresher is None:
            raise TypeError("a program that refreshes has a plan that says so")
        dropped = self.plan.dropped_primes[self.program.levels[step.inputs[0]]]
        return np.stack([self.refresher.refresh(ciphertext, dropped) for ciphertext in source])

    def _affine(self, step: Affine, source: Residues) -> Residues:
        """Baby steps of the source, products with diagonals, giant steps and folds of their sums."""
        numbers = self.maps[step.name]
        layout = self.layouts[step.name]
        primes = self.primes[: source.shape[2]]
        product = _MapProduct(layout, numbers, self.supports[step.name], self.plan, primes)
        turns = layout.packing.turns
        places = [(target, giant) for target in range(layout.targets) for giant in range(layout.giant_steps)]
        sums = np.empty((layout.targets, layout.giant_steps, *source.shape[1:]), dtype=np.uint32)
        # A rotation follows from the one before; meanwhile others encode diagonals and multiply by what is rotated.
        with ThreadPoolExecutor(1) as rotating:
            babies = []
            for ciphertext in source:
                rotations = self.rotator.rotations(ciphertext, turns(layout.baby_rotation))
                babies.append([rotating.submit(next, rotations) for _ in range(layout.baby_steps)])
            # So many at a time as memory allows: who waits for a rotation encodes nothing.
            count = max(1, ENCODED_BYTES // (layout.sources * layout.baby_steps * sums[0, 0, 0].nbytes))
            held: list[tuple[int, int]] = []
            for start in range(0, len(places), count):
                held += self._write_sums(product, babies, places[start : start + count], sums)
        giant, folds = turns(layout.giant_rotation), [turns(fold) for fold in layout.folds]
        # Giant steps behind the last that has a diagonal are rotations of nothing.
        counts = [max((step for place, step in held if place == target), default=0) + 1 for target in range(len(sums))]
        made = np.empty((layout.targets, *source.shape[1:]), dtype=np.uint32)

        def add_up(target: int) -> None:
            made[target] = self.rotator.rotated_sum(sums[target, : counts[target]], giant, folds)

        run_tasks(add_up, range(layout.targets))
        for target, ciphertext in enumerate(made):
            product.add_offset(ciphertext[0], target, self.scales[step.name])
        return made

    @staticmethod
    def _write_sums(
        product: "_MapProduct",
        babies: Sequence[Sequence[Future[Residues]]],
        places: Sequence[tuple[int, int]],
        sums: Residues,
    ) -> list[tuple[int, int]]:
        """Write the sums of some (target, giant step) to `sums` [targets, giant steps, 2, primes, N].

        Returns:
            Those that the architecture has diagonals for.
        """
        diagonals: dict[tuple[int, int], Sequence[_Diagonals]] = {}

        def encode(place: tuple[int, int]) -> None:
            diagonals[place] = product.encode(*place)

        run_tasks(encode, places)
        run_tasks(lambda place: product.write_sum(babies, diagonals[place], sums[place]), places)
        return [place for place in places if any(diagonals[place])]


@dataclass(frozen=True, slots=True)
class _MapProduct:
    """Products of ciphertexts with the diagonals of one affine map."""

    layout: MapLayout
    numbers: AffineMap
    support: NDArray[np.float64]
    plan: HePlan
    primes: tuple[int, ...]

    def encode(self, target: int, giant: int) -> list[_Diagonals]:
        """Return the diagonals of one giant step, for each source; convolutions leave most of them empty."""
        scale_bits = self.plan.weight_scale_bits + self.layout.folded_bits * self.layout.unfolded
        entries = self.layout.giant_step(self.numbers.matrix, target, giant)
        held = np.count_nonzero(self.layout.giant_step(self.support, target, giant), axis=2)
        found = []
        for source, counts in enumerate(held):
            babies = np.flatnonzero(counts)
            encoded = self._encode(entries[source, babies], scale_bits) if babies.size else ()
            found.append(dict(zip(babies.tolist(), encoded, strict=True)))
        return found

    def write_sum(
        self, babies: Sequence[Sequence[Future[Residues]]], diagonals: Sequence[_Diagonals], result: Residues
    ) -> None:
        """Write to `result` [2, primes, N] the products of one giant step, over all sources and baby steps."""
        total = np.zeros(result.shape, dtype=np.uint64)
        primes = np.array(self.primes, dtype=np.int64)
        for rotated, encoded in zip(babies, diagonals, strict=True):
            for baby, diagonal in encoded.items():
                kernels.add_products(rotated[baby].result(), diagonal, primes, total)
        for component in range(len(total)):
            for index, prime in enumerate(self.primes):
                kernels.reduce_words(total[component, index], prime, result[component, index])

    def add_offset(self, first: Residues, target: int, scale: Fraction) -> None:
        """Add the offset to a first component [primes, N]."""
        bits = min(OFFSET_BITS, int(log2(scale)))
        (offset,) = self._encode(self.numbers.offset[np.newaxis, self.layout.rows(target)], bits)
        factor = round(scale / (1 << bits))
        for index, prime in enumerate(self.primes):
            factors = np.full(offset.shape[1], factor % prime, dtype=np.uint32)
            kernels.multiply_accumulate(offset[index], factors, first[index], prime, first[index])

    def _encode(self, blocks: NDArray[np.float64], scale_bits: int) -> Residues:
        """Values by block [k, B] as encoded polynomials, NTT form [k, primes, N]."""
        polynomials = coefficients(self.layout.slots(blocks), self.plan.ring_degree)
        polynomials *= 2.0**scale_bits
        return to_residues(polynomials, self.primes)
