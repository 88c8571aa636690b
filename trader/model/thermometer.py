"""An ensemble of trees as a polynomial of bits: what is evaluated encrypted.

The owner of a sample encrypts, for each edge of each column, whether the value lies above it (a thermometer code); a
decision is then one of these bits, or a constant, and needs no comparison. A tree of depth r is

    value_r = Σ_c top_c · value_(r-h) of the c-th tree below,    top_c = 1 where h decisions lead to c, else 0,

and tops of two decisions are products of two affine functions of bits, so that depth 4 takes two products in sequence
and depth 8 takes three. All numbers are integers, and the result is exact once it is rounded.

`thermometer_graph` is public: it depends on the graph of the trees and on the number of edges. `thermometer_model`
fills it in: each column of its linear layers has one weight, that of the bit which decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import CanonicalModel
from trader.model.ensemble import Decisions, Ensemble
from trader.model.errors import PrecisionError
from trader.model.graph import INPUT, Graph, ParameterSpec, value_name
from trader.model.nodes import Linear, Multiply, Node, Rearrange, Sum

_SPLITS = {2: 1, 3: 1, 4: 2, 5: 1, 6: 2, 7: 3, 8: 4}
"""Decisions that the tops of a tree of some depth make, so that it takes as few products in sequence as can be."""
LARGEST_LAYER = 1 << 27
"""Weights of one layer, zeros included."""

_Array: TypeAlias = NDArray[np.int64]


def thermometer(bins: _Array, edges: Sequence[int]) -> _Array:
    """Return whether each value lies above each edge: bins [n, F] to zeros and ones [n, Σ edges]."""
    columns = np.repeat(np.arange(len(edges)), edges)
    numbers = np.concatenate([np.arange(count) for count in edges])
    return (bins[:, columns] > numbers).astype(np.int64)


def thermometer_graph(graph: Graph, edges: Sequence[int]) -> Graph:
    """Return the graph over bits of an ensemble whose columns have so many edges each.

    Raises:
        PrecisionError: It is no ensemble of trees, or too large.
    """
    return _Polynomial(Ensemble.of(graph), sum(edges)).graph()


def thermometer_model(model: CanonicalModel, edges: Sequence[int]) -> CanonicalModel:
    """Return the model over bits: for thermometer codes it gives what the model gives for bins, exactly.

    Raises:
        PrecisionError: As `thermometer_graph`; or a decision is not about one column, or about no edge of it.
    """
    trees = Ensemble.of(model.graph)
    polynomial = _Polynomial(trees, sum(edges), _decisions(model, trees, edges), _leaf_values(model, trees))
    return CanonicalModel(polynomial.graph(), tuple(polynomial.tensors), 0)


def thermometer_bounds(model: CanonicalModel, edges: Sequence[int]) -> dict[str, float]:
    """Return the largest |value| of every value of `thermometer_model`, for any thermometer codes."""
    trees = Ensemble.of(model.graph)
    leaves = np.abs(_leaf_values(model, trees)).max(axis=3).astype(np.float64)
    polynomial = _Polynomial(trees, sum(edges))
    graph = polynomial.graph()
    largest = float(leaves.max())
    bounds = {node.name: largest if node.name in polynomial.values else 1.0 for node in graph.nodes}
    return bounds | {INPUT: 1.0, graph.output: float(leaves.sum(axis=2).max())}


@dataclass(frozen=True, slots=True)
class _Affine:
    """constant + factor·bit by element: [G, O or 1, trees, …], all three arrays of one shape; index -1 for no bit."""

    index: _Array
    factor: _Array
    constant: _Array

    def complement(self) -> "_Affine":
        """1 minus this."""
        return _Affine(self.index, -self.factor, 1 - self.constant)

    def of_level(self, level: int) -> "_Affine":
        """Those at a level of the trees: [..., 2^level]."""
        return self.mapped(lambda values: values[..., (1 << level) - 1 : (2 << level) - 1])

    def mapped(self, change: Callable[[_Array], _Array]) -> "_Affine":
        """Elements that were moved, in all three arrays."""
        return _Affine(change(self.index), change(self.factor), change(self.constant))

    def repeated(self, times: int, axis: int) -> "_Affine":
        """Elements `times` times, one copy after the other."""
        return self.mapped(lambda values: np.repeat(values, times, axis=axis))

    def beside(self, other: "_Affine") -> "_Affine":
        """Both, by a new last axis."""
        pairs = ((self.index, other.index), (self.factor, other.factor), (self.constant, other.constant))
        return _Affine(*(np.stack(pair, axis=-1) for pair in pairs))


def _decisions(model: CanonicalModel, trees: Ensemble, edges: Sequence[int]) -> _Affine:
    """Return the decisions of all trees as bits, [G, 1, trees, 2^D - 1]."""
    decisions = Decisions.of(model, edges)
    decides = decisions.columns >= 0
    starts = np.concatenate([[0], np.cumsum(edges)])[decisions.columns]
    index = np.where(decides, starts + decisions.edges, -1)
    shape = (trees.groups, 1, trees.per_group, trees.decisions)
    found = (index, decides, decisions.always)
    return _Affine(*(array.astype(np.int64).reshape(shape) for array in found))


def _leaf_values(model: CanonicalModel, trees: Ensemble) -> _Array:
    """Return [G, O, trees, 2^D]; what is added to an output is added to the leaves of its first tree."""
    weights = model.weights(1).astype(np.int64).reshape(trees.groups, trees.per_group, -1, trees.outputs)
    values = np.moveaxis(weights, 3, 1).copy()
    values[:, :, 0] += model.bias(1).astype(np.int64).reshape(trees.groups, trees.outputs, 1)
    return values


@dataclass(slots=True)
class _Polynomial:
    """Grows the graph over bits and, where decisions and leaves are given, its tensors.

    Values are [G, O, trees, places] with places in the order of a level of the tree, O = 1 for tops.
    """

    trees: Ensemble
    bits: int
    decisions: _Affine | None = None
    leaves: _Array | None = None
    nodes: list[Node] = field(default_factory=list)
    specs: list[ParameterSpec] = field(default_factory=list)
    tensors: list[NDArray[np.int32]] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    """Names of nodes that hold values of leaves; others hold zeros and ones."""

    def graph(self) -> Graph:
        """Return the whole graph; this is called once."""
        t = self.trees
        if t.depth == 1:
            output = self._sum(self._value_layer(0, self._size(t.outputs, 0)), t.per_group)
        else:
            output = self._value(t.depth, 0, terms=t.per_group)
        return Graph((self.bits,), tuple(self.nodes), output, tuple(self.specs))

    def _value(self, depth: int, level: int, terms: int = 1) -> str:
        """Values of trees of some depth whose roots are at a level: [G, O, trees/terms, 2^level], terms added up."""
        split = _SPLITS[depth]
        size = self._size(self.trees.outputs, level + split)
        if depth - split == 1:
            below = self._value_layer(level + split, size)
        else:
            below = self._value(depth - split, level + split)
        product = self._multiply(self._tops(split, level, self.trees.outputs), below, size)
        self.values.add(product)
        return self._sum(product, terms << split)

    def _tops(self, split: int, level: int, outputs: int) -> str:
        """Ones where decisions from a level on lead: [G, O, trees, 2^(level + split)], the same for all outputs."""
        size = self._size(outputs, level + split)
        if split == 1:
            return self._layer(self._sides(level, 0, outputs), size)
        if split == 2:
            upper = self._layer(self._sides(level, 1, 1), self._size(1, level + 2))
            lower = self._layer(self._sides(level + 1, 0, 1), self._size(1, level + 2))
            return self._repeat(self._multiply(upper, lower, self._size(1, level + 2)), level + 2, 0, outputs)
        upper = self._repeat(self._tops(2, level, 1), level + 2, split - 2, 1)
        lower = self._tops(split - 2, level + 2, 1)
        return self._repeat(self._multiply(upper, lower, self._size(1, level + split)), level + split, 0, outputs)

    def _size(self, outputs: int, level: int) -> int:
        return (self.trees.count * outputs) << level

    def _sides(self, level: int, repeats: int, outputs: int) -> _Affine | None:
        """Decisions of a level, each as 1 minus it and it: [G, O, trees, 2^level, 2, 2^repeats]."""
        if self.decisions is None:
            return None
        right = self.decisions.of_level(level)
        return right.complement().beside(right).repeated(1 << repeats, -1).repeated(outputs, 1)

    def _below(self, level: int) -> _Affine | None:
        """Values of trees of depth 1, whose decisions are at a level: [G, O, trees, 2^level]."""
        if self.decisions is None or self.leaves is None:
            return None
        bits = self.decisions.of_level(level).repeated(self.trees.outputs, 1)
        low, step = self.leaves[..., 0::2], self.leaves[..., 1::2] - self.leaves[..., 0::2]
        return _Affine(bits.index, step * bits.factor, low + step * bits.constant)

    def _layer(self, affine: _Affine | None, size: int) -> str:
        """Add a linear layer over the bits."""
        if self.bits * size > LARGEST_LAYER:
            raise PrecisionError(
                f"{self.trees.count} trees of depth {self.trees.depth} over {self.bits} edges are too many: train "
                "fewer or shallower trees, or on fewer bins"
            )
        self.specs.append(ParameterSpec(f"parameter_{len(self.specs)}", self.bits, size, 0))
        if affine is not None:
            index, factor, constant = (a.ravel() for a in (affine.index, affine.factor, affine.constant))
            tensor = np.zeros((self.bits + 1, size), dtype=np.int32)
            used = np.flatnonzero(index >= 0)
            tensor[index[used], used] = factor[used]
            tensor[-1] = constant
            self.tensors.append(tensor)
        name = value_name("linear", len(self.nodes))
        return self._add(Linear(name, (INPUT,), (size,), len(self.specs) - 1))

    def _multiply(self, left: str, right: str, size: int) -> str:
        return self._add(Multiply(value_name("multiply", len(self.nodes)), (left, right), (size,)))

    def _value_layer(self, level: int, size: int) -> str:
        layer = self._layer(self._below(level), size)
        self.values.add(layer)
        return layer

    def _sum(self, value: str, terms: int) -> str:
        """Add up successive elements of the last node, which are values."""
        size = self.nodes[-1].shape[0]
        if terms == 1:
            return value
        total = self._add(Sum(value_name("sum", len(self.nodes)), (value,), (size // terms,), terms))
        self.values.add(total)
        return total

    def _repeat(self, value: str, level: int, places: int, outputs: int) -> str:
        """Repeat each element of [G, 1, trees·2^level] 2^places times, and all of a group for every output."""
        if places == 0 and outputs == 1:
            return value
        per_group = self.trees.per_group << level
        inner = np.repeat(
            np.arange(self.trees.groups * per_group).reshape(self.trees.groups, 1, -1), 1 << places, axis=2
        )
        indices = np.repeat(inner, outputs, axis=1).ravel()
        return self._add(Rearrange(value_name("rearrange", len(self.nodes)), (value,), (indices.size,), indices))

    def _add(self, node: Node) -> str:
        self.nodes.append(node)
        return node.name
