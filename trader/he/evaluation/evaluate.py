"""The seller's side of an encrypted test: from a request to a response, without seeing a sample.

A plan says where samples and features stand in ciphertexts, and with that who evaluates: `trader.he.evaluation.batched`
or `trader.he.evaluation.packed`. Then each output is protected (`trader.he.evaluation.privacy`).
"""

import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from trader.he.errors import PlanError, WireError
from trader.he.evaluation.batched import BatchedEvaluator
from trader.he.evaluation.packed import PackedEvaluator
from trader.he.evaluation.privacy import Protection
from trader.he.layouts.visible import charged_samples
from trader.he.parallel import run_ahead
from trader.he.planning.packed import PackedPlan
from trader.he.planning.parameters import plan_parameters
from trader.he.planning.plan import HePlan, dropped_products
from trader.he.planning.policy import check_flooding
from trader.he.planning.propagation import value_scales
from trader.he.program.steps import Affine, Program
from trader.he.request import Inputs, RequestParts
from trader.he.ring.arithmetic import CPU
from trader.he.ring.gpu import TorchArithmetic
from trader.he.seal import PublicKey
from trader.he.types import Advance, Buffer, Progress, Residues
from trader.he.wire.container import ContainerWriter, read_container, stated_samples
from trader.model.canonical import CanonicalModel
from trader.model.graph import Graph

DRAWN_AHEAD = 32
"""Ciphertexts whose protection is drawn while they are computed; it takes as much memory as they do."""


def evaluate(
    plan: HePlan,
    model: CanonicalModel,
    request: Buffer,
    samples: int,
    progress: Progress | None = None,
    path: Path | None = None,
    *,
    device: str = "cpu",
    context: bytes = b"",
) -> memoryview:
    """Evaluate the model on an encrypted test set.

    Whatever was sent, the response shows at most `charged_samples(samples)` · `plan.values_per_answer` numbers of
    `plan.capacity_bits` each (`HePlan.visible`, `trader.he.evaluation.privacy`): all other coefficients are hidden, and
    every ciphertext is re-randomised with fresh encryptions of zero under the buyer's public key, and flooded.

    Args:
        plan: the listing's plan.
        model: the canonical model that the plan was made for.
        request: container from the buyer; checked before it is parsed.
        samples: number of samples that the buyer paid for. The request may be for fewer, if as many are charged.
        progress: called as work is done.
        path: of the file to which the response is written; without one it is in memory.
        device: where linear layers and products are computed: the CPU, or one of PyTorch's devices, `cuda` for
            instance. The results are the same; tests of few samples and refreshes stay on the CPU.
        context: what the request must have been made for, as the buyer gave it to `ClientSession.encrypt`.

    Returns:
        A container; `digest` of it is the `responseDigest`.

    Raises:
        WireError: the request is malformed, made for another plan or context, for a number of samples that costs
            another one, or doesn't prove its public key; nothing was evaluated.
        PlanError: the plan doesn't fit the model.
        SecurityError: the plan's flooding doesn't cover what a proven public key can bring in.
        DeviceError: the device isn't there.
    """
    samples = _asked_samples(request, samples)
    plan = plan.for_samples(samples)
    check_flooding(plan)
    program, scales = _scaled_program(plan, model.graph)
    model = plan.tested_model(model)
    _check_fit(plan, model, program, scales)
    parts, request_digest = _read_request(plan, request, samples, context)
    evaluator = _evaluator(model, program, scales, parts, device)
    layout = plan.response_layout(samples, parts.parameters.primes)
    writer = ContainerWriter("response", plan.digest, samples, layout, path)
    advance = _counter(progress, plan.batches(samples) * evaluator.steps)
    protection = Protection(plan, parts.parameters, PublicKey(parts.parameters, parts.read_public_key()))
    visible = itertools.chain.from_iterable(plan.visible(samples))
    with run_ahead(protection.draw, visible, DRAWN_AHEAD) as randomisations:
        for batch, part in enumerate(writer.parts):
            left = samples - batch * plan.samples_per_batch
            inputs, samples_per_slot = parts.read_ciphertexts(batch), len(plan.parts_of_batch(left))
            part[:] = evaluator.run(inputs, samples_per_slot, advance, randomisations.begin)
            for ciphertext in part:
                randomisations.take().apply(ciphertext)
    return writer.finish(request_digest)


