"""architecture.onnx: the public graph, with every parameter as a graph input.

Graph inputs in order: `input` float32 [N, F], then one float32 tensor per layer in canonical order. The output is
`output` [N, O], raw. A layer is Pad, Add and MatMul, a square is Mul(x, x):

    h = Pad(x, 1 + t zeros at the end);  u = h + [0…0, 1, 0…0];  y = MatMul(u, W')

The bytes are a function of the graph alone. Whoever reads a file gets the graph that these very bytes stand for, or an
error: a file of any other form, however equivalent, is refused.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trader.model.errors import ArchitectureError
from trader.model.graph import INPUT, Graph, Linear, Node, ParameterSpec, Square, value_name
from trader.model.loading import parse_onnx, read_limited

OPSET = 13
IR_VERSION = 8
OUTPUT = "output"
BATCH = "N"
FILE_NAME = "architecture.onnx"
MAX_ARCHITECTURE_BYTES = 16 << 20


def architecture_bytes(graph: Graph) -> bytes:
    """The architecture file of a graph; the same graph always gives the same bytes."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for node in graph.nodes:
        made, needed = _onnx_nodes(node, graph)
        nodes += made
        constants += needed
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, graph.features])]
    inputs += [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in graph.parameters]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, graph.outputs])]
    proto = helper.make_graph(nodes, "architecture", inputs, outputs, initializer=constants)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="modelseal")
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString(deterministic=True))


def _onnx_nodes(node: Node, graph: Graph) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """ONNX nodes of one node, and the structural constants that they read."""
    name = node.name
    source = node.inputs[0]
    result = OUTPUT if name == graph.output else name
    match node:
        case Square():
            return [helper.make_node("Mul", [source, source], [result], name=name)], []
        case Linear():
            spec = graph.parameters[node.parameter]
            extra = spec.rows - spec.inputs
            one = np.zeros((1, spec.rows), dtype=np.float32)
            one[0, spec.inputs] = 1
            return [
                helper.make_node("Pad", [source, f"{name}_pads"], [f"{name}_padded"], name=f"{name}_pad"),
                helper.make_node("Add", [f"{name}_padded", f"{name}_one"], [f"{name}_rows"], name=f"{name}_add"),
                helper.make_node("MatMul", [f"{name}_rows", spec.name], [result], name=name),
            ], [
                numpy_helper.from_array(np.array([0, 0, 0, extra], dtype=np.int64), f"{name}_pads"),
                numpy_helper.from_array(one, f"{name}_one"),
            ]


def read_architecture(path: Path) -> Graph:
    """Read an architecture file: `parse_architecture` of its bytes.

    Raises:
        UnsafeModelError: no such file, too big, or refused by the sandbox.
        ArchitectureError: it isn't of the canonical form.
    """
    return parse_architecture(read_limited(path, MAX_ARCHITECTURE_BYTES))


def parse_architecture(data: bytes) -> Graph:
    """The graph of an architecture file, which comes from the other party.

    Guarantees that `architecture_bytes` of the result gives these very bytes.

    Raises:
        UnsafeModelError: the sandbox refused the file.
        ArchitectureError: it isn't of the canonical form.
    """
    model = parse_onnx(data, FILE_NAME)
    try:
        graph = _parse(model.graph)
    except (ValueError, IndexError, KeyError) as error:
        raise ArchitectureError(f"{FILE_NAME} is not an architecture file: {error!r}") from error
    if architecture_bytes(graph) != data:
        raise ArchitectureError(f"{FILE_NAME} is not in canonical form; ask the seller for the file that was listed")
    return graph


def _parse(proto: onnx.GraphProto) -> Graph:
    """The graph that a file of canonical form stands for; `read_architecture` checks that it is of that form."""
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in proto.input}
    pads = {t.name: numpy_helper.to_array(t) for t in proto.initializer if t.name.endswith("_pads")}
    names = {INPUT: INPUT}
    sizes = {INPUT: shapes[INPUT][1]}
    nodes: list[Node] = []
    specs: list[ParameterSpec] = []
    source = INPUT
    for item in proto.node:
        if item.op_type == "Pad":
            source, extra = item.input[0], int(pads[item.input[1]][3])
        elif item.op_type == "MatMul":
            rows, outputs = shapes[item.input[1]]
            specs.append(ParameterSpec(item.input[1], rows - extra, outputs, extra - 1))
            nodes.append(Linear(value_name("linear", len(nodes)), (names[source],), (outputs,), len(specs) - 1))
        elif item.op_type == "Mul":
            source = item.input[0]
            nodes.append(Square(value_name("square", len(nodes)), (names[source],), (sizes[names[source]],)))
        if item.op_type in ("MatMul", "Mul"):
            names[item.output[0]] = nodes[-1].name
            sizes[nodes[-1].name] = nodes[-1].shape[0]
    return Graph((sizes[INPUT],), tuple(nodes), names[proto.output[0].name], tuple(specs))
