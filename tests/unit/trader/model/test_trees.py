"""Ensembles of trees, from ONNX files through bins and integers to the delivered file: all forms agree."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from trader.model import (
    CanonicalModel,
    Grid,
    LoweredModel,
    PostProcessing,
    UnsupportedOperatorError,
    canonicalise,
    evaluate_exact,
    evaluate_graph,
    fit_grid,
    lower_model,
    lowered_parameters,
    make_grid,
    plain_model_bytes,
)
from trader.model.ensemble import holds_trees
from trader.model.thermometer import thermometer, thermometer_model
from trader.model.units import scale_inputs
from trader.rehearsal.networks import random_trees

ML = "ai.onnx.ml"
SAMPLES = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


def run(data: bytes, samples: np.ndarray, outputs: list[str] | None = None) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(data)
    return session.run(outputs, {session.get_inputs()[0].name: samples.astype(np.float32)})


def lowered_scores(lowered: LoweredModel, samples: np.ndarray) -> np.ndarray:
    """Outputs after post-processing, thresholds as the file has them."""
    values = evaluate_graph(
        lowered.graph, scale_inputs(lowered, samples.astype(np.float32).astype(float)), lowered_parameters(lowered)
    )
    return lowered.post_processing.apply(values[lowered.graph.output])


def assert_all_forms_agree(lowered: LoweredModel, samples: np.ndarray, grid: Grid) -> CanonicalModel:
    """Bins, bits, and both forms of the delivered file, on the samples and on the edges themselves."""
    snapped = fit_grid(lowered, samples.astype(float), grid, all_columns=True)
    model = canonicalise(snapped)
    assert holds_trees(model, grid.sizes)
    on_edges = [grid.snap(samples.astype(float)), np.nextafter(grid.snap(samples).astype(np.float32), np.float32(9e9))]
    rows = np.concatenate([samples, 3 * samples, *on_edges]).astype(np.float32)[::3]
    exact = evaluate_exact(model, grid.bins(rows))
    bits = thermometer(grid.bins(rows), grid.sizes)
    assert (evaluate_exact(thermometer_model(model, grid.sizes), bits) == exact).all()
    (raw,) = run(plain_model_bytes(model, snapped.post_processing, (), grid), rows, ["raw"])
    assert (raw == exact.astype(float)).all()
    return model


# ------------------------------------------------------------------------------------------------------- scikit-learn


SIZES = {"max_depth": 4, "random_state": 0}
FEW = SIZES | {"n_estimators": 5}
CLASSIFIERS = {
    "a tree": DecisionTreeClassifier(**SIZES),
    "a forest": RandomForestClassifier(**FEW),
    "extra trees": ExtraTreesClassifier(**FEW),
    "boosting": GradientBoostingClassifier(**FEW),
    "boosting, scaled": make_pipeline(StandardScaler(), GradientBoostingClassifier(**FEW)),
}
REGRESSORS = {
    "a tree": DecisionTreeRegressor(**SIZES),
    "a forest": RandomForestRegressor(**FEW),
    "extra trees": ExtraTreesRegressor(**FEW),
    "boosting": GradientBoostingRegressor(**FEW),
    "scaled": make_pipeline(StandardScaler(), RandomForestRegressor(**FEW)),
}


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris], ids=["two classes", "three classes"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_of_scikit_learn(name, load):
    samples, target = load(return_X_y=True)
    file = to_onnx(CLASSIFIERS[name].fit(samples, target), samples[:1].astype(np.float32), options={"zipmap": False})
    lowered = lower_model(file)
    label, scores = run(file.SerializeToString(), samples)
    found = lowered_scores(lowered, samples)
    np.testing.assert_allclose(found, scores, atol=1e-5)
    assert lowered.post_processing.is_classifier
    grid = make_grid(samples, 16)
    model = assert_all_forms_agree(lowered, samples, grid)
    post_processing = fit_grid(lowered, samples, grid, all_columns=True).post_processing
    (again,) = run(plain_model_bytes(model, post_processing, (), grid), samples, ["label"])
    # Sixteen bins move some labels; that they are few says that thresholds found their edges.
    assert np.mean(again == label) > 0.9


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_of_scikit_learn(name):
    samples, target = load_diabetes(return_X_y=True)
    file = to_onnx(REGRESSORS[name].fit(samples, target), samples[:1].astype(np.float32))
    lowered = lower_model(file)
    (expected,) = run(file.SerializeToString(), samples)
    np.testing.assert_allclose(lowered_scores(lowered, samples), expected, rtol=1e-5)
    assert_all_forms_agree(lowered, samples, make_grid(samples, 16))


def test_fully_grown_trees_are_refused_with_what_to_do():
    samples, target = load_diabetes(return_X_y=True)
    file = to_onnx(DecisionTreeRegressor(random_state=0).fit(samples, target), samples[:1].astype(np.float32))
    with pytest.raises(UnsupportedOperatorError, match=r"more than 8 decisions deep.*max_depth=8 or less"):
        lower_model(file)


# ---------------------------------------------------------------------------------------- the operators, by hand


def in_graph(node: onnx.NodeProto, outputs: int, opset: int) -> onnx.ModelProto:
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", outputs])]
    if len(node.output) == 2:
        results.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]))
    graph = helper.make_graph([node], "trees", [source], results)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ML, opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def two_trees(kind: str, mode: str, outputs: int, *, vote: int | None = None) -> dict[str, object]:
    """Attributes of a tree of depth 2, lopsided, and one of depth 1; thresholds are values of samples.

    Leaves add to all outputs, or to one: onnxruntime leaves base values out where no leaf adds anything.
    """
    splits = [float(SAMPLES[0, 0]), float(SAMPLES[1, 1]), 0.0, 0.0, 0.0, float(SAMPLES[2, 2]), 0.0, 0.0]
    leaves = [(0, 2, 0.5), (0, 3, -1.25), (0, 4, 2.0), (1, 1, 0.75), (1, 2, -0.5)]
    targets = range(outputs) if vote is None else [vote]
    added = [
        (*leaf[:2], target, leaf[2] * (target + 1) ** (number % 2) - target / 7)
        for number, leaf in enumerate(leaves)
        for target in targets
    ]
    return {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0],
        "nodes_modes": [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"],
        "nodes_values": splits,
        "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
        f"{kind}_treeids": [tree for tree, _, _, _ in added],
        f"{kind}_nodeids": [node for _, node, _, _ in added],
        f"{kind}_ids": [target for _, _, target, _ in added],
        f"{kind}_weights": [weight for _, _, _, weight in added],
    }


def assert_as_onnxruntime(file: onnx.ModelProto) -> LoweredModel:
    lowered = lower_model(file)
    *_, scores = run(file.SerializeToString(), SAMPLES)
    np.testing.assert_allclose(lowered_scores(lowered, SAMPLES).reshape(scores.shape), scores, atol=1e-6)
    return lowered


@pytest.mark.parametrize("mode", ["BRANCH_LT", "BRANCH_LEQ", "BRANCH_GT", "BRANCH_GTE"])
@pytest.mark.parametrize(("aggregate", "base"), [("SUM", [0.5, -2.0]), ("AVERAGE", [0.0, 0.0])])
def test_modes_and_aggregates_of_the_regressor(mode, aggregate, base):
    attributes = two_trees("target", mode, 2) | {"aggregate_function": aggregate, "base_values": base}
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, n_targets=2, **attributes)
    assert_all_forms_agree(assert_as_onnxruntime(in_graph(node, 2, 3)), SAMPLES, make_grid(SAMPLES, 16))


@pytest.mark.parametrize("mode", ["BRANCH_LT", "BRANCH_LEQ"])
@pytest.mark.parametrize("form", ["Scaler", "Sub and Div", "Sub and Mul", "Mul and Add"])
@pytest.mark.parametrize("seed", range(4))
def test_values_at_thresholds_of_standardised_columns_are_decided_as_float32_rounds_them(mode, form, seed):
    """Boosted trees decide by values that their data have, which a scaler has rounded."""
    draws = np.random.default_rng(seed)
    offset = (draws.normal(size=3) * 10.0 ** draws.integers(-3, 4, 3)).astype(np.float32)
    offset[seed % 3] = 4.0  # so that offset·scale is a float32 number, too
    scale = np.exp(draws.normal(size=3) * 3).astype(np.float32)
    steps = {
        "Scaler": [helper.make_node("Scaler", ["x"], ["z"], domain=ML, offset=offset.tolist(), scale=scale.tolist())],
        "Sub and Div": [helper.make_node("Sub", ["x", "o"], ["c"]), helper.make_node("Div", ["c", "s"], ["z"])],
        "Sub and Mul": [helper.make_node("Sub", ["x", "o"], ["c"]), helper.make_node("Mul", ["c", "s"], ["z"])],
        "Mul and Add": [helper.make_node("Mul", ["x", "s"], ["c"]), helper.make_node("Add", ["c", "a"], ["z"])],
    }[form]
    samples = (offset + SAMPLES * 10).astype(np.float32)
    added = (-offset * scale).astype(np.float32)
    moved = {
        "Sub and Div": (samples - offset) / scale,
        "Mul and Add": samples * scale + added,
    }.get(form, (samples - offset) * scale)
    thresholds = [moved[row, column] for row, column in ((0, 0), (1, 1), (2, 2))]
    attributes = two_trees("target", mode, 1)
    attributes["nodes_values"] = [*map(float, thresholds[:2]), 0.0, 0.0, 0.0, float(thresholds[2]), 0.0, 0.0]
    trees = helper.make_node("TreeEnsembleRegressor", ["z"], ["y"], domain=ML, n_targets=1, **attributes)
    file = in_graph(trees, 1, 3)
    del file.graph.node[:]
    file.graph.node.extend([*steps, trees])
    if form != "Scaler":
        constants = {"o": offset, "s": scale, "a": added}
        used = {name for step in steps for name in step.input}
        file.graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in used & set(constants))
    beside = [np.nextafter(samples[:3], np.float32(side)) for side in (-9e9, 9e9)]
    near = np.concatenate([*beside, samples])
    (expected,) = run(file.SerializeToString(), near)
    np.testing.assert_allclose(lowered_scores(lower_model(file), near).reshape(expected.shape), expected, atol=1e-6)


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_base_values_count_where_onnxruntime_adds_them(reached):
    """Of a target that some of a tree's leaves add to, all, or none."""
    attributes = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0] * (2 + reached),
        "target_nodeids": [1, 2, 1, 2][: 2 + reached],
        "target_ids": [0, 0, 1, 1][: 2 + reached],
        "target_weights": [1.0, 2.0, 7.0, 8.0][: 2 + reached],
        "base_values": [10.0, 5.0],
    }
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, n_targets=2, **attributes)
    if reached == 1:
        with pytest.raises(UnsupportedOperatorError, match="base value of target 1 to some samples only"):
            lower_model(in_graph(node, 2, 3))
    else:
        assert_as_onnxruntime(in_graph(node, 2, 3))


