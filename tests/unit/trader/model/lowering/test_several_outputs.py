"""Models with several outputs: one vector of raw outputs, split again by the names that the original gives them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from tests.unit.trader.model.lowering.test_operators import Model, floats
from tests.unit.trader.model.lowering.test_outputs import SAMPLES, written
from trader.model import (
    DataError,
    UnsafeModelError,
    canonicalise,
    evaluate_values,
    lower_model,
    plain_model_bytes,
    quantise_inputs,
)
from trader.verify import assess_test


def heads(path, last=None):
    """A trunk with a square, and two heads."""
    model = Model(4).add("Gemm", floats(4, 5)).add("Mul", "v0", "v0")
    model.add("Gemm", "v1", model.constant(floats(5, 3)), model.constant(floats(3)))
    first = model.y
    model.add("Gemm", "v1", model.constant(floats(5, 2)))
    if last:
        model.add(last, first)
        first = model.y
        model.add(last, "v3")
    return written(model, path, first), model.y, first


@pytest.mark.parametrize("last", [None, "Sigmoid"])
def test_heads_of_one_trunk(tmp_path, last):
    proto, *names = heads(tmp_path / "m.onnx", last)
    want = onnxruntime.InferenceSession(proto.SerializeToString()).run(names, {"x": SAMPLES})
    lowered = lower_model(proto)
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(SAMPLES, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    post = lowered.post_processing
    found = post.split(post.apply(evaluate_values(canonical, inputs)[canonical.graph.output]))
    delivered = onnxruntime.InferenceSession(plain_model_bytes(canonical, post, lowered.input_exponents))
    made = delivered.run([f"output_{name}" for name in names], {"input": SAMPLES})
    for name, array, again in zip(names, want, made, strict=True):
        np.testing.assert_allclose(found[name], array, atol=6e-3)
        np.testing.assert_allclose(again, array, atol=6e-3)


def test_outputs_of_different_kinds_are_refused(tmp_path):
    proto, _, first = heads(tmp_path / "m.onnx")
    proto.graph.node.append(helper.make_node("Softmax", [first], ["p"]))
    proto.graph.output.append(helper.make_empty_tensor_value_info("p"))
    with pytest.raises(UnsafeModelError, match="different values, to which different functions are applied"):
        lower_model(onnx.load_model_from_string(proto.SerializeToString()))


def test_several_outputs_are_values_not_classes(tmp_path):
    post = lower_model(heads(tmp_path / "m.onnx")[0]).post_processing
    raw = np.random.default_rng(0).normal(size=(30, 5))
    assert assess_test(raw, 1e-3, post).changeable is None
    with pytest.raises(DataError, match="2 outputs, which are no scores"):
        post.classify(raw)
