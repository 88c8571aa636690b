"""Linear layers in a row become one, where that takes no more parameters.

Exporters write one matrix as several: a projection before a regression (PCA), models that are added up (voting), or
joined and weighed by another one (stacking). Each costs the encrypted test a scale and the proof rows, and what stands
between them may be in units that the grid of parameters holds badly. Their product is the same function:

    W₂·(W₁·x + b₁) + b₂ = (W₂·W₁)·x + (W₂·b₁ + b₂)

Layers are merged if they read their whole input at once, nothing else reads what stands between them, and the product
has no more weights than they have: a bottleneck, which has fewer, stays.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.draft import Layer, LinearParameters
from trader.model.nodes import ZERO, Add, Linear, Node, Rearrange

MAX_ENTRIES = 1 << 22
"""Of a matrix that stands for moves and sums between layers."""


@dataclass(frozen=True, slots=True)
class _Affine:
    """A value that is x·weights + bias, for the value x called `source`.

    Attributes:
        source: name of x.
        weights: float64 [size of x, size].
        bias: float64 [size].
        made_of: the layers that compute it, by node.
    """

    source: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    made_of: tuple[str, ...]


def merge_layers(nodes: list[Node], layers: list[Layer], output: str) -> tuple[list[Node], list[Layer]]:
    """Return the same computation with fewer linear layers; nodes that nothing reads any more are left out.

    Args:
        nodes: in topological order, all of which the output depends on.
        layers: one per linear node, in their order.
        output: name of the value that is returned.
    """
    while True:
        # Two that have become one may go into the one before them.
        made, kept = _Merger(nodes, layers, output).merged()
        if len(kept) == len(layers):
            return made, kept
        nodes, layers = made, kept


class _Merger:
    def __init__(self, nodes: list[Node], layers: list[Layer], output: str) -> None:
        linear = [node.name for node in nodes if isinstance(node, Linear)]
        self._nodes, self._output = nodes, output
        self._layers = dict(zip(linear, layers, strict=True))
        self._reads = Counter(name for node in nodes for name in node.inputs)
        self._affine: dict[str, _Affine] = {}

    def merged(self) -> tuple[list[Node], list[Layer]]:
        """Return nodes and layers."""
        made = [self._replaced(node) for node in self._nodes]
        needed, live = {self._output}, []
        for node in reversed(made):
            if node.name in needed:
                needed.update(node.inputs)
                live.append(node)
        live.reverse()
        layers = [self._layers[node.name] for node in live if isinstance(node, Linear)]
        return live, layers

    def _replaced(self, node: Node) -> Node:
        """Return the node, or the one layer that computes it from further back."""
        whole = self._composed(node)
        if whole is not None and isinstance(node, Linear | Add) and self._saves(whole):
            self._layers[node.name] = self._layer(whole)
            self._affine[node.name] = replace(whole, made_of=(node.name,))
            return Linear(node.name, (whole.source,), node.shape, 0)
        if isinstance(node, Linear):
            whole = self._own(node)
        if whole is not None:
            self._affine[node.name] = whole
        return node

    def _saves(self, whole: _Affine) -> bool:
        """Whether one layer in the place of several has no more weights than they have."""
        weights = sum(self._layers[name].parameters.weights.size for name in whole.made_of)
        return len(whole.made_of) > 1 and whole.weights.size <= weights

    def _own(self, node: Linear) -> _Affine | None:
        """Return what a layer computes of its input; None if it reads that piece by piece."""
        parameters = self._layers[node.name].parameters
        groups, _, columns = parameters.weights.shape
        if groups > 1 or node.shape != (columns,):
            return None
        return _Affine(node.inputs[0], parameters.weights[0], parameters.bias[0], (node.name,))

    def _composed(self, node: Node) -> _Affine | None:
        """Return what a node computes of what the layers before it read; None where that is out of proportion."""
        source = self._common_source(node)
        if source is None:
            return None
        size = self._size(source)
        if size * max(size, *node.shape) > MAX_ENTRIES:
            return None
        parts = [self._of(name, source) for name in node.inputs]
        weights, bias = np.hstack([part.weights for part in parts]), np.hstack([part.bias for part in parts])
        made_of = tuple(dict.fromkeys(name for part in parts for name in part.made_of))
        match node:
            case Linear() if (own := self._own(node)) is not None:
                weights, bias, made_of = weights @ own.weights, bias @ own.weights + own.bias, (*made_of, node.name)
            case Add():
                half = weights.shape[1] // 2
                weights, bias = weights[:, :half] + weights[:, half:], bias[:half] + bias[half:]
            case Rearrange():
                places, outside = node.indices.ravel(), node.indices.ravel() == ZERO
                weights, bias = np.where(outside, 0.0, weights[:, places]), np.where(outside, 0.0, bias[places])
            case _:
                return None
        return _Affine(source, weights, bias, made_of)

    def _common_source(self, node: Node) -> str | None:
        """Return the value that all which a node reads is an affine function of, made for this node alone."""
        sources = {self._affine[name].source for name in node.inputs if name in self._affine}
        if not isinstance(node, Linear | Add | Rearrange) or len(sources) != 1 or self._output in node.inputs:
            return None
        (source,) = sources
        alone = all(name == source or (name in self._affine and self._reads[name] == 1) for name in node.inputs)
        return source if alone else None

    def _of(self, name: str, source: str) -> _Affine:
        if name != source:
            return self._affine[name]
        size = self._size(source)
        return _Affine(source, np.eye(size), np.zeros(size), ())

    def _size(self, source: str) -> int:
        return next(len(known.weights) for known in self._affine.values() if known.source == source)

    def _layer(self, whole: _Affine) -> Layer:
        """Return the layer that computes a value; the scale of the model's input is that of all which it is made of."""
        parameters = LinearParameters(whole.weights[np.newaxis], whole.bias[np.newaxis])
        first, *others = (self._layers[name] for name in whole.made_of if self._reads_source(name, whole.source))
        if all(_has_scale(layer, first) for layer in others):
            return replace(first, parameters=parameters)
        return Layer(parameters)

    def _reads_source(self, name: str, source: str) -> bool:
        return name in self._affine and self._affine[name].source == source


def _has_scale(layer: Layer, other: Layer) -> bool:
    return _equal(layer.row_scale, other.row_scale) and _equal(layer.feature_scale, other.feature_scale)


def _equal(left: NDArray[np.float64] | None, right: NDArray[np.float64] | None) -> bool:
    return left is right if left is None or right is None else bool(np.array_equal(left, right, equal_nan=True))
