"""Each operator in the forms that exporters write, lowered, against onnxruntime."""

from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from trader.model import (
    Activation,
    ActivationKind,
    Leaves,
    LoweredModel,
    Node,
    Rearrange,
    UnsafeModelError,
    UnsupportedOperatorError,
    architecture_bytes,
    canonicalise,
    evaluate_exact,
    evaluate_values,
    lower_model,
    output_scale_bits,
    parse_architecture,
    plain_model_bytes,
    quantise_inputs,
)

RNG = np.random.default_rng(11)


def floats(*shape, scale=0.4):
    return RNG.normal(0, scale, shape).astype(np.float32)


class Model:
    """Grows an ONNX model from x [N, *shape]; `y` names the latest value."""

    def __init__(self, *shape, opset=17):
        self.shape, self.opset, self.y = shape, opset, "x"
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator, *inputs, **attributes):
        """A node on the latest value (or on `inputs`, where arrays become constants)."""
        inputs = inputs if any(isinstance(i, str) and not i.startswith("=") for i in inputs) else (self.y, *inputs)
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.y = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [self.y], name=f"node_{self.y}", **attributes))
        return self

    def write(self, path, samples="N"):
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [samples, *self.shape])],
            [helper.make_empty_tensor_value_info(self.y)],
            initializer=self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        path.write_bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())
        return path

    def conv(self, channels, out, kernel, groups=1, **attributes):
        weights = floats(out, channels // groups, *kernel)
        return self.add("Conv", weights, floats(out), kernel_shape=list(kernel), group=groups, **attributes)


def check(model: Model, path, tolerance=6e-3, samples="N") -> LoweredModel:
    """Lower a model; all evaluators agree with onnxruntime."""
    x = floats(5, *model.shape, scale=1.0)
    session = onnxruntime.InferenceSession(str(model.write(path, samples)))
    want = session.run(None, {"x": x})[0]
    lowered = lower_model(onnx.load(path))
    canonical = canonicalise(lowered)
    graph = canonical.graph
    inputs = quantise_inputs(x, graph, canonical.scale_bits, lowered.input_exponents)
    real = evaluate_values(canonical, inputs)[graph.output]
    exact = np.array([[int(v) for v in row] for row in evaluate_exact(canonical, inputs)], dtype=object)
    scaled = (exact / 2 ** output_scale_bits(graph, canonical.scale_bits)).astype(np.float64)
    assert want.size == real.size
    expected = want.reshape(len(x), -1)
    limit = tolerance * max(1.0, float(np.abs(expected).max()))
    for outputs in (real, scaled):
        np.testing.assert_allclose(lowered.post_processing.apply(outputs), expected, atol=limit)
    delivered = onnxruntime.InferenceSession(
        plain_model_bytes(canonical, lowered.post_processing, lowered.input_exponents)
    )
    np.testing.assert_allclose(delivered.run(["output"], {"input": x.reshape(5, -1)})[0], expected, atol=limit)
    data = architecture_bytes(graph)
    feeds = {
        spec.name: np.ldexp(t.astype(np.float32), -canonical.scale_bits)
        for spec, t in zip(graph.parameters, canonical.tensors, strict=True)
    }
    feeds["input"] = np.ldexp(inputs.astype(np.float32), -canonical.scale_bits)
    (architecture,) = onnxruntime.InferenceSession(data).run(None, feeds)
    np.testing.assert_allclose(architecture, real, atol=1e-3 * max(1.0, float(np.abs(real).max())))
    return lowered


def kinds(lowered):
    return [type(node).__name__ for node in lowered.graph.nodes]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"pads": [2, 0, 1, 3]},
        {"dilations": [2, 1], "pads": [1, 1, 1, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"auto_pad": "VALID"},
    ],
)
def test_convolution(tmp_path, attributes):
    lowered = check(Model(2, 7, 8).conv(2, 3, (3, 2), **attributes), tmp_path / "m.onnx")
    assert kinds(lowered) == ["Rearrange", "Linear", "Rearrange"]


