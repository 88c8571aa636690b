"""The last step of lowering: what a builder made becomes a graph in canonical form, and its parameters.

Nodes that the outputs don't need are dropped, linear layers in a row become one (`merging`), names and parameter
indices follow the order. Powers of two move out of the first and the last layer, to the inputs and the outputs, where
the grid would not hold the parameters well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT, Graph, ParameterSpec, value_name
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.draft import GraphDraft, Layer, LinearParameters, Origin
from trader.model.lowering.merging import merge_layers
from trader.model.lowering.symbols import View
from trader.model.nodes import Linear, Node, Rearrange

MAX_EXPONENT = 64
MIN_LAST_LAYER, MAX_LAST_LAYER = 2.0**-5, 2.0**10
"""Range of the last layer's largest value that the grid holds well; outside it, a power of two is taken out."""
LARGE_RATIO = 2.0**4
"""Features with weights so many times above or below the median feature's leave a power of two to the input."""


@dataclass(frozen=True, slots=True)
class AssembledModel:
    """What lowering gives.

    Attributes:
        graph: without salt.
        parameters: one per `Linear`, in canonical order.
        origins: the ONNX node behind each graph node.
        input_exponents: see `trader.model.lowering.LoweredModel`.
        output_exponent: the model's outputs are the graph's times 2^output_exponent.
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    origins: tuple[Origin, ...]
    input_exponents: tuple[int, ...]
    output_exponent: int


def assemble(builder: GraphBuilder, outputs: View, features: int) -> AssembledModel:
    """Return the graph whose raw outputs, in order, are those of a view.

    Raises:
        TooLargeError: As `GraphBuilder.settle` and `GraphDraft.arrange`.
    """
    draft = builder.draft
    output = draft.arrange(builder.settle(outputs))
    nodes = _live_nodes(draft, output)
    layers = [draft.layers[node.parameter] for node in nodes if isinstance(node, Linear)]
    nodes, layers = merge_layers(nodes, layers, output)
    layers = _with_units(nodes, layers, features)
    exponents = _input_exponents(nodes, layers)
    parameters = [_divide_rows(layer) if exponents else layer.parameters for layer in layers]
    exponent = 0
    if nodes and isinstance(nodes[-1], Linear):
        exponent = _output_exponent(parameters[-1])
        parameters[-1] = parameters[-1].divided(exponent)
    graph = _renamed(nodes, parameters, features, output)
    origins = tuple(draft.origins[node.name] for node in nodes)
    return AssembledModel(graph, tuple(_squeezed(made) for made in parameters), origins, exponents, exponent)


def _live_nodes(draft: GraphDraft, output: str) -> list[Node]:
    """Nodes that the output depends on, in order."""
    needed = {output}
    live = []
    for node in reversed(draft.nodes.values()):
        if node.name in needed:
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]


def _renamed(nodes: list[Node], parameters: Sequence[LinearParameters], features: int, output: str) -> Graph:
    """Return the graph with canonical names and parameter indices."""
    names = {INPUT: INPUT}
    renamed: list[Node] = []
    specs: list[ParameterSpec] = []
    for position, node in enumerate(nodes):
        names[node.name] = value_name(type(node).__name__.lower(), position)
        # `replace` can't know that the number of inputs stays what the node's type says.
        moved: Node = replace(node, name=names[node.name], inputs=tuple(names[x] for x in node.inputs))  # type: ignore[arg-type]
        if isinstance(moved, Linear):
            index = len(specs)
            groups, rows, columns = parameters[index].weights.shape
            specs.append(ParameterSpec(f"parameter_{index}", rows, columns, salt_rows=0, groups=groups))
            moved = replace(moved, parameter=index)
        renamed.append(moved)
    return Graph((features,), tuple(renamed), names[output], tuple(specs))


def _with_units(nodes: list[Node], layers: list[Layer], features: int) -> list[Layer]:
    """Return the layers; one that reads the whole input, with very unequal weights, gets a scale that stands for units.

    A weight far above the others means a feature of very small values, which the input grid would hold badly; one far
    below means very large values, and the parameters' grid would hold it badly. Ordinary weights are left alone, so
    that the exponents tell of units, not of importance; `trader.model.units` puts data in the place of this guess.
    """
    readers = [node for node in nodes if INPUT in node.inputs]
    if len(readers) != 1 or not isinstance(readers[0], Linear) or not np.isfinite(layers[0].parameters.weights).all():
        return layers
    largest = np.abs(layers[0].parameters.weights).max(axis=2)
    typical = np.median(largest)
    if layers[0].row_scale is not None or largest.shape != (1, features) or typical == 0:
        return layers
    ratio = np.where(largest > 0, largest / typical, 1.0)
    above = np.maximum(np.ceil(np.log2(ratio / LARGE_RATIO)), 0)
    below = np.where(ratio * LARGE_RATIO < 1, np.ceil(np.log2(ratio)), 0)
    scale = 2.0 ** np.clip(above + below, -MAX_EXPONENT, MAX_EXPONENT)
    if np.all(scale == 1):
        return layers
    return [replace(layers[0], row_scale=scale, feature_scale=scale[0]), *layers[1:]]


def _input_exponents(nodes: list[Node], layers: list[Layer]) -> tuple[int, ...]:
    """Powers of two nearest to the scale that every reader of the input applies to it; empty if there is none."""
    like_input = {INPUT}
    scales: list[NDArray[np.float64] | None] = []
    remaining = iter(layers)
    for node in nodes:
        layer = next(remaining) if isinstance(node, Linear) else None
        if like_input.isdisjoint(node.inputs):
            continue
        if isinstance(node, Rearrange) and like_input.issuperset(node.inputs):
            like_input.add(node.name)
        else:
            scales.append(None if layer is None else layer.feature_scale)
    first = scales[0] if scales else None
    if first is None or any(scale is None or not np.array_equal(scale, first, equal_nan=True) for scale in scales):
        return ()
    exponents = _powers(np.nan_to_num(first, nan=1.0))
    return tuple(exponents.tolist()) if exponents.any() else ()


def _powers(scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Exponents of the nearest powers of two."""
    magnitudes = np.abs(scale)
    powers = np.rint(np.log2(np.where(magnitudes > 0, magnitudes, 1)))
    return powers.clip(-MAX_EXPONENT, MAX_EXPONENT).astype(np.int64)


def _divide_rows(layer: Layer) -> LinearParameters:
    """Return the parameters of a layer that reads x_j·2^e_j in place of x_j, if it reads the model's input."""
    if layer.row_scale is None or layer.feature_scale is None:
        return layer.parameters
    exponents = -_powers(layer.row_scale)[:, :, np.newaxis]
    return replace(layer.parameters, weights=np.ldexp(layer.parameters.weights, exponents))


def _output_exponent(layer: LinearParameters) -> int:
    """Return a power of two to take out of the last layer if its values are too large or small for the grid, else 0."""
    largest = max(np.abs(layer.weights).max(initial=0), np.abs(layer.bias).max(initial=0))
    if not np.isfinite(largest) or largest == 0 or MIN_LAST_LAYER <= largest <= MAX_LAST_LAYER:
        return 0
    target = MAX_LAST_LAYER if largest > MAX_LAST_LAYER else 1.0
    return int(np.ceil(np.log2(largest / target)))


def _squeezed(layer: LinearParameters) -> LinearParameters:
    """One group needs no axis of its own."""
    if len(layer.weights) > 1:
        return layer
    return LinearParameters(layer.weights[0], layer.bias[0])
