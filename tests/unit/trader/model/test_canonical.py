"""Canonical parameters and the integer reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.model import (
    CanonicalModel,
    DataError,
    Graph,
    Linear,
    LinearParameters,
    LoweredModel,
    ParameterSpec,
    PostProcessing,
    PrecisionError,
    Square,
    canonicalise,
    evaluate_exact,
    evaluate_values,
    hidden_proofs,
    interval_bounds,
    measured_bounds,
    output_scale_bits,
    quantise_inputs,
    scale_bits_of,
)
from trader.model.sampling import reach


def network(*widths, squares=True):
    """A graph of linear layers, with squares between them or not."""
    nodes, specs, source = [], [], "input"
    for index in range(len(widths) - 1):
        if index and squares:
            nodes.append(Square(f"square_{len(nodes)}", (source,), (widths[index],)))
            source = nodes[-1].name
        nodes.append(Linear(f"linear_{len(nodes)}", (source,), (widths[index + 1],), index))
        source = nodes[-1].name
        specs.append(ParameterSpec(f"parameter_{index}", widths[index], widths[index + 1], 0))
    return Graph((widths[0],), tuple(nodes), source, tuple(specs))


def lowered_network(*widths, squares=True, seed=0, factor=0.5):
    rng = np.random.default_rng(seed)
    graph = network(*widths, squares=squares)
    layers = [
        LinearParameters(rng.normal(0, factor, (s.inputs, s.outputs)), rng.normal(0, 1, s.outputs))
        for s in graph.parameters
    ]
    return LoweredModel(graph, tuple(layers), PostProcessing(), (widths[0],))


def plain_integers(model, inputs):
    """The slowest possible evaluation: Python integers, one at a time."""
    results = []
    for sample in inputs:
        values = {"input": [int(v) for v in sample]}
        scales = {"input": model.scale_bits}
        for node in model.graph.nodes:
            x = values[node.inputs[0]]
            scale = scales[node.inputs[0]]
            if isinstance(node, Square):
                values[node.name], scales[node.name] = [v * v for v in x], 2 * scale
                continue
            weights, bias = model.weights(node.parameter), model.bias(node.parameter)
            values[node.name] = [
                sum(v * int(w) for v, w in zip(x, column, strict=True)) + int(b) * 2**scale
                for column, b in zip(weights.T, bias, strict=True)
            ]
            scales[node.name] = scale + model.scale_bits
        results.append(values[model.graph.output])
    return results


def test_tensor_has_weight_bias_and_salt_rows():
    lowered = lowered_network(4, 3)
    model = canonicalise(lowered, proofs=0)
    (tensor,) = model.tensors
    assert tensor.shape == (4 + 1 + 12, 3) == model.graph.parameters[0].shape
    assert tensor.dtype == np.int32
    np.testing.assert_array_equal(model.weights(0), np.rint(lowered.parameters[0].weights * 2**13))
    np.testing.assert_array_equal(model.bias(0), np.rint(lowered.parameters[0].bias * 2**13))
    assert np.all((tensor[5:] >= 0) & (tensor[5:] < 1 << 24))


def test_salt_differs_each_time_and_changes_no_output():
    lowered = lowered_network(4, 3)
    first, second = canonicalise(lowered), canonicalise(lowered)
    assert not np.array_equal(first.tensors[0][5:], second.tensors[0][5:])
    inputs = np.arange(8).reshape(2, 4)
    assert np.array_equal(evaluate_exact(first, inputs), evaluate_exact(second, inputs))


@pytest.mark.parametrize("proofs", [1, 16, 300])
@pytest.mark.parametrize("sizes", [(4, 1), (30, 16, 2), (8, 500, 3)])
def test_salt_hides_as_many_proofs_as_asked_for(proofs, sizes):
    """Per tensor: 24 bits of salt per element, 254 bits given away per proof, by the commitment and by the opening."""
    model = canonicalise(lowered_network(*sizes), proofs=proofs)
    assert hidden_proofs(model.graph) >= proofs
    for spec, tensor in zip(model.graph.parameters, model.tensors, strict=True):
        salt_bits = 24 * tensor[spec.inputs + 1 :].size
        assert salt_bits >= 254 * (proofs + 2) + 128


def test_salt_uses_all_24_bits():
    salt = np.concatenate([canonicalise(lowered_network(2, 64)).tensors[0][3:].ravel() for _ in range(4)])
    for bit in range(24):
        assert 0.4 < np.mean(salt >> bit & 1) < 0.6


def test_secrets_are_left_out_of_repr():
    lowered = lowered_network(2, 2)
    model = canonicalise(lowered)
    for text in (repr(lowered), repr(model), repr(lowered.parameters[0])):
        assert "array" not in text


def test_scale_is_lowered_until_every_parameter_fits_24_bits():
    lowered = lowered_network(4, 3)
    layer = lowered.parameters[0]
    big = replace(layer, weights=np.full((4, 3), 5000.0), bias=np.full(3, -5000.0))
    model = canonicalise(replace(lowered, parameters=(big,)))
    assert model.scale_bits == 11
    assert np.abs(model.tensors[0].astype(np.int64)).max() < 1 << 24


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**25])
def test_parameters_off_the_grid_are_refused(value):
    lowered = lowered_network(4, 3)
    bad = replace(lowered.parameters[0], bias=np.array([0, value, 0]))
    with pytest.raises(PrecisionError):
        canonicalise(replace(lowered, parameters=(bad,)))


def test_hopeless_precision_is_refused():
    lowered = lowered_network(4, 3, 2)
    first, second = lowered.parameters
    tiny = replace(first, weights=first.weights * 1e-4, bias=first.bias * 1e-4)
    with pytest.raises(PrecisionError, match="parameter_0"):
        canonicalise(replace(lowered, parameters=(tiny, second)))


def test_tensors_of_another_shape_or_width_are_refused():
    graph = network(4, 3)
    with pytest.raises(PrecisionError, match="shapes"):
        CanonicalModel(graph, (np.zeros((4, 3), dtype=np.int32),))
    with pytest.raises(PrecisionError, match="are int32, not"):
        CanonicalModel(graph, (np.zeros((5, 3), dtype=np.int64),))


def test_parameters_of_32_bits_are_computed_exactly():
    """The circuit proves them and the escrow pays for them, so a buyer must be able to use them."""
    graph = network(4, 3)
    tensor = np.random.default_rng(7).integers(-(1 << 31), 1 << 31, graph.parameters[0].shape).astype(np.int32)
    tensor[0, 0], tensor[1, 1] = -(1 << 31), (1 << 31) - 1
    model = CanonicalModel(graph, (tensor,))
    inputs = np.random.default_rng(8).integers(-(1 << 20), 1 << 20, (6, 4))
    bias = model.bias(0).astype(object) << model.scale_bits
    expected = inputs.astype(object) @ model.weights(0).astype(object) + bias
    assert (evaluate_exact(model, inputs) == expected).all()


def test_scales_follow_the_sum_rule():
    graph = network(5, 4, 3, 2)
    assert scale_bits_of(graph, 13) == {
        "input": 13,
        "linear_0": 26,
        "square_1": 52,
        "linear_2": 65,
        "square_3": 130,
        "linear_4": 143,
    }
    assert output_scale_bits(graph, 13) == 143


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    input_bits=st.integers(1, 31),
    parameter_bits=st.integers(1, 24),
)
def test_exact_evaluation_equals_python_integers(widths, seed, input_bits, parameter_bits):
    rng = np.random.default_rng(seed)
    graph = network(*widths)
    limit = (1 << parameter_bits) - 1
    tensors = tuple(rng.integers(-limit, limit, spec.shape, endpoint=True, dtype=np.int32) for spec in graph.parameters)
    model = CanonicalModel(graph, tensors)
    inputs = rng.integers(-(1 << input_bits) + 1, 1 << input_bits, (3, widths[0]))
    assert evaluate_exact(model, inputs).tolist() == plain_integers(model, inputs)


def test_exact_evaluation_at_the_extremes_of_every_range():
    graph = network(784, 3)
    model = CanonicalModel(graph, (np.full(graph.parameters[0].shape, -(1 << 24) + 1, dtype=np.int32),))
    inputs = np.full((1, 784), (1 << 31) - 1)
    inputs[0, ::2] *= -1
    inputs[0, 0] = (1 << 31) - 2
    assert evaluate_exact(model, inputs).tolist() == plain_integers(model, inputs)


def test_float_evaluation_agrees_with_the_exact_one():
    model = canonicalise(lowered_network(20, 8, 3))
    inputs = quantise_inputs(np.random.default_rng(1).normal(0, 1, (50, 20)), model.graph, model.scale_bits)
    exact = evaluate_exact(model, inputs).astype(np.float64) / 2.0 ** output_scale_bits(model.graph, model.scale_bits)
    np.testing.assert_allclose(evaluate_values(model, inputs)["linear_2"], exact, rtol=1e-9)


def test_bounds_hold():
    model = canonicalise(lowered_network(10, 6, 2))
    samples = np.random.default_rng(1).uniform(-2, 2, (500, 10))
    inputs = quantise_inputs(samples, model.graph, model.scale_bits)
    values = evaluate_values(model, inputs)
    intervals = interval_bounds(model, 2.0)
    measured = measured_bounds(model, inputs, margin=1.5)
    for name, x in values.items():
        assert np.all(np.abs(x).max(axis=0) <= intervals[name] + 1e-9)
        assert measured[name] == pytest.approx(reach(x, 1.5))


def test_inputs_are_rounded_to_the_grid_and_flattened():
    graph = network(4, 1)
    got = quantise_inputs(np.array([[[0.5, -0.25], [1.49, 2.0]]]), graph, 1)
    assert got.tolist() == [[1, 0, 3, 4]]
    assert quantise_inputs(np.ones((2, 4)), graph, 2, exponents=(0, 1, -1, -2)).tolist() == [[4, 8, 2, 1]] * 2


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.array([[0, 0, 0, np.nan]]), "row 0, column 3"),
        (np.array([[0, 0, 0, 0], [0, np.inf, 0, 0]]), "row 1, column 1"),
        (np.array([[0, 0, 9, 0]]), r"out of the model's input range \(±8"),
        (np.zeros((2, 3)), r"shape \[2, 3\], the model takes \[n, 4\]"),
        (np.zeros(4), "shape"),
        (np.zeros((0, 4)), "shape"),
        (np.array([["a", "b", "c", "d"]]), "not numbers"),
    ],
)
def test_unusable_inputs_are_refused_with_row_and_column(x, reason):
    with pytest.raises(DataError, match=reason):
        quantise_inputs(x, network(4, 1), 13, magnitude=8.0)


def test_inputs_past_the_integer_range_are_refused_without_a_plan():
    with pytest.raises(DataError, match="out of the model's input range"):
        quantise_inputs(np.array([[2.0**18]]), network(1, 1), 13)


def test_scale_is_lowered_for_deep_models():
    """Raw outputs must fit the audit circuit's field."""
    assert [canonicalise(lowered_network(*[4] * layers)).scale_bits for layers in (2, 3, 4, 5)] == [13, 13, 13, 9]
