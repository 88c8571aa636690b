"""ONNX files of several exporters, lowered: the graph computes what the file computes."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from trader.he import PlanError, PlanningProblem, plan_encryption
from trader.model import (
    PostProcessingKind,
    UnsafeModelError,
    UnsupportedOperatorError,
    canonicalise,
    evaluate_exact,
    measured_bounds,
    output_scale_bits,
    plain_model_bytes,
    quantise_inputs,
    read_model,
)
from trader.model.functions import ActivationKind
from trader.model.nodes import Activation

RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(0, 0.4, (6, 5)), RNG.normal(0, 0.4, 5)
W2, B2 = RNG.normal(0, 0.4, (5, 3)), RNG.normal(0, 0.4, 3)
X = RNG.normal(0, 1, (40, 6)).astype(np.float32)


def model_of(nodes, constants, path, *, opset=13, element=TensorProto.FLOAT, shape=("N", 6), outputs=("y",), folded=()):
    """Write an ONNX file; `folded` names the constants that become Constant nodes."""
    head = [helper.make_node("Constant", [], [n], value=numpy_helper.from_array(constants[n], n)) for n in folded]
    initializers = [numpy_helper.from_array(v, n) for n, v in constants.items() if n not in folded]
    graph = helper.make_graph(
        head + nodes,
        "g",
        [helper.make_tensor_value_info("x", element, list(shape))],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        initializer=initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    )
    model.ir_version = 8
    model = onnx.shape_inference.infer_shapes(model)
    path.write_bytes(model.SerializeToString())
    return path


def raw_outputs(lowered, x):
    """Canonical outputs in real units."""
    model = canonicalise(lowered)
    quantised = quantise_inputs(x, model.graph, model.scale_bits, lowered.input_exponents)
    exact = evaluate_exact(model, quantised)
    return np.array([[int(v) / 2 ** output_scale_bits(model.graph, model.scale_bits) for v in row] for row in exact])


def check_against_onnxruntime(path, x=X, tolerance=5e-3):
    lowered = read_model(path)
    got = lowered.post_processing.apply(raw_outputs(lowered, x))
    session = onnxruntime.InferenceSession(str(path))
    (want,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(got, want.reshape(got.shape), atol=tolerance)
    delivered = plain_model_bytes(canonicalise(lowered), lowered.post_processing, lowered.input_exponents)
    flat = {"input": x.reshape(len(x), -1).astype(np.float32)}
    plain = onnxruntime.InferenceSession(delivered).run(["output"], flat)[0]
    np.testing.assert_allclose(plain, want.reshape(plain.shape), atol=tolerance)
    return lowered


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs, [output], name=f"{operator.lower()}_{output}", **attributes)


def test_gemm_square_gemm_keeps_names_and_shapes_canonical(tmp_path):
    nodes = [
        node("Gemm", ["x", "w1", "b1"], "h"),
        node("Mul", ["h", "h"], "s"),
        node("Gemm", ["s", "w2", "b2"], "y"),
    ]
    constants = {k: v.astype(np.float32) for k, v in {"w1": W1, "b1": B1, "w2": W2, "b2": B2}.items()}
    lowered = check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"))
    assert [n.name for n in lowered.graph.nodes] == ["linear_0", "square_1", "linear_2"]
    assert [(s.name, s.inputs, s.outputs) for s in lowered.graph.parameters] == [
        ("parameter_0", 6, 5),
        ("parameter_1", 5, 3),
    ]
    assert lowered.graph.output == "linear_2"
    assert lowered.graph.parameter_count == 7 * 5 + 6 * 3


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("folded", [(), ("w1", "b1", "w2", "b2", "two", "shape")])
def test_matmul_add_pow_in_any_precision_opset_and_form(tmp_path, opset, dtype, folded):
    nodes = [
        node("Reshape", ["x", "shape"], "flat"),
        node("MatMul", ["flat", "w1"], "m1"),
        node("Add", ["b1", "m1"], "h"),
        node("Identity", ["h"], "h2"),
        node("Pow", ["h2", "two"], "s"),
        node("MatMul", ["s", "w2"], "m2"),
        node("Add", ["m2", "b2"], "z"),
        node("Softmax", ["z"], "y", axis=1),
    ]
    constants = {k: v.astype(dtype) for k, v in {"w1": W1, "b1": B1, "w2": W2, "b2": B2}.items()}
    constants |= {"two": np.array(2, dtype=dtype), "shape": np.array([0, -1], dtype=np.int64)}
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    path = model_of(nodes, constants, tmp_path / "m.onnx", opset=opset, element=element, folded=folded)
    lowered = check_against_onnxruntime(path, X.astype(dtype), tolerance=2e-2 if dtype is np.float16 else 5e-3)
    assert lowered.post_processing.kind is PostProcessingKind.SOFTMAX
    assert len(lowered.graph.parameters) == 2


def test_transposed_gemm_with_alpha_beta_and_scalar_bias(tmp_path):
    constants = {"w": W1.T.astype(np.float32), "b": np.array([0.5], dtype=np.float32)}
    nodes = [node("Gemm", ["x", "w", "b"], "y", transB=1, alpha=0.5, beta=2.0)]
    check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"))


def test_affine_maps_between_layers_cost_no_nodes(tmp_path):
    constants = {
        "mean": RNG.normal(0, 1, 6).astype(np.float32),
        "spread": np.array([[1, 2, 300, 0.01, 5, 1]], dtype=np.float32),
        "w": W1.astype(np.float32),
        "gain": RNG.normal(1, 0.1, 5).astype(np.float32),
        "v": W2.astype(np.float32),
    }
    nodes = [
        node("Sub", ["x", "mean"], "c"),
        node("Div", ["c", "spread"], "n"),
        node("MatMul", ["n", "w"], "h"),
        node("Mul", ["h", "gain"], "g"),
        node("Mul", ["g", "g"], "s"),
        node("Sub", ["gain", "s"], "t"),
        node("Neg", ["t"], "u"),
        node("MatMul", ["u", "v"], "y"),
    ]
    x = X * constants["spread"] + constants["mean"]
    lowered = check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"), x.astype(np.float32), 2e-2)
    assert len(lowered.graph.nodes) == 3
    assert lowered.input_exponents == (0, -1, -8, 7, -2, 0)


def test_affine_map_without_a_linear_layer_becomes_a_diagonal_one(tmp_path):
    constants = {"b": np.ones(6, dtype=np.float32), "w": W1.astype(np.float32)}
    nodes = [node("Mul", ["x", "x"], "s"), node("Add", ["s", "b"], "t"), node("Mul", ["t", "t"], "u")]
    nodes += [node("MatMul", ["u", "w"], "y")]
    lowered = check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"), X * 0.5)
    assert [n.name for n in lowered.graph.nodes] == ["square_0", "linear_1", "square_2", "linear_3"]


def test_images_are_flattened_in_row_major_order(tmp_path):
    constants = {"w": RNG.normal(0, 0.4, (12, 3)).astype(np.float32)}
    nodes = [node("Flatten", ["x"], "f"), node("Gemm", ["f", "w"], "y")]
    path = model_of(nodes, constants, tmp_path / "m.onnx", shape=("N", 1, 3, 4))
    lowered = check_against_onnxruntime(path, RNG.normal(0, 1, (9, 1, 3, 4)).astype(np.float32))
    assert lowered.sample_shape == (1, 3, 4)
    assert lowered.graph.input_shape == (12,)


def test_large_and_small_targets_are_scaled_by_a_power_of_two(tmp_path):
    for factor in (3e6, 1e-5):
        constants = {"w": (W1 * factor).astype(np.float32), "b": (B1 * factor).astype(np.float32)}
        path = model_of([node("Gemm", ["x", "w", "b"], "y")], constants, tmp_path / "m.onnx")
        lowered = read_model(path)
        assert lowered.post_processing.exponent != 0
        check_against_onnxruntime(path, tolerance=factor * 3e-3)


@pytest.mark.parametrize("operator", ["Sigmoid", "LogSoftmax", "ArgMax"])
def test_final_function_is_left_to_the_buyer(tmp_path, operator):
    constants = {"w": W1.astype(np.float32), "b": B1.astype(np.float32)}
    attributes = {} if operator == "Sigmoid" else {"axis": -1}
    nodes = [node("Gemm", ["x", "w", "b"], "z"), node(operator, ["z"], "y", **attributes)]
    lowered = check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"))
    assert [type(n).__name__ for n in lowered.graph.nodes] == ["Linear"]


@pytest.mark.parametrize(
    ("operator", "alternative"),
    [
        ("LpPool", "AveragePool"),
        ("Sin", "square activation"),
        ("LSTM", "linear layers"),
    ],
)
def test_unsupported_operator_names_itself_its_node_and_an_alternative(tmp_path, operator, alternative):
    graph_node = helper.make_node(operator, ["x"], ["y"], name="culprit")
    path = model_of([graph_node], {}, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=f"{operator} at node 'culprit'.*{alternative}") as caught:
        read_model(path)
    assert (caught.value.operator, caught.value.node) == (operator, "culprit")


def test_an_activation_is_kept_and_asks_for_calibration_data(tmp_path):
    """It becomes a polynomial only where data says which range it has to cover."""
    constants = {"w": W1.astype(np.float32)}
    nodes = [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "y")]
    lowered = read_model(model_of(nodes, constants, tmp_path / "m.onnx"))
    (activation,) = (n for n in lowered.graph.nodes if isinstance(n, Activation))
    assert activation.kind is ActivationKind.RELU
    model = canonicalise(lowered)
    bounds = measured_bounds(model, quantise_inputs(X, lowered.graph, model.scale_bits))
    with pytest.raises(PlanError, match=f"relu '{activation.name}' can't be evaluated .* prepare .* calibration data"):
        plan_encryption(PlanningProblem(model, bounds, input_magnitude=4.0))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("Softmax", ["x"], "s"), node("MatMul", ["s", "w"], "y")], "can only stand at the end"),
        ([node("MatMul", ["x", "w"], "h"), node("MatMul", ["w", "h"], "y")], "multiplies samples"),
        ([node("Div", ["one", "x"], "y")], "can't be divided by"),
        ([node("MatMul", ["x", "w"], "h"), node("Pow", ["h", "b"], "y")], "exponent"),
        ([node("Reshape", ["x", "shape"], "y")], "mixes samples"),
        ([node("Cast", ["x"], "y", to=TensorProto.INT64)], "integers"),
        ([node("Softmax", ["x"], "y", axis=0)], "along the samples"),
        ([node("Flatten", ["x"], "y", axis=0)], "samples together"),
    ],
)
def test_unsupported_form_of_an_operator_names_the_node(tmp_path, nodes, reason):
    constants = {"w": W1.astype(np.float32), "b": B1.astype(np.float32), "shape": np.array([3, -1], dtype=np.int64)}
    constants["one"] = np.ones((), dtype=np.float32)
    path = model_of(nodes, constants, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=reason):
        read_model(path)


def test_model_without_parameters_or_with_open_feature_axis_is_refused(tmp_path):
    with pytest.raises(UnsafeModelError, match="no parameters"):
        read_model(model_of([node("Mul", ["x", "x"], "y")], {}, tmp_path / "m.onnx"))
    constants = {"w": W1.astype(np.float32)}
    with pytest.raises(UnsafeModelError, match="only the batch left open"):
        read_model(model_of([node("MatMul", ["x", "w"], "y")], constants, tmp_path / "m.onnx", shape=("N", "F")))


def export(model, samples, path, **options):
    from skl2onnx import to_onnx

    path.write_bytes(to_onnx(model, samples[:1].astype(np.float32), options=options).SerializeToString())
    return path


CLASSIFIERS = {
    "binary": (LogisticRegression(max_iter=3000), load_breast_cancer),
    "multinomial": (LogisticRegression(max_iter=500), load_iris),
    "scaled binary": (make_pipeline(StandardScaler(), LogisticRegression()), load_breast_cancer),
    "scaled multinomial": (make_pipeline(StandardScaler(), LogisticRegression()), load_iris),
    "identity network, binary": (
        make_pipeline(StandardScaler(), MLPClassifier((8,), activation="identity", max_iter=60, random_state=0)),
        load_breast_cancer,
    ),
    "identity network": (MLPClassifier((8,), activation="identity", max_iter=60, random_state=0), load_iris),
}


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scikit_learn_classifier_keeps_probabilities_and_labels(tmp_path, name, zipmap):
    classifier, load = CLASSIFIERS[name]
    samples, target = load(return_X_y=True)
    labels = np.array([f"class {t}" for t in target]) if "scaled" in name else target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit(samples, labels)
        path = export(classifier, samples, tmp_path / "m.onnx", zipmap=zipmap)
    lowered = read_model(path)
    raw = raw_outputs(lowered, samples)
    probabilities = lowered.post_processing.apply(raw)
    np.testing.assert_allclose(probabilities, classifier.predict_proba(samples), atol=2e-2)
    assert lowered.post_processing.labels == tuple(classifier.classes_.tolist())
    assert np.mean(lowered.post_processing.predict(raw) == classifier.predict(samples)) > 0.99
    assert raw.shape[1] == (1 if len(classifier.classes_) == 2 else len(classifier.classes_))
    delivered = plain_model_bytes(canonicalise(lowered), lowered.post_processing, lowered.input_exponents)
    session = onnxruntime.InferenceSession(delivered)
    output, label = session.run(["output", "label"], {"input": samples.astype(np.float32)})
    np.testing.assert_allclose(output, classifier.predict_proba(samples), atol=2e-2)
    assert np.mean(label == classifier.predict(samples)) > 0.99


@pytest.mark.parametrize("zipmap", ["columns", False])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("scaled binary", np.float32),
        ("scaled binary", np.float64),
        ("multinomial", np.float32),
        ("multinomial", np.float64),
        ("one for each class", np.float32),
    ],
)
def test_probabilities_in_other_forms(tmp_path, name, zipmap, dtype):
    """In a column for each class, in double precision, from a classifier for each class."""
    from skl2onnx import to_onnx

    classifier, load = CLASSIFIERS.get(name, (OneVsRestClassifier(LogisticRegression(max_iter=500)), load_iris))
    samples, target = load(return_X_y=True)
    classifier.fit(samples, target)
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(classifier, samples[:1].astype(dtype), options={"zipmap": zipmap}).SerializeToString())
    lowered = read_model(path)
    raw = raw_outputs(lowered, samples)
    np.testing.assert_allclose(lowered.post_processing.apply(raw), classifier.predict_proba(samples), atol=2e-2)
    assert np.mean(lowered.post_processing.predict(raw) == classifier.predict(samples)) > 0.99


def test_a_part_of_the_probabilities_is_refused(tmp_path):
    constants = {"w": W1.astype(np.float32), "b": B1.astype(np.float32), "second": np.array([1])}
    nodes = [
        node("Gemm", ["x", "w", "b"], "z"),
        node("Softmax", ["z"], "p"),
        node("Gather", ["p", "second"], "y", axis=1),
    ]
    with pytest.raises(UnsafeModelError, match="some columns of its probabilities only"):
        read_model(model_of(nodes, constants, tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    "last",
    [
        node("Flatten", ["p"], "y"),
        node("Reshape", ["p", "pair"], "y"),
        node("Transpose", ["p"], "y", perm=[0, 1]),
        node("Slice", ["p", "zero", "two", "one"], "y"),
    ],
    ids=lambda last: last.op_type,
)
def test_sigmoids_whose_elements_move_stay_at_the_end(tmp_path, last):
    constants = {"w": W1.astype(np.float32), "b": B1.astype(np.float32), "pair": np.array([-1, 5, 1])}
    constants |= {name: np.array([value]) for value, name in enumerate(("zero", "one", "two"))}
    nodes = [node("Gemm", ["x", "w", "b"], "z"), node("Sigmoid", ["z"], "p"), last]
    lowered = check_against_onnxruntime(model_of(nodes, constants, tmp_path / "m.onnx"))
    assert lowered.post_processing.kind is PostProcessingKind.SIGMOID


LINEAR_MODELS = {
    "two-class scores": (RidgeClassifier(), load_breast_cancer),
    "scores": (RidgeClassifier(), load_iris),
    "hinge loss": (make_pipeline(StandardScaler(), SGDClassifier(random_state=0)), load_iris),
    "projection": (make_pipeline(StandardScaler(), PCA(5), LogisticRegression()), load_breast_cancer),
    "selected features": (
        make_pipeline(SimpleImputer(), SelectKBest(k=5), MinMaxScaler(), LogisticRegression()),
        load_breast_cancer,
    ),
}


@pytest.mark.parametrize("name", LINEAR_MODELS)
def test_other_linear_classifiers_keep_their_labels(tmp_path, name):
    classifier, load = LINEAR_MODELS[name]
    samples, labels = load(return_X_y=True)
    classifier.fit(samples, labels)
    lowered = read_model(export(classifier, samples, tmp_path / "m.onnx"))
    predictions = lowered.post_processing.predict(raw_outputs(lowered, samples))
    assert np.mean(predictions == classifier.predict(samples)) > 0.99


def test_features_of_very_small_values_keep_their_weight(tmp_path):
    samples, target = load_diabetes(return_X_y=True)
    samples[:, :3] *= 1e-4
    regressor = LinearRegression().fit(samples, target)
    lowered = read_model(export(regressor, samples, tmp_path / "m.onnx"))
    predictions = lowered.post_processing.apply(raw_outputs(lowered, samples))
    np.testing.assert_allclose(predictions.ravel(), regressor.predict(samples), atol=2.0)


@pytest.mark.parametrize("regressor", [LinearRegression(), Ridge(), make_pipeline(StandardScaler(), Ridge())])
@pytest.mark.parametrize("targets", [1, 2])
def test_scikit_learn_regressor_keeps_predictions(tmp_path, regressor, targets):
    samples, target = load_diabetes(return_X_y=True)
    target = np.stack([target, -target], axis=1)[:, :targets]
    regressor.fit(samples, target)
    lowered = read_model(export(regressor, samples, tmp_path / "m.onnx"))
    predictions = lowered.post_processing.apply(raw_outputs(lowered, samples))
    np.testing.assert_allclose(predictions, regressor.predict(samples).reshape(-1, targets), atol=0.3)
    assert not lowered.post_processing.is_classifier


@pytest.mark.parametrize("regressor", [PoissonRegressor(), GammaRegressor(alpha=0.1)])
def test_regressor_of_a_logarithm_leaves_the_exponential_to_the_buyer(tmp_path, regressor):
    samples, target = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), regressor).fit(samples, target)
    lowered = read_model(export(model, samples, tmp_path / "m.onnx"))
    assert lowered.post_processing.kind is PostProcessingKind.EXP
    assert not lowered.post_processing.is_classifier
    assert [type(n).__name__ for n in lowered.graph.nodes] == ["Linear"]
    predictions = lowered.post_processing.predict(raw_outputs(lowered, samples))
    np.testing.assert_allclose(predictions.ravel(), model.predict(samples), rtol=5e-3)
    delivered = plain_model_bytes(canonicalise(lowered), lowered.post_processing, lowered.input_exponents)
    (again,) = onnxruntime.InferenceSession(delivered).run(["output"], {"input": samples.astype(np.float32)})
    np.testing.assert_allclose(again.ravel(), model.predict(samples), rtol=5e-3)


def test_exponential_inside_a_model_is_refused(tmp_path):
    constants = {"w": W1.astype(np.float32), "v": W2.astype(np.float32)}
    nodes = [node("MatMul", ["x", "w"], "h"), node("Exp", ["h"], "e"), node("MatMul", ["e", "v"], "y")]
    with pytest.raises(UnsupportedOperatorError, match=r"Exp at node 'exp_e'.*can only stand at the end"):
        read_model(model_of(nodes, constants, tmp_path / "m.onnx"))


def test_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(UnsafeModelError, match=r"nothing\.onnx is not a file; check the path$"):
        read_model(Path(tmp_path / "nothing.onnx"))
