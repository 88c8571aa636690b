"""Networks adapted to squares: what the original gives, nearly, in a file that is lowered without activations."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.adapt import AdaptError, adapt_model
from trader.errors import EnvironmentFaultError
from trader.model import Activation, canonicalise, fit_units, lower_model, parse_onnx

SAMPLES = np.random.default_rng(4).normal(size=(600, 5))


def network(path, activation="Relu"):
    model = Model(5).add("Gemm", floats(5, 8, scale=0.6), floats(8)).add(activation)
    model.add("Gemm", floats(8, 3, scale=0.8), floats(3)).add("Softmax")
    return lower_model(onnx.load(model.write(path)))


@pytest.mark.parametrize(("activation", "least"), [("Relu", 0.9), ("Tanh", 0.85)])
def test_adapted_network_is_near_the_original_and_exact(tmp_path, activation, least):
    pytest.importorskip("torch", reason="the extra `adapt` is not installed")
    lowered = network(tmp_path / "m.onnx", activation)
    made = adapt_model(lowered, SAMPLES, steps=600)
    # One row or two of the 120 held out may change sides either way.
    assert made.figures["agreement"] >= max(least, made.figures["untrained_agreement"] - 2 / 120)
    assert made.figures["relative_error_99"] < made.figures["untrained_relative_error_99"]
    again = lower_model(parse_onnx(made.onnx, "adapted.onnx"))
    assert not any(isinstance(node, Activation) for node in again.graph.nodes)
    assert again.post_processing.kind == lowered.post_processing.kind
    canonicalise(fit_units(again, SAMPLES))
    probabilities = onnxruntime.InferenceSession(made.onnx).run(["output"], {"sample": SAMPLES.astype(np.float32)})[0]
    held = np.arange(len(SAMPLES)) % 5 == 0
    original = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    wanted = original.run(None, {"x": SAMPLES.astype(np.float32)})[0]
    same = (wanted.argmax(axis=1) == probabilities.argmax(axis=1))[held].mean()
    assert same == pytest.approx(made.figures["agreement"], abs=0.01)


def test_labels_give_accuracies_and_must_be_classes(tmp_path):
    pytest.importorskip("torch", reason="the extra `adapt` is not installed")
    lowered = network(tmp_path / "m.onnx")
    labels = np.arange(len(SAMPLES)) % 3
    assert 0 <= adapt_model(lowered, SAMPLES, labels, steps=3).figures["accuracy_after"] <= 1
    with pytest.raises(AdaptError, match="label 5 is no class"):
        adapt_model(lowered, SAMPLES, labels + 5, steps=3)


def test_models_without_activations_and_few_rows_are_refused(tmp_path):
    pytest.importorskip("torch", reason="the extra `adapt` is not installed")
    linear = lower_model(onnx.load(Model(5).add("Gemm", floats(5, 2)).write(tmp_path / "l.onnx")))
    with pytest.raises(AdaptError, match="no activations to replace"):
        adapt_model(linear, SAMPLES)
    with pytest.raises(AdaptError, match="20 rows are too few"):
        adapt_model(network(tmp_path / "m.onnx"), SAMPLES[:20])


def test_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EnvironmentFaultError, match=r"pip install 'modelseal\[adapt\]'"):
        adapt_model(network(tmp_path / "m.onnx"), SAMPLES)
