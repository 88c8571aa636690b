"""Handlers of the ai.onnx.ml operators for ensembles of decision trees.

A tree of any form becomes a complete one of the depth that the deepest has (`trader.model.nodes.Leaves`); what is
missing decides nothing, and leads to the same leaf on either side. A decision is x_j > t, so an ensemble is a linear
layer of one column of zeros and a one per decision, a step, the leaves, and a linear layer of their values:

    bits = step(x·S - t),   outputs = leaves(bits)·V + base.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind
from trader.model.graph import MAX_TREE_DEPTH
from trader.model.lowering.context import NodeContext, node_name, operator_name
from trader.model.lowering.forests import Forest, forest_of_nodes, forest_of_splits
from trader.model.lowering.sklearn import feature_vector
from trader.model.lowering.standardised import in_own_units
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.tail import class_labels
from trader.model.postprocessing import PostProcessingKind

MAX_DECISIONS = 1 << 17
"""Of all trees together, once they are complete."""

_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass(frozen=True, slots=True)
class _Complete:
    """Complete trees.

    Attributes:
        features: of each decision, [trees, 2^depth - 1]; -1 where nothing is decided.
        thresholds: the same.
        values: [trees, 2^depth, K].
        base: [K].
    """

    features: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    values: NDArray[np.float64]
    base: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, forest: Forest, depth: int) -> "_Complete":
        """Complete the trees of a forest, none of which is deeper."""
        trees, decisions = len(forest.roots), (1 << depth) - 1
        features = np.full((trees, decisions), -1, dtype=np.int64)
        thresholds = np.zeros((trees, decisions))
        values = np.zeros((trees, 1 << depth, forest.outputs))
        for tree, root in enumerate(forest.roots):
            waiting = [(root, 0)]
            while waiting:
                key, place = waiting.pop()
                split = forest.splits.get(key)
                if place >= decisions:
                    for output, value in forest.values.get(key, ()):
                        values[tree, place - decisions, output] += value
                elif split is None:
                    waiting += [(key, 2 * place + 1), (key, 2 * place + 2)]
                else:
                    features[tree, place], thresholds[tree, place] = split.feature, split.threshold
                    waiting += [(split.left, 2 * place + 1), (split.right, 2 * place + 2)]
        return cls(features, thresholds, values, forest.base)

    def by_output(self) -> "tuple[_Complete, int]":
        """Return the trees in the order of the only output that each adds to, and the number of outputs.

        1 where a tree adds to several, or outputs have different numbers of trees: then they stay as they are.
        """
        outputs = self.values.shape[2]
        used = np.any(self.values != 0, axis=1)
        if outputs == 1 or np.any(used.sum(axis=1) > 1) or len(used) % outputs:
            return self, 1
        order = np.argsort(used.argmax(axis=1), kind="stable")
        per_output = len(used) // outputs
        expected = np.repeat(np.arange(outputs), per_output)
        idle = ~used.any(axis=1)
        if not np.array_equal(used.argmax(axis=1)[order], expected) or idle.any():
            return self, 1
        values = self.values[order].max(axis=2, keepdims=True) + self.values[order].min(axis=2, keepdims=True)
        return replace(self, features=self.features[order], thresholds=self.thresholds[order], values=values), outputs


def lower_tree_regressor(context: NodeContext) -> Symbol:
    """TreeEnsembleRegressor: sums of leaves' values."""
    targets = int(context.attribute("n_targets", 1))
    forest = forest_of_nodes(context, "target", targets)
    return _transformed(context, _ensemble(context, forest), context.attribute("post_transform", "NONE"))


def lower_tree_ensemble(context: NodeContext) -> Symbol:
    """TreeEnsemble, of operator set 5."""
    transform = _TRANSFORMS[int(context.attribute("post_transform", 0))]
    return _transformed(context, _ensemble(context, forest_of_splits(context)), transform)


def lower_tree_classifier(context: NodeContext) -> tuple[Symbol, Symbol]:
    """TreeEnsembleClassifier: class labels, and scores after `post_transform`.

    Two classes become a single number: the logit of the second one, or how far its share exceeds a half.
    """
    labels = class_labels(context.attribute("classlabels_int64s") or context.attribute("classlabels_strings") or ())
    forest = forest_of_nodes(context, "class", len(labels))
    transform = context.attribute("post_transform", "NONE")
    if len(labels) == 2:
        forest, kind = _two_classes(context, forest, transform)
    else:
        kind = _kind_of(context, transform)
    scores = _ensemble(context, forest)
    made = Tail(scores, kind, operator_name(context.node), node_name(context.node), labels)
    return replace(made, kind=PostProcessingKind.ARGMAX), made


