"""What is said of a package against the model that was handed in: in its units, and refused where it lost too much."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from tests.simulators.trading import POLICY
from trader.errors import PolicyError
from trader.he import PlanningProblem, parse_plan, plan_encryption
from trader.model import canonicalise, fit_grid, fit_units, lower_model, make_grid, run_original
from trader.model.manifest import Agreement, Fidelity, ModelCard
from trader.package import FidelityError, PrepareOptions, planning_data, prepare
from trader.package.fidelity import Comparison, is_faithful

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEATURES, ROWS = 6, 200


def model_of(nodes: list[tuple[str, list[str], str]], outputs: int = 1, **constants: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output], name=output) for operator, inputs, output in nodes],
        "fidelity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def linear(factor: float = 1.0) -> onnx.ModelProto:
    weights = np.random.default_rng(1).normal(0, factor, (FEATURES, 1))
    return model_of([("MatMul", ["x", "w"], "y")], w=weights)


def network(activation: str, factor: float = 1.0) -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    nodes = [("MatMul", ["x", "w"], "h"), (activation, ["h"], "a"), ("MatMul", ["a", "v"], "y")]
    return model_of(nodes, w=rng.normal(0, factor, (FEATURES, 8)), v=rng.normal(0, 1, (8, 1)))


def compare(model: onnx.ModelProto, samples: np.ndarray, *, fit: bool = True) -> Comparison:
    lowered = lower_model(model)
    lowered = fit_units(lowered, samples) if fit else lowered
    canonical = canonicalise(lowered)
    data = planning_data(canonical, lowered.input_exponents, samples)
    problem = PlanningProblem(
        canonical, data.bounds, input_magnitude=data.input_magnitude, calibration=data.calibration
    )
    return Comparison(lowered, canonical, plan_encryption(problem), samples, run_original(model, samples))


def samples_of(*units: float) -> np.ndarray:
    values = np.random.default_rng(3).normal(0, 1, (ROWS, FEATURES)) * (units or 1.0)
    return values.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 2e5])
def test_errors_are_in_the_units_of_the_outputs(factor: float) -> None:
    samples = samples_of()
    comparison = compare(linear(factor), samples)
    fidelity = comparison.measure()
    assert fidelity.rows == ROWS
    spread = np.ptp(samples @ np.random.default_rng(1).normal(0, factor, (FEATURES, 1)))
    found = fidelity.delivered
    assert 1e-7 * spread < found.error_99 <= found.largest_error < 1e-3 * spread
    assert found.largest_relative_error == pytest.approx(found.largest_error / spread, rel=1e-3)
    assert found.classes_kept is None
    assert fidelity.tested == found  # no polynomial stands for anything
    comparison.check(fidelity)


def test_a_polynomial_that_is_too_far_off_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts in the test, and not in what is delivered. Larger degrees would be close enough."""
    monkeypatch.setattr("trader.he.planning.search.DEGREES", (2, 3, 7))
    comparison = compare(network("Relu", 30.0), samples_of())
    fidelity = comparison.measure()
    assert fidelity.delivered.largest_error < fidelity.tested.largest_error / 10
    assert fidelity.tested.largest_relative_error == pytest.approx(
        fidelity.tested.largest_error / float(np.ptp(comparison.original[0])), rel=1e-6
    )
    assert is_faithful(fidelity.delivered)
    with pytest.raises(FidelityError, match=r"tested encrypted.*polynomial that stands for relu \(Relu 'a'\)"):
        comparison.check(fidelity)


def test_a_degree_serves_that_keeps_what_the_user_sees() -> None:
    """A logit that moves by a hundredth of its range may move a probability from one half to the next class."""
    rng = np.random.default_rng(2)
    nodes = [("MatMul", ["x", "w"], "h"), ("Tanh", ["h"], "a"), ("MatMul", ["a", "v"], "z"), ("Sigmoid", ["z"], "y")]
    model = model_of(nodes, w=rng.normal(0, 0.5, (FEATURES, 8)), v=rng.normal(0, 20, (8, 1)))
    by_raw_outputs = compare(model, samples_of())
    assert not is_faithful(by_raw_outputs.measure().tested)
    lowered, canonical, samples = by_raw_outputs.lowered, by_raw_outputs.canonical, by_raw_outputs.samples
    data = planning_data(canonical, lowered.input_exponents, samples)
    plan = plan_encryption(data.problem(canonical, keeps=replace(by_raw_outputs, plan=None).keeps))
    fidelity = replace(by_raw_outputs, plan=plan).measure()
    assert is_faithful(fidelity.tested)
    assert plan.approximation_error < by_raw_outputs.plan.approximation_error


def test_a_column_that_the_grid_does_not_show_is_to_blame() -> None:
    """An activation of the input itself has no weights before it that could be in other units."""
    rng = np.random.default_rng(4)
    nodes = [("Tanh", ["x"], "s"), ("MatMul", ["s", "w"], "y")]
    units = (2e-4, 2e-4, 1e-5, 2e-4, 2e-4, 2e-4)
    weights = rng.uniform(0.5, 1.0, (FEATURES, 1)) / np.array(units)[:, np.newaxis]
    comparison = compare(model_of(nodes, w=weights), samples_of(*units))
    with pytest.raises(FidelityError, match=r"rounded to integers.*column 2 \(from 0\)"):
        comparison.check(comparison.measure())


