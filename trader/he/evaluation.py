"""The seller's side of an encrypted test: from a request to a response, without seeing a sample.

Every operation but a refresh is pointwise in NTT form, one prime at a time, so a level of the program is evaluated tile
by tile: a tile holds `BLOCK` positions modulo one prime of all ciphertexts of a batch. Between levels SEAL refreshes
what the next one multiplies. Memory beyond the request is one tile per core, what crosses levels, and the response.
Then each output is protected (`trader.he.privacy`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from trader.he import kernels
from trader.he.errors import PlanError
from trader.he.parallel import PerThread, run_tasks
from trader.he.plan import HePlan
from trader.he.planner import dropped_products
from trader.he.privacy import Protection
from trader.he.program import Program, Stage, build_program
from trader.he.propagation import value_scales
from trader.he.seal import PublicKey, Refresher
from trader.he.session import plan_parameters
from trader.he.tiles import BLOCK, TileEvaluator
from trader.he.types import Buffer, Progress, Residues
from trader.he.wire import ContainerWriter, read_container
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT


def evaluate(
    plan: HePlan, model: CanonicalModel, request: Buffer, samples: int, progress: Progress | None = None
) -> bytearray:
    """Evaluate the model on an encrypted test set.

    The response holds n = `samples` outputs and nothing else of the model: unused slots are blanked, every ciphertext
    is re-randomised with fresh encryptions of zero under the buyer's public key and flooded with noise of
    `plan.flooding_bits`.

    Args:
        plan: the listing's plan.
        model: the canonical model that the plan was made for.
        request: container from the buyer; checked before it is parsed.
        samples: number of samples that the buyer paid for.
        progress: called as work is done.

    Returns:
        A container; `digest` of it is the `responseDigest`.

    Raises:
        WireError: the request is malformed, made for another plan, or holds another number of samples.
        PlanError: the plan doesn't fit the model.
    """
    program, parameters = build_program(model.graph, plan.polynomials, staged=plan.refreshes), plan_parameters(plan)
    scales = value_scales(
        program, plan.input_scale_bits, plan.scale_bits, dropped_products(parameters.primes, plan.dropped_primes)
    )
    _check_fit(plan, model, program, scales)
    layout = plan.request_layout(samples, parameters.all_primes)
    container = read_container(request, "request", plan.digest, samples, layout)
    protection = Protection(plan, parameters, PublicKey(parameters, container.parts[0]))
    refresher = Refresher(parameters, container.parts[1 : plan.key_parts]) if plan.refreshes else None
    stages = [
        _Stage.prepare(plan, model, program, level, scales, parameters.primes) for level in range(program.depth + 1)
    ]
    writer = ContainerWriter("response", plan.digest, samples, plan.response_layout(samples, parameters.primes))
    meter = _Meter(progress, plan.batches(samples) * sum(stage.tiles + stage.refreshed for stage in stages))

    for batch in range(plan.batches(samples)):
        start = plan.key_parts + batch * plan.primes
        values = _Values(container.parts[start : start + plan.primes])
        for stage in stages:
            stage.run(values, meter)
            stage.refresh(values, refresher, meter)
        _write_outputs(values.kept[program.graph.output], writer.parts[batch], protection, samples, batch)
    return writer.finish(container.digest)


class _Meter:
    """Counts steps for the caller."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, _done: int = 0, _total: int = 0) -> None:
        """One step more."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True, slots=True)
class _Values:
    """The ciphertexts of one batch: the request's, by prime [F, 2, N], and kept ones [size, components, primes, N]."""

    inputs: Sequence[Residues]
    kept: dict[str, Residues] = field(default_factory=dict)

    def at(self, name: str, prime: int) -> Residues:
        """Residues [size, components, N] modulo one prime."""
        return self.inputs[prime] if name == INPUT else self.kept[name][:, :, prime]


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
    ) -> "_Stage":
        """Split weights for every prime of the level."""
        stage = program.stage(level)
        later = {name for after in range(level + 1, program.depth + 1) for name in program.stage(after).reads}
        evaluators = tuple(
            TileEvaluator.prepare(model, stage, scales, prime) for prime in primes[: plan.level_primes(level)]
        )
        made = {step.name for step in stage.steps}
        expires = frozenset((made | set(stage.reads)) - later - {program.graph.output})
        return cls(plan, program, stage, evaluators, expires)

    @property
    def tiles(self) -> int:
        """Number of tiles in a batch."""
        return len(self.evaluators) * (self.plan.ring_degree // BLOCK)

    @property
    def refreshed(self) -> int:
        """Number of ciphertexts that are refreshed in a batch."""
        return sum(math.prod(step.shape) for step in self.program.refreshes(self.stage.level))

    def run(self, values: _Values, meter: _Meter) -> None:
        """Compute the targets, tile by tile."""
        degree, primes = self.plan.ring_degree, len(self.evaluators)
        for name in self.stage.targets:
            size, components = self._size(name), self.program.components[name]
            values.kept[name] = np.empty((size, components, primes, degree), dtype=np.uint32)
        shapes = {name: values.at(name, 0).shape[:2] for name in self.stage.reads}
        scratch = PerThread(lambda: {name: np.empty((*shape, BLOCK)) for name, shape in shapes.items()})

        def run_tile(place: tuple[int, int]) -> None:
            index, block = place
            columns, evaluator, inputs = (
                slice(block * BLOCK, (block + 1) * BLOCK),
                self.evaluators[index],
                scratch.get(),
            )
            for name, tile in inputs.items():
                residues = values.at(name, index)
                for component in range(tile.shape[1]):
                    kernels.centre(residues[:, component, columns], evaluator.prime, tile[:, component])
            for name, tile in evaluator.run(inputs).items():
                kernels.uncentre(tile, evaluator.prime, values.kept[name][:, :, index, columns])

        run_tasks(
            run_tile, [(index, block) for index in range(primes) for block in range(degree // BLOCK)], meter.advance
        )

    def refresh(self, values: _Values, refresher: Refresher | None, meter: _Meter) -> None:
        """Relinearise and rescale what the next level multiplies; let go of what nobody reads any more."""
        if refresher is not None:
            dropped = (*self.plan.dropped_primes, 0)[self.stage.level]
            for step in self.program.refreshes(self.stage.level):
                source = values.kept[step.inputs[0]]
                shape = (len(source), 2, source.shape[2] - dropped, source.shape[3])
                target = values.kept[step.name] = np.empty(shape, dtype=np.uint32)
                for index, ciphertext in enumerate(source):
                    target[index] = refresher.refresh(ciphertext, dropped)
                    meter.advance()
        for name in self.expires:
            values.kept.pop(name, None)

    def _size(self, name: str) -> int:
        return next(math.prod(step.shape) for step in self.stage.steps if step.name == name)


def _write_outputs(outputs: Residues, part: Residues, protection: Protection, samples: int, batch: int) -> None:
    part[:] = outputs
    slots = protection.plan.samples_per_batch
    used = min(slots, samples - batch * slots)
    run_tasks(lambda output: protection.protect(part[output], used), range(len(part)))


def _check_fit(plan: HePlan, model: CanonicalModel, program: Program, scales: Mapping[str, Fraction]) -> None:
    graph = model.graph
    output = graph.output
    found = (
        *(graph.features, graph.outputs, model.scale_bits, program.components[output], program.depth),
        float(scales[output] * (1 << plan.mask_scale_bits)),
    )
    expected = (
        *(plan.features, plan.outputs, plan.scale_bits, plan.components, len(plan.dropped_primes)),
        plan.output_scale,
    )
    if found != expected:
        raise PlanError(
            f"the plan is for (features, outputs, scale, components, refreshes, output scale) {expected}, the model "
            f"has {found}. Prepare the model again."
        )