@pytest.mark.parametrize(("channels", "out", "groups"), [(4, 4, 4), (4, 8, 4), (4, 6, 2)])
def test_grouped_and_depthwise_convolution(tmp_path, channels, out, groups):
    lowered = check(Model(channels, 5, 5).conv(channels, out, (3, 3), groups, pads=[1] * 4), tmp_path / "m.onnx")
    (spec,) = lowered.graph.parameters
    assert (spec.groups, spec.inputs, spec.outputs) == (groups, channels // groups * 9, out // groups)


def test_convolution_over_a_series(tmp_path):
    check(Model(3, 20).conv(3, 4, (5,), strides=[2], pads=[2, 2]), tmp_path / "m.onnx")


def test_lenet_with_squares_and_averages(tmp_path):
    model = Model(1, 12, 12).conv(1, 3, (3, 3))
    model.add("Mul", model.y, model.y).add("AveragePool", kernel_shape=[2, 2], strides=[2, 2]).conv(3, 4, (2, 2))
    model.add("Mul", model.y, model.y).add("Flatten").add("Gemm", floats(10, 64, scale=0.1), floats(10), transB=1)
    lowered = check(model.add("Softmax", axis=-1), tmp_path / "m.onnx")
    first, second = ["Rearrange", "Linear", "Square", "Rearrange", "Sum"], ["Rearrange", "Linear", "Square", "Linear"]
    assert kinds(lowered) == first + second
    assert output_scale_bits(lowered.graph, 1) == 11


@pytest.mark.parametrize(
    ("attributes", "width"),
    [
        ({"kernel_shape": [2, 2]}, 48),
        ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 24),
        ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}, 24),
        ({"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, 18),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 24),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}, 24),
        ({"kernel_shape": [2, 3], "strides": [2, 3], "pads": [0, 1, 0, 0], "ceil_mode": 1, "count_include_pad": 1}, 16),
    ],
)
def test_average_pooling(tmp_path, attributes, width):
    model = Model(2, 7, 5).add("AveragePool", **attributes).add("Flatten")
    check(model.add("Gemm", floats(width, 3)), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("opset", "operator", "inputs", "attributes", "width"),
    [
        (17, "GlobalAveragePool", (), {}, 3),
        (13, "ReduceMean", (), {"axes": [2, 3], "keepdims": 0}, 3),
        (18, "ReduceMean", (np.array([-1, -2]),), {"keepdims": 1}, 3),
        (13, "ReduceSum", (np.array([1]),), {"keepdims": 0}, 20),
        (13, "ReduceProd", (), {"axes": [1], "keepdims": 0}, 20),
        (18, "ReduceProd", (np.array([1]),), {"keepdims": 1}, 20),
    ],
)
def test_reductions(tmp_path, opset, operator, inputs, attributes, width):
    model = Model(3, 4, 5, opset=opset).add(operator, *inputs, **attributes).add("Flatten")
    check(model.add("Gemm", floats(width, 2)), tmp_path / "m.onnx")


def statistics(channels):
    return floats(channels) + 1, floats(channels), floats(channels), np.abs(floats(channels)) + 0.5


def test_normalisation_after_a_convolution_costs_nothing(tmp_path):
    model = Model(2, 5, 5).conv(2, 3, (3, 3), pads=[1] * 4).add("BatchNormalization", *statistics(3))
    model.add("Mul", model.y, model.y).conv(3, 2, (2, 2))
    lowered = check(model, tmp_path / "m.onnx")
    assert kinds(lowered).count("Linear") == 2


def test_normalisation_before_a_padded_convolution_does_not_normalise_the_padding(tmp_path):
    model = Model(2, 5, 5).add("BatchNormalization", *statistics(2)).conv(2, 3, (3, 3), pads=[1] * 4)
    lowered = check(model, tmp_path / "m.onnx")
    assert kinds(lowered).count("Linear") == 2


def test_normalisation_between_squares_is_one_weight_per_channel(tmp_path):
    model = Model(3, 4, 4)
    model.add("Mul", "x", "x").add("BatchNormalization", *statistics(3)).add("Mul", "v1", "v1").add("Flatten")
    lowered = check(model.add("Gemm", floats(48, 2)), tmp_path / "m.onnx", 2e-2)
    assert lowered.graph.parameters[0].groups == 3


def test_residual_block(tmp_path):
    model = Model(3, 6, 6).conv(3, 3, (3, 3), pads=[1] * 4).add("Relu")
    shortcut = model.y
    model.conv(3, 3, (3, 3), pads=[1] * 4).add("BatchNormalization", *statistics(3)).add("Add", model.y, shortcut)
    model.add("Relu").add("GlobalAveragePool").add("Flatten").add("Gemm", floats(3, 4))
    lowered = check(model, tmp_path / "m.onnx")
    assert kinds(lowered).count("Add") == 1


