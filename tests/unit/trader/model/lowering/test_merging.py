"""Linear layers in a row become one, which computes the same as onnxruntime does."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.trader.model.lowering.test_operators import RNG, Model, floats
from trader.model import (
    canonicalise,
    evaluate_graph,
    evaluate_values,
    fit_units,
    lower_model,
    lowered_parameters,
    quantise_inputs,
    scale_inputs,
)


def pair():
    """Gives x·W and x·V, of four columns."""
    model = Model(6).add("Gemm", floats(6, 4), floats(4))
    left = model.y
    return model, left, model.add("Gemm", "x", floats(6, 4), floats(4)).y


def projection():
    return Model(6).add("Gemm", floats(6, 3), floats(3)).add("Gemm", floats(3, 1), floats(1))


def stacking():
    model, left, right = pair()
    return model.add("Concat", left, right, axis=1).add("Gemm", floats(8, 2), floats(2))


def voting():
    model, left, right = pair()
    return model.add("Add", left, right)


def features_beside_their_projection():
    model = Model(6).add("Gemm", floats(6, 3), floats(3))
    return model.add("Concat", model.y, "x", axis=1).add("Gemm", floats(9, 2), floats(2))


def order_between():
    model = Model(6).add("Gemm", floats(6, 4), floats(4)).add("Gather", np.array([3, 0, 2]), axis=1)
    return model.add("Gemm", floats(3, 2), floats(2))


def after_an_activation():
    model = Model(6).add("Gemm", floats(6, 5), floats(5)).add("Relu")
    return model.add("Gemm", floats(5, 5)).add("Gemm", floats(5, 2))


def bottleneck():
    return Model(6).add("Gemm", floats(6, 2), floats(2)).add("Gemm", floats(2, 6), floats(6))


def read_twice():
    model = Model(6).add("Gemm", floats(6, 4), floats(4))
    inner = model.y
    first = model.add("Relu").y
    return model.add("Add", first, model.add("Gemm", inner, floats(4, 4)).y)


def convolution_before():
    return Model(2, 6).conv(2, 3, (3,)).add("Flatten").add("Gemm", floats(12, 2), floats(2))


@pytest.mark.parametrize(
    ("make", "nodes"),
    [
        (projection, ["Linear"]),
        (stacking, ["Linear"]),
        (voting, ["Linear"]),
        (features_beside_their_projection, ["Linear"]),
        (order_between, ["Linear"]),
        (after_an_activation, ["Linear", "Activation", "Linear"]),
        (bottleneck, ["Linear", "Linear"]),
        (read_twice, ["Linear", "Activation", "Linear", "Add"]),
    ],
)
def test_layers_that_nothing_stands_between_are_one(make, nodes, tmp_path):
    lowered = lowered_and_checked(make(), tmp_path)
    assert [type(node).__name__ for node in lowered.graph.nodes] == nodes


@settings(deadline=None, max_examples=30)
@given(widths=st.lists(st.integers(1, 9), min_size=3, max_size=7), seed=st.integers(0, 2**32 - 1))
@example(widths=[6, 2, 6, 1], seed=0)  # the last two become one, and that goes into the first
@example(widths=[9, 3, 9, 3, 9], seed=0)
def test_no_two_layers_of_a_row_are_left_that_could_be_one(widths, seed):
    generator = np.random.default_rng(seed)
    model, x = Model(widths[0]), generator.normal(size=(9, widths[0]))
    expected = x
    for rows, columns in itertools.pairwise(widths):
        weights, bias = (generator.normal(size=size).astype(np.float32) for size in ((rows, columns), columns))
        model.add("Gemm", weights, bias)
        expected = expected @ weights.astype(np.float64) + bias
    with TemporaryDirectory() as folder:
        lowered = lower_model(onnx.load(model.write(Path(folder, "m.onnx"))))
    values = evaluate_graph(lowered.graph, scale_inputs(lowered, x), lowered_parameters(lowered))
    found = lowered.post_processing.apply(values[lowered.graph.output])
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1e-9 * np.abs(expected).max()
    kept = [layer.weights.shape for layer in lowered.parameters]
    assert sum(a * b for a, b in kept) <= sum(a * b for a, b in itertools.pairwise(widths))
    assert all(a * c > a * b + b * c for (a, b), (_, c) in itertools.pairwise(kept))


def test_a_layer_that_is_applied_piece_by_piece_stays(tmp_path):
    lowered = lowered_and_checked(convolution_before(), tmp_path)
    assert [spec.inputs for spec in lowered.graph.parameters] == [6, 12]


def test_a_model_in_large_units_is_stacked_without_loss(tmp_path):
    """Between its layers stand values of 10^4, which the grid of parameters does not hold beside weights of 1."""
    model = Model(6).add("Gemm", 1e4 * floats(6, 1), floats(1, scale=5e4))
    left = model.y
    right = model.add("Gemm", "x", 1e4 * floats(6, 1), floats(1, scale=5e4)).y
    model.add("Concat", left, right, axis=1).add("Gemm", np.array([[6.4], [-5.9]], dtype=np.float32))
    lowered_and_checked(model, tmp_path)


def test_the_merged_layer_keeps_the_units_of_the_input(tmp_path):
    model = Model(4).add("Mul", np.array([1e-4, 1, 1e3, 1], dtype=np.float32))
    model.add("Gemm", floats(4, 3)).add("Gemm", floats(3, 1))
    lowered = lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
    assert lowered.input_exponents == (-13, 0, 10, 0)
    assert len(lowered.graph.nodes) == 1


def lowered_and_checked(model, folder):
    path = model.write(folder / "m.onnx")
    x = RNG.normal(size=(50, *model.shape)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    flat = x.reshape(len(x), -1).astype(np.float64)
    lowered = fit_units(lower_model(onnx.load(path)), flat)
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(flat, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    raw = evaluate_values(canonical, inputs)[canonical.graph.output]
    found = lowered.post_processing.apply(raw)
    assert np.abs(found - expected.reshape(found.shape)).max() < 2e-3 * np.ptp(expected)
    return lowered
