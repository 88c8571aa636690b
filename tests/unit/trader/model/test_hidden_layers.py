"""Networks whose layers are of very different sizes: rounded as well as those of one size."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import canonicalise, evaluate_values, fit_units, lower_model, quantise_inputs, run_original

SAMPLES = np.random.default_rng(8).normal(size=(60, 6)).astype(np.float32).astype(np.float64)


def network(sizes, activation):
    """Three layers, whose weights are multiplied by sizes; what they do to the outputs is up to the caller."""
    weights = [floats(6, 8), floats(8, 8), floats(8, 3)]
    model = Model(6)
    for number, (layer, size) in enumerate(zip(weights, sizes, strict=True)):
        model.add("Gemm", layer * np.float32(size), floats(layer.shape[1]) * np.float32(np.prod(sizes[: number + 1])))
        if number < 2:
            model.add(*activation) if activation != ("Square",) else model.add("Mul", model.y, model.y)
    return model


def worst_error(model, path):
    file = onnx.load(model.write(path))
    (want,) = run_original(file, SAMPLES)
    lowered = fit_units(lower_model(file), SAMPLES)
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(SAMPLES, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    got = lowered.post_processing.apply(evaluate_values(canonical, inputs)[canonical.graph.output])
    return float(np.abs(got - want).max() / np.ptp(want))


@pytest.mark.parametrize("activation", [("Relu",), ("LeakyRelu",)])
@pytest.mark.parametrize("sizes", [(1e-5, 1e5, 1), (1e-5, 1, 1e5), (1e4, 1e-4, 1), (1, 1e-5, 1e5), (1e-6, 1e-3, 1e9)])
def test_sizes_that_cancel_cost_no_precision(tmp_path, sizes, activation):
    assert worst_error(network(sizes, activation), tmp_path / "m.onnx") < 2e-3


def test_squares_take_twice_the_exponent(tmp_path):
    model = Model(6).add("Gemm", floats(6, 8) * np.float32(1e-4))
    model.add("Mul", model.y, model.y).add("Gemm", floats(8, 2) * np.float32(1e8), floats(2))
    assert worst_error(model, tmp_path / "m.onnx") < 2e-3


def test_what_is_not_homogeneous_keeps_its_size(tmp_path):
    model = Model(6).add("Gemm", floats(6, 8) * np.float32(1e-3)).add("Tanh").add("Gemm", floats(8, 2))
    lowered = lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
    fitted = fit_units(lowered, SAMPLES)
    assert np.array_equal(fitted.parameters[0].weights, lowered.parameters[0].weights)


@settings(deadline=None, max_examples=25)
@given(
    exponents=st.tuples(*[st.integers(-6, 3)] * 3),
    activation=st.sampled_from([("Square",), ("Relu",)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_network_is_rounded_worse_for_what_moves(exponents, activation, seed):
    """What a layer gains is what another one loses, twice as much behind a square."""
    generator = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        patched.setattr(
            "tests.unit.trader.model.test_hidden_layers.floats",
            lambda *shape: generator.normal(0, 0.4, shape).astype(np.float32),
        )
        model = network([2.0**exponent for exponent in exponents], activation)
        moved = worst_error(model, Path(folder, "m.onnx"))
        patched.setattr("trader.model.units.balance_layers", lambda _graph, parameters, _values: (parameters, []))
        assert moved <= 2 * worst_error(model, Path(folder, "m.onnx")) + 2e-4