def test_residual_with_scales_and_offsets_on_both_branches(tmp_path):
    model = Model(6).add("Gemm", floats(6, 6), floats(6)).add("Mul", floats(6))
    left = model.y
    model.add("Mul", "x", "x").add("Add", floats(6)).add("Mul", floats(6)).add("Sub", model.y, left)
    lowered = check(model.add("Gemm", floats(6, 2)), tmp_path / "m.onnx", 2e-2)
    assert "Add" in kinds(lowered)


def test_product_of_two_values(tmp_path):
    model = Model(6).add("Gemm", floats(6, 5), floats(5))
    left = model.y
    model.add("Gemm", "x", floats(6, 5), floats(5)).add("Mul", model.y, left).add("Gemm", floats(5, 2))
    assert kinds(check(model, tmp_path / "m.onnx")).count("Multiply") == 1


def test_channel_attention_broadcasts(tmp_path):
    model = Model(3, 4, 4).add("GlobalAveragePool").conv(3, 3, (1, 1)).add("Sigmoid")
    model.add("Mul", "x", model.y).add("Flatten").add("Gemm", floats(48, 2))
    check(model, tmp_path / "m.onnx")


def test_channel_attention_keeps_its_shape(tmp_path):
    """What Keras writes: sigmoids that are reshaped to meet an image, channels last."""
    model = Model(4, 4, 3).add("ReduceMean", axes=[1, 2], keepdims=0).add("MatMul", floats(3, 3)).add("Sigmoid")
    model.add("Reshape", np.array([-1, 1, 1, 3])).add("Mul", "x", model.y).add("Flatten").add("Gemm", floats(48, 2))
    check(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5, 8])
def test_powers(tmp_path, exponent):
    model = Model(4).add("Gemm", floats(4, 3)).add("Pow", np.float32(exponent)).add("Gemm", floats(3, 2))
    check(model, tmp_path / "m.onnx", 5e-2)


ACTIVATIONS = [
    ("Relu", {}, 13, ActivationKind.RELU),
    ("LeakyRelu", {}, 13, ActivationKind.LEAKY_RELU),
    ("LeakyRelu", {"alpha": 0.3}, 16, ActivationKind.LEAKY_RELU),
    ("Elu", {}, 13, ActivationKind.ELU),
    ("Elu", {"alpha": 0.7}, 13, ActivationKind.ELU),
    ("Sigmoid", {}, 13, ActivationKind.SIGMOID),
    ("HardSigmoid", {}, 13, ActivationKind.HARD_SIGMOID),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 13, ActivationKind.HARD_SIGMOID),
    ("HardSwish", {}, 14, ActivationKind.HARD_SWISH),
    ("Tanh", {}, 13, ActivationKind.TANH),
    ("Softplus", {}, 13, ActivationKind.SOFTPLUS),
    ("Gelu", {}, 20, ActivationKind.GELU),
    ("Gelu", {"approximate": "tanh"}, 20, ActivationKind.GELU_TANH),
    ("Erf", {}, 13, ActivationKind.ERF),
    ("Selu", {}, 13, ActivationKind.ELU),
    ("Selu", {"alpha": 1.2, "gamma": 0.9}, 13, ActivationKind.ELU),
    ("Celu", {"alpha": 0.6}, 13, ActivationKind.ELU),
]


@pytest.mark.parametrize(("operator", "attributes", "opset", "kind"), ACTIVATIONS)
def test_activation_inside_a_model(tmp_path, operator, attributes, opset, kind):
    model = Model(2, 5, 5, opset=opset).conv(2, 3, (3, 3)).add(operator, **attributes).conv(3, 2, (3, 3), pads=[1] * 4)
    lowered = check(model, tmp_path / "m.onnx")
    (node,) = [node for node in lowered.graph.nodes if isinstance(node, Activation)]
    assert node.kind is kind


def test_parametric_relu_with_one_slope_is_leaky_relu(tmp_path):
    model = Model(2, 5, 5).conv(2, 3, (3, 3)).add("PRelu", np.float32([0.2])).add("Flatten")
    lowered = check(model.add("Gemm", floats(27, 2)), tmp_path / "m.onnx")
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == [ActivationKind.LEAKY_RELU]


