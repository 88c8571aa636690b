"""Encrypted evaluation with one feature per ciphertext, of one or two samples per slot: exact products on residues.

Every operation but a refresh is pointwise in NTT form, one prime at a time, so a level of the program is evaluated tile
by tile: a tile holds some positions modulo one prime of all ciphertexts of a batch. Between levels what the next one
multiplies is refreshed (`trader.he.evaluation.switching`). Memory beyond the request is one tile per core, what crosses
levels, and the response.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from trader.he.evaluation.splitting import Splitter, imaginary_unit, join, split_offsets, with_images
from trader.he.evaluation.switching import Automorphisms, Folder, Refresher
from trader.he.evaluation.tiles import Splitting, TileEvaluator
from trader.he.evaluation.tiling import KnownValues, run_tiles
from trader.he.parallel import run_tasks
from trader.he.planning.plan import HePlan
from trader.he.program.steps import Program, Stage
from trader.he.request import Inputs, RequestParts
from trader.he.ring.arithmetic import Arithmetic
from trader.he.seal import RELINEARISATION
from trader.he.types import Advance, Residues
from trader.model.canonical import CanonicalModel


@dataclass(frozen=True, slots=True)
class BatchedEvaluator:
    """A program, prepared for all batches of a request."""

    plan: HePlan
    program: Program
    primes: tuple[int, ...]
    stages: tuple["_Stage", ...]
    refresher: Refresher | None
    splitter: Splitter | None
    folder: Folder | None

    @classmethod
    def prepare(
        cls,
        model: CanonicalModel,
        program: Program,
        scales: Mapping[str, Fraction],
        parts: RequestParts,
        arithmetic: Arithmetic,
    ) -> "BatchedEvaluator":
        """Split weights for every prime; read the keys."""
        plan, parameters = parts.plan, parts.parameters
        keys = parts.read_keys()
        offsets = split_offsets(model, program, scales)
        stages = tuple(
            _Stage.prepare(plan, model, program, level, scales, parameters.primes, arithmetic, offsets)
            for level in range(program.depth + 1)
        )
        refresher = Refresher(parameters, keys[RELINEARISATION]) if plan.refreshes else None
        splitter = folder = None
        if program.conjugate:
            folder = Folder(parameters, list(keys.values()))
        elif program.splits:
            splitter = Splitter(parameters.primes, program.splits, offsets, Automorphisms(parameters, keys))
        return cls(plan, program, parameters.primes, stages, refresher, splitter, folder)

    @property
    def steps(self) -> int:
        """Number of steps per batch, at most: levels, and ciphertexts that are refreshed, split or folded."""
        first, *others = (1 + stage.refreshed for stage in self.stages)
        if self.folder is not None:
            return first + sum(others) + self.stages[-1].stage.halves * len(self._response_places)
        if self.splitter is None:
            return first + sum(others)
        return first + self.splitter.steps + 2 * sum(others)

    @property
    def _response_places(self) -> list[slice]:
        """The outputs in each ciphertext of a response to one sample per slot."""
        step = 1 + self.plan.joined
        return [slice(start, start + step) for start in range(0, self.plan.outputs, step)]

    def run(self, inputs: Inputs, parts: int, advance: Advance, draw_ahead: Callable[[], None]) -> Residues:
        """Ciphertexts to those of the response to the batch, [ciphertexts, components, primes, N]."""
        values = KnownValues(inputs)
        if self.folder is not None:
            outputs = self._run_stages(values, self.stages, advance)
            draw_ahead()
            return self._fold(outputs, self.folder, parts, advance)
        draw_ahead()
        if self.splitter is None:
            return self._finish(values, self.stages, advance)
        first, *others = self.stages
        first.run(values)
        advance()
        halves = self.splitter.split(values.kept, advance)[:parts]
        return np.concatenate([self._finish(KnownValues(inputs, half), others, advance) for half in halves])

    def _fold(self, outputs: Residues, folder: Folder, parts: int, advance: Advance) -> Residues:
        """Join outputs in conjugate form, [outputs, …] of each sample, and switch them back to s."""
        halves = np.split(outputs, self.stages[-1].stage.halves)[:parts]
        groups = [half[place] for half in halves for place in self._response_places]
        shape = (len(groups), self.plan.components, *outputs.shape[2:])
        folded = np.empty(shape, dtype=np.uint32)

        def fold(index: int) -> None:
            folded[index] = folder.fold(self._joined(with_images(groups[index]))[0])
            advance()

        run_tasks(fold, range(len(groups)))
        return folded

    def _joined(self, outputs: Residues) -> Residues:
        return join(outputs, self.primes[: outputs.shape[2]]) if self.plan.joined else outputs

    def _finish(self, values: KnownValues, stages: Sequence["_Stage"], advance: Advance) -> Residues:
        return self._joined(self._run_stages(values, stages, advance))

    def _run_stages(self, values: KnownValues, stages: Sequence["_Stage"], advance: Advance) -> Residues:
        """Return the outputs, as far as their residues are in a response."""
        for stage in stages:
            stage.run(values)
            advance()
            stage.refresh(values, self.refresher, advance)
        return values.kept[self.program.graph.output][:, :, : self.plan.response_primes]


@dataclass(frozen=True, slots=True)
class _Stage:
    """One level of the program, prepared for all its primes.

    Attributes:
        plan: the plan.
        program: the whole of it.
        stage: what is computed.
        evaluators: one per prime.
        expires: values that no later stage reads.
    """

    plan: HePlan
    program: Program
    stage: Stage
    evaluators: tuple[TileEvaluator, ...]
    expires: frozenset[str]

    @classmethod
    def prepare(
        cls,
        plan: HePlan,
        model: CanonicalModel,
        program: Program,
        level: int,
        scales: Mapping[str, Fraction],
        primes: tuple[int, ...],
        arithmetic: Arithmetic,
        offsets: Mapping[str, Sequence[int]],
    ) -> "_Stage":
        """Split weights for every prime of the level."""
        stage = program.stage(level)
        later = {name for after in range(level + 1, program.depth + 1) for name in program.stage(after).reads}
        primes = primes[: plan.level_primes(level)]
        units = imaginary_unit(primes, plan.ring_degree)[:, 0].tolist()
        splittings = [Splitting(unit, offsets) for unit in units]
        evaluators = TileEvaluator.prepare(model, stage, scales, primes, arithmetic=arithmetic, splittings=splittings)
        made = {step.name for step in stage.steps}
        expires = frozenset((made | set(stage.reads)) - later - {program.graph.output})
        return cls(plan, program, stage, evaluators, expires)

    @property
    def refreshed(self) -> int:
        """Number of ciphertexts that are refreshed in a batch."""
        return sum(math.prod(step.shape) for step in self.program.refreshes(self.stage.level))

    def run(self, values: KnownValues) -> None:
        """Compute the targets."""
        sizes = {
            step.name: math.prod(step.shape) * (self.stage.halves if step.name in self.stage.conjugate else 1)
            for step in self.stage.steps
        }
        shapes = {name: (sizes[name], self.program.components[name]) for name in self.stage.targets}
        run_tiles(self.stage, self.evaluators, shapes, values)

    def refresh(self, values: KnownValues, refresher: Refresher | None, advance: Advance) -> None:
        """Relinearise and rescale what the next level multiplies; let go of what nobody reads any more."""
        if refresher is not None:
            dropped = (*self.plan.dropped_primes, 0)[self.stage.level]
            for step in self.program.refreshes(self.stage.level):
                source = values.kept[step.inputs[0]]
                shape = (len(source), 2, source.shape[2] - dropped, source.shape[3])
                target = values.kept[step.name] = np.empty(shape, dtype=np.uint32)

                def refresh_one(index: int, source: Residues = source, target: Residues = target) -> None:
                    target[index] = refresher.refresh(source[index], dropped)
                    advance()

                run_tasks(refresh_one, range(len(source)))
        for name in self.expires:
            values.kept.pop(name, None)
