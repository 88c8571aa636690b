"""Inputs and outputs of ONNX files that are more than one value in and one value out."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import (
    PostProcessingKind,
    UnsafeModelError,
    UnsupportedOperatorError,
    canonicalise,
    evaluate_values,
    lower_model,
    quantise_inputs,
)

SAMPLES = floats(5, 4, scale=1.0)


def written(model, path, *outputs):
    """The model, returning the named values too."""
    proto = onnx.load(model.write(path))
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    return onnx.shape_inference.infer_shapes(proto)


def check(proto, **others):
    """Lower a model of four features; its first output is what onnxruntime gives for it."""
    want = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": SAMPLES, **others})[0]
    lowered = lower_model(proto)
    model = canonicalise(lowered)
    inputs = quantise_inputs(SAMPLES, model.graph, model.scale_bits, lowered.input_exponents)
    outputs = lowered.post_processing.apply(evaluate_values(model, inputs)[model.graph.output])
    np.testing.assert_allclose(outputs, want.reshape(outputs.shape), atol=6e-3)
    return lowered


def dropout(model):
    """Append Dropout with its mask."""
    model.nodes.append(helper.make_node("Dropout", [model.y], ["dropped", "mask"], name="dropout"))
    model.y = "dropped"
    return model


def test_mask_of_dropout_is_no_output(tmp_path):
    model = dropout(Model(4).add("Gemm", floats(4, 3)))
    check(written(model, tmp_path / "inside.onnx", "mask"))
    check(written(model.add("Relu").add("Gemm", floats(3, 2)), tmp_path / "between.onnx", "mask"))


def test_mask_of_dropout_behind_probabilities_is_no_output(tmp_path):
    model = dropout(Model(4).add("Gemm", floats(4, 3)).add("Softmax"))
    lowered = check(written(model, tmp_path / "m.onnx", "mask"))
    assert lowered.post_processing.kind is PostProcessingKind.SOFTMAX


def test_mask_of_dropout_keeps_everything(tmp_path):
    model = dropout(Model(4).add("Gemm", floats(4, 3)))
    model.add("Where", "mask", "dropped", np.float32(7))
    check(written(model, tmp_path / "m.onnx"))


def test_output_that_is_the_same_for_every_sample_is_left_out(tmp_path):
    model = Model(4).add("Gemm", floats(4, 3)).add("ArgMax", axis=1)
    proto = written(model, tmp_path / "m.onnx", "names")
    proto.graph.node.append(helper.make_node("Constant", [], ["names"], value_ints=[3, 4, 5]))
    assert check(proto).post_processing.kind is PostProcessingKind.ARGMAX


def test_only_constants_as_outputs_are_refused(tmp_path):
    proto = written(dropout(Model(4).add("Gemm", floats(4, 3))), tmp_path / "m.onnx", "mask")
    del proto.graph.output[0]
    with pytest.raises(UnsafeModelError, match="outputs are the same for every sample"):
        lower_model(proto)


def test_statistics_of_training_as_outputs_are_refused(tmp_path):
    model, statistics = Model(4, opset=9).add("Gemm", floats(4, 3), floats(3)), [floats(3) + 2 for _ in range(4)]
    names = [model.y, *(model.constant(value) for value in statistics)]
    model.nodes.append(helper.make_node("BatchNormalization", names, ["y", "mean"], name="norm"))
    model.y = "y"
    lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
    with pytest.raises(
        UnsupportedOperatorError,
        match=r"BatchNormalization at node 'norm'.*'mean' is not computed.*Export for inference",
    ):
        lower_model(written(model, tmp_path / "m.onnx", "mean"))


def test_input_that_no_output_depends_on_is_dropped(tmp_path):
    model = Model(4).add("Gemm", floats(4, 3))
    proto = onnx.load(model.write(tmp_path / "m.onnx"))
    proto.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 7]))
    proto.graph.node.append(helper.make_node("Softmax", ["mask"], ["unread"]))
    check(proto, mask=floats(5, 7))
    proto.graph.output.append(helper.make_empty_tensor_value_info("unread"))
    with pytest.raises(UnsafeModelError, match="stand for 2 different values"):
        lower_model(proto)


@pytest.mark.parametrize("units", [1, 3])
def test_one_minus_a_sigmoid_is_a_sigmoid(tmp_path, units):
    model = Model(4).add("Gemm", floats(4, units), floats(units)).add("Sigmoid")
    lowered = check(written(model.add("Sub", model.constant(np.float32(1)), model.y), tmp_path / "m.onnx"))
    assert lowered.post_processing.kind is PostProcessingKind.SIGMOID


@pytest.mark.parametrize("column", [0, 1])
def test_probability_of_one_of_two_classes_is_a_sigmoid(tmp_path, column):
    model = Model(4).add("Gemm", floats(4, 1), floats(1)).add("Sigmoid")
    second = model.y
    model.add("Sub", model.constant(np.float32(1)), second).add("Concat", model.y, second, axis=1)
    lowered = check(written(model.add("Gather", np.array([column]), axis=1), tmp_path / "m.onnx"))
    assert lowered.post_processing.kind is PostProcessingKind.SIGMOID


def test_logarithm_of_probabilities(tmp_path):
    model = Model(4).add("Gemm", floats(4, 3)).add("Softmax").add("Log")
    assert check(written(model, tmp_path / "m.onnx")).post_processing.kind is PostProcessingKind.LOG_SOFTMAX


def test_logarithm_of_something_else_is_refused(tmp_path):
    model = Model(4).add("Gemm", floats(4, 3)).add("Log")
    with pytest.raises(UnsupportedOperatorError, match=r"Log at node .* can't be evaluated encrypted"):
        lower_model(written(model, tmp_path / "m.onnx"))


@pytest.mark.parametrize(("operator", "factor"), [("Exp", 2.5), ("Exp", 1.0), ("Softmax", 1.0)])
def test_results_times_a_constant_as_boosters_are_exported(tmp_path, operator, factor):
    model = Model(4).add("Gemm", floats(4, 3)).add(operator).add("Mul", np.float32(factor))
    assert check(written(model, tmp_path / "m.onnx")).post_processing.kind.value == operator.lower()


@pytest.mark.parametrize(("operator", "factor"), [("Exp", -1.0), ("Softmax", 2.0)])
def test_other_multiples_of_results_are_refused(tmp_path, operator, factor):
    model = Model(4).add("Gemm", floats(4, 3)).add(operator).add("Mul", np.float32(factor))
    with pytest.raises(UnsupportedOperatorError, match="end of a model"):
        lower_model(written(model, tmp_path / "m.onnx"))
