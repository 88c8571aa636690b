"""Ensembles of trees as ONNX files write them down: decisions and leaves by number.

Three operators of ai.onnx.ml hold them in lists: TreeEnsembleRegressor and TreeEnsembleClassifier (`forest_of_nodes`),
and TreeEnsemble of operator set 5 (`forest_of_splits`). Whatever a file compares with, a `Split` goes right where
x > t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from trader.model.graph import MAX_TREE_DEPTH
from trader.model.lowering.context import NodeContext

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""In the order in which `TreeEnsemble` numbers them."""
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


@dataclass(frozen=True, slots=True)
class Split:
    """A decision: right where x_feature > threshold."""

    feature: int
    threshold: float
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as the file has them.

    Attributes:
        roots: of each tree, a key of `splits` or `values`.
        splits: decisions by key.
        values: leaves by key: number of the output, and what it adds to it.
        outputs: K.
        base: [K].
    """

    roots: tuple[int, ...]
    splits: Mapping[int, Split]
    values: Mapping[int, list[tuple[int, float]]]
    outputs: int
    base: NDArray[np.float64]

    def depth(self) -> int:
        """Return the number of decisions on the longest path, at least 1."""
        deepest, waiting = 1, [(root, 0) for root in self.roots]
        while waiting:
            key, depth = waiting.pop()
            deepest = max(deepest, depth)
            if key in self.splits and depth <= MAX_TREE_DEPTH + 1:
                waiting += [(self.splits[key].left, depth + 1), (self.splits[key].right, depth + 1)]
        return deepest


def forest_of_nodes(context: NodeContext, kind: str, outputs: int) -> Forest:
    """Return the trees of TreeEnsembleRegressor and TreeEnsembleClassifier."""
    ids = list(zip(_list(context, "nodes_treeids"), _list(context, "nodes_nodeids"), strict=True))
    keys = {identity: index for index, identity in enumerate(ids)}
    trees = [tree for tree, _ in ids]
    features, modes = _list(context, "nodes_featureids"), _list(context, "nodes_modes")
    thresholds = _list(context, "nodes_values")
    true, false = _list(context, "nodes_truenodeids"), _list(context, "nodes_falsenodeids")
    splits = {}
    for index, mode in enumerate(modes):
        name = mode.decode() if isinstance(mode, bytes) else str(mode)
        if name != "LEAF":
            branches = keys[trees[index], true[index]], keys[trees[index], false[index]]
            splits[index] = _split(context, name, int(features[index]), float(thresholds[index]), *branches)
    values: dict[int, list[tuple[int, float]]] = {}
    leaf_ids = zip(_list(context, f"{kind}_treeids"), _list(context, f"{kind}_nodeids"), strict=True)
    added = zip(leaf_ids, _list(context, f"{kind}_ids"), _list(context, f"{kind}_weights"), strict=True)
    for identity, output, weight in added:
        values.setdefault(keys[identity], []).append((int(output), float(weight)))
    children = {child for split in splits.values() for child in (split.left, split.right)}
    roots = tuple(index for index in range(len(ids)) if index not in children)
    base = _base(context, outputs, values)
    if kind == "target" and outputs > 1:
        leaves = {key: tree for key, tree in enumerate(trees) if key not in splits}
        added_to = [(tree, {output for output, _ in values.get(key, ())}) for key, tree in leaves.items()]
        base = _base_of_reached(context, base, added_to)
    forest = Forest(roots, splits, values, outputs, base)
    return _aggregated(context, forest, str(context.attribute("aggregate_function", "SUM")))


def _base(context: NodeContext, outputs: int, values: Mapping[int, list[tuple[int, float]]]) -> NDArray[np.float64]:
    """Return what is added to each output; one number belongs to the only class that leaves vote for, or to all."""
    given = np.asarray(_list(context, "base_values") or [0.0] * outputs, dtype=np.float64)
    if given.size == outputs:
        return given
    if given.size != 1:
        context.refuse(f"it has {given.size} base values for {outputs} outputs")
    used = sorted({output for leaf in values.values() for output, _ in leaf})
    base = np.zeros(outputs)
    base[used if len(used) == 1 else slice(None)] = given[0]
    return base


def _base_of_reached(
    context: NodeContext, base: NDArray[np.float64], leaves: Sequence[tuple[int, set[int]]]
) -> NDArray[np.float64]:
    """Return what onnxruntime adds to each target of a regressor: nothing where no leaf that was reached adds to it.

    Args:
        context: Of the node.
        base: What the file says.
        leaves: Tree of each leaf, and the targets that it adds to.
    """
    added = base.copy()
    for target in np.flatnonzero(base):
        without = {tree for tree, targets in leaves if target not in targets}
        if not any(target in targets for _, targets in leaves):
            added[target] = 0.0
        elif without.issuperset(tree for tree, _ in leaves):
            context.refuse(
                f"onnxruntime adds the base value of target {target} to some samples only: those that reach its leaves",
                "Export a model for each target, or add base values behind the trees.",
            )
    return added


def forest_of_splits(context: NodeContext) -> Forest:
    """Return the trees of TreeEnsemble: decisions have keys from 0, leaves come behind them."""
    modes = _tensor(context, "nodes_modes").astype(np.int64)
    thresholds, weights = _tensor(context, "nodes_splits"), _tensor(context, "leaf_weights")
    features, targets = _list(context, "nodes_featureids"), _list(context, "leaf_targetids")
    ids = [_list(context, f"nodes_{side}nodeids") for side in ("true", "false")]
    ends = [_list(context, f"nodes_{side}leafs") for side in ("true", "false")]
    count = len(modes)
    splits = {}
    for index, mode in enumerate(modes):
        branches = [int(i[index]) + count * bool(end[index]) for i, end in zip(ids, ends, strict=True)]
        name = _MODES[mode]
        splits[index] = _split(context, name, int(features[index]), float(thresholds[index]), *branches)
    values = {count + leaf: [(int(targets[leaf]), float(weights[leaf]))] for leaf in range(len(weights))}
    outputs = int(context.attribute("n_targets", 1))
    roots = tuple(int(root) for root in _list(context, "tree_roots"))
    forest = Forest(roots, splits, values, outputs, np.zeros(outputs))
    return _aggregated(context, forest, _AGGREGATES[int(context.attribute("aggregate_function", 1))])


def _split(context: NodeContext, mode: str, feature: int, threshold: float, true: int, false: int) -> Split:
    """Return a decision as x > t; what compares with less than t is not more than the number before it."""
    before = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    match mode:
        case "BRANCH_LEQ":
            return Split(feature, threshold, true, false)
        case "BRANCH_LT":
            return Split(feature, before, true, false)
        case "BRANCH_GT":
            return Split(feature, threshold, false, true)
        case "BRANCH_GTE":
            return Split(feature, before, false, true)
    return context.refuse(
        f"it decides by {mode}, whether a column equals a value",
        "Encode categories as columns of 0 and 1 (one-hot) before training.",
    )


def _aggregated(context: NodeContext, forest: Forest, aggregate: str) -> Forest:
    if aggregate == "SUM":
        return forest
    if aggregate != "AVERAGE":
        context.refuse(f"aggregate_function is {aggregate}", "Use SUM or AVERAGE.")
    share = 1 / len(forest.roots)
    averaged = {key: [(output, value * share) for output, value in leaf] for key, leaf in forest.values.items()}
    return replace(forest, values=averaged)


def _list(context: NodeContext, name: str) -> list[Any]:
    """Return a list attribute, which may be written as a tensor."""
    tensor = context.attribute(f"{name}_as_tensor", None)
    if tensor is not None:
        return list(numpy_helper.to_array(tensor).ravel().tolist())
    return list(context.attribute(name, []) or [])


def _tensor(context: NodeContext, name: str) -> NDArray[Any]:
    return np.asarray(numpy_helper.to_array(context.attribute(name))).ravel()
