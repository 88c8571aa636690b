"""Trees walked from root to leaf, one row after the other."""

import numpy as np
from numpy.typing import NDArray

from trader.model import CanonicalModel, Leaves


def leaf_by_leaf(model: CanonicalModel, bins: NDArray[np.int64]) -> NDArray[np.object_]:
    """Outputs [n, O] of an ensemble whose first layer decides and whose last one holds the leaves."""
    shape = next(node for node in model.graph.nodes if isinstance(node, Leaves))
    spec = model.graph.parameters[1]
    weights = model.weights(1).reshape(spec.groups, -1, spec.outputs).astype(object)
    bias = model.bias(1).reshape(spec.groups, spec.outputs).astype(object)
    decided = bins @ model.weights(0).astype(np.int64) + model.bias(0) > 0
    outputs = np.zeros((len(bins), spec.groups, spec.outputs), dtype=object) + bias
    per_group = shape.trees // spec.groups
    for row, bits in enumerate(decided.reshape(len(bins), shape.trees, -1)):
        for tree, answers in enumerate(bits):
            place = 0
            while place < shape.decisions:
                place = 2 * place + 1 + int(answers[place])
            leaf = (tree % per_group << shape.depth) + place - shape.decisions
            outputs[row, tree // per_group] += weights[tree // per_group, leaf]
    return outputs.reshape(len(bins), -1)
