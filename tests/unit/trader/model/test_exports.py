"""Models as PyTorch and Keras export them (tests/vectors/make_exports.py), read, against onnxruntime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from trader.model import Activation, canonicalise, evaluate_values, quantise_inputs, read_model

FOLDER = Path(__file__).parents[3] / "vectors" / "exports"
ACTIVATIONS = {
    "keras-attention": ["sigmoid"],
    "keras-image": ["relu"],
    "keras-steps": ["elu"] * 2,
    "torch-columns": [],
    "torch-ensemble": ["silu"] * 2,
    "torch-gelu-tanh": ["gelu_tanh"],
    "torch-half": ["hard_swish"],
    "torch-pooling": ["relu"],
    "torch-residual": ["relu"] * 2,
    "torch-softplus": ["softplus"],
    "torchscript-circular": [],
    "torchscript-gelu-tanh": ["gelu_tanh"],
    "torchscript-residual": ["relu"] * 2,
}
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def test_every_file_is_tested():
    assert {path.stem for path in FOLDER.iterdir()} == set(ACTIVATIONS)


def check(path, activations):
    lowered = read_model(path)
    model = canonicalise(lowered)
    session = onnxruntime.InferenceSession(path)
    (source,) = session.get_inputs()
    samples = np.random.default_rng(2).normal(size=(9, *lowered.sample_shape)).astype(TYPES[source.type])
    inputs = quantise_inputs(samples, model.graph, model.scale_bits, lowered.input_exponents)
    outputs = lowered.post_processing.apply(evaluate_values(model, inputs)[model.graph.output])
    expected = session.run(None, {source.name: samples})[0]
    np.testing.assert_allclose(outputs, expected, atol=4e-3)
    assert [node.kind for node in lowered.graph.nodes if isinstance(node, Activation)] == activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_export_is_read_as_it_is(name):
    check(FOLDER / f"{name}.onnx", ACTIVATIONS[name])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_weights_may_be_constant_nodes(name, tmp_path):
    model = onnx.load(FOLDER / f"{name}.onnx")
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer] + [*model.graph.node]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "m.onnx")
    check(tmp_path / "m.onnx", ACTIVATIONS[name])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_weights_may_be_declared_as_inputs(name, tmp_path):
    """What older exporters wrote."""
    model = onnx.load(FOLDER / f"{name}.onnx")
    declared = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in model.graph.initializer]
    model.graph.input.extend(declared)
    onnx.save(model, tmp_path / "m.onnx")
    lowered, original = read_model(tmp_path / "m.onnx"), read_model(FOLDER / f"{name}.onnx")
    assert lowered.graph == original.graph