@pytest.mark.parametrize("mode", ["BRANCH_EQ", "BRANCH_NEQ"])
def test_equality_is_refused_with_what_to_do(mode):
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **two_trees("target", mode, 1))
    with pytest.raises(UnsupportedOperatorError, match=r"equals a value.*one-hot"):
        lower_model(in_graph(node, 1, 3))


@pytest.mark.parametrize(
    ("classes", "vote", "transform", "base"),
    [
        (2, 0, "LOGISTIC", [0.25]),  # XGBoost: a binary objective, and a base score
        (2, 0, "LOGISTIC", []),  # LightGBM
        (3, None, "SOFTMAX", []),  # both, several classes
        (3, None, "SOFTMAX", [0.5, -0.5, 1.0]),
        (3, None, "NONE", []),
        (3, None, "LOGISTIC", []),
    ],
)
def test_classifiers_as_the_converters_of_boosting_libraries_write_them(classes, vote, transform, base):
    attributes = two_trees("class", "BRANCH_LT", classes, vote=vote)
    attributes |= {"base_values": base} if base else {}
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "y"],
        domain=ML,
        classlabels_int64s=list(range(classes)),
        post_transform=transform,
        **attributes,
    )
    file = in_graph(node, classes, 3)
    lowered = assert_as_onnxruntime(file)
    label, _ = run(file.SerializeToString(), SAMPLES)
    raw = evaluate_graph(lowered.graph, scale_inputs(lowered, SAMPLES.astype(float)), lowered_parameters(lowered))
    assert (lowered.post_processing.predict(raw[lowered.graph.output]) == label).all()