def test_an_output_that_is_small_beside_another_is_to_blame() -> None:
    """Both are off by less than the larger one's grid step, which is all that the small one has."""
    weights = np.random.default_rng(1).normal(0, 1, (FEATURES, 2)) * [1e4, 1e-3]
    comparison = compare(model_of([("MatMul", ["x", "w"], "y")], 2, w=weights), samples_of())
    with pytest.raises(
        FidelityError, match=r"Output 1 \(from 0\) loses most of it. Rounding parameter_0 \(MatMul 'y'\)"
    ):
        comparison.check(comparison.measure())


def test_trees_whose_thresholds_did_not_move_are_not_blamed_on_bins() -> None:
    """Two targets in units that are far apart lose in the leaves, not in the bins of the columns."""
    samples = samples_of()
    grid = make_grid(samples, 16)
    snapped = grid.snap(samples).astype(np.float32)
    targets = snapped[:, :2] * [1e4, 1e-2]
    file = to_onnx(RandomForestRegressor(3, max_depth=3, random_state=0).fit(snapped, targets), snapped[:1])
    lowered = fit_grid(lower_model(file), snapped.astype(np.float64), grid)
    original = run_original(file, snapped.astype(np.float64))
    comparison = Comparison(lowered, canonicalise(lowered), None, snapped.astype(np.float64), original)
    with pytest.raises(FidelityError, match=r"Output 1 \(from 0\) loses most of it. Rounding parameter_"):
        comparison.check(comparison.measure())


def test_a_tensor_that_the_grid_does_not_show_is_to_blame() -> None:
    rng = np.random.default_rng(5)
    nodes = [("MatMul", ["x", "w"], "h"), ("Mul", ["h", "h"], "s"), ("MatMul", ["s", "v"], "y")]
    weights = rng.normal(0, 1, (FEATURES, 4)) * np.array([1, 1, 1, 1e-3])
    model = model_of(nodes, w=weights, v=rng.normal(0, 1, (4, 1)) * np.array([[1e-6], [1e-6], [1e-6], [1.0]]))
    comparison = compare(model, samples_of())
    with pytest.raises(FidelityError, match=r"Rounding parameter_0 \(MatMul 'h'\)"):
        comparison.check(comparison.measure())


def test_classes_are_counted() -> None:
    rng = np.random.default_rng(6)
    nodes = [("MatMul", ["x", "w"], "z"), ("Softmax", ["z"], "y")]
    comparison = compare(model_of(nodes, outputs=3, w=rng.normal(0, 1, (FEATURES, 3))), samples_of())
    fidelity = comparison.measure()
    assert fidelity.delivered.classes_kept is not None
    assert fidelity.delivered.classes_kept >= 0.995
    # The same figures tell a model that is another one.
    other = Comparison(
        comparison.lowered, comparison.canonical, comparison.plan, comparison.samples, (comparison.original[0][::-1],)
    )
    assert (other.measure().delivered.classes_kept or 0) < 0.9
    with pytest.raises(FidelityError, match=r"keeps \d\d\.\d% of its classes"):
        other.check(other.measure())


@pytest.mark.parametrize("kind", ["Sigmoid", "ArgMax"])
def test_yes_and_no_and_class_numbers_are_classes(kind: str) -> None:
    rng = np.random.default_rng(7)
    columns = 1 if kind == "Sigmoid" else 3
    model = model_of([("MatMul", ["x", "w"], "z"), (kind, ["z"], "y")], w=rng.normal(0, 1, (FEATURES, columns)))
    if kind == "ArgMax":
        model.graph.node[-1].attribute.extend([helper.make_attribute("axis", 1), helper.make_attribute("keepdims", 0)])
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.INT64, ["N"]))
    fidelity = compare(model, samples_of()).measure()
    assert fidelity.delivered.classes_kept is not None
    assert fidelity.delivered.classes_kept >= 0.995
    assert fidelity.delivered.relative_error_99 < 0.01


def test_each_quantity_counts_by_its_own_range() -> None:
    """One of two predicted quantities is so small that the grid of the other one swallows it."""
    rng = np.random.default_rng(8)
    weights = rng.normal(0, 1, (FEATURES, 2)) * np.array([1.0, 1e-5])
    comparison = compare(model_of([("MatMul", ["x", "w"], "y")], outputs=2, w=weights), samples_of())
    fidelity = comparison.measure()
    assert fidelity.delivered.largest_error < 0.01
    assert fidelity.delivered.relative_error_99 > 0.01
    assert not is_faithful(fidelity.delivered)


def test_constant_outputs_are_measured_against_their_size() -> None:
    nodes = [("MatMul", ["x", "w"], "h"), ("Add", ["h", "b"], "y")]
    fidelity = compare(model_of(nodes, w=np.zeros((FEATURES, 1)), b=[152.0]), samples_of()).measure()
    assert is_faithful(fidelity.delivered)
    assert math.isfinite(fidelity.delivered.largest_relative_error)


