"""Functions that are not polynomial: which have a circuit, and in which form.

With any of them in a graph, ezkl rounds every product to the scale 2^s of inputs and parameters, looks the function up
in a table of all integers in a range, or composes it of comparisons. The proof is about the function itself, not about
the polynomial that an encrypted test computes; it differs from the function by rounding, about 2^-s per operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from zk.circuits.scales import EXACT_OPERATORS, AlignedGraph
from zk.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

TABLE_OPERATORS = frozenset({"Elu", "Erf", "Sigmoid", "Softplus", "Tanh"})
"""Looked up: a value outside the table's range can't be proven."""

_COMPARED_OPERATORS = {"Clip", "HardSigmoid", "LeakyRelu"}
_SUPPORTED = EXACT_OPERATORS | TABLE_OPERATORS | _COMPARED_OPERATORS
_PREFIX = "audit/function/"
_ONE = f"{_PREFIX}one"


def lower_functions(nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto]) -> AlignedGraph:
    """Check that every operator has a circuit, and rewrite those that need another form.

    Raises:
        UnsupportedArchitectureError: An operator has no circuit; the message names node and operator.
    """
    lowered: list[onnx.NodeProto] = []
    for node in nodes:
        if node.op_type not in _SUPPORTED:
            raise UnsupportedArchitectureError(
                f"node {node.name}: {node.op_type} has no circuit; supported are {', '.join(sorted(_SUPPORTED))}"
            )
        lowered += _softplus(node) if node.op_type == "Softplus" else [node]
    one = numpy_helper.from_array(np.ones((1, 1), np.float32), _ONE)
    used = any(_ONE in node.input for node in lowered)
    return AlignedGraph(lowered, [*constants, one] if used else list(constants), {})


def _softplus(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): no intermediate value is larger than x or 2."""
    (x,), (y,) = node.input, node.output
    names = {step: f"{_PREFIX}{y}/{step}" for step in ("magnitude", "negative", "power", "sum", "log", "positive")}
    return [
        helper.make_node("Abs", [x], [names["magnitude"]]),
        helper.make_node("Neg", [names["magnitude"]], [names["negative"]]),
        helper.make_node("Exp", [names["negative"]], [names["power"]]),
        helper.make_node("Add", [names["power"], _ONE], [names["sum"]]),
        helper.make_node("Log", [names["sum"]], [names["log"]]),
        helper.make_node("Relu", [x], [names["positive"]]),
        helper.make_node("Add", [names["positive"], names["log"]], [y]),
    ]