MODES = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("aggregate", [0, 1], ids=["AVERAGE", "SUM"])
def test_the_operator_of_set_5(mode, aggregate):
    attributes = {
        "nodes_splits": numpy_helper.from_array(np.array([SAMPLES[0, 0], SAMPLES[1, 1], SAMPLES[2, 2]])),
        "nodes_modes": numpy_helper.from_array(np.full(3, MODES[mode], np.uint8)),
        "leaf_weights": numpy_helper.from_array(np.array([0.5, -1.25, 2.0, 0.75, -0.5], np.float32)),
    }
    node = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain=ML,
        n_targets=2,
        aggregate_function=aggregate,
        post_transform=0,
        tree_roots=[0, 2],
        nodes_featureids=[0, 1, 2],
        nodes_truenodeids=[1, 0, 3],
        nodes_trueleafs=[0, 1, 1],
        nodes_falsenodeids=[1, 2, 4],
        nodes_falseleafs=[1, 1, 1],
        leaf_targetids=[0, 1, 0, 1, 0],
        **attributes,
    )
    assert_as_onnxruntime(in_graph(node, 2, 5))


# ------------------------------------------------------------------------------------------------------ random trees


@pytest.mark.parametrize("seed", range(12))
def test_random_trees_mean_the_same_in_every_form(seed):
    """Topology, depth, outputs and modes at random, down to trees of a single leaf."""
    rng = np.random.default_rng(seed)
    outputs, attributes = int(rng.integers(1, 4)), {name: [] for name in two_trees("target", "BRANCH_LT", 1)}
    for tree in range(int(rng.integers(1, 6))):
        add_random_tree(attributes, tree, int(rng.integers(0, 6)), outputs, rng)
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, n_targets=outputs, **attributes)
    lowered = assert_as_onnxruntime(in_graph(node, outputs, 3))
    assert_all_forms_agree(lowered, SAMPLES, make_grid(SAMPLES, int(rng.integers(2, 40))))