def test_parametric_relu_with_a_slope_per_channel(tmp_path):
    model = Model(2, 5, 5).conv(2, 3, (3, 3)).add("PRelu", np.float32([0.2, -0.5, 1.5]).reshape(3, 1, 1)).add("Flatten")
    lowered = check(model.add("Gemm", floats(27, 2)), tmp_path / "m.onnx")
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == [ActivationKind.RELU]


@pytest.mark.parametrize(
    ("bounds", "kind"),
    [((-0.5, 0.5), ActivationKind.CLIP), ((0, 6), ActivationKind.CLIP), ((0, None), ActivationKind.RELU)],
)
def test_clip(tmp_path, bounds, kind):
    model = Model(4).add("Gemm", floats(4, 6)).add("Clip", *(np.float32(b) for b in bounds if b is not None))
    lowered = check(model.add("Gemm", floats(6, 2)), tmp_path / "m.onnx")
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == [kind]


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("bound", ["lower", "upper"])
def test_clip_at_one_bound(tmp_path, bound, opset):
    model = Model(4, opset=opset).add("Gemm", floats(4, 6))
    inputs = (np.float32(0.3),) if bound == "lower" else ("", np.float32(-0.2))
    model.add("Clip", model.y, *inputs).add("Gemm", floats(6, 2))
    assert "Activation" in kinds(check(model, tmp_path / "m.onnx"))


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_larger_and_smaller_of_values_and_constants(tmp_path, operator):
    model = Model(4).add("Gemm", floats(4, 6), floats(6))
    left = model.y
    model.add("Gemm", "x", floats(4, 6)).add(operator, floats(6), model.y, left).add("Gemm", floats(6, 2))
    check(model, tmp_path / "m.onnx")


def test_relu_as_maximum_is_one_activation(tmp_path):
    model = Model(4).add("Gemm", floats(4, 6)).add("Max", np.float32(0)).add("Gemm", floats(6, 2))
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Linear", "Activation", "Linear"]


@pytest.mark.parametrize("slope", [1, 2])
@pytest.mark.parametrize("operator", ["Greater", "Less"])
def test_softplus_with_a_threshold(tmp_path, operator, slope):
    """What PyTorch writes."""
    model = Model(4).add("Gemm", floats(4, 3), floats(3))
    x = model.y
    scaled = model.add("Mul", np.float32(slope)).y
    soft = model.add("Softplus").add("Div", np.float32(slope)).y
    model.add(operator, *((scaled, np.float32(20)) if operator == "Greater" else (np.float32(20), scaled)))
    model.add("Where", model.y, x, soft).add("Gemm", floats(3, 2))
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Linear", "Activation", "Linear"]


def gelu(model, x):
    model.add("Div", x, np.float32(np.sqrt(2))).add("Erf").add("Add", np.float32(1))
    return model.add("Mul", x, model.y).add("Mul", np.float32(0.5))


def gelu_in_another_order(model, x):
    model.add("Mul", x, np.float32(np.sqrt(0.5))).add("Erf").add("Add", np.float32(1)).add("Mul", np.float32(0.5))
    return model.add("Mul", model.y, x)


def gelu_of_half(model, x):
    half = model.add("Mul", x, np.float32(0.5)).y
    model.add("Div", x, np.float32(np.sqrt(2))).add("Erf").add("Add", np.float32(1))
    return model.add("Mul", half, model.y)


def gelu_by_tanh(model, x):
    model.add("Pow", x, np.float32(3)).add("Mul", np.float32(0.044715)).add("Add", x, model.y)
    model.add("Mul", np.float32(np.sqrt(2 / np.pi))).add("Tanh").add("Add", np.float32(1)).add("Mul", np.float32(0.5))
    return model.add("Mul", x, model.y)


def gelu_by_tanh_of_half(model, x):
    half = model.add("Mul", x, np.float32(0.5)).y
    model.add("Mul", x, x).add("Mul", x, model.y).add("Mul", np.float32(0.044715)).add("Add", x, model.y)
    model.add("Mul", np.float32(np.sqrt(2 / np.pi))).add("Tanh").add("Add", np.float32(1))
    return model.add("Mul", half, model.y)


def quick_gelu(model, x):
    model.add("Mul", x, np.float32(1.702)).add("Sigmoid")
    return model.add("Mul", x, model.y)


def silu(model, x):
    return model.add("Sigmoid").add("Mul", x, model.y)


