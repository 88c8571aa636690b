"""Architectures by the package convention, and the integer evaluation that their proofs must agree with."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

SALT_ROWS = 12
SCALE_BITS = 13
CONTEXT = bytes(range(32))
"""Where the tests' proofs are used."""


def dense_architecture(*widths: int) -> onnx.ModelProto:
    """Dense layers with square activations between them: Pad, Add, MatMul, Mul; weights as graph inputs."""
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", widths[0]])]
    nodes, constants, source = [], [], "input"
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        height = rows + 1 + SALT_ROWS
        inputs.append(helper.make_tensor_value_info(f"parameters_{layer}", TensorProto.FLOAT, [height, columns]))
        one = np.zeros((1, height), np.float32)
        one[0, rows] = 1
        constants.append(numpy_helper.from_array(np.array([0, 0, 0, 1 + SALT_ROWS], np.int64), f"pads_{layer}"))
        constants.append(numpy_helper.from_array(one, f"one_{layer}"))
        last = layer == len(widths) - 2
        product = "output" if last else f"product_{layer}"
        nodes.append(helper.make_node("Pad", [source, f"pads_{layer}"], [f"padded_{layer}"]))
        nodes.append(helper.make_node("Add", [f"padded_{layer}", f"one_{layer}"], [f"rows_{layer}"]))
        nodes.append(helper.make_node("MatMul", [f"rows_{layer}", f"parameters_{layer}"], [product]))
        if not last:
            source = f"square_{layer}"
            nodes.append(helper.make_node("Mul", [product, product], [source]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", widths[-1]])
    graph = helper.make_graph(nodes, "architecture", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def random_parameters(rng: np.random.Generator, *widths: int) -> list[NDArray[np.int32]]:
    """Weights and bias in (-1, 1) at the scale, and 24-bit salt rows."""
    return [
        np.concatenate(
            [
                rng.integers(-(1 << SCALE_BITS), 1 << SCALE_BITS, size=(rows + 1, columns)),
                rng.integers(0, 1 << 24, size=(SALT_ROWS, columns)),
            ]
        ).astype(np.int32)
        for rows, columns in itertools.pairwise(widths)
    ]


def random_inputs(rng: np.random.Generator, samples: int, features: int) -> NDArray[np.int64]:
    """Inputs in (-4, 4) at the scale."""
    return rng.integers(-(4 << SCALE_BITS), 4 << SCALE_BITS, size=(samples, features))


def integer_outputs(inputs: NDArray[np.int64], parameters: list[NDArray[np.int32]]) -> list[int]:
    """Exact outputs: Python integers, salt rows left out, the bias row at the scale of the layer's input."""
    hidden, scale_bits = inputs.astype(object), SCALE_BITS
    for layer, tensor in enumerate(parameters):
        weights, bias = tensor[: -SALT_ROWS - 1].astype(object), tensor[-SALT_ROWS - 1].astype(object)
        hidden = hidden @ weights + bias * (1 << scale_bits)
        scale_bits += SCALE_BITS
        if layer < len(parameters) - 1:
            hidden, scale_bits = hidden * hidden, 2 * scale_bits
    return [int(value) for value in hidden.ravel()]
