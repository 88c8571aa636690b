"""Units: models whose columns and outputs are of any size keep their answers, on data that the fit has not seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from trader.model import (
    LoweredModel,
    canonicalise,
    evaluate_graph,
    evaluate_values,
    fit_units,
    lower_model,
    lowered_parameters,
    quantise_inputs,
    run_original,
    scale_inputs,
)

ROWS = 200


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: tuple[int, ...]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "units",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def node(operator: str, inputs: list[str], output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


def single(values: np.ndarray | float) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def error_of(lowered: LoweredModel, model: onnx.ModelProto, samples: np.ndarray) -> float:
    """Largest error of the canonical model against the ONNX file, by the outputs' range."""
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(samples, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    raw = evaluate_values(canonical, inputs)[canonical.graph.output]
    (expected,) = run_original(model, samples.astype(np.float32).astype(np.float64))
    found = lowered.post_processing.apply(raw)
    return float((np.abs(found - expected) / np.ptp(expected, axis=0)).max())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-4, 6), min_size=2, max_size=6),
    st.floats(-4, 6),
    st.sampled_from([0, 3]),
    st.integers(0, 2**32 - 1),
)
def test_networks_of_any_units_keep_their_answers(
    powers: list[float], output_power: float, hidden: int, seed: int
) -> None:
    """Each column is about 10^power, some are zeros and ones; what a network makes of them is trained on that."""
    rng = np.random.default_rng(seed)
    units = 10 ** np.array(powers)
    raw = np.abs(rng.normal(0.5, 1, (2 * ROWS, len(units))))
    raw[:, 0] = rng.integers(0, 2, 2 * ROWS)
    samples = raw * np.where(np.arange(len(units)) == 0, 1, units)
    samples = samples.astype(np.float32).astype(np.float64)
    first = rng.normal(0, 1, (len(units), hidden or 1)) / samples.std(axis=0)[:, np.newaxis]
    constants = {"w": single(first * (1 if hidden else 10**output_power)), "v": np.zeros(0, np.float32)}
    nodes = [node("MatMul", ["x", "w"])]
    if hidden:
        constants["v"] = single(rng.normal(0, 1, (hidden, 1)) * 10**output_power)
        nodes = [node("MatMul", ["x", "w"], "h"), node("Mul", ["h", "h"], "s"), node("MatMul", ["s", "v"])]
    else:
        del constants["v"]
    model = model_of(nodes, constants, (len(units),))
    lowered = fit_units(lower_model(model), samples[:ROWS])
    assert error_of(lowered, model, samples[ROWS:]) < 0.01


def test_nothing_is_rounded() -> None:
    rng = np.random.default_rng(1)
    model = model_of([node("MatMul", ["x", "w"])], {"w": single(rng.normal(0, 1, (3, 2)))}, (3,))
    samples = rng.normal(0, 1, (50, 3)) * [1e-4, 1, 1e5]
    before = lower_model(model)
    after = fit_units(before, samples)

    def outputs(lowered: LoweredModel) -> np.ndarray:
        values = evaluate_graph(lowered.graph, scale_inputs(lowered, samples), lowered_parameters(lowered))
        return lowered.post_processing.apply(values[lowered.graph.output])

    assert after.input_exponents[0] > 8
    assert after.input_exponents[2] < -8
    assert np.array_equal(outputs(before), outputs(after))


def test_columns_that_share_a_weight_share_their_exponent() -> None:
    rng = np.random.default_rng(2)
    kernel = single(rng.normal(0, 1, (2, 1, 3)))
    weights = single(rng.normal(0, 1, (2 * 6, 1)))
    nodes = [node("Conv", ["x", "k"], "h"), node("Flatten", ["h"], "f"), node("MatMul", ["f", "w"])]
    model = model_of(nodes, {"k": kernel, "w": weights}, (1, 8))
    samples = rng.uniform(0, 255, (ROWS, 8)) * np.linspace(0.1, 1, 8)
    lowered = fit_units(lower_model(model), samples)
    assert len(set(lowered.input_exponents)) == 1
    assert lowered.input_exponents[0] < -4
    assert error_of(lowered, model, samples) < 0.01


def test_columns_that_something_else_reads_keep_their_exponents() -> None:
    """An activation of the input itself has no weights that could make up for another unit."""
    rng = np.random.default_rng(3)
    nodes = [node("Tanh", ["x"], "s"), node("MatMul", ["s", "w"], "a"), node("MatMul", ["x", "w"], "b")]
    model = model_of([*nodes, node("Add", ["a", "b"])], {"w": single(rng.normal(0, 1, (3, 1)))}, (3,))
    samples = rng.normal(0, 1, (ROWS, 3)) * 1e3
    assert not any(fit_units(lower_model(model), samples).input_exponents)


