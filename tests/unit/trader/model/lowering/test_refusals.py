"""What is said of models that can't be tested encrypted: what it is, where, and what would serve instead."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.unit.trader.model.lowering.test_operators import Model, floats
from trader.model import UnsupportedOperatorError, lower_model, parse_onnx


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
