"""The largest of several elements, against onnxruntime."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.unit.trader.model.lowering.test_operators import Model, check, floats, kinds
from trader.model import Activation, ActivationKind, UnsupportedOperatorError, lower_model


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "dilations": [2, 3]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [1, 5]},
    ],
    ids=str,
)
def test_max_pooling(tmp_path, attributes):
    """Of negative values too, which padding with zeros would hide."""
    model = Model(2, 7, 5).conv(2, 3, (1, 1)).add("Sub", np.float32(3)).add("MaxPool", **attributes)
    check(model, tmp_path / "m.onnx")


def test_max_pooling_of_a_series(tmp_path):
    model = Model(2, 9).conv(2, 3, (3,)).add("MaxPool", kernel_shape=[2], strides=[2]).add("Flatten")
    check(model.add("Gemm", floats(9, 2)), tmp_path / "m.onnx")


def test_a_pixel_of_four_is_three_relus(tmp_path):
    model = Model(1, 4, 4).conv(1, 1, (1, 1)).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    lowered = check(model.add("Flatten").add("Gemm", floats(4, 2)), tmp_path / "m.onnx")
    relus = [node for node in lowered.graph.nodes if isinstance(node, Activation)]
    assert {node.kind for node in relus} == {ActivationKind.RELU}
    assert [node.shape for node in relus] == [(8,), (4,)]


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize(("axes", "keepdims"), [([1], 0), ([2, 3], 1), ([-1, 1], 0)])
def test_largest_along_axes(tmp_path, operator, axes, keepdims):
    model = Model(3, 2, 3, opset=18).conv(3, 3, (1, 1)).add(operator, np.array(axes), keepdims=keepdims)
    check(model, tmp_path / "m.onnx")


def test_global_max_pooling(tmp_path):
    model = Model(2, 3, 3).conv(2, 3, (2, 2)).add("GlobalMaxPool").add("Flatten").add("Gemm", floats(3, 2))
    assert kinds(check(model, tmp_path / "m.onnx")).count("Activation") == 2


def test_places_of_the_largest_are_refused(tmp_path):
    model = Model(1, 4, 4).conv(1, 1, (1, 1))
    model.nodes.append(helper.make_node("MaxPool", [model.y], ["y", "places"], name="pool", kernel_shape=[2, 2]))
    model.y = "places"
    with pytest.raises(UnsupportedOperatorError, match=r"MaxPool at node 'pool'.*'places' is not computed"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