def hard_swish(model, x):
    model.add("Add", np.float32(3)).add("Clip", np.float32(0), np.float32(6))
    return model.add("Mul", x, model.y).add("Div", np.float32(6))


def hard_swish_by_hard_sigmoid(model, x):
    return model.add("HardSigmoid", alpha=1 / 6, beta=0.5).add("Mul", x, model.y)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (gelu, ActivationKind.GELU),
        (gelu_in_another_order, ActivationKind.GELU),
        (gelu_of_half, ActivationKind.GELU),
        (gelu_by_tanh, ActivationKind.GELU_TANH),
        (gelu_by_tanh_of_half, ActivationKind.GELU_TANH),
        (silu, ActivationKind.SILU),
        (quick_gelu, ActivationKind.SILU),
        (hard_swish, ActivationKind.HARD_SWISH),
        (hard_swish_by_hard_sigmoid, ActivationKind.HARD_SWISH),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_activation_that_is_written_out_becomes_one_node(tmp_path, write, kind):
    model = Model(3, 4, 4).conv(3, 3, (2, 2)).add("BatchNormalization", *statistics(3))
    write(model, model.y).add("Flatten").add("Gemm", floats(27, 2))
    lowered = check(model, tmp_path / "m.onnx")
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == [kind]
    assert "Multiply" not in kinds(lowered)


@pytest.mark.parametrize("complement", [False, True])
def test_logarithm_of_a_sigmoid_is_a_softplus(tmp_path, complement):
    """What PyTorch writes for LogSigmoid, and the same of 1 - sigmoid."""
    model = Model(4).add("Gemm", floats(4, 3), floats(3)).add("Sigmoid")
    if complement:
        model.add("Sub", model.constant(np.float32(1)), model.y)
    lowered = check(model.add("Log").add("Gemm", floats(3, 2)), tmp_path / "m.onnx")
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == [ActivationKind.SOFTPLUS]


def test_mish(tmp_path):
    model = Model(4, opset=22).add("Gemm", floats(4, 3), floats(3)).add("Mish").add("Gemm", floats(3, 2))
    assert kinds(check(model, tmp_path / "m.onnx")).count("Activation") == 2


def test_gate_of_something_else_stays_a_product(tmp_path):
    model = Model(4).add("Gemm", floats(4, 4))
    left = model.y
    model.add("Gemm", "x", floats(4, 4)).add("Sigmoid").add("Mul", left, model.y).add("Gemm", floats(4, 2))
    assert "Multiply" in kinds(check(model, tmp_path / "m.onnx"))


def test_gate_whose_elements_moved_stays_a_product(tmp_path):
    model = Model(3, 3).add("MatMul", floats(3, 3)).add("Sigmoid").add("Transpose", perm=[0, 2, 1])
    model.add("Mul", "v0", model.y).add("Flatten").add("Gemm", floats(9, 2))
    assert "Multiply" in kinds(check(model, tmp_path / "m.onnx"))


def test_movement_of_elements_is_one_gather(tmp_path):
    model = Model(2, 3, 4).add("Transpose", perm=[0, 2, 3, 1]).add("Reshape", np.array([0, 4, 6]))
    model.add("Slice", np.array([1]), np.array([4]), np.array([1])).add("Squeeze").add("Unsqueeze", np.array([2]))
    model.add("Pad", np.array([0, 1, 0, 0, 0, 0, 0, 1])).add("Gather", np.array([3, 0, 1]), axis=1).add("Flatten")
    model.add("Dropout").add("Identity")
    assert kinds(check(model.add("Gemm", floats(21, 3)), tmp_path / "m.onnx")) == ["Linear"]
    assert kinds(check(model.add("Mul", model.y, model.y), tmp_path / "m.onnx")) == ["Linear", "Square"]


def test_slice_backwards_and_with_steps(tmp_path):
    model = Model(3, 7).add("Slice", np.array([-1, 5]), np.array([-100, 0]), np.array([1, 2]), np.array([-1, -2]))
    check(model.add("Flatten").add("Gemm", floats(9, 2)), tmp_path / "m.onnx")


