"""Random models for the tests of encrypted evaluation, their plans and what they should give."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trader.he import HePlan, PlanningProblem, plan_encryption
from trader.he.layouts.visible import Visible, read_values
from trader.he.planning import search
from trader.he.planning.batched import BatchedPlan, PairedPlan
from trader.he.planning.noise import DEVIATIONS
from trader.he.planning.problem import Approximation, Way
from trader.he.program.build import build_program
from trader.he.request import RequestParts
from trader.he.seal import SecretKey
from trader.he.types import Residues
from trader.he.wire.container import ContainerWriter
from trader.model import CanonicalModel, evaluate_exact, measured_bounds
from trader.model.canonical import SALT_ROWS
from trader.model.graph import Graph, output_scale_bits
from trader.rehearsal.networks import SCALE_BITS, random_inputs, random_network

__all__ = [
    "NONCE",
    "SALT_ROWS",
    "SCALE_BITS",
    "check_errors",
    "decrypt_slots",
    "exact_outputs",
    "finish_request",
    "model_of",
    "paired_plan",
    "plan_for",
    "random_inputs",
    "random_network",
]


def plan_for(model: CanonicalModel, inputs: NDArray[np.int64]) -> BatchedPlan:
    """The default plan, with bounds measured on the inputs."""
    return plan_encryption(PlanningProblem(model, measured_bounds(model, inputs), input_magnitude=1.0))


def model_of(graph: Graph, seed: int) -> CanonicalModel:
    """A graph with random parameters within 1."""
    random, unit = np.random.default_rng(seed), 1 << SCALE_BITS
    tensors = [random.integers(-unit, unit, spec.shape, dtype=np.int32) for spec in graph.parameters]
    return CanonicalModel(graph, tuple(tensors), SCALE_BITS)


def paired_plan(model: CanonicalModel, degree: int, *, switched: bool) -> PairedPlan:
    """A plan for many samples that come apart in conjugate form, or by switched keys, as older listings have it."""
    problem = PlanningProblem(model, measured_bounds(model, random_inputs(model, 256)), input_magnitude=1.0)
    program = build_program(model.graph, {}, staged=False, paired=True, switched=switched)
    found = search._consider(Way(problem, program, Approximation(0, {}, 0.0)), degree).plan
    assert isinstance(found, PairedPlan)
    return found


def decrypt_slots(key: SecretKey, ciphertext: Residues, scale: float) -> NDArray[np.complex128]:
    """All slots [N/2] of a ciphertext [components, l, N], whatever it was meant to show."""
    _, count, degree = ciphertext.shape
    primes = key._parameters.primes[:count]
    real, imaginary = read_values(key.phase(ciphertext), primes, Visible(degree // 2, joined=True)) / scale
    return real + 1j * imaginary * np.tile([1, -1], degree // 4)  # SEAL's order: the slots of X^(N/2) are i and -i


def exact_outputs(model: CanonicalModel, inputs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The integer reference in real units, rounded once."""
    scale = 1 << output_scale_bits(model.graph, model.scale_bits)
    return np.array([[value / scale for value in row] for row in evaluate_exact(model, inputs)])


FALSE_ALARMS = 1e-9
"""How often `check_errors` may blame noise that is what the plan says."""


def check_errors(errors: NDArray[np.float64], plan: HePlan) -> None:
    """Absolute errors of outputs are no larger than noise of the plan's deviation makes them; nor is their deviation.

    `expected_error` is six deviations, which one normal value in 2^28 exceeds: in a test of 25,000 outputs that would
    be one run in 20,000. The largest of so many may be as large as `FALSE_ALARMS` allows.
    """
    deviation = (plan.expected_error - plan.approximation_error) / DEVIATIONS
    farthest = -NormalDist().inv_cdf(FALSE_ALARMS / (2 * errors.size))
    assert errors.max() <= plan.approximation_error + farthest * deviation
    if errors.size >= 4000:  # the deviation of so many deviates by a hundredth
        assert float(np.sqrt(np.mean(errors**2))) <= plan.approximation_error + 1.1 * deviation


NONCE = bytes(range(32))


def finish_request(writer: ContainerWriter, request: RequestParts, key: SecretKey, context: bytes = b"") -> memoryview:
    """A request with a public key of the secret key, and the proof of it, in their places."""
    public = key.public_key()
    request.write_public_key(public)
    request.write_proof(request.statement(NONCE, context).prove(-key.coefficients(), key.error(public)))
    return writer.finish(NONCE)
