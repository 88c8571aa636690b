"""Encrypted evaluation with one feature per ciphertext, of one or two samples per slot: exact products on residues.

Every operation but a refresh is pointwise in NTT form, one prime at a time, so a level of the program is evaluated tile
by tile: a tile holds some positions modulo one prime of all ciphertexts of a batch. Between levels what the next one
multiplies is refreshed (`trader.he.evaluation.switching`). Memory beyond the request is one tile per core, what crosses
levels, and the response.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from trader.he.evaluation.splitting import Splitter, join
from trader.he.evaluation.switching import Refresher
from trader.he.evaluation.tiles import TileEvaluator
from trader.he.parallel import PerThread, run_tasks
from trader.he.planning.plan import HePlan
from trader.he.program.steps import Program, Stage
from trader.he.request import Inputs, RequestParts
from trader.he.ring.arithmetic import Arithmetic
from trader.he.types import Advance, Residues
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT


@dataclass(frozen=True, slots=True)
class KnownValues:
    """The ciphertexts of one batch: the request's, and kept ones [size, components, primes, N]."""

    inputs: Inputs
    kept: dict[str, Residues] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, int]:
        """Size and components."""
        return (self.inputs.count, 2) if name == INPUT else self.kept[name].shape[:2]

    def components(self, name: str, prime: int, columns: slice) -> Sequence[Residues]:
        """Components [size, t]: some positions modulo one prime."""
        if name == INPUT:
            return self.inputs.components(prime, columns)
        return tuple(self.kept[name][:, :, prime, columns].swapaxes(0, 1))


def run_tiles(
    stage: Stage, evaluators: Sequence[TileEvaluator], shapes: Mapping[str, tuple[int, int]], values: KnownValues
) -> None:
    """Compute a stage's targets for every prime.

    Args:
        stage: what is computed.
        evaluators: one per prime.
        shapes: (size, components) of the targets.
        values: are read and added to.
    """
    arithmetic, degree = evaluators[0].arithmetic, values.inputs.degree
    block = arithmetic.block or degree
    for name in stage.targets:
        values.kept[name] = np.empty((*shapes[name], len(evaluators), degree), dtype=np.uint32)

    def scratch() -> dict[str, Any]:
        return {name: arithmetic.scratch((*values.shape(name), block)) for name in stage.reads}

    per_thread = PerThread(scratch)

    def run_tile(place: tuple[int, int]) -> None:
        """One tile: prime by index, and the first of its positions."""
        index, start = place
        columns, evaluator, memory = slice(start, start + block), evaluators[index], per_thread.get()
        inputs = {
            name: arithmetic.load(values.components(name, index, columns), evaluator.prime, memory[name])
            for name in stage.reads
        }
        for name, tile in evaluator.run(inputs).items():
            arithmetic.store(tile, evaluator.prime, values.kept[name][:, :, index, columns])

    run_tasks(run_tile, [(index, start) for index in range(len(evaluators)) for start in range(0, degree, block)])


@dataclass(frozen=True, slots=True)
class BatchedEvaluator:
    """A program, prepared for all batches of a request."""

    plan: HePlan
    program: Program
    primes: tuple[int, ...]
    stages: tuple["_Stage", ...]
    refresher: Refresher | None
    splitter: Splitter | None

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
        stages = tuple(
            _Stage.prepare(plan, model, program, level, scales, parameters.primes, arithmetic)
            for level in range(program.depth + 1)
        )
        refresher = Refresher(parameters, parts.read_relinearisation_key()) if plan.refreshes else None
        splitter = Splitter.prepare(model, program, scales, parts) if plan.paired else None
        return cls(plan, program, parameters.primes, stages, refresher, splitter)

    @property
    def steps(self) -> int:
        """Number of steps per batch, at most: levels, and ciphertexts that are refreshed or split."""
        first, *others = (1 + stage.refreshed for stage in self.stages)
        if self.splitter is None:
            return first + sum(others)
        return first + self.splitter.steps + 2 * sum(others)

    def run(self, inputs: Inputs, parts: int, advance: Advance) -> Residues:
        """Ciphertexts to those of the response to the batch, [ciphertexts, components, primes, N]."""
        values = KnownValues(inputs)
        if self.splitter is None:
            return self._finish(values, self.stages, advance)
        first, *others = self.stages
        first.run(values)
        advance()
        halves = self.splitter.split(values.kept, advance)[:parts]
        return np.concatenate([self._finish(KnownValues(inputs, half), others, advance) for half in halves])

    def _finish(self, values: KnownValues, stages: Sequence["_Stage"], advance: Advance) -> Residues:
        for stage in stages:
            stage.run(values)
            advance()
            stage.refresh(values, self.refresher, advance)
        outputs = values.kept[self.program.graph.output][:, :, : self.plan.response_primes]
        return join(outputs, self.primes[: outputs.shape[2]]) if self.plan.joined else outputs


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
    ) -> "_Stage":
        """Split weights for every prime of the level."""
        stage = program.stage(level)
        later = {name for after in range(level + 1, program.depth + 1) for name in program.stage(after).reads}
        # Biases are for both samples of a slot; they are added when these are split.
        biased = not (plan.paired and level == 0)
        evaluators = tuple(
            TileEvaluator.prepare(model, stage, scales, prime, biased=biased, arithmetic=arithmetic)
            for prime in primes[: plan.level_primes(level)]
        )
        made = {step.name for step in stage.steps}
        expires = frozenset((made | set(stage.reads)) - later - {program.graph.output})
        return cls(plan, program, stage, evaluators, expires)

    @property
    def refreshed(self) -> int:
        """Number of ciphertexts that are refreshed in a batch."""
        return sum(math.prod(step.shape) for step in self.program.refreshes(self.stage.level))

    def run(self, values: KnownValues) -> None:
        """Compute the targets."""
        sizes = {step.name: math.prod(step.shape) for step in self.stage.steps}
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
