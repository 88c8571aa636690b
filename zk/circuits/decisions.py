"""Decisions of trees: whether an integer is above 0, as 0 or 1.

An architecture says `Cast(Greater(x, 0))`. ezkl makes comparisons by decomposing into limbs, which takes some 25 cells;
a table takes one. At scale 1, ezkl's table of Sigmoid holds round(1/(1 + exp(-y))) for the integers y: 0 below 0, and 1
from 0 on, as a half is rounded up. So this module writes

    Cast(Greater(x, 0)) = Step(x - 1),    Step(y) = 1 where y >= 0, else 0,

with `Step` for the integer graph, and Sigmoid in its place for ezkl. The table fixes the result for every y that it
holds, whoever chose parameters and inputs; for another y there is no proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zk.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STEP = "Step"
"""An operator of the integer graph alone."""
DECISION_OPERATORS = frozenset({"Greater", "Cast"})
DECISION_LOOKUP = '{"Sigmoid":{"scale":1}}'
"""How settings call the table."""
_MINUS_ONE = "audit/decision/minus_one"


def read_decisions(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto], scale_bits: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Write comparisons with 0 as Step.

    Args:
        nodes: The architecture's nodes, in order.
        constants: Its constants.
        scale_bits: Scale of its inputs and parameters; comparisons are those of integers.

    Raises:
        UnsupportedArchitectureError: A comparison, or a cast, of another kind.
    """
    compared = {node.output[0] for node in nodes if node.op_type == "Greater"}
    if not compared and all(node.op_type != "Cast" for node in nodes):
        return list(nodes), list(constants)
    zeros = {tensor.name for tensor in constants if _is_zero(tensor)}
    made: list[onnx.NodeProto] = []
    for node in nodes:
        reads = compared.intersection(node.input)
        if node.op_type == "Greater" and not reads and scale_bits == 0 and node.input[1] in zeros:
            made.append(helper.make_node("Add", [node.input[0], _MINUS_ONE], list(node.output)))
        elif node.op_type == "Cast" and reads and helper.get_node_attr_value(node, "to") == TensorProto.FLOAT:
            made.append(helper.make_node(STEP, list(node.input), list(node.output)))
        elif reads or node.op_type in DECISION_OPERATORS:
            raise UnsupportedArchitectureError(
                f"node {node.name}: {node.op_type} has no circuit here: comparisons are those of integers (scale 1) "
                "with 0, and their results are cast to float"
            )
        else:
            made.append(node)
    used = {name for node in made for name in node.input}
    minus_one = numpy_helper.from_array(np.full((1, 1), -1, np.float32), _MINUS_ONE)
    return made, [tensor for tensor in constants if tensor.name in used] + [minus_one]


def write_decisions(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that ezkl reads."""
    written = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.op_type = "Sigmoid" if node.op_type == STEP else node.op_type
        written.append(copy)
    return written


def _is_zero(tensor: onnx.TensorProto) -> bool:
    value = numpy_helper.to_array(tensor)
    return value.dtype == np.float32 and value.size == 1 and not value.any()
