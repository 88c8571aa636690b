"""What is said of models that can't be tested encrypted: what it is, where, and what would serve instead."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import UnsafeModelError, UnsupportedOperatorError, lower_model, parse_onnx


def refused(model, path):
    with pytest.raises(UnsupportedOperatorError) as caught:
        lower_model(onnx.load(model.write(path)))
    return str(caught.value)


def test_integers_that_nothing_is_looked_up_by_name_the_cast(tmp_path):
    model = Model(4).add("Cast", to=TensorProto.INT32).add("Cast", to=TensorProto.FLOAT)
    assert "Cast at node 'node_v0' is not supported: it rounds" in refused(model, tmp_path / "m.onnx")


def test_normalisation_that_is_written_out_says_that_it_divides(tmp_path):
    model = Model(4).add("ReduceMean", axes=[-1]).add("Sub", "x", "v0").add("Mul", "v1", "v1")
    model.add("ReduceMean", axes=[-1]).add("Add", np.float32(1e-5)).add("Sqrt").add("Div", "v1", "v5")
    said = refused(model, tmp_path / "m.onnx")
    assert "Sqrt at node 'node_v5'" in said
    assert "divides by a spread" in said
    assert "Use BatchNormalization" in said


def test_division_by_a_value_says_so(tmp_path):
    said = refused(Model(4).add("Gemm", floats(4, 4)).add("Div", "x", "v0"), tmp_path / "m.onnx")
    assert "Div at node 'node_v1'" in said
    assert "divides by a value that it takes from the sample" in said


def test_powers_of_a_constant_say_so(tmp_path):
    model = Model(4).add("Gemm", floats(4, 2)).add("Pow", np.float32(2), "v0")
    assert "raises a constant to a power" in refused(model, tmp_path / "m.onnx")


def test_attention_that_is_written_out_says_what_it_is(tmp_path):
    model = Model(3, 4).add("MatMul", floats(4, 4)).add("Transpose", "v0", perm=[0, 2, 1]).add("MatMul", "x", "v1")
    assert "as attention does" in refused(model, tmp_path / "m.onnx")


def test_state_before_a_series_is_the_same_for_every_sample(tmp_path):
    """PyTorch expands it to [layers, samples, units]."""
    model = Model(4).add("Shape").add("Gather", np.array([0]), axis=0)
    model.add("Concat", model.constant(np.array([1])), model.y, model.constant(np.array([64])), axis=0)
    model.add("Expand", floats(1, 1, 64), model.y).add("Squeeze", np.array([0])).add("MatMul", floats(64, 3))
    state = model.y
    model.add("MatMul", "x", floats(4, 3)).add("Add", model.y, state).add("Tanh").add("MatMul", floats(3, 2))
    lowered = lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
    assert [type(node).__name__ for node in lowered.graph.nodes] == ["Linear", "Activation", "Linear"]


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("LSTM", "recurrent layer.*Use convolutions along the series"),
        ("GRU", "recurrent layer.*Use convolutions along the series"),
        ("LayerNormalization", "divides by a spread.*Use BatchNormalization"),
        ("InstanceNormalization", "divides by a spread.*Use BatchNormalization"),
        ("com.microsoft.Attention", "attention multiplies.*Use convolutions or averages"),
        ("Scan", "nearest neighbours.*Unroll"),
        ("TopK", "nearest neighbours.*Return the scores"),
        ("com.microsoft.CDist", "nearest neighbours.*use a linear model or a network"),
        ("Xor", "can't be compared.*Return the scores.*Export trees with skl2onnx"),
        ("GatherElements", "looks up what belongs.*Export trees with skl2onnx"),
        ("com.microsoft.FusedGemm", "before optimisation"),
        ("ai.onnx.ml.CategoryMapper", "maps text to integers.*Use OneHotEncoder"),
    ],
)
def test_operator_says_what_it_is(operator, reason):
    domain, _, name = operator.rpartition(".")
    node = helper.make_node(name, ["x"], ["y"], name="culprit", domain=domain)
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", 4]) for value in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(UnsupportedOperatorError, match=f"{operator} at node 'culprit' is not supported: .*{reason}"):
        parse_onnx(model.SerializeToString(), "m.onnx")


DATA = np.random.default_rng(4).normal(size=(60, 4)).astype(np.float32)
CLASSES = (DATA[:, 0] + DATA[:, 1] > 0).astype(np.int64) + (DATA[:, 2] > 1)
LABELS = np.stack([DATA[:, 0] > 0, DATA[:, 1] > 0], axis=1).astype(np.int64)


@pytest.mark.parametrize(
    ("model", "targets", "reason"),
    [
        (BaggingClassifier(LogisticRegression(), 2), CLASSES, "bagging.*sell one classifier"),
        (StackingClassifier([("a", LogisticRegression())], cv=2), CLASSES > 0, "stacking, voting, calibration"),
        (CalibratedClassifierCV(LinearSVC(), cv=2), CLASSES > 0, "stacking, voting, calibration"),
        (BaggingRegressor(Ridge(), 2), DATA[:, 0], "Concat.*as exported bagging does. Average regressors with Voting"),
        (GaussianNB(), CLASSES, "ReduceLogSumExp.*in place of naive Bayes use LogisticRegression"),
        (OneVsRestClassifier(LogisticRegression()), LABELS, "Sign.*Return the scores or probabilities alone"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_models_of_scikit_learn_say_what_would_serve(model, targets, reason):
    file = to_onnx(model.fit(DATA, targets), DATA[:1])
    with pytest.raises(UnsupportedOperatorError, match=reason):
        lower_model(file)


def test_outputs_of_several_kinds_are_named(tmp_path):
    model = Model(4).add("Gemm", floats(4, 2))
    first = model.add("Softmax").y
    file = onnx.load(model.add("Gemm", "x", floats(4, 1)).write(tmp_path / "m.onnx"))
    file.graph.output.append(helper.make_tensor_value_info(first, TensorProto.FLOAT, ["N", 2]))
    with pytest.raises(UnsafeModelError, match=rf"\('{model.y}': none, '{first}': Softmax\)"):
        lower_model(file)


def test_a_table_of_fractions_is_named_as_such():
    node = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_floats=[0.5, 1.0], values_floats=[0.0, 1.0]
    )
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", 2]) for value in "xy"]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=opsets)
    with pytest.raises(UnsupportedOperatorError, match="tells fractions apart"):
        lower_model(model)
