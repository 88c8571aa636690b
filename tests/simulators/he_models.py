"""Random canonical models for the tests of encrypted evaluation."""

import itertools

import numpy as np
from numpy.typing import NDArray

from trader.he import PlanningProblem, plan_encryption
from trader.he.layouts.visible import Visible, read_values
from trader.he.planning.plan import BatchedPlan
from trader.he.request import RequestParts
from trader.he.seal.objects import SecretKey
from trader.he.types import Residues
from trader.he.wire.container import ContainerWriter
from trader.model import CanonicalModel, Graph, Linear, ParameterSpec, Square, evaluate_exact, measured_bounds
from trader.model.graph import output_scale_bits

SALT_ROWS = 12
SCALE_BITS = 13


def random_network(*widths: int, seed: int = 0, gain: float = 1.0) -> CanonicalModel:
    """Dense layers with square activations between them."""
    generator = np.random.default_rng(seed)
    nodes: list[Linear | Square] = []
    specs, tensors = [], []
    value = "input"
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensor = np.empty((inputs + 1 + SALT_ROWS, outputs), dtype=np.int32)
        tensor[:inputs] = np.rint(generator.normal(size=(inputs, outputs)) * gain / inputs**0.5 * 2**SCALE_BITS)
        tensor[inputs] = np.rint(generator.normal(size=outputs) * 0.1 * 2**SCALE_BITS)
        tensor[inputs + 1 :] = generator.integers(-(2**23), 2**23, (SALT_ROWS, outputs))
        tensors.append(tensor)
        specs.append(ParameterSpec(f"layer{index}", inputs, outputs, SALT_ROWS))
        nodes.append(Linear(f"linear{index}", (value,), (outputs,), index))
        value = f"linear{index}"
        if index < len(widths) - 2:
            nodes.append(Square(f"square{index}", (value,), (outputs,)))
            value = f"square{index}"
    return CanonicalModel(Graph((widths[0],), tuple(nodes), value, tuple(specs)), tuple(tensors), SCALE_BITS)


def random_inputs(model: CanonicalModel, samples: int, seed: int = 1) -> NDArray[np.int64]:
    """Samples in [-1, 1] on the input grid."""
    generator = np.random.default_rng(seed)
    return generator.integers(-(2**SCALE_BITS), 2**SCALE_BITS, (samples, model.graph.features), endpoint=True)


def plan_for(model: CanonicalModel, inputs: NDArray[np.int64]) -> BatchedPlan:
    """The default plan, with bounds measured on the inputs."""
    return plan_encryption(PlanningProblem(model, measured_bounds(model, inputs), input_magnitude=1.0))


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


NONCE = bytes(range(32))


def finish_request(writer: ContainerWriter, request: RequestParts, key: SecretKey, context: bytes = b"") -> memoryview:
    """A request with a public key of the secret key, and the proof of it, in their places."""
    public = key.public_key()
    request.write_public_key(public)
    request.write_proof(request.statement(NONCE, context).prove(-key.coefficients(), key.error(public)))
    return writer.finish(NONCE)
