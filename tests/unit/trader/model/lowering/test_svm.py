"""Support vector machines of scikit-learn."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVR

from tests.unit.trader.model.lowering.test_lowering import export, raw_outputs
from trader.model import UnsupportedOperatorError, canonicalise, plain_model_bytes, read_model


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


@pytest.mark.parametrize("probability", [True, False])
def test_two_classes_keep_labels_and_scores(tmp_path, probability):
    classifier, samples = fitted(SVC(kernel="linear", C=0.1, probability=probability), load_breast_cancer)
    path = export(classifier, samples, tmp_path / "m.onnx", zipmap=False)
    lowered, (label, scores) = (
        read_model(path),
        onnxruntime.InferenceSession(path).run(None, {"X": samples.astype(np.float32)}),
    )
    raw = raw_outputs(lowered, samples)
    found = lowered.post_processing.apply(raw)
    # Of two scores, the first is scikit-learn's decision; onnxruntime couples probabilities within 0.005.
    np.testing.assert_allclose(found, scores if probability else scores[:, :1], atol=5e-3)
    assert np.mean(lowered.post_processing.predict(raw) == label) > 0.99
    assert lowered.post_processing.labels == (0, 1)
    delivered = plain_model_bytes(canonicalise(lowered), lowered.post_processing, lowered.input_exponents)
    (again,) = onnxruntime.InferenceSession(delivered).run(["label"], {"input": samples.astype(np.float32)})
    assert np.mean(again == label) > 0.99


@pytest.mark.parametrize(
    ("machine", "load", "reason"),
    [
        (SVC(), load_breast_cancer, "its RBF kernel compares the sample with every support vector.*kernel='linear'"),
        (SVR(kernel="poly"), load_diabetes, "its POLY kernel"),
        (SVC(kernel="linear", probability=True), load_iris, "pairs of its 3 classes vote.*LinearSVC"),
        (SVC(kernel="linear"), load_iris, "pairs of its 3 classes vote.*LinearSVC"),
    ],
    ids=["RBF", "polynomial", "three classes", "three classes without probabilities"],
)
def test_other_machines_are_refused(tmp_path, machine, load, reason):
    model, samples = fitted(machine, load)
    with pytest.raises(UnsupportedOperatorError, match=reason):
        read_model(export(model, samples, tmp_path / "m.onnx"))


def test_sign_of_a_score_is_refused(tmp_path):
    regressor, samples = fitted(SVR(kernel="linear"), load_diabetes)
    model = onnx.load(export(regressor, samples, tmp_path / "m.onnx"))
    (machine,) = (node for node in model.graph.node if node.op_type == "SVMRegressor")
    machine.attribute.append(onnx.helper.make_attribute("one_class", 1))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=r"returns the sign of its score. Return the score"):
        read_model(tmp_path / "m.onnx")
