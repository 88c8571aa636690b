"""architecture.onnx: the public graph, with every parameter as a graph input.

Graph inputs in order: `input` float32 [N, F], then one float32 tensor per layer in canonical order. The output is
`output` [N, O], raw. A layer is Pad, Add and MatMul, at every position and for every group:

    h = Pad(x, 1 + t zeros at the end);  u = h + [0…0, 1, 0…0];  y = MatMul(u, W')

Other nodes are as `trader.model.onnx_writer` writes them; convolutions have become Gather and MatMul. The last ONNX
node of each graph node says in its documentation string, in JSON, which graph node that is.

The bytes are a function of the graph alone. Whoever reads a file gets the graph that these very bytes stand for, or an
error: a file of any other form, however equivalent, is refused, and so is one whose documentation strings lie.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from trader.model.errors import ArchitectureError
from trader.model.functions import ActivationKind
from trader.model.graph import INPUT, Graph, ParameterSpec, value_name
from trader.model.loading import parse_onnx, read_limited
from trader.model.nodes import ZERO, Activation, Add, Leaves, Linear, Multiply, Node, Rearrange, Square, Sum
from trader.model.onnx_writer import BATCH, Boundary, OnnxWriter, float_value, write_nodes

OUTPUT = "output"
FILE_NAME = "architecture.onnx"
MAX_ARCHITECTURE_BYTES = 64 << 20

_KINDS = {kind.__name__.lower(): kind for kind in (Linear, Square, Multiply, Add, Sum, Rearrange, Activation, Leaves)}


def architecture_bytes(graph: Graph) -> bytes:
    """Return the architecture file of a graph; the same graph always gives the same bytes."""
    writer = OnnxWriter()

    def write_linear(_: OnnxWriter, node: Linear, source: str, output: str) -> None:
        _write_layer(writer, node, graph.parameters[node.parameter], source, output)

    write_nodes(writer, graph, INPUT, OUTPUT, write_linear)
    described = {OUTPUT if node.name == graph.output else node.name: _describe(node, graph) for node in graph.nodes}
    for made in writer.nodes:
        if made.output[0] in described:
            made.doc_string = described[made.output[0]]
    inputs = [Boundary(INPUT, float_value(INPUT, BATCH, graph.features))]
    inputs += [Boundary(spec.name, float_value(spec.name, *spec.shape)) for spec in graph.parameters]
    return writer.model_bytes(inputs, [Boundary(OUTPUT, float_value(OUTPUT, BATCH, graph.outputs))])


def _write_layer(writer: OnnxWriter, node: Linear, spec: ParameterSpec, source: str, output: str) -> None:
    """Pad, Add and MatMul on rows [N·positions, a] or, for groups, [N·positions, groups, 1, a]."""
    name = node.name
    inner = [spec.inputs] if spec.groups == 1 else [spec.groups, 1, spec.inputs]
    positions = node.shape[0] // (spec.groups * spec.outputs)
    reshaped = positions > 1 or spec.groups > 1
    if reshaped:
        source = writer.node("Reshape", [source, writer.integers(f"{name}_rows", -1, *inner)], f"{name}_read")
    pads = writer.integers(f"{name}_pads", *[0] * (2 * len(inner) + 1), spec.rows - spec.inputs)
    padded = writer.node("Pad", [source, pads], f"{name}_padded")
    one = np.zeros((*[1] * len(inner), spec.rows), dtype=np.float32)
    one[..., spec.inputs] = 1
    rows = writer.node("Add", [padded, writer.constant(f"{name}_one", one)], f"{name}_extended")
    product = writer.node("MatMul", [rows, spec.name], f"{name}_product" if reshaped else output)
    if reshaped:
        writer.node("Reshape", [product, writer.integers(f"{name}_shape", -1, *node.shape)], output)


def _describe(node: Node, graph: Graph) -> str:
    """Return what `_read_node` makes the node of again."""
    fields: dict[str, Any] = {"node": node.name, "inputs": node.inputs, "size": node.shape[0]}
    match node:
        case Linear():
            fields["rows"] = graph.parameters[node.parameter].inputs
        case Sum():
            fields["terms"] = node.terms
        case Activation():
            fields |= {"kind": node.kind, "alpha": node.alpha, "beta": node.beta}
        case Leaves():
            fields |= {"trees": node.trees, "depth": node.depth}
    return json.dumps(fields, sort_keys=True)


def read_architecture(path: Path) -> Graph:
    """Read an architecture file: `parse_architecture` of its bytes.

    Raises:
        UnsafeModelError: no such file, too big, or refused by the sandbox.
        ArchitectureError: it isn't of the canonical form.
    """
    return parse_architecture(read_limited(path, MAX_ARCHITECTURE_BYTES))


def parse_architecture(data: bytes) -> Graph:
    """Return the graph of an architecture file, which comes from the other party.

    Guarantees that `architecture_bytes` of the result gives these very bytes.

    Raises:
        UnsafeModelError: the sandbox refused the file.
        ArchitectureError: it isn't of the canonical form.
    """
    model = parse_onnx(data, FILE_NAME)
    try:
        graph = _read_graph(model.graph)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchitectureError(f"{FILE_NAME} is not an architecture file: {error!r}") from error
    if architecture_bytes(graph) != data:
        raise ArchitectureError(f"{FILE_NAME} is not in canonical form; ask the seller for the file that was listed")
    return graph


def _read_graph(proto: onnx.GraphProto) -> Graph:
    """Read the graph that documentation strings, shapes and indices claim; the caller checks that it is the file's."""
    shapes = {value.name: [int(d.dim_value) for d in value.type.tensor_type.shape.dim] for value in proto.input}
    constants = {tensor.name: tensor for tensor in proto.initializer}
    parameters = list(shapes)[1:]
    nodes: list[Node] = []
    specs: list[ParameterSpec] = []
    sizes = {INPUT: shapes[INPUT][1]}
    for made in proto.node:
        if not made.doc_string:
            continue
        fields = json.loads(made.doc_string)
        if "rows" in fields:
            name = parameters[len(specs)]
            *groups, rows, outputs = shapes[name]
            salt_rows = rows - fields["rows"] - 1
            specs.append(ParameterSpec(name, fields["rows"], outputs, salt_rows, *groups))
        node = _read_node(fields, len(nodes), len(specs) - 1, constants, sizes)
        sizes[node.name] = node.shape[0]
        nodes.append(node)
    return Graph((sizes[INPUT],), tuple(nodes), nodes[-1].name, tuple(specs))


def _read_node(
    fields: dict[str, Any], position: int, parameter: int, constants: dict[str, onnx.TensorProto], sizes: dict[str, int]
) -> Node:
    """Return the node that a documentation string describes."""
    kind = _KINDS[fields["node"].split("_")[0]]
    common: dict[str, Any] = {
        "name": value_name(kind.__name__.lower(), position),
        "inputs": tuple(fields["inputs"]),
        "shape": (fields["size"],),
    }
    if kind is Linear:
        return Linear(**common, parameter=parameter)
    if kind is Sum:
        return Sum(**common, terms=fields["terms"])
    if kind is Activation:
        return Activation(**common, kind=ActivationKind(fields["kind"]), alpha=fields["alpha"], beta=fields["beta"])
    if kind is Leaves:
        return Leaves(**common, trees=fields["trees"], depth=fields["depth"])
    if kind is Rearrange:
        indices = numpy_helper.to_array(constants[f"{common['name']}_indices"]).astype(np.int64)
        total = sum(sizes[name] for name in common["inputs"])
        return Rearrange(**common, indices=np.where(indices == total, ZERO, indices))
    made: Node = kind(**common)
    return made