def _two_classes(context: NodeContext, forest: Forest, transform: str) -> tuple[Forest, PostProcessingKind]:
    """Return the ensemble with one output, and what becomes of it."""
    used = {output for leaf in forest.values.values() for output, _ in leaf}
    if len(used) == 1 and forest.base[1 - min(used)] == 0:
        # As the operator's reference does it: the weights of one class alone are those of the second.
        (column,) = used
        single = replace(forest, values=_column(forest.values, column), outputs=1, base=forest.base[[column]])
        if transform == "LOGISTIC":
            return single, PostProcessingKind.BINARY
        votes = all(value >= 0 for leaf in single.values.values() for _, value in leaf)
        if transform == "NONE" and votes:
            return replace(single, base=single.base - 0.5), PostProcessingKind.BINARY_SHARE
    elif transform == "SOFTMAX":
        difference = {
            key: [(0, value if output else -value) for output, value in leaf] for key, leaf in forest.values.items()
        }
        base = forest.base[1:] - forest.base[:1]
        return replace(forest, values=difference, outputs=1, base=base), PostProcessingKind.BINARY
    elif transform == "NONE" and _shares(forest):
        single = replace(forest, values=_column(forest.values, 1), outputs=1, base=forest.base[1:] - 0.5)
        return single, PostProcessingKind.BINARY_SHARE
    return forest, _kind_of(context, transform)


def _shares(forest: Forest) -> bool:
    """Whether the two outputs add up to 1: every tree's leaves have one sum."""
    total = float(forest.base.sum())
    for root in forest.roots:
        sums = [sum(value for _, value in forest.values.get(key, ())) for key in _leaves_below(forest, root)]
        if not np.allclose(sums, sums[0], atol=1e-6):
            return False
        total += sums[0]
    return bool(np.isclose(total, 1.0, atol=1e-4))


def _leaves_below(forest: Forest, root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        key = waiting.pop()
        if key in forest.splits:
            waiting += [forest.splits[key].left, forest.splits[key].right]
        else:
            yield key


def _column(values: Mapping[int, list[tuple[int, float]]], column: int) -> dict[int, list[tuple[int, float]]]:
    return {key: [(0, value) for output, value in leaf if output == column] for key, leaf in values.items()}


def _kind_of(context: NodeContext, transform: str) -> PostProcessingKind:
    kinds = {
        "NONE": PostProcessingKind.NONE,
        "LOGISTIC": PostProcessingKind.SIGMOID,
        "SOFTMAX": PostProcessingKind.SOFTMAX,
    }
    if transform not in kinds:
        context.refuse(f"post_transform is {transform}", "Use post_transform NONE, LOGISTIC or SOFTMAX.")
    return kinds[transform]


def _transformed(context: NodeContext, scores: View, transform: str) -> Symbol:
    kind = _kind_of(context, transform)
    if kind is PostProcessingKind.NONE:
        return scores
    return Tail(scores, kind, operator_name(context.node), node_name(context.node))


def _ensemble(context: NodeContext, forest: Forest) -> View:
    """Add the nodes of an ensemble; return its outputs [K]."""
    value = feature_vector(context)
    depth = forest.depth()
    if depth > MAX_TREE_DEPTH:
        context.refuse(
            f"its trees are more than {MAX_TREE_DEPTH} decisions deep, and every doubling of the depth multiplies "
            "ciphertexts once more",
            f"Train it with max_depth={MAX_TREE_DEPTH} or less; boosting does as well with 4 to 6.",
        )
    decisions = (1 << depth) - 1
    if len(forest.roots) * decisions > MAX_DECISIONS:
        context.refuse(
            f"it has {len(forest.roots)} trees of depth {depth}, {len(forest.roots) * decisions} decisions: more than "
            f"{MAX_DECISIONS}",
            "Train fewer trees, or with a smaller max_depth.",
        )
    complete, groups = _Complete.of(forest, depth).by_output()
    features, decides = complete.features.ravel(), complete.features.ravel() >= 0
    if features.max(initial=0) >= value.size:
        context.refuse(f"it reads feature {features.max()} of {value.size}")
    selectors = np.zeros((value.size, features.size))
    selectors[features[decides], np.flatnonzero(decides)] = 1.0
    value, thresholds = in_own_units(value, features, complete.thresholds.ravel())
    compared = context.builder.linear(value.reshaped((1, value.size)), selectors[np.newaxis], -thresholds[np.newaxis])
    bits = context.builder.activation(compared.reshaped((features.size,)), ActivationKind.STEP)
    reached = context.builder.leaves(bits, len(forest.roots), depth)
    values = complete.values.reshape(groups, -1, complete.values.shape[2])
    scores = context.builder.linear(
        reached.reshaped((groups, values.shape[1])), values, complete.base.reshape(groups, -1)
    )
    return scores.reshaped((forest.outputs,))
