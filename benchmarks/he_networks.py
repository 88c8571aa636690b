"""Networks that people test under encryption, as ONNX models that are prepared as vendors do.

- `tutorial`: TenSEAL's MNIST tutorial: a convolution (four kernels of 7 by 7, stride 3), a square, two dense
  layers, a square between them. The peer is TenSEAL itself: the same weights through its `conv2d_im2col`,
  `square_` and `mm`, at the tutorial's parameters, one image at a time.
- `lenet`: two convolutions (5 by 5) with squares and average pooling, one dense layer.
- `relu.mlp` and `relu.lenet`: deep networks with ReLU and 100 samples, which is what most tests have: 30-32-16-1, and
  LeNet's form (convolution, ReLU, average pooling, convolution, ReLU, one dense layer) on images of 8 by 8.

Weights are random, the same on both sides. Errors are against the canonical model in float64 with exact activations.
Each network runs in a process of its own, whose peak memory is reported.
"""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.rows import Row, Timing, at_most, measure, peak_bytes
from trader.he import ClientSession, HePlan, PlanningProblem, evaluate, plan_encryption
from trader.model import CanonicalModel, canonicalise, evaluate_values, fit_units, lower_model, quantise_inputs
from trader.package import planning_data

CALIBRATION_SAMPLES = 256


