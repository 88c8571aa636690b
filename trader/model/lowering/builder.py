"""Builds a graph and its float parameters, one node at a time.

`linear` folds the affine map that its input carries into its weights; `settle` turns a carried affine map into
parameters when a node needs the plain value, by folding it back into the linear layer that made the value, or by a
diagonal layer if there is none. What is no longer read in the end is dropped, so folding back costs nothing.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT, Graph, Linear, Node, ParameterSpec, Square, value_name
from trader.model.lowering.symbols import Affine

MAX_DIAGONAL = 1024
MAX_EXPONENT = 64
MIN_LAST_LAYER, MAX_LAST_LAYER = 2.0**-5, 2.0**10
"""Range of the last layer's largest value that the grid holds well; outside it, a power of two is taken out."""


@dataclass(frozen=True, slots=True)
class LinearParameters:
    """Weights and bias of one linear layer, as the model's author trained them.

    Attributes:
        weights: float64 [a, b].
        bias: float64 [b].
    """

    weights: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """What a builder gives.

    Attributes:
        graph: without salt.
        parameters: one per `Linear`, in canonical order.
        input_exponents: see `trader.model.lowering.LoweredModel`.
        output_exponent: the model's outputs are the graph's times 2^output_exponent.
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    input_exponents: tuple[int, ...]
    output_exponent: int


@dataclass(frozen=True, slots=True)
class _Layer:
    """Parameters, and the element-wise scale of the input that was folded into their rows."""

    parameters: LinearParameters
    input_scale: NDArray[np.float64] | None


class GraphBuilder:
    """Grows a graph over flat samples of F elements; `finish` gives it."""

    def __init__(self, features: int) -> None:
        self._features = features
        self._nodes: dict[str, Node] = {}
        self._layers: list[_Layer] = []
        self._settled: dict[Affine, str] = {}

    def linear(self, value: Affine, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Affine:
        """Value·weights + bias for a value of shape [a] and weights [a, b]."""
        if value.offset is not None:
            bias = bias + value.offset @ weights
        if value.scale is not None:
            weights = value.scale[:, np.newaxis] * weights
        return self._add_linear(value.base, _Layer(LinearParameters(weights, bias), value.scale))

    def square(self, value: Affine) -> Affine:
        """Value², element by element.

        Raises:
            ValueError: as `settle`.
        """
        source = self.settle(value)
        node = Square(value_name("square", len(self._nodes)), (source,), (int(np.prod(value.shape)),))
        self._nodes[node.name] = node
        return Affine(node.name, value.shape)

    def settle(self, value: Affine) -> str:
        """Name of a graph value that equals a value.

        Raises:
            ValueError: that would take a diagonal layer of more than MAX_DIAGONAL elements.
        """
        if value.scale is None and value.offset is None:
            return value.base
        if value not in self._settled:
            self._settled[value] = self._settle(value)
        return self._settled[value]

    def finish(self, outputs: Affine) -> BuiltModel:
        """The graph whose raw outputs are these; nodes that they don't need are left out.

        Raises:
            ValueError: as `settle`.
        """
        output = self.settle(outputs)
        nodes = self._live_nodes(output)
        layers = [self._layers[node.parameter] for node in nodes if isinstance(node, Linear)]
        exponents = _input_exponents(nodes, layers)
        parameters = [layer.parameters for layer in layers]
        parameters = [
            _divide_rows(made, exponents) if node.inputs[0] == INPUT else made
            for node, made in zip((n for n in nodes if isinstance(n, Linear)), parameters, strict=True)
        ]
        exponent = 0
        if nodes and isinstance(nodes[-1], Linear):
            exponent = _output_exponent(parameters[-1])
            parameters[-1] = _divide(parameters[-1], exponent)
        return BuiltModel(_renamed(nodes, parameters, self._features, output), tuple(parameters), exponents, exponent)

    def _settle(self, value: Affine) -> str:
        size = int(np.prod(value.shape))
        scale = np.ones(size) if value.scale is None else value.scale.ravel()
        offset = np.zeros(size) if value.offset is None else value.offset.ravel()
        maker = self._nodes.get(value.base)
        if isinstance(maker, Linear):
            layer = self._layers[maker.parameter]
            made = LinearParameters(layer.parameters.weights * scale, layer.parameters.bias * scale + offset)
            return self._add_linear(maker.inputs[0], _Layer(made, layer.input_scale)).base
        if size > MAX_DIAGONAL:
            raise ValueError(f"an element-wise map of {size} values between two activations costs too much")
        return self.linear(Affine(value.base, (size,), scale, offset), np.eye(size), np.zeros(size)).base

    def _add_linear(self, source: str, layer: _Layer) -> Affine:
        shape = (layer.parameters.weights.shape[1],)
        node = Linear(value_name("linear", len(self._nodes)), (source,), shape, len(self._layers))
        self._nodes[node.name] = node
        self._layers.append(layer)
        return Affine(node.name, shape)

    def _live_nodes(self, output: str) -> list[Node]:
        """Nodes that the output depends on, in order."""
        needed = {output}
        live = []
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
                live.append(node)
        return live[::-1]


def _renamed(nodes: list[Node], parameters: list[LinearParameters], features: int, output: str) -> Graph:
    """The graph with canonical names and parameter indices."""
    names = {INPUT: INPUT}
    renamed: list[Node] = []
    specs: list[ParameterSpec] = []
    for position, node in enumerate(nodes):
        kind = type(node).__name__.lower()
        names[node.name] = value_name(kind, position)
        moved = replace(node, name=names[node.name], inputs=(names[node.inputs[0]],))
        if isinstance(moved, Linear):
            index = len(specs)
            rows, columns = parameters[index].weights.shape
            specs.append(ParameterSpec(f"parameter_{index}", rows, columns, salt_rows=0))
            moved = replace(moved, parameter=index)
        renamed.append(moved)
    return Graph((features,), tuple(renamed), names[output], tuple(specs))


def _input_exponents(nodes: list[Node], layers: list[_Layer]) -> tuple[int, ...]:
    """Powers of two nearest to the scale that every reader of the input applies to it; empty if there is none."""
    if any(node.inputs[0] == INPUT and not isinstance(node, Linear) for node in nodes):
        return ()
    linear = [node for node in nodes if isinstance(node, Linear)]
    scales = [layer.input_scale for node, layer in zip(linear, layers, strict=True) if node.inputs[0] == INPUT]
    first = scales[0] if scales else None
    if first is None or any(scale is None or not np.array_equal(scale, first) for scale in scales):
        return ()
    magnitudes = np.abs(first)
    powers = np.rint(np.log2(np.where(magnitudes > 0, magnitudes, 1))).clip(-MAX_EXPONENT, MAX_EXPONENT)
    exponents = powers.astype(np.int64)
    return tuple(exponents.tolist()) if exponents.any() else ()


def _divide_rows(layer: LinearParameters, exponents: tuple[int, ...]) -> LinearParameters:
    """The layer that reads x_j·2^e_j in place of x_j."""
    if not exponents:
        return layer
    return replace(layer, weights=np.ldexp(layer.weights, -np.asarray(exponents)[:, np.newaxis]))


def _output_exponent(layer: LinearParameters) -> int:
    """A power of two to take out of the last layer when its values are too large or too small for the grid, else 0."""
    largest = max(np.abs(layer.weights).max(initial=0), np.abs(layer.bias).max(initial=0))
    if not np.isfinite(largest) or largest == 0 or MIN_LAST_LAYER <= largest <= MAX_LAST_LAYER:
        return 0
    target = MAX_LAST_LAYER if largest > MAX_LAST_LAYER else 1.0
    return int(np.ceil(np.log2(largest / target)))


def _divide(layer: LinearParameters, exponent: int) -> LinearParameters:
    return LinearParameters(np.ldexp(layer.weights, -exponent), np.ldexp(layer.bias, -exponent))