def _scaled_program(plan: HePlan, graph: Graph) -> tuple[Program, Mapping[str, Fraction]]:
    """Return what is computed for a model, and the scale of each of its values."""
    program = plan.program(graph)
    dropped = dropped_products(plan_parameters(plan).primes, plan.dropped_primes)
    scales = value_scales(program, plan.input_scale_bits, plan.weight_scale_bits or plan.scale_bits, dropped)
    return program, scales


def _read_request(plan: HePlan, request: Buffer, samples: int, context: bytes) -> tuple[RequestParts, bytes]:
    """Check a request, its form and then the proof of its public key, before anything else is done with it.

    Returns:
        Its parts, and its digest.
    """
    parameters = plan_parameters(plan)
    layout = plan.request_layout(samples, parameters.all_primes)
    container = read_container(request, "request", plan.digest, samples, layout)
    parts = RequestParts(plan, samples, parameters, container.parts)
    parts.statement(container.reference, context).verify(parts.read_proof())
    return parts, container.digest


def _asked_samples(request: Buffer, paid: int) -> int:
    """Return the number of samples that a request is for, which `read_container` checks once more."""
    samples = stated_samples(request)
    if charged_samples(samples) != charged_samples(paid):
        raise WireError(f"number of samples is {samples}, expected {paid}, or as many as are charged alike")
    return samples


class _Evaluator(Protocol):
    """Carries out a program on the ciphertexts of a batch."""

    @property
    def steps(self) -> int:
        """Number of times that `run` advances."""

    def run(self, inputs: Inputs, parts: int, advance: Advance, draw_ahead: Callable[[], None]) -> Residues:
        """Ciphertexts to outputs [ciphertexts, components, primes, N].

        Args:
            inputs: of one batch.
            parts: number of parts of the batch that hold samples.
            advance: called after each step.
            draw_ahead: called once what is left to do leaves the interpreter's lock alone most of the time, which SEAL
                holds for several milliseconds wherever it draws what protects a ciphertext.
        """


def _evaluator(
    model: CanonicalModel, program: Program, scales: Mapping[str, Fraction], parts: RequestParts, device: str
) -> _Evaluator:
    if parts.plan.packed:
        return PackedEvaluator.prepare(model, program, scales, parts)
    arithmetic = CPU if device == "cpu" else TorchArithmetic(device)
    return BatchedEvaluator.prepare(model, program, scales, parts, arithmetic)


def _counter(progress: Progress | None, total: int) -> Advance:
    """Count steps for the caller."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return advance


def _check_fit(plan: HePlan, model: CanonicalModel, program: Program, scales: Mapping[str, Fraction]) -> None:
    graph = model.graph
    output = graph.output
    found = (
        *(graph.features, graph.outputs, model.scale_bits, program.response_components, program.depth),
        float(scales[output]),
    )
    expected = (
        *(plan.features, plan.outputs, plan.scale_bits, plan.components, len(plan.dropped_primes)),
        plan.output_scale,
    )
    ends_in_map = any(isinstance(step, Affine) and step.name == output for step in program.steps)
    if isinstance(plan, PackedPlan) and plan.unfolded and not ends_in_map:
        raise PlanError("the plan leaves the folds of a last affine map to the reader, the model doesn't end with one")
    if found != expected:
        raise PlanError(
            f"the plan is for (features, outputs, scale, components, refreshes, output scale) {expected}, the model "
            f"has {found}. Prepare the model again."
        )