class _Builder:
    """An ONNX model layer by layer, on images [N, 1, side, side]."""

    def __init__(self, side: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.shape: tuple[int, ...] = (1, side, side)
        self.value = "image"
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def tensor(self, *shape: int, inputs: int) -> NDArray[np.float32]:
        """Random weights for a layer of so many inputs."""
        weights: NDArray[np.float32] = (self.random.normal(size=shape) / inputs**0.5).astype(np.float32)
        return weights

    def add(self, operator: str, *tensors: NDArray[np.float32], **attributes: Any) -> "_Builder":
        """Return a node that reads the latest value and some tensors."""
        index = len(self.nodes)
        names = [f"tensor{index}_{position}" for position in range(len(tensors))]
        self.tensors += [numpy_helper.from_array(t, name) for t, name in zip(tensors, names, strict=True)]
        operands = [self.value, self.value] if operator == "Mul" else [self.value, *names]
        self.value = f"value{index}"
        self.nodes.append(helper.make_node(operator, operands, [self.value], **attributes))
        return self

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> "_Builder":
        """Return a convolution with bias."""
        fan = inputs * kernel**2
        weights = self.tensor(outputs, inputs, kernel, kernel, inputs=fan)
        return self.add("Conv", weights, self.tensor(outputs, inputs=16), strides=[stride, stride])

    def dense(self, inputs: int, outputs: int) -> "_Builder":
        """Return a dense layer with bias."""
        return self.add("Gemm", self.tensor(inputs, outputs, inputs=inputs), self.tensor(outputs, inputs=16))

    def model(self, outputs: int) -> onnx.ModelProto:
        """Return the whole."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *self.shape])
        output = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, ["N", outputs])
        graph = helper.make_graph(self.nodes, "network", [image], [output], self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _tutorial(side: int) -> onnx.ModelProto:
    windows = (side - 7) // 3 + 1
    builder = _Builder(side).conv(1, 4, 7, 3).add("Mul").add("Flatten")
    return builder.dense(4 * windows**2, 64).add("Mul").dense(64, 10).model(10)


def _lenet(side: int) -> onnx.ModelProto:
    pooled = ((side - 4) // 2 - 4) // 2
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    builder = _Builder(side).conv(1, 4, 5).add("Mul").add("AveragePool", **pool)
    builder = builder.conv(4, 8, 5).add("Mul").add("AveragePool", **pool).add("Flatten")
    return builder.dense(8 * pooled**2, 10).model(10)


def _quick_relu() -> onnx.ModelProto:
    """Stand for the others in quick runs: a polynomial of low degree is close enough."""
    builder = _Builder(1)
    builder.shape = (4,)
    return builder.dense(4, 3).add("LeakyRelu", alpha=0.9).dense(3, 1).model(1)


def _relu_mlp(features: int) -> onnx.ModelProto:
    builder = _Builder(1)
    builder.shape = (features,)
    return builder.dense(features, 32).add("Relu").dense(32, 16).add("Relu").dense(16, 1).model(1)


def _relu_lenet(side: int) -> onnx.ModelProto:
    pooled = (side - 2) // 2 - 1
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    builder = _Builder(side).conv(1, 4, 3).add("Relu").add("AveragePool", **pool)
    return builder.conv(4, 8, 2).add("Relu").add("Flatten").dense(8 * pooled**2, 10).model(10)


NETWORKS: dict[str, Callable[[int], onnx.ModelProto]] = {"tutorial": _tutorial, "lenet": _lenet}
RELU_NETWORKS: dict[str, tuple[Callable[[int], onnx.ModelProto], int]] = {
    "relu.mlp": (_relu_mlp, 30),
    "relu.lenet": (_relu_lenet, 8),
}
"""With what they are made for: features, or the side of an image."""
RELU_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class NetworkTest:
    """A prepared network and its test set."""

    network: onnx.ModelProto
    model: CanonicalModel
    plan: HePlan
    inputs: NDArray[np.int64]

    @classmethod
    def make(cls, name: str, side: int, samples: int) -> "NetworkTest":
        """Prepare a network on images with pixels in [0, 1]."""
        images = np.random.default_rng(1).random((samples + CALIBRATION_SAMPLES, side**2))
        return cls.prepare(NETWORKS[name](side), images)

    @classmethod
    def prepare(cls, network: onnx.ModelProto, images: NDArray[np.float64]) -> "NetworkTest":
        """Prepare a network on the first samples, to be tested on the others."""
        lowered = fit_units(lower_model(network), images[:CALIBRATION_SAMPLES])
        model = canonicalise(lowered)
        data = planning_data(model, lowered.input_exponents, images[:CALIBRATION_SAMPLES])
        plan = plan_encryption(
            PlanningProblem(model, data.bounds, input_magnitude=data.input_magnitude, calibration=data.calibration)
        )
        inputs = quantise_inputs(
            images[CALIBRATION_SAMPLES:], model.graph, model.scale_bits, lowered.input_exponents, data.input_magnitude
        )
        return cls(network, model, plan, inputs)

    def run(self) -> NDArray[np.float64]:
        """Return the whole encrypted test."""
        session, samples = ClientSession(self.plan), len(self.inputs)
        return session.decrypt(evaluate(self.plan, self.model, session.encrypt(self.inputs), samples))

    def relative_error_99(self, outputs: NDArray[np.float64]) -> float:
        """Error that 99 % of the samples stay within, as part of the outputs' range."""
        exact = evaluate_values(self.model, self.inputs)[self.model.graph.output]
        return float(np.quantile(np.abs(outputs - exact).max(axis=1), 0.99) / np.ptp(exact))

    def error(self, outputs: NDArray[np.float64]) -> float:
        """Largest error against the model in float64, activations exact."""
        exact = evaluate_values(self.model, self.inputs)[self.model.graph.output]
        return float(np.abs(outputs - exact).max())


def print_figures(name: str, side: int, samples: int, runs: int) -> None:
    """Seconds of each run, bytes, error, what was planned, and the process' peak memory; to be run in a fresh one."""
    test = NetworkTest.make(name, side, samples)
    plan = test.plan.for_samples(samples)
    errors: list[float] = []
    timing = measure(lambda: errors.append(test.error(test.run())), runs, warm_up=False)
    figures = {
        "seconds": timing.seconds,
        "bytes": plan.request_bytes(samples) + plan.response_bytes(samples),
        "error": max(errors),
        "planned": plan.expected_error,
        "peak": peak_bytes(),
    }
    print(json.dumps(figures))


def relu_rows(quick: bool) -> Iterator[Row]:
    """Yield error, seconds and bytes of tests of deep networks with ReLU."""
    for name, (make, size) in RELU_NETWORKS.items():
        yield from _relu_rows(f"he.{name}", _quick_relu() if quick else make(size), 1 if quick else 2)


def _relu_rows(name: str, network: onnx.ModelProto, runs: int) -> Iterator[Row]:
    features = math.prod(axis.dim_value for axis in network.graph.input[0].type.tensor_type.shape.dim[1:])
    samples = np.random.default_rng(1).normal(size=(RELU_SAMPLES + CALIBRATION_SAMPLES, features))
    test = NetworkTest.prepare(network, samples)
    errors: list[float] = []
    timing = measure(lambda: errors.append(test.relative_error_99(test.run())), runs, warm_up=False)
    plan = test.plan.for_samples(RELU_SAMPLES)
    sent = plan.request_bytes(RELU_SAMPLES) + plan.response_bytes(RELU_SAMPLES)
    for figure, value, unit, most in (
        ("error", max(errors), "of the range", 0.01),
        ("seconds", timing.median, "s", 30.0),
        ("bytes", float(sent), "bytes", 60e6),
    ):
        bar, holds = at_most(value / most, 1)
        yield Row(f"{name}.{figure}", value, unit, "limit", most, value / most, bar, holds)


def network_rows(quick: bool) -> Iterator[Row]:
    """Yield samples per second, bytes per sample, memory and error of each network."""
    side, samples, runs = (16, 8, 1) if quick else (28, 4096, 2)
    for name in NETWORKS:
        call = f"from benchmarks.he_networks import print_figures; print_figures({name!r}, {side}, {samples}, {runs})"
        done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        timing = Timing(tuple(figures["seconds"]))
        row = Row(f"he.{name}", samples / timing.median, "samples/s", runs=runs, spread=timing.spread)
        if name == "tutorial":
            peer = 1 / measure_tutorial(_tutorial(side), runs).median
            row = replace(row, peer="TenSEAL, its tutorial", peer_value=peer, ratio=row.value / peer)
        yield row
        yield Row(f"he.{name}.bytes", figures["bytes"] / samples, "bytes per sample")
        yield Row(f"he.{name}.memory", figures["peak"], "bytes")
        error, planned = figures["error"], figures["planned"]
        bar, holds = at_most(error / planned, 1)
        yield Row(f"he.{name}.error", error, "absolute", "planned bound", planned, error / planned, bar, holds)


def measure_tutorial(network: onnx.ModelProto, runs: int) -> Timing:
    """One image through TenSEAL as its tutorial does it, from encoding to decryption; keys left out."""
    import tenseal

    bits = [31, 26, 26, 26, 26, 26, 26, 31]
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=bits)
    context.global_scale = 2.0**26
    context.generate_galois_keys()
    kernels, biases, *dense = (numpy_helper.to_array(tensor).astype(float) for tensor in network.graph.initializer)
    # Encrypted biases, as in `benchmarks.he`: plain ones leave out slots that the next product reads.
    layers = [tensor.tolist() if tensor.ndim > 1 else tenseal.ckks_vector(context, tensor.tolist()) for tensor in dense]
    side = network.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    image = np.random.default_rng(1).random((side, side)).tolist()

    def test() -> None:
        columns, windows = tenseal.im2col_encoding(context, image, 7, 7, 3)
        channels = [
            columns.conv2d_im2col(kernel[0].tolist(), windows) + float(bias)
            for kernel, bias in zip(kernels, biases, strict=True)
        ]
        vector = tenseal.CKKSVector.pack_vectors(channels)
        for weights, bias in zip(layers[::2], layers[1::2], strict=True):
            vector.square_()
            vector = vector.mm(weights).add(bias)
        vector.decrypt()

    return measure(test, runs, warm_up=False)
