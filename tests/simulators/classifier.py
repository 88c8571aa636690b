"""A small classifier as an ONNX file, as a seller would export it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

FEATURES, HIDDEN, CLASSES = 5, 4, 3


def write_classifier(path: Path) -> Path:
    rng = np.random.default_rng(3)
    constants = {
        "w1": rng.normal(0, 0.5, (FEATURES, HIDDEN)),
        "b1": rng.normal(0, 0.1, HIDDEN),
        "w2": rng.normal(0, 0.5, (HIDDEN, CLASSES)),
        "b2": rng.normal(0, 0.1, CLASSES),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["a"]),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"]),
        helper.make_node("Softmax", ["y"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path
