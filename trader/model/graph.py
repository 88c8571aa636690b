"""The public graph of a model: what is computed, without the parameters.

A graph is a DAG of nodes over values; every value is one array per sample, whose shape is fixed. It is public:
parameters are secret and are referred to by their index in the canonical order. Everything that evaluates a model (the
integer reference, the homomorphic evaluator, the ONNX files) walks `Graph.nodes` from first to last.

Two models with the same architecture have equal graphs: names are a function of kind and position (`value_name`).

Read `Node` and its members first, then `Graph`.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

INPUT = "input"
"""Name of the value that holds the sample."""


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x·W + b along the last axis of x; leading axes are carried along.

    Attributes:
        name: name of the value that the node makes.
        inputs: the one value that it reads.
        shape: shape of y for one sample.
        parameter: index of the canonical tensor that holds W and b.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    parameter: int


@dataclass(frozen=True, slots=True)
class Square:
    """y = x², element by element.

    Attributes:
        name: name of the value that the node makes.
        inputs: the one value that it reads.
        shape: shape of y for one sample, that of x.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]


Node: TypeAlias = Linear | Square


def value_name(kind: str, position: int) -> str:
    """Name of the value that the node at a position of `Graph.nodes` makes, e.g. `linear_0`."""
    return f"{kind}_{position}"


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """Shape of one canonical parameter tensor: `[rows, outputs]`, rows = inputs weight rows, 1 bias row, salt rows.

    Attributes:
        name: name of the tensor in architecture.onnx.
        inputs: number of weight rows, a.
        outputs: number of columns, b.
        salt_rows: number of random rows that are multiplied by zero, t.
    """

    name: str
    inputs: int
    outputs: int
    salt_rows: int

    @property
    def rows(self) -> int:
        """Number of rows, a + 1 + t."""
        return self.inputs + 1 + self.salt_rows

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the tensor."""
        return (self.rows, self.outputs)


@dataclass(frozen=True, slots=True)
class Graph:
    """A model without its parameters.

    Attributes:
        input_shape: shape of one sample as the graph reads it, flat: `(F,)`.
        nodes: in topological order; a node reads `INPUT` or earlier nodes.
        output: name of the value that is the raw output (before post-processing).
        parameters: shapes of the parameter tensors, in canonical order.
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
        return sum((spec.inputs + 1) * spec.outputs for spec in self.parameters)

    def shape_of(self, value: str) -> tuple[int, ...]:
        """Shape of a value for one sample.

        Raises:
            KeyError: no such value.
        """
        if value == INPUT:
            return self.input_shape
        for node in self.nodes:
            if node.name == value:
                return node.shape
        raise KeyError(value)


def scale_bits_of(graph: Graph, scale_bits: int) -> dict[str, int]:
    """Scale of every value of the graph, the input included.

    A value at scale c is an integer that stands for integer/2^c. Inputs and parameters have scale s; `Linear` adds s,
    `Square` doubles.
    """
    scales = {INPUT: scale_bits}
    for node in graph.nodes:
        match node:
            case Linear():
                scales[node.name] = scales[node.inputs[0]] + scale_bits
            case Square():
                scales[node.name] = 2 * scales[node.inputs[0]]
    return scales


def output_scale_bits(graph: Graph, scale_bits: int) -> int:
    """Scale of the raw outputs: `scale_bits_of` at the graph's output."""
    return scale_bits_of(graph, scale_bits)[graph.output]
