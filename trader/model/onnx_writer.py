"""Writes a graph as ONNX nodes; `architecture` and `plain` say what a linear layer becomes.

Every value is [N, size]. The nodes and their names are a function of the graph alone, and only operators of set 13 are
used: activations that came later are written out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trader.model.functions import ActivationKind
from trader.model.graph import INPUT, Graph
from trader.model.nodes import ZERO, Activation, Add, Leaves, Linear, Multiply, Node, Rearrange, Square, Sum

OPSET = 13
TREES_DOMAIN, TREES_OPSET = "ai.onnx.ml", 3
ML_DOMAIN = TREES_DOMAIN
IR_VERSION = 8
BATCH = "N"

_OPERATORS: Mapping[ActivationKind, tuple[str, tuple[str, ...]]] = {
    ActivationKind.RELU: ("Relu", ()),
    ActivationKind.LEAKY_RELU: ("LeakyRelu", ("alpha",)),
    ActivationKind.ELU: ("Elu", ("alpha",)),
    ActivationKind.SIGMOID: ("Sigmoid", ()),
    ActivationKind.HARD_SIGMOID: ("HardSigmoid", ("alpha", "beta")),
    ActivationKind.TANH: ("Tanh", ()),
    ActivationKind.SOFTPLUS: ("Softplus", ()),
    ActivationKind.ERF: ("Erf", ()),
}
"""Activations that are one operator, and its attributes."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """An input or output of a file.

    Attributes:
        name: That it has for whoever runs the file.
        declared: Its type and shape, and the name that the writer's nodes know it by.
    """

    name: str
    declared: onnx.ValueInfoProto


class OnnxWriter:
    """Collects ONNX nodes and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, *others: str, **attributes: Any) -> str:
        """Add a node that is named after its first output; returns that one."""
        self.nodes.append(helper.make_node(operator, inputs, [output, *others], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a constant list of integers."""
        return self.constant(name, np.array(values, dtype=np.int64))

    def number(self, name: str, value: float) -> str:
        """Add a constant number."""
        return self.constant(name, np.array(value, dtype=np.float32))

    def model_bytes(self, inputs: Sequence[Boundary], outputs: Sequence[Boundary]) -> bytes:
        """Return the model; the same nodes and constants give the same bytes.

        Inputs and outputs get their names for outside; a value within that has such a name gets another one.
        """
        graph = helper.make_graph(
            self.nodes,
            "model",
            [boundary.declared for boundary in inputs],
            [boundary.declared for boundary in outputs],
            initializer=self.constants,
        )
        _rename(graph, {boundary.declared.name: boundary.name for boundary in (*inputs, *outputs)})
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain == TREES_DOMAIN for node in self.nodes):
            opsets.append(helper.make_opsetid(TREES_DOMAIN, TREES_OPSET))
        model = helper.make_model(graph, opset_imports=opsets, producer_name="modelseal")
        model.ir_version = IR_VERSION
        return bytes(model.SerializeToString(deterministic=True))


def _rename(graph: onnx.GraphProto, outside: Mapping[str, str]) -> None:
    """Rename values: those of `outside` as it says, others out of the way of these names."""
    inner = {name for node in graph.node for name in (*node.input, *node.output)}
    inner |= {constant.name for constant in graph.initializer}
    inner -= outside.keys()
    names, taken = dict(outside), set(outside.values())
    for name in sorted(inner & taken):
        free = name
        while free in taken or free in inner:
            free += "_"
        taken.add(free)
        names[name] = free
    for node in graph.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for named in (*graph.initializer, *graph.input, *graph.output):
        named.name = names.get(named.name, named.name)


def float_value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    """Declare a float32 tensor."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


LinearWriter = Callable[[OnnxWriter, Linear, str, str], None]
"""Writes a linear layer: writer, node, name of its input, name of its output."""


ActivationWriter = Callable[[OnnxWriter, Activation, str, str], None]
"""Writes an activation: writer, node, name of its input, name of its output."""


def write_nodes(
    writer: OnnxWriter,
    graph: Graph,
    source: str,
    result: str,
    write_linear: LinearWriter,
    write_activation: ActivationWriter | None = None,
) -> None:
    """Write all nodes of a graph; `source` [N, F] stands for its input, `result` is what its output will be called."""
    names = {INPUT: source}
    for node in graph.nodes:
        names[node.name] = result if node.name == graph.output else node.name
        inputs = [names[name] for name in node.inputs]
        if isinstance(node, Linear):
            write_linear(writer, node, inputs[0], names[node.name])
        elif isinstance(node, Activation) and write_activation is not None:
            write_activation(writer, node, inputs[0], names[node.name])
        else:
            _write_node(writer, node, inputs, names[node.name], sum(graph.size_of(name) for name in node.inputs))


def _write_node(writer: OnnxWriter, node: Node, inputs: list[str], output: str, input_size: int) -> None:
    match node:
        case Square():
            writer.node("Mul", inputs * 2, output)
        case Multiply():
            writer.node("Mul", inputs, output)
        case Add():
            writer.node("Add", inputs, output)
        case Sum():
            shape = writer.integers(f"{node.name}_shape", -1, *node.shape, node.terms)
            terms = writer.node("Reshape", [*inputs, shape], f"{node.name}_terms")
            writer.node("ReduceSum", [terms, writer.integers(f"{node.name}_axis", 2)], output, keepdims=0)
        case Rearrange():
            _write_rearrange(writer, node, inputs, output, input_size)
        case Activation():
            _write_activation(writer, node, inputs[0], output)
        case Leaves():
            _write_leaves(writer, node, inputs[0], output)


def _write_rearrange(writer: OnnxWriter, node: Rearrange, inputs: list[str], output: str, input_size: int) -> None:
    """Gather, from all inputs behind each other, with a zero behind them if one is needed."""
    source = inputs[0] if len(inputs) == 1 else writer.node("Concat", inputs, f"{node.name}_joined", axis=1)
    indices = np.where(node.indices == ZERO, input_size, node.indices)
    if np.any(node.indices == ZERO):
        pads = writer.integers(f"{node.name}_pads", 0, 0, 0, 1)
        source = writer.node("Pad", [source, pads], f"{node.name}_padded")
    writer.node("Gather", [source, writer.constant(f"{node.name}_indices", indices)], output, axis=1)


def _write_activation(writer: OnnxWriter, node: Activation, x: str, output: str) -> None:
    if node.kind in _OPERATORS:
        operator, attributes = _OPERATORS[node.kind]
        writer.node(operator, [x], output, **{name: getattr(node, name) for name in attributes})
    elif node.kind is ActivationKind.STEP:
        positive = writer.node("Greater", [x, writer.number(f"{node.name}_zero", 0)], f"{node.name}_positive")
        writer.node("Cast", [positive], output, to=TensorProto.FLOAT)
    elif node.kind is ActivationKind.CLIP:
        bounds = [writer.number(f"{node.name}_min", node.alpha), writer.number(f"{node.name}_max", node.beta)]
        writer.node("Clip", [x, *bounds], output)
    else:
        writer.node("Mul", [x, _write_gate(writer, node, x)], output)


def _write_leaves(writer: OnnxWriter, node: Leaves, bits: str, output: str) -> None:
    """Level by level: whoever reached a decision goes right where it is 1, and left else."""
    name = node.name
    shaped = [bits, writer.integers(f"{name}_trees", -1, node.trees, node.decisions)]
    decisions = writer.node("Reshape", shaped, f"{name}_decisions")
    axis, last = writer.integers(f"{name}_axis", 2), writer.integers(f"{name}_last", 3)
    reached = writer.constant(f"{name}_root", np.ones((1, 1, 1), dtype=np.float32))
    for level in range(node.depth):
        ends = [
            writer.integers(f"{name}_{end}_{level}", (1 << level + past) - 1)
            for past, end in enumerate(("first", "after"))
        ]
        read = writer.node("Slice", [decisions, *ends, axis], f"{name}_level_{level}")
        right = writer.node("Mul", [reached, read], f"{name}_right_{level}") if level else read
        left = writer.node("Sub", [reached, right], f"{name}_left_{level}")
        sides = [
            writer.node("Unsqueeze", [side, last], f"{name}_{word}_side_{level}")
            for side, word in ((left, "left"), (right, "right"))
        ]
        both = writer.node("Concat", sides, f"{name}_sides_{level}", axis=3)
        shape = writer.integers(f"{name}_shape_{level}", -1, node.trees, 2 << level)
        reached = writer.node("Reshape", [both, shape], f"{name}_reached_{level}")
    writer.node("Reshape", [reached, writer.integers(f"{name}_shape", -1, *node.shape)], output)


def _write_gate(writer: OnnxWriter, node: Activation, x: str) -> str:
    """Return what x is multiplied by in SiLU, HardSwish and both forms of GELU."""
    name = node.name
    match node.kind:
        case ActivationKind.SILU:
            return writer.node("Sigmoid", [x], f"{name}_gate")
        case ActivationKind.HARD_SWISH:
            return writer.node("HardSigmoid", [x], f"{name}_gate", alpha=1 / 6, beta=0.5)
        case ActivationKind.GELU:
            scaled = writer.node("Mul", [x, writer.number(f"{name}_slope", 1 / math.sqrt(2))], f"{name}_scaled")
            curve = writer.node("Erf", [scaled], f"{name}_erf")
        case _:
            square = writer.node("Mul", [x, x], f"{name}_square")
            cubic = writer.node("Mul", [square, writer.number(f"{name}_cubic", 0.044715)], f"{name}_weighted")
            factor = writer.node("Add", [cubic, writer.number(f"{name}_one", 1)], f"{name}_factor")
            inner = writer.node("Mul", [x, factor], f"{name}_inner")
            scaled = writer.node(
                "Mul", [inner, writer.number(f"{name}_slope", math.sqrt(2 / math.pi))], f"{name}_scaled"
            )
            curve = writer.node("Tanh", [scaled], f"{name}_tanh")
    half = writer.number(f"{name}_half", 0.5)
    halved = writer.node("Mul", [curve, half], f"{name}_halved")
    return writer.node("Add", [halved, half], f"{name}_gate")
