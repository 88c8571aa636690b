"""What models and exporters write out in several operators, and what needs no operator of its own."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import SGDClassifier

from tests.unit.trader.model.lowering.test_last_steps import check as check_last
from tests.unit.trader.model.lowering.test_last_steps import scores
from tests.unit.trader.model.lowering.test_operators import Model, check, floats, kinds
from trader.model import (
    Activation,
    ActivationKind,
    PostProcessingKind,
    UnsafeModelError,
    UnsupportedOperatorError,
    lower_model,
)


def hidden(width=6):
    return Model(4).add("Gemm", floats(4, width), floats(width))


def activations(lowered):
    return [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)]


def one_plus_exp(model, sign=-1.0):
    return model.add("Mul", np.float32(sign)).add("Exp").add("Add", np.float32(1))


@pytest.mark.parametrize("division", ["Reciprocal", "Div"])
def test_sigmoid(tmp_path, division):
    model = one_plus_exp(scores(2))
    model = model.add("Reciprocal") if division == "Reciprocal" else model.add("Div", np.float32(1), model.y)
    check_last(model, tmp_path / "m.onnx", PostProcessingKind.SIGMOID)
    assert activations(check(model.add("Gemm", floats(2, 2)), tmp_path / "inside.onnx")) == [ActivationKind.SIGMOID]


def test_softplus_and_logarithms(tmp_path):
    model = one_plus_exp(hidden(), 1.0).add("Log").add("Gemm", floats(6, 2))
    assert activations(check(model, tmp_path / "softplus.onnx")) == [ActivationKind.SOFTPLUS]
    assert kinds(check(hidden().add("Exp").add("Log"), tmp_path / "log.onnx")) == ["Linear"]
    check_last(scores(2).add("Exp").add("Reciprocal"), tmp_path / "exp.onnx", PostProcessingKind.EXP)


def test_other_quotients_are_refused(tmp_path):
    model = hidden().add("Exp").add("Add", np.float32(2)).add("Reciprocal")
    with pytest.raises(UnsupportedOperatorError, match="Exp at node"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))


def test_stochastic_gradient_descent_of_three_classes(tmp_path):
    """scikit-learn guards the division by the sum of its sigmoids, which is never 0."""
    x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    model = SGDClassifier(loss="log_loss", random_state=0).fit(x, np.digitize(x[:, 0], [-0.5, 0.5]))
    lowered = lower_model(to_onnx(model, x[:1], options={"zipmap": False}))
    assert lowered.post_processing.kind is PostProcessingKind.ONE_VS_REST


def test_absolute_values(tmp_path):
    model = hidden().add("Abs").add("Gemm", floats(6, 2))
    assert activations(check(model, tmp_path / "m.onnx")) == [ActivationKind.RELU]
    check(hidden(2).add("Abs"), tmp_path / "last.onnx")


@pytest.mark.parametrize(("above", "below"), [(1.0, 0.3), (0.0, -2.0), (2.0, 0.0)])
@pytest.mark.parametrize("operator", ["Greater", "LessOrEqual"])
def test_choice_between_lines_that_meet(tmp_path, operator, above, below):
    """Leaky and shifted rectifiers as models write them; a constant is a line, too."""
    model = hidden()
    x, edge, shift = model.y, np.float32(0.25), np.float32(0.5)
    margin = model.add("Sub", edge).y

    def line(slope):
        return model.add("Mul", margin, np.float32(slope)).add("Add", shift).y if slope else model.constant(shift)

    lines = [line(above), line(below)]
    chosen = model.add(operator, x, edge).y
    model.add("Where", chosen, *(lines if operator == "Greater" else lines[::-1])).add("Gemm", floats(6, 2))
    assert activations(check(model, tmp_path / "m.onnx")) == [ActivationKind.RELU]


def test_missing_values_are_none(tmp_path):
    model = hidden()
    x = model.y
    model.add("IsNaN").add("Where", model.y, np.float32(0), x)
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Linear"]


def test_means_and_squares_of_values(tmp_path):
    model = hidden()
    left = model.y
    model.add("Gemm", "x", floats(4, 6)).add("Mean", left, model.y)
    check(model.add("ReduceSumSquare", axes=[1]), tmp_path / "m.onnx")
    check(hidden().add("ReduceSum", noop_with_empty_axes=1), tmp_path / "noop.onnx")


def test_layer_with_a_value_for_bias(tmp_path):
    model = hidden()
    check(model.add("Gemm", "x", floats(4, 6), model.y, beta=0.5), tmp_path / "m.onnx")


def test_smallest_score_and_opposite_of_a_comparison(tmp_path):
    check_last(scores(3).add("ArgMin", axis=1, keepdims=0), tmp_path / "m.onnx", PostProcessingKind.ARGMAX)
    check_last(
        scores(2).add("Greater", np.float32(0.1)).add("Not"), tmp_path / "n.onnx", PostProcessingKind.NOT_NEGATIVE
    )


def test_weights_that_were_quantised(tmp_path):
    model = Model(4)
    weights = np.random.default_rng(0).integers(-99, 99, (4, 2)).astype(np.int8)
    made = model.add("DequantizeLinear", model.constant(weights), np.float32(0.01), np.int8(3)).y
    # Another node keeps onnxruntime from quantising the samples, which is what it makes of this pair.
    model.add("Identity", made).add("Gemm", "x", model.y)
    check(model, tmp_path / "m.onnx", 2e-2)


@pytest.mark.parametrize("column", [0, 1])
def test_one_of_two_probabilities(tmp_path, column):
    model = scores(2).add("Softmax", axis=1).add("Gather", np.array(column), axis=1)
    check_last(model, tmp_path / "m.onnx", PostProcessingKind.SIGMOID)


def test_one_of_three_probabilities_is_refused(tmp_path):
    model = scores(3).add("Softmax", axis=1).add("Gather", np.array([1]), axis=1)
    with pytest.raises(UnsafeModelError, match=r"some columns of its probabilities only .*1 of 3"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))


def test_several_labels_of_a_network(tmp_path):
    """scikit-learn's MLPClassifier: probabilities, and labels by a Binarizer of them."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
        helper.make_node("Binarizer", ["p"], ["labels"], domain="ai.onnx.ml", threshold=0.5),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("p", "labels")]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph(nodes, "g", [source], outputs, [numpy_helper.from_array(x[:4, :2], "w")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    lowered = lower_model(helper.make_model(graph, opset_imports=opsets))
    assert (lowered.post_processing.kind, kinds(lowered)) == (PostProcessingKind.SIGMOID, ["Linear"])


def test_labels_that_an_encoder_has_for_classes():
    pairs = {"keys_int64s": [2, 0, 1], "values_strings": list("bca")}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["c"], axis=1, keepdims=0),
        helper.make_node("LabelEncoder", ["c"], ["y"], domain="ai.onnx.ml", **pairs),
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    result = helper.make_tensor_value_info("y", TensorProto.STRING, ["N"])
    graph = helper.make_graph(nodes, "g", [source], [result], [numpy_helper.from_array(floats(4, 3), "w")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    lowered = lower_model(helper.make_model(graph, opset_imports=opsets))
    assert lowered.post_processing.labels == ("c", "a", "b")
