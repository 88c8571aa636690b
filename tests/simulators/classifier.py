"""A small classifier as an ONNX file, as a seller would export it."""

from __future__ import annotations

import itertools
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


def write_dense(path: Path, *widths: int) -> Path:
    """Dense layers with squares between them; the last layer's outputs are scores."""
    rng, nodes, constants, source = np.random.default_rng(4), [], {}, "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        if layer:
            nodes.append(helper.make_node("Mul", [source, source], [f"a{layer}"]))
            source = f"a{layer}"
        constants[f"w{layer}"] = rng.normal(0, 0.3, (rows, columns))
        constants[f"b{layer}"] = rng.normal(0, 0.1, columns)
        nodes.append(helper.make_node("Gemm", [source, f"w{layer}", f"b{layer}"], [f"y{layer}"]))
        source = f"y{layer}"
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", widths[0]])],
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["N", widths[-1]])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path