def agreement(error: float = 0.0, classes: float | None = None) -> Agreement:
    return Agreement(
        largest_error=error,
        error_99=error,
        largest_relative_error=error,
        relative_error_99=error,
        classes_kept=classes,
    )


@pytest.mark.parametrize(
    ("fidelity", "passes"),
    [
        (None, True),
        (Fidelity(rows=100, delivered=agreement(0.01), tested=agreement(0.01, 0.995)), True),
        (Fidelity(rows=100, delivered=agreement(0.0101), tested=agreement()), False),
        (Fidelity(rows=100, delivered=agreement(), tested=agreement(0.0, 0.9949)), False),
    ],
)
def test_buyers_hold_sellers_to_what_they_state(fidelity: Fidelity | None, *, passes: bool) -> None:
    if passes:
        POLICY.check_fidelity(fidelity)
        return
    with pytest.raises(PolicyError, match="not quite the one that the seller trained"):
        POLICY.check_fidelity(fidelity)


@pytest.mark.slow
def test_prepare_refuses_names_and_lets_who_insists(
    tmp_path: Path, modelseal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", "correct horse")
    onnx.save(network("Tanh", 40.0), tmp_path / "m.onnx")  # a step, which no polynomial stands for
    np.save(tmp_path / "few.npy", samples_of()[:20])
    command = ["model", "prepare", tmp_path / "m.onnx", "--calibration", tmp_path / "few.npy", "--no-trial", "--json"]
    command += ["--audit-samples", 1]  # a circuit of few rows
    refused = modelseal(*command, "--out", tmp_path / "refused")
    assert refused.code == 2
    assert "does most of it" in refused.err
    assert not (tmp_path / "refused").exists()
    made = modelseal(*command, "--out", tmp_path / "made", "--insist")
    assert made.code == 0, made.err
    assert "The calibration data has 20 rows" in made.err
    figures = json.loads(made.out.splitlines()[-1])
    assert figures["calibration_rows"] == 20
    assert figures["tested_relative_error_99"] > 0.01
    manifest = json.loads((tmp_path / "made" / "public" / "manifest.json").read_bytes())
    assert manifest["fidelity"]["tested"]["relative_error_99"] == figures["tested_relative_error_99"]
    # Samples that left the range of these rows are told apart from those that did not.
    np.save(tmp_path / "far.npy", np.vstack([samples_of()[:3], samples_of()[3:5] * 100]))
    tried = modelseal("model", "try", tmp_path / "made", "--data", tmp_path / "far.npy", "--json")
    assert "out of the model's input range" in tried.err or json.loads(tried.out)["samples_outside"] == 2


def test_a_model_that_onnxruntime_does_not_run_is_refused_unless_the_seller_insists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel for this operator")

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    onnx.save(linear(), tmp_path / "m.onnx")
    np.save(tmp_path / "c.npy", samples_of())
    arguments = (tmp_path / "m.onnx", tmp_path / "p")
    options = PrepareOptions(card=ModelCard(name="m"))
    with pytest.raises(FidelityError, match="onnxruntime can't run the model: no kernel for this operator"):
        prepare(*arguments, options, password="test", calibration=tmp_path / "c.npy")
    made = prepare(*arguments, replace(options, insist=True), password="test", calibration=tmp_path / "c.npy")
    assert made.manifest.fidelity is None


def boosted(samples: np.ndarray, target: np.ndarray) -> onnx.ModelProto:
    model = GradientBoostingRegressor(n_estimators=4, max_depth=3, random_state=0).fit(samples, target)
    return to_onnx(model, samples[:1].astype(np.float32))


def test_trees_are_compared_with_the_file_too(tmp_path: Path) -> None:
    samples = samples_of()
    target = samples[:, 0] * (samples[:, 1] > 0.3)
    file, data = tmp_path / "trees.onnx", tmp_path / "data.npy"
    file.write_bytes(boosted(samples, target).SerializeToString())
    np.save(data, samples)
    options = PrepareOptions(card=ModelCard(name="trees"), grid=make_grid(samples, 4))
    with pytest.raises(FidelityError, match="4 bins per column"):
        prepare(file, tmp_path / "refused", options, password="", calibration=data)
    grid = make_grid(samples, 32)
    np.save(data, grid.snap(samples))
    file.write_bytes(boosted(grid.snap(samples), target).SerializeToString())
    options = replace(options, grid=grid, insist=True, audit_samples=1, proofs=1)
    package = prepare(file, tmp_path / "package", options, password="", calibration=data)
    fidelity, plan = package.manifest.fidelity, parse_plan(package.manifest.plan)
    assert fidelity is not None
    assert fidelity.tested == fidelity.delivered
    assert fidelity.delivered.largest_relative_error < 0.002
    assert plan.is_exact
    assert plan.edges == grid.sizes == tuple(map(len, package.manifest.input.edges))
    assert package.manifest.circuit.tolerance == "0x0"