def add_random_tree(attributes: dict[str, list], tree: int, depth: int, outputs: int, rng: np.random.Generator) -> None:
    waiting, count = [(0, 0)], 1
    for number, level in waiting:
        leaf = level == depth or (level > 0 and rng.random() < 0.3)
        mode = "LEAF" if leaf else str(rng.choice(list(MODES)))
        column = int(rng.integers(3))
        branches = (0, 0) if leaf else (count, count + 1)
        fields = (tree, number, column, mode, float(rng.choice(SAMPLES[:, column])), *branches)
        if leaf:
            for output in range(outputs):
                added = (tree, number, output, float(np.float32(rng.normal())))
                for name, item in zip(list(attributes)[7:], added, strict=True):
                    attributes[name].append(item)
        else:
            waiting += [(branch, level + 1) for branch in branches]
            count += 2
        for name, item in zip(attributes, fields, strict=False):
            attributes[name].append(item)


# -------------------------------------------------------------------------------------------------- tensors of no tree


@pytest.mark.parametrize("damage", ["two columns", "twice a column", "a column negated"])
def test_tensors_of_no_trees_are_delivered_as_what_they_compute(damage):
    grid = make_grid(SAMPLES.astype(float), 8)
    model = random_trees(grid.sizes, 3, 3)
    tensor = model.tensors[0].copy()
    column = np.flatnonzero(tensor[:3, 0])[0]
    values = {"two columns": ((column + 1) % 3, 1), "twice a column": (column, 2), "a column negated": (column, -1)}
    row, value = values[damage]
    tensor[row, 0] = value
    other = CanonicalModel(model.graph, (tensor, model.tensors[1]), 0)
    assert holds_trees(model, grid.sizes)
    assert not holds_trees(other, grid.sizes)
    (raw,) = run(plain_model_bytes(other, PostProcessing(), (), grid), SAMPLES, ["raw"])
    assert (raw == evaluate_exact(other, grid.bins(SAMPLES)).astype(float)).all()
    assert (evaluate_exact(other, grid.bins(SAMPLES)) != evaluate_exact(model, grid.bins(SAMPLES))).any()


@pytest.mark.parametrize("number", [-(1 << 23), -1, 7, 1 << 23])
def test_thresholds_that_are_no_edge_decide_beforehand_in_every_form(number):
    grid = Grid(((0.0, 1.0), (), (-0.5,)))
    model = random_trees(grid.sizes, 2, 2)
    tensor = model.tensors[0].copy()
    tensor[3, ::2] = -number
    other = CanonicalModel(model.graph, (tensor, model.tensors[1]), 0)
    (raw,) = run(plain_model_bytes(other, PostProcessing(), (), grid), SAMPLES, ["raw"])
    assert (raw == evaluate_exact(other, grid.bins(SAMPLES)).astype(float)).all()


def test_what_is_not_a_number_takes_the_same_way_as_in_the_test():
    grid = Grid(((0.0, 1.0), (-0.5,), (0.25,)))
    model = random_trees(grid.sizes, 3, 2)
    rows = np.where(np.eye(3) > 0, np.nan, 0.1).astype(np.float32)
    expected = evaluate_exact(model, grid.bins(rows)).astype(float)
    (raw,) = run(plain_model_bytes(model, PostProcessing(), (), grid), rows, ["raw"])
    assert (raw == expected).all()
