"""Nodes that read constants only are evaluated while the model is lowered: shapes, transposed or converted weights."""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from trader.model.lowering.context import BATCH, NodeContext

MAX_ELEMENTS = 1 << 19
"""Of constants that are made from a shape alone."""


def fold_constants(context: NodeContext) -> tuple[NDArray[np.generic], ...]:
    """Return the value of a node that reads constants only.

    Raises:
        UnsupportedOperatorError: it would be too large, or the node is malformed.
    """
    node = context.node
    feeds = {name: symbol for name, symbol in zip(node.input, context.inputs, strict=True) if name}
    opset = context.opset
    if node.op_type in _SIZES:
        feeds[node.input[_SIZES[node.op_type]]] = _for_one_sample(context)
    claimed = _claimed_size(context)
    if claimed > MAX_ELEMENTS:
        context.refuse(f"it makes {claimed} elements of nothing, more than {MAX_ELEMENTS}")
    axes = context.attribute("axes")
    if node.op_type in ("Squeeze", "Unsqueeze") and axes is not None:
        # The reference evaluator only knows the form of operator set 13, where the axes are an input.
        opset = 13
        node = helper.make_node(node.op_type, [node.input[0], "axes"], list(node.output))
        feeds["axes"] = np.array(axes, dtype=np.int64)
    evaluator = ReferenceEvaluator(node, opsets={node.domain: opset})
    try:
        return tuple(np.asarray(result) for result in evaluator.run(None, feeds))
    except Exception as error:
        context.refuse(f"it can't be computed from its constants ({type(error).__name__})")


_SIZES = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}
"""Operators whose results can be far larger than what they read, and the input that says how large."""


def _for_one_sample(context: NodeContext) -> NDArray[np.int64]:
    """Return the sizes that a node reads, with 1 for the number of samples: what is the same for all broadcasts."""
    sizes = context.constant(_SIZES[context.node.op_type], "shape").astype(np.int64).ravel()
    return np.where(sizes == BATCH, 1, sizes)


def _claimed_size(context: NodeContext) -> int:
    """Elements of the result, for the operators of `_SIZES`."""
    if context.node.op_type not in _SIZES:
        return 0
    sizes = math.prod(max(int(size), 1) for size in _for_one_sample(context))
    read = context.constant(0, "value").size if _SIZES[context.node.op_type] else 1
    return sizes * read if context.node.op_type == "Tile" else max(sizes, read)
