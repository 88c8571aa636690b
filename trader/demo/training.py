"""Trains the models of the demo: one hidden layer with a square activation, on data sets that scikit-learn ships.

Features are standardised by the training rows' mean and spread, and cut at ±4. Training is full-batch Adam on the
cross-entropy with analytic gradients: seconds, and the same model each time.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float64]

HIDDEN = {"breast-cancer": 16, "digits": 32}
"""Data sets, and the width of the hidden layer for each."""
STEPS = 200
LEARNING_RATE = 0.01
WEIGHT_DECAY = 1e-2
HELD_OUT = 0.25
CUT = 4.0


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A trained model and the data around it.

    Attributes:
        dataset: name of the data set.
        onnx_bytes: the model: Gemm, Mul(x, x), Gemm, Softmax.
        test_samples: float64 [n, F], held-out rows, standardised.
        test_labels: int64 [n].
        training_samples: float64 [m, F], standardised; calibration data.
        accuracy: share of held-out rows that the model classifies correctly.
    """

    dataset: str
    onnx_bytes: bytes = field(repr=False)
    test_samples: Array = field(repr=False)
    test_labels: NDArray[np.int64] = field(repr=False)
    training_samples: Array = field(repr=False)
    accuracy: float


def train_demo_model(dataset: str) -> DemoModel:
    """Train on `breast-cancer` (30-16-2) or `digits` (64-32-10); the same result each time.

    Raises:
        KeyError: no such data set.
    """
    hidden = HIDDEN[dataset]
    samples, labels = _load(dataset)
    order = np.random.default_rng(0).permutation(len(samples))
    held_out = int(HELD_OUT * len(samples))
    test, training = order[:held_out], order[held_out:]
    standardised = _standardise(samples, samples[training])
    layers = _train(standardised[training], labels[training], hidden)
    accuracy = float((_logits(standardised[test], layers)[1].argmax(axis=1) == labels[test]).mean())
    return DemoModel(dataset, _to_onnx(layers), standardised[test], labels[test], standardised[training], accuracy)


def _load(dataset: str) -> tuple[Array, NDArray[np.int64]]:
    # Importing scikit-learn takes a second, which only the demo should pay.
    from sklearn import datasets

    bunch: Any = datasets.load_digits() if dataset == "digits" else datasets.load_breast_cancer()
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64)


def _standardise(samples: Array, training: Array) -> Array:
    spread = training.std(axis=0)
    spread[spread == 0] = 1
    cut = np.clip((samples - training.mean(axis=0)) / spread, -CUT, CUT)
    return np.asarray(cut.astype(np.float32), dtype=np.float64)


def _train(samples: Array, labels: NDArray[np.int64], hidden: int) -> list[Array]:
    """Weights and biases [W1, b1, W2, b2]."""
    rng = np.random.default_rng(1)
    classes = int(labels.max()) + 1
    features = samples.shape[1]
    layers = [
        rng.normal(0, 0.5 / np.sqrt(features), (features, hidden)),
        np.zeros(hidden),
        rng.normal(0, 0.5 / np.sqrt(hidden), (hidden, classes)),
        np.zeros(classes),
    ]
    first = [np.zeros_like(layer) for layer in layers]
    second = [np.zeros_like(layer) for layer in layers]
    targets = np.eye(classes)[labels]
    for step in range(1, STEPS + 1):
        for i, gradient in enumerate(_gradients(samples, targets, layers)):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            corrected = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            layers[i] = layers[i] - LEARNING_RATE * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return layers


def _logits(samples: Array, layers: list[Array]) -> tuple[Array, Array]:
    """Values before the square, and the model's outputs."""
    before = samples @ layers[0] + layers[1]
    return before, before**2 @ layers[2] + layers[3]


def _gradients(samples: Array, targets: Array, layers: list[Array]) -> list[Array]:
    """Gradients of the mean cross-entropy plus weight decay."""
    before, logits = _logits(samples, layers)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    output = (exponentials / exponentials.sum(axis=1, keepdims=True) - targets) / len(samples)
    inner = 2 * before * (output @ layers[2].T)
    return [
        samples.T @ inner + WEIGHT_DECAY * layers[0],
        inner.sum(axis=0),
        (before**2).T @ output + WEIGHT_DECAY * layers[2],
        output.sum(axis=0),
    ]


def _to_onnx(layers: list[Array]) -> bytes:
    names = ["weights_1", "bias_1", "weights_2", "bias_2"]
    nodes = [
        helper.make_node("Gemm", ["features", *names[:2]], ["hidden"], name="hidden"),
        helper.make_node("Mul", ["hidden", "hidden"], ["squared"], name="square"),
        helper.make_node("Gemm", ["squared", *names[2:]], ["logits"], name="logits"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], name="probabilities", axis=1),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", layers[0].shape[0]])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", layers[2].shape[1]])]
    constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in zip(names, layers, strict=True)]
    graph = helper.make_graph(nodes, "demo", inputs, outputs, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="modelseal-demo")
    model.ir_version = 8
    return bytes(model.SerializeToString(deterministic=True))
