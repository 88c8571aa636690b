"""Hidden units are brought to one range; the model computes what it did."""

import numpy as np
import pytest

from tests.simulators.activation_network import activation_network
from trader.model import (
    INPUT,
    Activation,
    ActivationKind,
    Graph,
    Linear,
    LinearParameters,
    LoweredModel,
    ParameterSpec,
    PostProcessing,
    Rearrange,
    Sum,
)
from trader.model.bounds import evaluate_graph
from trader.model.hidden_units import SMALLEST_UNIT, equalise_units
from trader.model.units import lowered_parameters


def spread(lowered: LoweredModel, x: np.ndarray, name: str) -> tuple[float, float]:
    values = np.abs(evaluate_graph(lowered.graph, x, lowered_parameters(lowered))[name]).max(axis=0)
    return float(values.min()), float(values.max())


def outputs(lowered: LoweredModel, x: np.ndarray) -> np.ndarray:
    return evaluate_graph(lowered.graph, x, lowered_parameters(lowered))[lowered.graph.output]


@pytest.mark.parametrize("kind", [ActivationKind.RELU, ActivationKind.LEAKY_RELU])
def test_units_reach_alike_and_outputs_stay(kind: ActivationKind) -> None:
    rng = np.random.default_rng(1)
    lowered = activation_network(kind, [4, 6, 5, 2], rng)
    first, *others = lowered.parameters
    uneven = LinearParameters(first.weights * np.linspace(0.3, 1, 6), first.bias * np.linspace(0.3, 1, 6))
    lowered = LoweredModel(lowered.graph, (uneven, *others), lowered.post_processing, lowered.sample_shape)
    x = rng.normal(size=(300, 4))
    equal = equalise_units(lowered, x, lowered_parameters(lowered))
    assert outputs(equal, x) == pytest.approx(outputs(lowered, x))
    before, after = spread(lowered, x, "linear_0"), spread(equal, x, "linear_0")
    assert after[0] / after[1] > 0.6 > before[0] / before[1]


def test_a_unit_that_hardly_moves_is_not_stretched_beyond_reason() -> None:
    rng = np.random.default_rng(2)
    lowered = activation_network(ActivationKind.RELU, [4, 3, 1], rng)
    first, last = lowered.parameters
    still = LinearParameters(first.weights * (1, 1, 1e-6), first.bias * (1, 1, 1e-6))
    lowered = LoweredModel(lowered.graph, (still, last), lowered.post_processing, lowered.sample_shape)
    equal = equalise_units(lowered, rng.normal(size=(100, 4)), lowered_parameters(lowered))
    assert np.allclose(equal.parameters[0].weights[:, 2], still.weights[:, 2] / SMALLEST_UNIT)


@pytest.mark.parametrize("kind", [ActivationKind.TANH, ActivationKind.SOFTPLUS])
def test_functions_that_are_not_homogeneous_stay(kind: ActivationKind) -> None:
    lowered = activation_network(kind, [4, 6, 1], np.random.default_rng(3))
    equal = equalise_units(lowered, np.ones((9, 4)), lowered_parameters(lowered))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(equal.parameters, lowered.parameters, strict=True))


def test_positions_of_a_convolution_and_terms_of_a_pool_share_a_factor() -> None:
    """Two positions with two channels each, padded patches of both, then sums over positions."""
    rng = np.random.default_rng(4)
    nodes = (
        Linear("made", (INPUT,), (4,), 0),
        Activation("relu", ("made",), (4,), ActivationKind.RELU),
        Rearrange("turned", ("relu",), (6,), np.array([0, 2, 1, 3, -1, -1])),
        Sum("pooled", ("turned",), (3,), 2),
        Linear("scores", ("pooled",), (2,), 1),
    )
    specs = (ParameterSpec("a", 3, 2, salt_rows=0), ParameterSpec("b", 3, 2, salt_rows=0))
    graph = Graph((6,), nodes, "scores", specs)
    layers = tuple(
        LinearParameters(rng.normal(size=(3, 2)) * (1, 0.4), rng.normal(size=2) * (1, 0.4)) for _ in range(2)
    )
    lowered = LoweredModel(graph, layers, PostProcessing(), (6,))
    x = rng.normal(size=(50, 6))
    equal = equalise_units(lowered, x, lowered_parameters(lowered))
    assert outputs(equal, x) == pytest.approx(outputs(lowered, x))
    assert not np.allclose(equal.parameters[0].weights, lowered.parameters[0].weights)


def test_units_that_something_else_reads_stay() -> None:
    """The activation is an output, or is multiplied."""
    nodes = (Linear("made", (INPUT,), (2,), 0), Activation("relu", ("made",), (2,), ActivationKind.RELU))
    graph = Graph((3,), nodes, "relu", (ParameterSpec("a", 3, 2, salt_rows=0),))
    layer = LinearParameters(np.ones((3, 2)) * (1, 0.3), np.zeros(2))
    lowered = LoweredModel(graph, (layer,), PostProcessing(), (3,))
    equal = equalise_units(lowered, np.ones((9, 3)), lowered_parameters(lowered))
    assert np.array_equal(equal.parameters[0].weights, layer.weights)
