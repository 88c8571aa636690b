"""Support vector machines of scikit-learn."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVR

from tests.unit.trader.model.lowering.test_lowering import export, raw_outputs
from trader.model import (
    PostProcessingKind,
    UnsafeModelError,
    UnsupportedOperatorError,
    canonicalise,
    plain_model_bytes,
    read_model,
)
from trader.model.one_vs_one import MOST_CLASSES


def fitted(machine, load):
    samples, target = load(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), machine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline.fit(samples, target), samples


@pytest.mark.parametrize("machine", [SVR(kernel="linear"), NuSVR(kernel="linear", C=10)], ids=["SVR", "NuSVR"])
def test_regression_is_one_layer(tmp_path, machine):
    regressor, samples = fitted(machine, load_diabetes)
    lowered = read_model(export(regressor, samples, tmp_path / "m.onnx"))
    predictions = lowered.post_processing.apply(raw_outputs(lowered, samples))
    np.testing.assert_allclose(predictions.ravel(), regressor.predict(samples), atol=0.3)
    assert lowered.graph.parameter_count == samples.shape[1] + 1


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_wine, load_digits], ids=[2, 3, 3, 10])
@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (SVC(kernel="linear", C=0.1), PostProcessingKind.ONE_VS_ONE_SCORES),
        (SVC(kernel="linear", C=0.1, decision_function_shape="ovo"), PostProcessingKind.ONE_VS_ONE),
        (SVC(kernel="linear", C=0.1, probability=True, random_state=0), PostProcessingKind.ONE_VS_ONE_PROBABILITIES),
    ],
    ids=["scores", "decisions", "probabilities"],
)
def test_pairs_of_classes_vote(tmp_path, machine, kind, load):
    """Labels and scores are those of onnxruntime, in what a test shows and in the delivered file."""
    classifier, samples = fitted(machine, load)
    path, rows = export(classifier, samples, tmp_path / "m.onnx", zipmap=False), samples.astype(np.float32)
    label, scores = onnxruntime.InferenceSession(path).run(None, {"X": rows})
    lowered, count = read_model(path), len(classifier.classes_)
    raw = raw_outputs(lowered, samples)
    found = lowered.post_processing.apply(raw)
    assert np.quantile(np.abs(found - scores).max(axis=1), 0.98) < 5e-3
    assert np.mean(lowered.post_processing.predict(raw) == label) > 0.99
    if count == 2 and kind is PostProcessingKind.ONE_VS_ONE_SCORES:
        kind = PostProcessingKind.ONE_VS_ONE  # scikit-learn has one decision then, and no other shape
    assert lowered.post_processing.kind is kind
    pairs = count * (count - 1) // 2
    assert lowered.graph.outputs == pairs * (1 + (kind is PostProcessingKind.ONE_VS_ONE_PROBABILITIES))
    delivered = plain_model_bytes(
        canonicalise(lowered), lowered.post_processing, lowered.input_exponents, interface=lowered.interface
    )
    again, values = onnxruntime.InferenceSession(delivered).run(None, {"X": rows})
    assert np.mean(again == label) > 0.99
    assert values.shape == scores.shape
    assert np.quantile(np.abs(values - scores).max(axis=1), 0.98) < 5e-3


def test_a_label_may_be_the_less_probable_class(tmp_path):
    """Platt's offset moves probabilities and not labels: scikit-learn and onnxruntime have it so."""
    classifier, samples = fitted(SVC(kernel="linear", probability=True, random_state=0), load_breast_cancer)
    model = onnx.load(export(classifier, samples, tmp_path / "m.onnx", zipmap=False))
    (machine,) = (node for node in model.graph.node if node.op_type == "SVMClassifier")
    (offset,) = (attribute for attribute in machine.attribute if attribute.name == "prob_b")
    offset.floats[:] = [offset.floats[0] + 3]
    onnx.save(model, tmp_path / "m.onnx")
    label, probabilities = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(
        None, {"X": samples.astype(np.float32)}
    )
    assert np.mean(label == probabilities.argmax(axis=1)) < 0.95
    lowered = read_model(tmp_path / "m.onnx")
    assert np.mean(lowered.post_processing.predict(raw_outputs(lowered, samples)) == label) > 0.99


@pytest.mark.parametrize("kept", [["label"], ["probabilities"]])
@pytest.mark.parametrize("probability", [True, False])
def test_one_of_two_outputs(tmp_path, kept, probability):
    """Labels alone take no logits; probabilities alone would be tested by labels that nobody gets."""
    classifier, samples = fitted(SVC(kernel="linear", C=0.1, probability=probability), load_iris)
    model = onnx.load(export(classifier, samples, tmp_path / "m.onnx", zipmap=False))
    outputs = [output for output in model.graph.output if output.name in kept]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.save(model, tmp_path / "m.onnx")
    if probability and kept == ["probabilities"]:
        with pytest.raises(UnsafeModelError, match=r"probabilities without labels.*export it with both"):
            read_model(tmp_path / "m.onnx")
        return
    lowered = read_model(tmp_path / "m.onnx")
    assert lowered.graph.outputs == 3
    predicted = lowered.post_processing.predict(raw_outputs(lowered, samples))
    assert np.mean(predicted == classifier.predict(samples)) > 0.99


def test_other_uses_of_pairs_are_refused(tmp_path):
    classifier, samples = fitted(SVC(kernel="linear", decision_function_shape="ovo"), load_iris)
    model = onnx.load(export(classifier, samples, tmp_path / "m.onnx", zipmap=False))
    model.graph.node.append(onnx.helper.make_node("Abs", ["probabilities"], ["own"]))
    model.graph.output[1].name = "own"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(
        UnsupportedOperatorError, match=r"something of its own of the decisions of pairs.*Return its labels"
    ):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("machine", "load", "reason"),
    [
        (SVC(), load_breast_cancer, "its RBF kernel compares the sample with every support vector.*kernel='linear'"),
        (SVC(), load_iris, "its RBF kernel"),
        (SVR(kernel="poly"), load_diabetes, "its POLY kernel"),
    ],
    ids=["RBF", "RBF, three classes", "polynomial"],
)
def test_other_machines_are_refused(tmp_path, machine, load, reason):
    model, samples = fitted(machine, load)
    with pytest.raises(UnsupportedOperatorError, match=reason):
        read_model(export(model, samples, tmp_path / "m.onnx"))


def test_too_many_classes_are_refused(tmp_path):
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(MOST_CLASSES + 1), 2)
    samples = random.normal(size=(MOST_CLASSES + 1, 3))[classes] + random.normal(size=(len(classes), 3)) / 100
    model = SVC(kernel="linear", decision_function_shape="ovo").fit(samples, classes)
    with pytest.raises(UnsupportedOperatorError, match=r"has 65 classes, .* of 2 to 64 classes.*LinearSVC"):
        read_model(export(model, samples, tmp_path / "m.onnx", zipmap=False))


def test_sign_of_a_score_is_refused(tmp_path):
    regressor, samples = fitted(SVR(kernel="linear"), load_diabetes)
    model = onnx.load(export(regressor, samples, tmp_path / "m.onnx"))
    (machine,) = (node for node in model.graph.node if node.op_type == "SVMRegressor")
    machine.attribute.append(onnx.helper.make_attribute("one_class", 1))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=r"returns the sign of its score. Return the score"):
        read_model(tmp_path / "m.onnx")