def test_padding_with_a_value(tmp_path):
    model = Model(2, 3, 3).add("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(0.5)).conv(2, 2, (3, 3))
    check(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_padding_with_elements_of_the_sample(tmp_path, mode):
    model = Model(2, 4, 3, opset=19).add("Pad", np.array([0, 0, 1, 2, 0, 0, 2, 1]), mode=mode).add("Flatten")
    check(model.add("Gemm", floats(84, 2)), tmp_path / "m.onnx")


def test_concatenation_and_split(tmp_path):
    model = Model(2, 4, 4).conv(2, 3, (3, 3)).add("Mul", np.float32(2))
    left = model.y
    model.add("Conv", "x", floats(2, 2, 3, 3), floats(2)).add("Concat", left, model.y, axis=1)
    model.nodes.append(helper.make_node("Split", [model.y, model.constant(np.array([1, 4]))], ["a", "b"], axis=1))
    model.add("Mul", "b", "b").add("Flatten").add("Gemm", floats(16, 2))
    lowered = check(model, tmp_path / "m.onnx")
    assert max(len(node.inputs) for node in lowered.graph.nodes if isinstance(node, Rearrange)) == 2


def test_matrix_products_along_other_axes(tmp_path):
    model = Model(3, 4).add("MatMul", floats(4, 5)).add("Add", floats(5))
    model.add("MatMul", floats(2, 3), model.y).add("Transpose", perm=[0, 2, 1]).add("Flatten").add(
        "Gemm", floats(10, 2)
    )
    check(model, tmp_path / "m.onnx")


def test_reshape_by_the_shape_of_a_value(tmp_path):
    """What PyTorch writes for x.view(x.size(0), -1)."""
    model = Model(2, 3, 3)
    model.add("Shape").add("Gather", np.array(0), axis=0).add("Unsqueeze", np.array([0]))
    model.add("Concat", model.y, model.constant(np.array([-1])), axis=0).add("Reshape", "x", model.y)
    assert kinds(check(model.add("Gemm", floats(18, 2)), tmp_path / "m.onnx")) == ["Linear"]


def test_a_constant_is_joined_to_every_sample(tmp_path):
    """A token before a sequence, expanded to the number of samples."""
    model = Model(3, 4).add("Shape").add("Gather", np.array([0]), axis=0)
    model.add("Concat", model.y, model.constant(np.array([1, 4])), axis=0).add("Expand", floats(1, 1, 4), model.y)
    model.add("Concat", model.y, "x", axis=1).add("MatMul", floats(4, 3)).add("Relu").add("Flatten")
    check(model.add("Gemm", floats(12, 2)), tmp_path / "m.onnx")


def test_elements_are_repeated_within_samples(tmp_path):
    model = Model(1, 4).add("Expand", np.array([1, 3, 4])).add("Tile", np.array([1, 1, 2])).add("Flatten")
    check(model.add("Gemm", floats(24, 2)), tmp_path / "m.onnx")


def test_columns_by_number_as_pytorch_takes_them(tmp_path):
    model = Model(6).add("Transpose", perm=[1, 0]).add("GatherND", np.array([[5], [0], [-2]]))
    lowered = check(model.add("Transpose", perm=[1, 0]).add("Gemm", floats(3, 2)), tmp_path / "m.onnx")
    assert kinds(lowered) == ["Linear"]


def test_pixels_by_number_as_pytorch_takes_them(tmp_path):
    model = (
        Model(2, 3, 4)
        .add("Transpose", perm=[2, 3, 0, 1])
        .add("GatherND", np.array([[[0, 1], [2, 3]], [[1, 1], [0, 0]]]))
    )
    model.add("Transpose", perm=[2, 3, 0, 1]).add("Flatten")
    check(model.add("Gemm", floats(8, 2)), tmp_path / "m.onnx")


@pytest.mark.parametrize("keepdims", [0, 1])
def test_mean_of_an_ensemble(tmp_path, keepdims):
    """What PyTorch writes for torch.stack([a(x), b(x)]).mean(0)."""
    model = Model(4)
    left = model.add("Gemm", floats(4, 3)).add("Unsqueeze", np.array([0])).y
    model.add("Gemm", "x", floats(4, 3)).add("Unsqueeze", np.array([0])).add("Concat", left, model.y, axis=0)
    model.add("Identity").add("ReduceMean", axes=[0], keepdims=keepdims)
    check(model.add("Squeeze", np.array([0])) if keepdims else model, tmp_path / "m.onnx")


def test_the_same_layer_for_every_step(tmp_path):
    """What Keras writes for TimeDistributed."""
    model, weights, steps = Model(2, 4).add("Transpose", perm=[1, 0, 2]), floats(4, 3), []
    series = model.y
    for step in range(2):
        model.add("Gather", series, np.array(step), axis=0).add("MatMul", weights).add("Relu")
        steps.append(model.add("Unsqueeze", np.array([0])).y)
    model.add("Concat", *steps, axis=0).add("Transpose", perm=[1, 0, 2]).add("Flatten").add("Gemm", floats(6, 2))
    check(model, tmp_path / "m.onnx")


def test_the_same_layer_for_every_step_that_is_sliced_off(tmp_path):
    """What Keras 3 writes for TimeDistributed: each step is a slice of the transposed series."""
    model, weights, steps = Model(3, 4).add("Transpose", perm=[1, 0, 2]), floats(4, 3), []
    series = model.y
    for step in range(3):
        model.add("Slice", series, np.array([step, 0]), np.array([step + 1, 2**31 - 1]), np.array([0, 1]))
        model.add("Squeeze", np.array([0])).add("MatMul", weights).add("Add", floats(3)).add("Relu")
        steps.append(model.add("Unsqueeze", np.array([0])).y)
    model.add("Concat", *steps, axis=0).add("Transpose", perm=[1, 0, 2]).add("Flatten").add("Gemm", floats(9, 2))
    check(model, tmp_path / "m.onnx")


def test_series_that_is_split_before_the_samples(tmp_path):
    model = Model(2, 4).add("Transpose", perm=[1, 0, 2])
    model.nodes.append(helper.make_node("Split", [model.y], ["first", "second"], axis=0))
    first = model.add("Squeeze", "first", np.array([0])).y
    model.add("Squeeze", "second", np.array([0])).add("Sub", model.y, first)
    check(model.add("Gemm", floats(4, 2)), tmp_path / "m.onnx")


def test_constant_mask(tmp_path):
    mask = np.array([[True, False, True], [False, False, True]])
    model = Model(2, 3)
    where = model.constant(mask)
    model.add("Where", where, model.y, np.float32(0.5)).add("Where", where, "x", model.y).add("Flatten")
    check(model.add("Gemm", floats(6, 2)), tmp_path / "m.onnx")


def test_samples_come_out_along_the_first_axis(tmp_path):
    path = Model(4).add("Gemm", floats(4, 3)).add("Transpose", perm=[1, 0]).write(tmp_path / "m.onnx")
    with pytest.raises(UnsafeModelError, match="returns samples along axis 1; export it with them along axis 0"):
        lower_model(onnx.load(path))


def test_zeros_in_the_shape_of_a_value(tmp_path):
    model = Model(4).add("MatMul", floats(4, 3))
    hidden = model.y
    model.add("Shape").add("ConstantOfShape").add("Max", hidden, model.y).add("MatMul", floats(3, 2))
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Linear", "Activation", "Linear"]


def test_a_model_exported_for_a_number_of_samples_takes_any(tmp_path):
    model = Model(2, 2, 2).add("Reshape", np.array([5, 8])).add("Gemm", floats(8, 3))
    check(model, tmp_path / "m.onnx", samples=5)
    with pytest.raises(UnsupportedOperatorError, match=r"shape \[5, 8\] mixes samples"):
        lower_model(onnx.load(model.write(tmp_path / "open.onnx")))


def test_channels_last_model_as_keras_exports_it(tmp_path):
    model = Model(6, 6, 2, opset=15).add("Transpose", perm=[0, 3, 1, 2]).conv(2, 4, (3, 3), auto_pad="SAME_UPPER")
    model.add("Relu").add("AveragePool", kernel_shape=[2, 2], strides=[2, 2]).add("Transpose", perm=[0, 2, 3, 1])
    model.add("Reshape", np.array([-1, 36])).add("MatMul", floats(36, 3)).add("Add", floats(3)).add("Softmax")
    lowered = check(model, tmp_path / "m.onnx")
    assert lowered.sample_shape == (6, 6, 2)


def test_pixels_are_scaled_by_a_power_of_two_before_they_are_rounded(tmp_path):
    model = Model(1, 4, 4).add("Div", np.float32(255)).conv(1, 2, (3, 3), pads=[1] * 4)
    assert check(model, tmp_path / "m.onnx").input_exponents == (-8,) * 16


def test_powers_of_two_move_to_the_inputs_of_the_first_layer_only(tmp_path):
    """What a whitening PCA between a scaler and a network comes to."""
    model = Model(4).add("Mul", np.array([0.1, 20, 1, 1], np.float32)).add("MatMul", floats(4, 4))
    model.add("Div", np.array([4, 0.2, 1, 1], np.float32)).add("MatMul", floats(4, 3)).add("Relu")
    assert check(model.add("MatMul", floats(3, 2)), tmp_path / "m.onnx").input_exponents == (-3, 4, 0, 0)


def test_features_of_large_values_are_scaled_before_they_are_clipped(tmp_path):
    model = Model(3).add("Mul", np.array([1 / 1500, 0.5, 1], np.float32)).add("Clip", np.float32(-0.5), np.float32(0.5))
    lowered = check(model.add("Gemm", floats(3, 2)), tmp_path / "m.onnx")
    assert lowered.input_exponents == (-11, -1, 0)


def test_architecture_with_every_kind_of_node_is_read_back(tmp_path):
    model = Model(2, 6, 6).conv(2, 4, (3, 3), groups=2, pads=[1] * 4).add("Elu", alpha=0.7)
    left = model.y
    model.add("Conv", "x", floats(4, 2, 1, 1), floats(4)).add("Mul", model.y, left).add("Add", model.y, left)
    model.add("Mul", model.y, model.y).add("Concat", model.y, left, axis=1)
    model.add("AveragePool", kernel_shape=[2, 2]).add("Flatten").add("Gemm", floats(200, 3, scale=0.1))
    graph = canonicalise(check(model, tmp_path / "m.onnx")).graph
    assert {type(node) for node in graph.nodes} == set(get_args(Node)) - {Leaves}  # those: test_thermometer.py
    assert parse_architecture(architecture_bytes(graph)) == graph


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Model(4).add("MatMul", "x", "x"), "MatMul at node 'node_v0'.*two values"),
        (Model(4).add("Concat", "x", "x", axis=0), "along the samples"),
        (Model(4).add("Transpose", perm=[1, 0]), "samples run along axis 1.*Transpose"),
        (Model(4).add("Softmax").add("Transpose", perm=[1, 0]), "moves the samples to another axis"),
        (Model(4).add("GatherND", np.array([[0], [1]])), "places along the samples"),
        (Model(4).add("Concat", "x", floats(2, 4), axis=1), "joins samples of 1 axes with a constant"),
        (Model(4).add("Tile", np.array([2, 1])), "Keep axis 0 as it is"),
        (Model(4).add("Expand", np.array([2, 1, 4])), "expands samples"),
        (Model(2, 4).add("ReduceSum", np.array([0])), "along the samples"),
        (Model(2, 4).add("ReduceSum"), "over the samples"),
        (Model(2, 4).add("ReduceProd"), "over the samples"),
        (Model(17).add("ReduceProd", axes=[1]), "multiplies 17 values of the model with each other, more than 16"),
        (Model(4).add("Slice", np.array([0]), np.array([2]), np.array([0])), "along the samples"),
        (Model(2, 4).add("Pad", np.array([0, 0, 1, 0, 0, 1]), mode="mirror"), "mode is mirror"),
        (Model(4).add("Clip", np.float32(1), np.float32(-1)), "bounds 1 and -1 leave nothing"),
        (Model(4).add("Less", "x", "x"), "compares two values"),
        (Model(4).add("Greater", np.float32(0)).add("Where", "v0", "x", np.float32(1)), "chooses between values"),
        (Model(4).add("Atan"), "Atan at node.*activations"),
        (
            Model(4).add("Softmax").add("Gather", np.array([0, 1]), axis=1),
            r"takes columns \[0, 1\] of Softmax, which has 4",
        ),
        (Model(4).add("Dropout", np.float32(0.5), np.array(True)), "training mode.*Export for inference"),
        (Model(4).add("Pow", np.float32(0.5)), "exponent"),
        (Model(2, 4).add("Add", floats(3, 2, 4)), "meets samples"),
        (Model(1, 4, 4).add("LpPool", kernel_shape=[2, 2]), "LpPool at node.*Use AveragePool"),
        (Model(5000).add("Mul", "x", "x").add("Mul", floats(5000)).add("Relu"), "5000 elements one by one"),
    ],
)
def test_what_is_refused_says_why(tmp_path, model, reason):
    path = model.add("Flatten").write(tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=reason):
        lower_model(onnx.load(path))
