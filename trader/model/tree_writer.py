"""Writes an ensemble of trees as an ONNX TreeEnsembleRegressor, or bins for whatever else reads them.

A delivered ensemble reads columns as they are: bin > j is x > edge j, and of float32 numbers that is exact. Its leaves
are the canonical integers, so that sums below 2^24 are exact as well, in any order. Decisions whose answer is known
beforehand are left out.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from trader.model.canonical import CanonicalModel
from trader.model.ensemble import Decisions, Ensemble
from trader.model.grid import Grid
from trader.model.onnx_writer import TREES_DOMAIN, OnnxWriter


def write_trees(writer: OnnxWriter, model: CanonicalModel, grid: Grid, source: str, output: str) -> None:
    """Add the node that computes a model's raw outputs [N, G·O] from columns [N, F].

    Raises:
        PrecisionError: The model is no ensemble of trees.
    """
    trees = Ensemble.of(model.graph)
    values = model.weights(1).reshape(trees.groups, -1, trees.outputs)
    table = _Table(trees, values, Decisions.of(model, grid.sizes), grid)
    for tree in range(trees.count):
        table.add(tree)
    lists = {f"nodes_{name}": values for name, values in table.nodes.items()}
    lists |= {f"target_{name}": values for name, values in table.leaves.items()}
    writer.node(
        "TreeEnsembleRegressor",
        [source],
        output,
        domain=TREES_DOMAIN,
        n_targets=trees.groups * trees.outputs,
        base_values=[float(value) for value in model.bias(1).ravel()],
        aggregate_function="SUM",
        post_transform="NONE",
        **lists,
    )


def write_bins(writer: OnnxWriter, grid: Grid, source: str) -> str:
    """Add nodes that put columns [N, F] into bins [N, F]: how many edges a value is not at most."""
    most = max(max(grid.sizes), 1)
    edges = np.full((len(grid.sizes), most), np.inf, dtype=np.float32)
    for column, values in enumerate(grid.edges):
        edges[column, : len(values)] = values
    axis = writer.integers("bins_axis", 2)
    columns = writer.node("Unsqueeze", [source, axis], "bins_columns")
    below = writer.node("LessOrEqual", [columns, writer.constant("bins_edges", edges)], "bins_below")
    above = writer.node("Cast", [writer.node("Not", [below], "bins_above")], "bins_ones", to=TensorProto.FLOAT)
    return writer.node("ReduceSum", [above, axis], "bins", keepdims=0)


@dataclass(slots=True)
class _Table:
    """Nodes of all trees, as attributes of the operator: parallel lists.

    Attributes:
        values: Of leaves, [G, trees·2^D, O].
    """

    trees: Ensemble
    values: NDArray[np.int32]
    decisions: Decisions
    grid: Grid
    nodes: dict[str, list[object]] = field(
        default_factory=lambda: {
            name: [] for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
        }
    )
    leaves: dict[str, list[object]] = field(
        default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    )

    def add(self, tree: int) -> None:
        """Add the nodes that a tree's root leads to, numbered in order: onnxruntime takes no larger numbers."""
        places = [self._decided(tree, 0)]
        for place in places:
            places += self._branches(tree, place)
        numbers = {place: number for number, place in enumerate(places)}
        for place, number in numbers.items():
            left, right = (numbers[branch] for branch in self._branches(tree, place) or [place, place])
            if place >= self.trees.decisions:
                self._add_leaf(tree, number, place - self.trees.decisions)
                continue
            column = int(self.decisions.columns[tree, place])
            edge = self.grid.edges[column][self.decisions.edges[tree, place]]
            # x <= edge goes left; what is not a number goes right, as in `Grid.bins`.
            self._add_node(tree, number, column, "BRANCH_LEQ", edge, left, right)

    def _branches(self, tree: int, place: int) -> list[int]:
        """Return where a decision leads to, left and right; nowhere from a leaf."""
        if place >= self.trees.decisions:
            return []
        return [self._decided(tree, 2 * place + side) for side in (1, 2)]

    def _decided(self, tree: int, place: int) -> int:
        """Follow decisions whose answer is known."""
        while place < self.trees.decisions and self.decisions.columns[tree, place] < 0:
            place = 2 * place + 1 + int(self.decisions.always[tree, place])
        return place

    def _add_leaf(self, tree: int, number: int, leaf: int) -> None:
        self._add_node(tree, number, 0, "LEAF", 0.0, 0, 0)
        group, within = divmod(tree, self.trees.per_group)
        values = self.values[group, (within << self.trees.depth) + leaf]
        for output, value in enumerate(values.tolist()):
            added = (tree, number, group * self.trees.outputs + output, float(value))
            for name, item in zip(self.leaves, added, strict=True):
                self.leaves[name].append(item)

    def _add_node(self, tree: int, number: int, *fields: object) -> None:
        for name, item in zip(self.nodes, (tree, number, *fields), strict=True):
            self.nodes[name].append(item)
