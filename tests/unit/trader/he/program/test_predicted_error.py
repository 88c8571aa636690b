"""What a plan says of its polynomials' error, from few rows or many, holds for rows that it has not seen."""

import numpy as np
import pytest

from tests.simulators.activation_network import activation_network
from trader.he.program.activations import approximation_error, fit_activations
from trader.model import (
    ActivationKind,
    CanonicalModel,
    LinearParameters,
    LoweredModel,
    canonicalise,
    evaluate_values,
    fit_units,
    quantise_inputs,
)

KINDS = (ActivationKind.RELU, ActivationKind.TANH, ActivationKind.SIGMOID)
NETWORKS = 15
FRESH_ROWS = 500


def random_network(kind: ActivationKind, rng: np.random.Generator, features: int) -> LoweredModel:
    return activation_network(kind, [features, *rng.integers(2, 12, rng.integers(1, 3)).tolist(), 1], rng)


@pytest.mark.parametrize("rows", [5, 20, 100, 400])
def test_predicted_errors_hold_for_99_percent_of_rows_that_were_not_seen(rows: int) -> None:
    """Columns are of units from 10^-4 to 10^6."""
    rng = np.random.default_rng(rows)
    beyond = []
    for draw in range(NETWORKS):
        units = 10 ** rng.uniform(-4, 6, 5)
        seen, fresh = rng.normal(0, 1, (rows, 5)) * units, rng.normal(0, 1, (FRESH_ROWS, 5)) * units
        lowered = random_network(KINDS[draw % len(KINDS)], rng, 5)
        first = lowered.parameters[0]
        in_units = LinearParameters(first.weights / units[:, np.newaxis], first.bias)
        lowered = LoweredModel(
            lowered.graph, (in_units, *lowered.parameters[1:]), lowered.post_processing, lowered.sample_shape
        )
        lowered = fit_units(lowered, seen)
        model = canonicalise(lowered)
        for degree in (3, 7, 15):
            polynomials = fit_activations(model, on_grid(lowered, model, seen), degree)
            predicted = approximation_error(model, polynomials, on_grid(lowered, model, seen))
            inputs = on_grid(lowered, model, fresh)
            exact = evaluate_values(model, inputs)[model.graph.output]
            with np.errstate(over="ignore", invalid="ignore"):
                moved = evaluate_values(model, inputs, lambda node, x, by=polynomials: by[node.name](x))
            beyond.append(np.abs(moved[model.graph.output] - exact).max(axis=1) > predicted)
    assert np.mean(beyond) <= 0.01


def on_grid(lowered: LoweredModel, model: CanonicalModel, samples: np.ndarray) -> np.ndarray:
    return quantise_inputs(samples, model.graph, model.scale_bits, lowered.input_exponents)
