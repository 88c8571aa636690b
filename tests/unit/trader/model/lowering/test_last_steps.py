"""Last steps that the buyer applies in clear: what comes out is what onnxruntime gives for the whole file."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from skl2onnx import to_onnx
from sklearn.svm import OneClassSVM

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import (
    PostProcessingKind,
    UnsupportedOperatorError,
    canonicalise,
    evaluate_values,
    lower_model,
    plain_model_bytes,
    quantise_inputs,
)
from trader.verify import assess_test

SAMPLES = floats(40, 4, scale=1.0)


def scores(outputs=1):
    return Model(4).add("Gemm", floats(4, outputs), floats(outputs))


def check(model, path, kind):
    """The canonical and the delivered model give what onnxruntime gives, but for samples next to a threshold."""
    model.write(path)
    want = onnxruntime.InferenceSession(str(path)).run(None, {"x": SAMPLES})[0].astype(np.float64)
    lowered = lower_model(onnx.load(path))
    assert lowered.post_processing.kind is kind
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(SAMPLES, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    raw = evaluate_values(canonical, inputs)[canonical.graph.output]
    clear = ~assess_changeable(raw, lowered) if kind.is_decision else np.ones(len(raw), dtype=bool)
    assert clear.sum() > 35
    got = lowered.post_processing.apply(raw)
    np.testing.assert_allclose(got[clear], want.reshape(got.shape)[clear], atol=6e-3)
    delivered = plain_model_bytes(canonical, lowered.post_processing, lowered.input_exponents)
    (made,) = onnxruntime.InferenceSession(delivered).run(["output"], {"input": SAMPLES})
    np.testing.assert_allclose(made[clear], got[clear], atol=1e-2)
    return lowered


def assess_changeable(raw, lowered):
    return (np.abs(raw) < 5e-3).any(axis=1)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("Greater", PostProcessingKind.POSITIVE),
        ("GreaterOrEqual", PostProcessingKind.NOT_NEGATIVE),
        ("Less", PostProcessingKind.POSITIVE),
        ("LessOrEqual", PostProcessingKind.NOT_NEGATIVE),
    ],
)
def test_comparison_with_a_threshold(tmp_path, operator, kind, outputs):
    check(scores(outputs).add(operator, np.float32(0.2)), tmp_path / "m.onnx", kind)


def test_threshold_of_a_sigmoid_is_one_of_its_score(tmp_path):
    model = scores().add("Sigmoid").add("Greater", np.float32(0.3)).add("Cast", to=TensorProto.INT64)
    lowered = check(model.add("Squeeze", np.array([1])), tmp_path / "m.onnx", PostProcessingKind.POSITIVE)
    assert [type(node).__name__ for node in lowered.graph.nodes] == ["Linear"]
    check(scores().add("Exp").add("Less", np.float32(1.5)), tmp_path / "e.onnx", PostProcessingKind.POSITIVE)


@pytest.mark.parametrize("operator", ["Sign", "Softsign"])
def test_by_element(tmp_path, operator):
    check(scores(2).add(operator), tmp_path / "m.onnx", PostProcessingKind(operator.lower()))


def test_length_and_direction(tmp_path):
    norm = scores(3).add("ReduceL2", axes=[-1], keepdims=1)
    check(norm, tmp_path / "norm.onnx", PostProcessingKind.L2_NORM)
    check(scores(3).add("LpNormalization", axis=-1, p=2), tmp_path / "unit.onnx", PostProcessingKind.UNIT)
    model = scores(3).add("ReduceL2", axes=[-1], keepdims=1).add("Clip", np.float32(1e-12))
    check(model.add("Div", "v0", model.y), tmp_path / "written.onnx", PostProcessingKind.UNIT)


def test_other_vector_by_a_length_is_refused(tmp_path):
    model = scores(3).add("ReduceL2", axes=[-1], keepdims=1)
    model.add("Mul", "v0", np.float32(2)).add("Div", "v2", "v1")
    with pytest.raises(UnsupportedOperatorError, match="can't be divided by"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))


def test_decision_inside_a_model_is_refused(tmp_path):
    model = scores(3).add("Greater", np.float32(0)).add("Cast", to=TensorProto.FLOAT).add("Gemm", floats(3, 2))
    with pytest.raises(UnsupportedOperatorError, match="computes with the result of a comparison"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))


def test_decisions_that_could_change_are_counted(tmp_path):
    lowered = lower_model(onnx.load(scores(2).add("Sign").write(tmp_path / "m.onnx")))
    raw = np.array([[1.0, -2.0], [0.001, 3.0], [2.0, 2.0], [-1.0, -0.002]])
    assessment = assess_test(raw, 0.01, lowered.post_processing)
    assert (assessment.changeable, assessment.value_error) == (2, None)


def test_one_decision_per_sample_is_its_class(tmp_path):
    lowered = lower_model(onnx.load(scores().add("Sign").write(tmp_path / "m.onnx")))
    assert lowered.post_processing.predict(np.array([[2.0], [-3.0], [0.0]])).tolist() == [1, -1, 0]


def named(model, table):
    """Class numbers, replaced by what a table has for them, as PyTorch and Hummingbird write it."""
    return model.add("Gather", model.constant(table), model.y, axis=0)


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (scores(3).add("ArgMax", axis=1, keepdims=0), np.array([7, -1, 4])),
        (scores(3).add("Softmax", axis=1).add("ArgMax", axis=1, keepdims=0), np.array(["a", "b", "c"], dtype=object)),
        (scores().add("Greater", np.float32(0.2)).add("Cast", to=TensorProto.INT32), np.array([3, 5])),
    ],
    ids=["integers", "text", "a sign"],
)
def test_labels_are_looked_up_by_class(tmp_path, model, table):
    path = tmp_path / "m.onnx"
    named(model, table).write(path)
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": SAMPLES})
    lowered = lower_model(onnx.load(path))
    assert lowered.post_processing.labels == tuple(table.tolist())
    canonical = canonicalise(lowered)
    inputs = quantise_inputs(SAMPLES, canonical.graph, canonical.scale_bits, lowered.input_exponents)
    raw = evaluate_values(canonical, inputs)[canonical.graph.output]
    assert np.mean(lowered.post_processing.predict(raw).ravel() == want.ravel()) > 0.95
    delivered = plain_model_bytes(
        canonical, lowered.post_processing, lowered.input_exponents, interface=lowered.interface
    )
    (made,) = onnxruntime.InferenceSession(delivered).run(None, {"x": SAMPLES})
    assert (made.shape, made.dtype) == (want.shape, want.dtype)
    assert np.mean(made == want) > 0.95


@pytest.mark.parametrize("table", [np.array([1, 2]), np.array([0.5, 1.0, 2.0], dtype=np.float32)])
def test_other_lookups_by_class_are_refused(tmp_path, table):
    """Too few labels for three classes, and numbers that are no labels."""
    model = named(scores(3).add("ArgMax", axis=1, keepdims=0), table)
    with pytest.raises(UnsupportedOperatorError, match="looks up what belongs to a number that the model computed"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))


def test_exponentials_are_not_divided_by_their_sum(tmp_path):
    """Probabilities have a sum of 1 already; what else a last step gives has not."""
    path = scores(2).add("Exp").add("LpNormalization", p=1, axis=-1).write(tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match="normalises each sample by its own values"):
        lower_model(onnx.load(path))


def test_labels_that_are_signs_of_scores_are_integers_already(tmp_path):
    """As of OneClassSVM: 1 for what is like the training data, -1 for what isn't."""
    file = to_onnx(OneClassSVM(kernel="linear").fit(SAMPLES), SAMPLES[:1])
    lowered = lower_model(file)
    assert lowered.post_processing.kind is PostProcessingKind.NONE
    canonical = canonicalise(lowered)
    made = plain_model_bytes(canonical, lowered.post_processing, lowered.input_exponents, interface=lowered.interface)
    runs = [onnxruntime.InferenceSession(each).run(None, {"X": SAMPLES}) for each in (file.SerializeToString(), made)]
    (label, scores), (own_label, own_scores) = runs
    np.testing.assert_allclose(own_scores, scores, atol=6e-3)
    clear = np.abs(scores.ravel()) > 6e-3
    assert own_label.dtype == label.dtype
    assert np.array_equal(own_label[clear], label[clear])