def monomials(samples: np.ndarray, factors: list[list[int]]) -> np.ndarray:
    return np.stack([samples[:, chosen].prod(axis=1) for chosen in factors], axis=1)


@given(st.integers(0, 2**32 - 1), st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_products_of_columns_move_with_them(seed: int, factors: list[list[int]]) -> None:
    """Columns of any size, multiplied with each other and beside their products, keep the model's answers."""
    random = np.random.default_rng(seed)
    samples = random.lognormal(0, 0.4, (ROWS, 3)) * 10.0 ** random.integers(-4, 5, 3)
    made = monomials(samples, factors)
    weights = random.normal(0, 1, (len(factors), 1)) / made.std(axis=0)[:, None]
    nodes, parts = [], []
    for number in range(len(factors)):
        nodes.append(node("Gather", ["x", f"places_{number}"], f"columns_{number}", axis=1))
        nodes.append(node("ReduceProd", [f"columns_{number}"], f"product_{number}", axes=[1], keepdims=1))
        parts.append(f"product_{number}")
    nodes += [node("Concat", parts, "all", axis=1), node("MatMul", ["all", "w"])]
    constants = {f"places_{number}": np.array(chosen) for number, chosen in enumerate(factors)}
    lowered = lower_model(model_of(nodes, {**constants, "w": single(weights)}, (3,)))
    fitted = fit_units(lowered, samples)
    canonical = canonicalise(fitted)
    inputs = quantise_inputs(samples, canonical.graph, canonical.scale_bits, fitted.input_exponents)
    found = fitted.post_processing.apply(evaluate_values(canonical, inputs)[canonical.graph.output])
    half_step = 2.0 ** -(canonical.scale_bits + 1)
    exponents = np.array(fitted.input_exponents or [0, 0, 0], dtype=float)
    largest = monomials(np.abs(samples) + half_step * 2.0**-exponents, factors)
    output_unit = np.ptp(fitted.post_processing.apply(np.array([[0.0], [1.0]])))
    moved = half_step * output_unit * monomials(2.0 ** exponents[np.newaxis], factors)
    # Inputs and weights are off by half a step each, in units of their own.
    allowed = largest @ (np.abs(weights) + moved.T) - np.abs(made) @ np.abs(weights)
    assert (np.abs(found - made @ weights) <= allowed * (1 + 1e-6)).all()
    assert (half_step * 2.0**-exponents <= samples.max(axis=0) * 2.0**-9).all()


def test_products_that_weights_are_shared_over_keep_their_exponents() -> None:
    """One weight meets x0·x1 and x2·x3: no units of four columns suit it unless these are the same."""
    samples = np.random.default_rng(5).normal(0, 1, (ROWS, 4)) * [1e3, 1e3, 1e-3, 1.0]
    nodes = [
        node("Reshape", ["x", "pairs"], "p"),
        node("ReduceProd", ["p"], "q", axes=[2], keepdims=1),
        node("MatMul", ["q", "w"]),
    ]
    model = model_of(nodes, {"pairs": np.array([-1, 2, 2]), "w": single([[2.0]])}, (4,))
    lowered = lower_model(model)
    fitted = fit_units(lowered, samples)
    assert not any(fitted.input_exponents)
    assert fitted.graph == lowered.graph


def test_data_that_says_nothing_changes_nothing() -> None:
    model = model_of([node("MatMul", ["x", "w"])], {"w": single(np.ones((3, 1)))}, (3,))
    before = lower_model(model)
    assert fit_units(before, np.zeros((5, 3))) == before


def test_parts_of_the_input_are_scaled_before_they_are_joined() -> None:
    """As exports of pipelines do: the numeric columns are standardised, the others pass through."""
    rng = np.random.default_rng(4)
    samples = np.hstack([rng.lognormal(10, 0.6, (ROWS, 2)), rng.integers(0, 2, (ROWS, 2))])
    constants = {
        "mean": single(samples[:, :2].mean(axis=0)),
        "std": single(samples[:, :2].std(axis=0)),
        "w": single([[1.5], [-1.0], [2.0], [0.5]]),
        "zero": np.array([0]),
        "two": np.array([2]),
        "four": np.array([4]),
        "one": np.array([1]),
    }
    nodes = [
        node("Slice", ["x", "zero", "two", "one"], "large"),
        node("Slice", ["x", "two", "four", "one"], "small"),
        node("Sub", ["large", "mean"], "centred"),
        node("Div", ["centred", "std"], "scaled"),
        node("Concat", ["scaled", "small"], "joined", axis=1),
        node("MatMul", ["joined", "w"]),
    ]
    model = model_of(nodes, constants, (4,))
    lowered = lower_model(model)
    assert len(lowered.graph.nodes) == 1  # the scaler costs no layer of its own
    assert error_of(lowered, model, samples) < 0.001
    assert error_of(fit_units(lowered, samples), model, samples) < 0.001


@pytest.mark.parametrize("factor", [1e-5, 1e-4, 1e4, 1e7])
def test_outputs_of_any_size(factor: float) -> None:
    rng = np.random.default_rng(5)
    model = model_of([node("MatMul", ["x", "w"])], {"w": single(rng.normal(0, factor, (6, 1)))}, (6,))
    samples = rng.normal(0, 1, (ROWS, 6))
    assert error_of(fit_units(lower_model(model), samples), model, samples) < 0.001


def test_folded_weights_of_large_columns_are_kept_without_data() -> None:
    rng = np.random.default_rng(6)
    samples = np.hstack([rng.lognormal(10, 0.6, (ROWS, 2)), rng.integers(0, 2, (ROWS, 4))])
    weights = single(rng.uniform(0.5, 1, (6, 1)) / samples.std(axis=0)[:, np.newaxis])
    model = model_of([node("MatMul", ["x", "w"])], {"w": weights}, (6,))
    lowered = lower_model(model)
    assert error_of(lowered, model, samples) < 0.001
    plain = replace(lowered, input_exponents=())
    assert plain != lowered


def test_saved_models_are_run_as_they_are(tmp_path: Path) -> None:
    model = model_of([node("MatMul", ["x", "w"])], {"w": single(np.eye(3)[:, :2])}, (3,))
    onnx.save(model, tmp_path / "m.onnx")
    samples = np.arange(12.0).reshape(4, 3)
    (found,) = run_original(onnx.load(tmp_path / "m.onnx"), samples)
    assert np.array_equal(found, samples[:, :2])


JOINED_SCALES = np.array([3e4, 4e-3, 1.0, 50.0])


def joined(rng: np.random.Generator, last: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    """A model that reads features in units of their own beside what a hidden layer makes of them (wide and deep)."""
    hidden = single(rng.normal(0, 1, (4, 4)) / JOINED_SCALES[:, np.newaxis])
    nodes = [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "r"), node("Concat", ["r", "x"], "both", axis=1)]
    return model_of([*nodes, *last], {"w": hidden, **constants}, (4,))


def test_features_beside_other_values_are_brought_into_units_of_their_own() -> None:
    rng = np.random.default_rng(8)
    weights = np.r_[rng.normal(0, 1, (4, 1)), rng.normal(0, 1, (4, 1)) / JOINED_SCALES[:, np.newaxis]]
    model = joined(rng, [node("MatMul", ["both", "v"])], v=single(weights))
    samples = rng.normal(0, 1, (ROWS, 4)) * JOINED_SCALES
    fitted = fit_units(lower_model(model), samples)
    assert all(fitted.input_exponents[i] for i in (0, 1, 3))
    assert error_of(fitted, model, samples) < 1e-3


def test_weights_that_meet_features_and_other_values_leave_the_units_of_these() -> None:
    rng = np.random.default_rng(9)
    last = [node("Reshape", ["both", "pairs"], "p"), node("MatMul", ["p", "v"], "q"), node("Flatten", ["q"])]
    model = joined(rng, last, pairs=np.array([-1, 2, 4]), v=single(rng.normal(0, 1, (4, 2))))
    assert not any(fit_units(lower_model(model), rng.normal(0, 1, (ROWS, 4)) * JOINED_SCALES).input_exponents)


@settings(max_examples=10)
@given(st.sampled_from([1.0, 255.0]), st.integers(0, 2**32 - 1))
def test_columns_that_are_nearly_always_zero_leave_room(largest: float, seed: int) -> None:
    """Pixels at the border, dark in the seller's data but for one row, or in all of it, are bright in the buyer's."""
    rng = np.random.default_rng(seed)
    model = model_of([node("MatMul", ["x", "w"])], {"w": single(rng.normal(size=(12, 3)))}, (12,))
    samples = rng.uniform(0, largest, (ROWS, 12))
    fresh = samples[:50].copy()
    samples[:, :2] = 0
    samples[7, 0] = largest * rng.uniform(0.01, 0.2)
    samples[:, 2] = rng.random(ROWS) < 0.05
    fitted = fit_units(lower_model(model), samples)
    assert error_of(fitted, model, fresh) < 5e-3
    before = lower_model(model).input_exponents or (0,) * 12
    assert (fitted.input_exponents or (0,) * 12)[2] == before[2]


def test_outputs_that_are_the_same_for_every_sample_are_left_out() -> None:
    model = model_of(
        [node("MatMul", ["x", "w"]), node("Identity", ["c"], "z")], {"w": np.eye(2), "c": np.ones(5)}, (2,)
    )
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    model.graph.output.append(helper.make_empty_tensor_value_info("z"))
    samples = np.arange(8.0).reshape(4, 2)
    (found,) = run_original(onnx.shape_inference.infer_shapes(model), samples)
    np.testing.assert_array_equal(found, samples)
