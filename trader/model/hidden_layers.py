"""Powers of two between the layers of a network, so that each is rounded relative to its own size.

Parameters share one grid. A layer whose weights are all near 10⁻⁵, which the next one multiplies back, would be rounded
away. With W₁·2^k and W₂·2^-k in their place the network computes the same, as long as what stands between them gives
f(2^k·x) = 2^(dk)·f(x): moves and sums of elements, ReLU and LeakyReLU (d = 1), squares (d = 2). Powers of two only, so
nothing is rounded here, and nothing is told: they stay within the secret parameters.

What a layer gains is taken from those that read it, twice as much behind a square. Where these have it neither from
the next ones nor from the outputs' exponent, they would be rounded away instead; so some of it goes back (`move_back`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import HOMOGENEOUS
from trader.model.graph import Graph
from trader.model.lowering import LinearParameters
from trader.model.nodes import Activation, Linear, Node, Rearrange, Square, Sum

SMALLEST_WEIGHT, LARGEST_WEIGHT = 2.0**-3, 2.0**6
"""Largest weights of a layer that are left as they are."""
LARGEST_VALUE = 2.0**5
"""Values between layers don't grow beyond by what is done here."""


class Move(NamedTuple):
    """A power of two that moved to a layer from those that read it.

    Attributes:
        parameter: The layer's number.
        readers: The degree in which each layer reads it, by number.
        step: The exponent.
    """

    parameter: int
    readers: Mapping[int, int]
    step: int


def balance_layers(
    graph: Graph, parameters: Sequence[LinearParameters], values: Mapping[str, NDArray[np.float64]]
) -> tuple[list[LinearParameters], list[Move]]:
    """Return parameters of the same network, in which powers of two moved between layers, and what moved, in order.

    Args:
        graph: What is computed.
        parameters: By their number in the graph.
        values: Of every node on data, [n, size].
    """
    made, moves = list(parameters), []
    for node in graph.nodes:
        if not isinstance(node, Linear):
            continue
        readers, largest = _readers(graph, node), _largest(made[node.parameter])
        if readers is None or not largest or SMALLEST_WEIGHT <= largest <= LARGEST_WEIGHT:
            continue
        # What layers before moved here has changed the weights, not what comes out.
        moves.append(Move(node.parameter, readers, _step(largest, values[node.name])))
        _carry_out(moves[-1], made)
    return made, moves


def move_back(parameters: Sequence[LinearParameters], moves: Sequence[Move]) -> list[LinearParameters]:
    """Return parameters of the same network, in which as much of each move to a layer is undone as serves.

    Of a layer and its readers, that with the smallest weights, by its largest one, has larger ones then.

    Args:
        parameters: After all moves, the outputs' exponent taken out.
        moves: In order.
    """
    made = list(parameters)
    for move in reversed(moves):
        own = _largest(made[move.parameter])
        others = [(_largest(made[reader]), degree) for reader, degree in move.readers.items()]
        smallest = [
            min(math.ldexp(own, -back), *(math.ldexp(other, degree * back) for other, degree in others))
            for back in range(max(move.step, 0) + 1)
        ]
        _carry_out(move._replace(step=-int(np.argmax(smallest))), made)
    return made


def _carry_out(move: Move, made: list[LinearParameters]) -> None:
    made[move.parameter] = made[move.parameter].divided(-move.step)
    for reader, degree in move.readers.items():
        layer = made[reader]
        made[reader] = LinearParameters(np.ldexp(layer.weights, -degree * move.step), layer.bias)


def _largest(layer: LinearParameters) -> float:
    return float(np.abs(layer.weights).max(initial=0))


def _step(largest: float, values: NDArray[np.float64]) -> int:
    """Return k: towards weights of 1, as far as values stay in range."""
    wanted = -round(math.log2(largest))
    reached = float(np.abs(values).max(initial=0))
    if wanted > 0 and reached > 0:
        wanted = max(0, min(wanted, math.floor(math.log2(LARGEST_VALUE / reached))))
    return wanted


def _readers(graph: Graph, source: Node) -> dict[int, int] | None:
    """Return the parameters of the layers that read a node's result, and the degree in which they do.

    None if something reads it that is not homogeneous, or if it is an output.
    """
    degrees, readers = {source.name: 1}, {}
    for node in graph.nodes:
        read = [degrees[name] for name in node.inputs if name in degrees]
        if not read:
            continue
        if len(read) < len(node.inputs) or len(set(read)) > 1:
            return None
        match node:
            case Linear():
                readers[node.parameter] = read[0]
                continue
            case Rearrange() | Sum():
                degrees[node.name] = read[0]
            case Square():
                degrees[node.name] = 2 * read[0]
            case Activation(kind=kind) if kind in HOMOGENEOUS:
                degrees[node.name] = read[0]
            case _:
                return None
    return None if graph.output in degrees or not readers else readers
