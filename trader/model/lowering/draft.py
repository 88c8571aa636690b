"""The graph as far as it was lowered: its nodes, its float parameters, and the order of elements in its values.

Nodes are only ever added. What is no longer read in the end is dropped when the graph is assembled
(`trader.model.lowering.assembly`), so that a node which turns out to be useless costs nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT, value_name
from trader.model.lowering.symbols import SOURCE, View
from trader.model.nodes import ZERO, Linear, Node, Rearrange

MAX_INDICES = 1 << 26


class TooLargeError(Exception):
    """The graph would need a node that is out of proportion; the message says what."""


@dataclass(frozen=True, slots=True)
class LinearParameters:
    """Weights and bias of one linear layer, as the model's author trained them.

    Attributes:
        weights: Float64 [a, b], or [groups, a, b].
        bias: Float64 [b], or [groups, b].
    """

    weights: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)

    def divided(self, exponent: int) -> "LinearParameters":
        """Return those of a layer whose results are 2^exponent times smaller."""
        return LinearParameters(np.ldexp(self.weights, -exponent), np.ldexp(self.bias, -exponent))


@dataclass(frozen=True, slots=True)
class Layer:
    """The parameters of a linear node, and the scale of the model's input that was folded into their rows.

    Attributes:
        parameters: Weights [groups, a, b] and bias [groups, b].
        row_scale: [groups, a], or None.
        feature_scale: The same for each feature of the model's input, or None if the layer doesn't read that.
    """

    parameters: LinearParameters
    row_scale: NDArray[np.float64] | None = None
    feature_scale: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The ONNX operator and node that a graph node comes from."""

    operator: str
    node: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """A value that is a table, looked up at several positions.

    Attributes:
        places: [positions, K], the features that say which row is meant.
        table: [K, D]; the value is [positions, D].
    """

    places: NDArray[np.int64] = field(repr=False)
    table: NDArray[np.float64] = field(repr=False)


class GraphDraft:
    """A growing graph over flat samples of F elements, which stand for the columns of the original data.

    Attributes:
        nodes: By the name of the value that they compute, in topological order; some are not needed in the end.
        layers: By the `parameter` of linear nodes.
        origins: By node name.
        origin: That of the nodes which are added next.
        lookups: Tables that features are multiplied by, by the name of the value: a layer that reads it may take the
            features themselves.
    """

    def __init__(self, features: int, columns: int = 0) -> None:
        self.nodes: dict[str, Node] = {}
        self.layers: list[Layer] = []
        self.origins: dict[str, Origin] = {}
        self.origin = Origin("", "")
        self.lookups: dict[str, Lookup] = {}
        self._sizes = {INPUT: features, SOURCE: columns}
        self._arranged: dict[tuple[tuple[str, ...], bytes], str] = {}

    def add(self, node: Node) -> str:
        """Add a node under the name that `next_name` gave; return the name."""
        self.nodes[node.name] = node
        self.origins[node.name] = self.origin
        self._sizes[node.name] = node.shape[0]
        return node.name

    def add_linear(self, source: str, layer: Layer) -> str:
        """Add a linear node, which applies a layer at each position of a value; return its name."""
        groups, rows, columns = layer.parameters.weights.shape
        size = self.size(source) // (groups * rows) * groups * columns
        self.layers.append(layer)
        return self.add(Linear(self.next_name("linear"), (source,), (size,), len(self.layers) - 1))

    def next_name(self, kind: str) -> str:
        """Return a name for the node that is added next."""
        return value_name(kind, len(self.nodes))

    def size(self, *values: str) -> int:
        """Return the number of elements per sample in all of the named values together."""
        return sum(self._sizes[value] for value in values)

    def arrange(self, view: View) -> str:
        """Return the name of a graph value that holds the elements of a view without affine map, in order.

        Raises:
            TooLargeError: More than MAX_INDICES elements.
        """
        total = self.size(*view.bases)
        places = view.places.ravel()
        if len(view.bases) == 1 and len(places) == total and np.array_equal(places, np.arange(total)):
            return view.bases[0]
        if len(places) > MAX_INDICES:
            raise TooLargeError(f"it needs {len(places)} elements in order, more than {MAX_INDICES}")
        key = (view.bases, places.tobytes())
        if key not in self._arranged:
            node = Rearrange(self.next_name("rearrange"), view.bases, (len(places),), places.copy())
            self._arranged[key] = self.add(node)
        return self._arranged[key]

    def arrange_whole(self, view: View) -> View:
        """Return the view over one base of which it shows every element, so that a node may act on the base."""
        if len(view.bases) == 1:
            seen = np.unique(view.places)
            if len(seen) - (seen[0] == ZERO) == self.size(view.bases[0]):
                return view
        return View((self.arrange(view.plain()),), view.shape, None, view.scale, view.offset)

    def arrange_alike(self, left: View, right: View) -> tuple[str, str, NDArray[np.int64] | None]:
        """Return names of values with the elements of both views in one order, and the indices of the views in them."""
        places = left.places.ravel()
        size = self.size(left.bases[0])
        if len(left.bases) == 1 and len(places) == size and np.array_equal(np.sort(places), np.arange(size)):
            # The order of the left view's base: nothing moves if the right one has the same.
            return left.bases[0], self.arrange(right.plain().taken(np.argsort(places))), left.indices
        return self.arrange(left.plain()), self.arrange(right.plain()), None
