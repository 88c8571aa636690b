"""Encrypted tests against onnxruntime on the original files: models of many shapes, driven as `model prepare` does."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from trader.he import ClientSession, PlanningProblem, evaluate, plan_encryption
from trader.model import canonicalise, evaluate_values, quantise_inputs, read_model
from trader.package import planning_data

SAMPLES = 48
CALIBRATION = 400
GRID = 0.02
"""Rounding of parameters and inputs may move an output by this part of the largest one."""

pytestmark = pytest.mark.slow


class Model:
    """Grows an ONNX model from x [N, *shape], in the style of exporters; `y` names the latest value."""

    def __init__(self, *shape, opset=17, seed=0, form="initializer", dtype=np.float32):
        self.shape, self.opset, self.form, self.dtype = shape, opset, form, dtype
        self.random = np.random.default_rng(seed)
        self.y, self.nodes, self.initializers, self.count = "x", [], [], 0

    def weights(self, *shape, fan_in=1, scale=1.0):
        return self.tensor((self.random.normal(size=shape) * scale / fan_in**0.5).astype(self.dtype))

    def tensor(self, value):
        """An initializer; or a Constant node; or one of another type behind a Cast."""
        self.count += 1
        name, tensor = f"c{self.count}", numpy_helper.from_array(value, f"c{self.count}")
        if self.form == "constant":
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.initializers.append(tensor)
        if value.dtype in (np.float16, np.float64):
            self.nodes.append(helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT))
            return f"{name}_f"
        return name

    def add(self, operator, *more, first=None, domain="", **attributes):
        self.count += 1
        output = f"v{self.count}"
        inputs = [first or self.y, *more]
        self.nodes.append(helper.make_node(operator, inputs, [output], f"n{self.count}", domain=domain, **attributes))
        self.y = output
        return self

    def gemm(self, inputs, outputs):
        self.width = outputs
        return self.add(
            "Gemm", self.weights(outputs, inputs, fan_in=inputs), self.weights(outputs, scale=0.1), transB=1
        )

    def matmul(self, inputs, outputs):
        self.width = outputs
        return self.add("MatMul", self.weights(inputs, outputs, fan_in=inputs)).add("Add", self.weights(outputs))

    def square(self):
        return self.add("Mul", self.y)

    def conv(self, inputs, outputs, kernel=3, group=1, **attributes):
        weights = self.weights(outputs, inputs // group, kernel, kernel, fan_in=inputs // group * kernel**2)
        return self.add("Conv", weights, self.weights(outputs, scale=0.1), group=group, **attributes)

    def normalise(self, channels):
        spread = self.tensor(self.random.uniform(0.5, 1.5, channels).astype(self.dtype))
        variance = self.tensor(self.random.uniform(0.5, 1.5, channels).astype(self.dtype))
        return self.add("BatchNormalization", spread, *[self.weights(channels, scale=0.1) for _ in "12"], variance)

    def flatten(self):
        return self.add("Flatten", axis=1)

    def save(self, path):
        output = helper.make_tensor_value_info(self.y, TensorProto.FLOAT, ["batch", self.width])
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.shape])
        graph = helper.make_graph(self.nodes, "model", [source], [output], self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def dense(operator, opset=17, **attributes):
    return Model(6, opset=opset).gemm(6, 5).add(operator, **attributes).gemm(5, 3)


def residual():
    model = Model(6).gemm(6, 5)
    skip = model.y
    return model.square().gemm(5, 5).add("Add", skip).gemm(5, 3)


def residual_convolution():
    model = Model(1, 6, 6).conv(1, 2, pads=[1, 1, 1, 1])
    skip = model.y
    model.square().conv(2, 2, pads=[1, 1, 1, 1]).add("Add", skip).square()
    return model.add("GlobalAveragePool").flatten().gemm(2, 3)


def lenet(activation):
    model = activation(Model(1, 12, 12).conv(1, 3, kernel=3)).add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    model = activation(model.conv(3, 4, kernel=2)).add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    return model.flatten().gemm(16, 4)


def gated():
    model = Model(6).gemm(6, 4)
    left = model.y
    model.gemm(4, 4)
    return model.add("Mul", left).gemm(4, 3)


MODELS = {
    "linear": lambda: Model(6).gemm(6, 3),
    "linear opset 11": lambda: Model(6, opset=11).matmul(6, 3),
    "two linear layers": lambda: Model(6).matmul(6, 4).matmul(4, 2),
    "square": lambda: Model(6).gemm(6, 5).square().gemm(5, 3),
    "power": lambda: (m := Model(6).gemm(6, 5)).add("Pow", m.tensor(np.float32(2))).gemm(5, 3),
    "half weights": lambda: Model(6, dtype=np.float16).gemm(6, 5).square().gemm(5, 3),
    "double weights": lambda: Model(6, dtype=np.float64).gemm(6, 5).square().gemm(5, 3),
    "constant nodes": lambda: Model(6, form="constant").matmul(6, 5).square().matmul(5, 3),
    "three squares": lambda: Model(6).gemm(6, 5).square().gemm(5, 5).square().gemm(5, 5).square().gemm(5, 3),
    "residual": residual,
    "gated": gated,
    "normalised": lambda: Model(6).gemm(6, 5).normalise(5).square().gemm(5, 3),
    "convolution": lambda: Model(1, 6, 6).conv(1, 3).square().flatten().gemm(48, 3),
    "strided": lambda: Model(2, 7, 7).conv(2, 3, strides=[2, 2], pads=[1, 1, 1, 1]).flatten().gemm(48, 3),
    "grouped": lambda: Model(4, 5, 5).conv(4, 4, group=2).square().add("GlobalAveragePool").flatten().gemm(4, 3),
    "dilated": lambda: Model(1, 7, 7).conv(1, 2, dilations=[2, 2]).normalise(2).flatten().gemm(18, 3),
    "residual convolution": residual_convolution,
    "squares after convolutions": lambda: lenet(Model.square),
    "relu": lambda: dense("Relu"),
    "leaky relu": lambda: dense("LeakyRelu", alpha=0.1),
    "sigmoid": lambda: dense("Sigmoid"),
    "tanh": lambda: dense("Tanh", opset=11),
    "elu": lambda: dense("Elu"),
    "softplus": lambda: dense("Softplus"),
    "hard sigmoid": lambda: dense("HardSigmoid", alpha=0.2, beta=0.5),
    "hard swish": lambda: dense("HardSwish"),
    "gelu": lambda: dense("Gelu", opset=20),
    "two hidden relu layers": lambda: Model(6).gemm(6, 5).add("Relu").gemm(5, 4).add("Relu").gemm(4, 3),
    "three hidden tanh layers": lambda: (
        Model(5).gemm(5, 4).add("Tanh").gemm(4, 4).add("Tanh").gemm(4, 4).add("Tanh").gemm(4, 3)
    ),
}


ONE_WAY = {"relu", "three hidden tanh layers"}
"""Tested packed alone; batched, "two hidden relu layers" and "tanh" take the same polynomials."""


@pytest.mark.parametrize("name", MODELS)
def test_encrypted_outputs_agree_with_onnxruntime(name, tmp_path):
    original = MODELS[name]()
    path = tmp_path / "model.onnx"
    original.save(path)
    random = np.random.default_rng(1)
    calibration = random.normal(size=(CALIBRATION, *original.shape)).clip(-3, 3)
    samples = random.normal(size=(SAMPLES, *original.shape)).clip(-3, 3)
    runtime = onnxruntime.InferenceSession(path)
    expected = runtime.run(None, {"x": samples.astype(np.float32)})[0].reshape(SAMPLES, -1)
    tested = encrypted(path, calibration, samples)
    for outputs, exact, plan in itertools.islice(tested, 1) if name in ONE_WAY else tested:
        assert plan.packed or name not in ONE_WAY
        check_outputs(outputs, exact, expected, plan)


def test_an_older_operator_set_gives_the_same_model(tmp_path):
    """And with it the same encrypted test: no need to run it twice."""
    models = []
    for opset in (13, 17):
        dense("Relu", opset=opset).save(tmp_path / f"{opset}.onnx")
        models.append(canonicalise(read_model(tmp_path / f"{opset}.onnx")))
    assert models[0].graph == models[1].graph
    for layer in range(2):
        left, right = ((model.weights(layer), model.bias(layer)) for model in models)
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1], right[1])


def check_outputs(outputs, exact, expected, plan):
    grid = np.abs(exact - expected).max()
    assert grid <= GRID * np.abs(expected).max()
    assert np.abs(outputs - expected).max() <= plan.expected_error + grid
    assert plan.statistical_bits >= 20
    ordered = np.sort(expected, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > plan.expected_error + grid
    assert (outputs.argmax(axis=1) == expected.argmax(axis=1))[clear].mean() >= 0.99 or not clear.any()


def encrypted(path, calibration, samples):
    """Decrypted outputs, those of the canonical model, and the plan; packed, where that pays, and batched."""
    lowered = read_model(path)
    model = canonicalise(lowered)
    data = planning_data(model, lowered.input_exponents, calibration)
    plan = plan_encryption(
        PlanningProblem(model, data.bounds, input_magnitude=data.input_magnitude, calibration=data.calibration)
    )
    inputs = quantise_inputs(samples, model.graph, model.scale_bits, lowered.input_exponents, data.input_magnitude)
    exact = evaluate_values(model, inputs)[model.graph.output]
    for way in {plan.for_samples(SAMPLES).packed: plan, False: plan.batched}.values():
        session = ClientSession(way)
        outputs = session.decrypt(evaluate(way, model, session.encrypt(inputs), SAMPLES))
        yield outputs, exact, way.for_samples(SAMPLES)


def test_samples_far_from_zero_do_not_spoil_their_batch(tmp_path):
    """What the polynomial makes of x = 0, far outside its range, would be larger than the modulus."""
    original = Model(6)
    original.add("Sub", original.tensor(np.full(6, 40, dtype=np.float32))).gemm(6, 5)
    original.add("LeakyRelu", alpha=0.1).gemm(5, 3)
    path = tmp_path / "model.onnx"
    original.save(path)
    random = np.random.default_rng(1)
    calibration = 40 + random.normal(size=(CALIBRATION, 6)).clip(-3, 3)
    samples = 40 + random.normal(size=(SAMPLES, 6)).clip(-3, 3)
    expected = onnxruntime.InferenceSession(path).run(None, {"x": samples.astype(np.float32)})[0]
    for outputs, exact, plan in encrypted(path, calibration, samples):
        check_outputs(outputs, exact, expected, plan)
