"""Polynomial features of scikit-learn, which its converter writes as one product for each column."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

from tests.unit.trader.model.lowering.test_lowering import export, raw_outputs
from tests.unit.trader.model.lowering.test_operators import Model, check, floats
from trader.model import Linear, Multiply, Square, fit_units, read_model

RANDOM = np.random.default_rng(8)
SAMPLES = RANDOM.lognormal(0, 0.5, (300, 4)) * [1e4, 1.0, 30.0, 0.01]
SCALED = (SAMPLES - SAMPLES.mean(axis=0)) / SAMPLES.std(axis=0)
TARGET = SCALED[:, 0] * SCALED[:, 1] - SCALED[:, 2] ** 2 + SCALED[:, 3] + RANDOM.normal(0, 0.1, 300)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("interaction_only", [True, False])
@pytest.mark.parametrize("include_bias", [True, False])
@pytest.mark.parametrize("scaled", ["before", "after", "never"])
@pytest.mark.filterwarnings("ignore:.*ill-conditioned")  # what scikit-learn says of features that aren't scaled
def test_polynomial_features(tmp_path, degree, interaction_only, include_bias, scaled):
    """They are exact but for rounding, and cost one multiplication per factor."""
    features = PolynomialFeatures(degree, interaction_only=interaction_only, include_bias=include_bias)
    ends = [StandardScaler() if scaled == end else FunctionTransformer() for end in ("before", "after")]
    model = make_pipeline(ends[0], features, ends[1], Ridge()).fit(SAMPLES, TARGET)
    lowered = fit_units(read_model(export(model, SAMPLES, tmp_path / "m.onnx")), SAMPLES)
    found = lowered.post_processing.apply(raw_outputs(lowered, SAMPLES)).ravel()
    expected = model.predict(SAMPLES)
    assert np.abs(found - expected).max() < 2e-3 * np.ptp(expected)
    products = [node for node in lowered.graph.nodes if isinstance(node, (Multiply, Square))]
    assert len(products) <= degree * (degree + 1) // 2 * (degree > 1)
    layers = [node for node in lowered.graph.nodes if isinstance(node, Linear)]
    assert len(layers) == 1 + (scaled == "before" and degree > 1)


def test_classes_of_polynomial_features(tmp_path):
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression())
    model.fit(SAMPLES, TARGET > 0)
    lowered = fit_units(read_model(export(model, SAMPLES, tmp_path / "m.onnx", zipmap=False)), SAMPLES)
    predicted = lowered.post_processing.predict(raw_outputs(lowered, SAMPLES))
    assert np.mean(predicted == model.predict(SAMPLES)) > 0.99


def joined(*parts, columns=4):
    """Parts of x, each a product of columns and a factor, beside each other."""
    model = Model(columns)
    names = []
    for places, factor in parts:
        model.add("Gather", "x", np.array(places), axis=1)
        model.add("Mul", np.float32(factor))
        model.add("ReduceProd", axes=[1])
        names.append(model.y)
    return model.add("Concat", *names, axis=1)


@pytest.mark.parametrize(
    "parts",
    [
        [([0, 1], 1), ([1, 2], 1)],
        [([0, 1], 2), ([1, 2], 3), ([3], -1)],  # the same column times several factors
        [([0, 0], 2), ([1, 1], 1), ([0, 1], 1), ([2], 1)],
        [([0, 1, 2], 1), ([0, 0, 1], 1), ([3, 3, 3], 1), ([1, 1, 1], 0.5), ([0, 1], 1)],
        [([0, 1, 2, 3, 0], 1), ([1, 1, 1, 1, 1], 1)],
    ],
)
def test_products_beside_each_other(tmp_path, parts):
    check(joined(*parts).add("MatMul", floats(len(parts), 2)), tmp_path / "m.onnx")


def test_a_product_that_is_read_elsewhere_too(tmp_path):
    """What is made at once takes nothing away from who read a part of it."""
    model = joined(([0, 1], 1), ([2, 3], 1)).add("MatMul", floats(2, 1))
    together = model.y
    first = next(node.output[0] for node in model.nodes if node.op_type == "ReduceProd")
    check(model.add("Add", together, first), tmp_path / "m.onnx")


def test_products_of_several_values_stay_apart(tmp_path):
    """One of the input and one of a layer: they are not of one value."""
    model = Model(4).add("ReduceProd", axes=[1])
    first = model.y
    model.add("MatMul", "x", floats(4, 3)).add("ReduceProd", axes=[1])
    lowered = check(model.add("Concat", first, model.y, axis=1).add("MatMul", floats(2, 2)), tmp_path / "m.onnx")
    assert sum(isinstance(node, Multiply) for node in lowered.graph.nodes) >= 2
