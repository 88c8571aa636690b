"""The public graph of a model: what is computed, without the parameters.

A graph is a DAG of nodes over values; every value is one vector per sample, of fixed size. It is public: parameters are
secret and are referred to by their index in the canonical order. Everything that evaluates a model (the integer
reference, the homomorphic evaluator, the ONNX files) walks `Graph.nodes` from first to last.

Two models with the same architecture have equal graphs: names are a function of kind and position (`value_name`).

Read `trader.model.nodes` first, then `Graph`.
"""

import math
from dataclasses import dataclass

from trader.model.functions import ActivationKind
from trader.model.nodes import ZERO, Activation, Add, Leaves, Linear, Multiply, Node, Rearrange, Square, Sum

EXACT = frozenset({ActivationKind.RELU, ActivationKind.STEP})
"""Activations that are not rounded."""
MAX_TREE_DEPTH = 8
"""Trees of depth 8 take three products in sequence encrypted, as those of depth 5 do; deeper ones would take four."""

INPUT = "input"
"""Name of the value that holds the sample."""

__all__ = [
    "INPUT",
    "Graph",
    "Linear",
    "ParameterSpec",
    "Square",
    "output_scale_bits",
    "scale_bits_of",
    "value_name",
]


def value_name(kind: str, position: int) -> str:
    """Name of the value that the node at a position of `Graph.nodes` makes, e.g. `linear_0`."""
    return f"{kind}_{position}"


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """Shape of one canonical parameter tensor: a weight rows, 1 bias row and t salt rows, for each group.

    Attributes:
        name: name of the tensor in architecture.onnx.
        inputs: number of weight rows, a.
        outputs: number of columns, b.
        salt_rows: number of random rows that are multiplied by zero, t.
        groups: number of groups, each with weights of its own.
    """

    name: str
    inputs: int
    outputs: int
    salt_rows: int
    groups: int = 1

    @property
    def rows(self) -> int:
        """Number of rows, a + 1 + t."""
        return self.inputs + 1 + self.salt_rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor: [rows, b], or [groups, rows, b] if there are several groups."""
        return (self.rows, self.outputs) if self.groups == 1 else (self.groups, self.rows, self.outputs)


@dataclass(frozen=True, slots=True)
class Graph:
    """A model without its parameters.

    Attributes:
        input_shape: shape of one sample as the graph reads it: `(F,)`.
        nodes: in topological order; a node reads `INPUT` or earlier nodes.
        output: name of the value that is the raw output (before post-processing).
        parameters: shapes of the parameter tensors, in canonical order.

    Raises:
        ValueError: sizes, indices or references don't fit each other.
    """

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: str
    parameters: tuple[ParameterSpec, ...]

    @property
    def features(self) -> int:
        """Number of elements F of one sample."""
        return math.prod(self.input_shape)

    @property
    def outputs(self) -> int:
        """Number of raw outputs O of one sample."""
        return math.prod(self.shape_of(self.output))

    @property
    def parameter_count(self) -> int:
        """Number of weights and biases, salt left out."""
        return sum(spec.groups * (spec.inputs + 1) * spec.outputs for spec in self.parameters)

    @property
    def rounded_activations(self) -> tuple[ActivationKind, ...]:
        """Kinds of activations whose proofs are rounded: all but `EXACT`. Graphs without any are proven exactly."""
        kinds = (node.kind for node in self.nodes if isinstance(node, Activation))
        return tuple(dict.fromkeys(kind for kind in kinds if kind not in EXACT))

    @property
    def has_trees(self) -> bool:
        """Whether it decides: its inputs are then integers, compared with integers."""
        return any(isinstance(node, Leaves) for node in self.nodes)

    def __post_init__(self) -> None:
        sizes = {INPUT: self.features}
        used = []
        for node in self.nodes:
            read = [sizes[name] for name in node.inputs]
            if node.name in sizes or not _fits(node, read, self.parameters):
                raise ValueError(f"node {node.name} does not fit what it reads")
            used += [node.parameter] if isinstance(node, Linear) else []
            sizes[node.name] = node.shape[0]
        if self.output not in sizes or used != list(range(len(self.parameters))):
            raise ValueError("each parameter tensor must be used by one node, in order, and the output be made by one")

    def size_of(self, value: str) -> int:
        """Return the number of elements of a value for one sample.

        Raises:
            KeyError: no such value.
        """
        return math.prod(self.shape_of(value))

    def shape_of(self, value: str) -> tuple[int, ...]:
        """Shape of a value for one sample: `(size,)`.

        Raises:
            KeyError: no such value.
        """
        if value == INPUT:
            return self.input_shape
        for node in self.nodes:
            if node.name == value:
                return node.shape
        raise KeyError(value)


def _fits(node: Node, read: list[int], parameters: tuple[ParameterSpec, ...]) -> bool:
    """Whether sizes, indices and the parameter index of a node are consistent with the sizes of what it reads."""
    size = math.prod(node.shape)
    match node:
        case Linear():
            spec = parameters[node.parameter]
            rows = spec.groups * spec.inputs
            positive = min(spec.groups, spec.inputs, spec.outputs) > 0 and spec.salt_rows >= 0
            return positive and read[0] % rows == 0 and size == read[0] // rows * spec.groups * spec.outputs
        case Sum():
            return node.terms > 0 and read == [size * node.terms]
        case Rearrange():
            inside = (node.indices >= ZERO) & (node.indices < sum(read))
            return len(read) > 0 and node.indices.shape == (size,) and bool(inside.all())
        case Add() | Multiply():
            return read == [size, size]
        case Square() | Activation():
            return read == [size]
        case Leaves():
            limits = 1 <= node.depth <= MAX_TREE_DEPTH and node.trees > 0
            return limits and read == [node.trees * node.decisions] and size == node.trees << node.depth


def scale_bits_of(graph: Graph, scale_bits: int) -> dict[str, int]:
    """Scale of every value of the graph, the input included.

    A value at scale c is an integer that stands for integer/2^c. Inputs and parameters have scale s; products add the
    scales of their factors; where scales meet, the smaller ones are shifted up. Of activations, `RELU` keeps its scale,
    others give s; the zeros and ones of `STEP`, and of leaves, are integers.
    """
    scales = {INPUT: scale_bits}
    for node in graph.nodes:
        read = [scales[name] for name in node.inputs]
        match node:
            case Linear():
                scales[node.name] = read[0] + scale_bits
            case Square():
                scales[node.name] = 2 * read[0]
            case Multiply():
                scales[node.name] = sum(read)
            case Add() | Rearrange() | Sum():
                scales[node.name] = max(read)
            case Activation(kind=ActivationKind.STEP) | Leaves():
                scales[node.name] = 0
            case Activation():
                scales[node.name] = read[0] if node.kind is ActivationKind.RELU else scale_bits
    return scales


def output_scale_bits(graph: Graph, scale_bits: int) -> int:
    """Scale of the raw outputs: `scale_bits_of` at the graph's output."""
    return scale_bits_of(graph, scale_bits)[graph.output]
