"""From ``architecture.onnx`` to the ONNX graph of its audit circuit.

The architecture is public and holds no weights: its first input is ``input`` [N, F...], every further input is a
parameter tensor, its one output is [N, O...]. The circuit fixes N = k and takes the k samples as one flat tensor with
salt elements behind them, because ezkl makes one commitment per input tensor:

    input [1, k·F + salt]  --Slice-->  [1, k·F]  --Reshape-->  [k, F...]  -->  the architecture's nodes

Besides, :mod:`zk.circuits.scales` keeps the scales of sums exact where all operators are, and
:mod:`zk.circuits.functions` rewrites the others. The bytes depend on architecture, k and salt alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zk.circuits.functions import TABLE_OPERATORS, lower_functions
from zk.circuits.scales import align_scales, is_exact
from zk.errors import UnsupportedArchitecture

_PREFIX = "audit/"
_FLAT = f"{_PREFIX}flat"
_SAMPLES = f"{_PREFIX}samples"


@dataclass(frozen=True)
class ArchitectureShapes:
    """Shapes that an architecture declares.

    Attributes:
        sample: Shape of one sample.
        parameters: Shape of each parameter tensor, in the order of the graph inputs.
        output: Shape of one sample's output.
    """

    sample: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]

    @property
    def features(self) -> int:
        """Values per sample."""
        return math.prod(self.sample)

    @property
    def outputs(self) -> int:
        """Raw outputs per sample."""
        return math.prod(self.output)


def read_shapes(architecture: onnx.ModelProto) -> ArchitectureShapes:
    """Check an architecture's interface and read its shapes.

    Raises:
        UnsupportedArchitecture: It breaks the convention; the message names the tensor.
    """
    graph = architecture.graph
    if len(graph.input) < 2 or len(graph.output) != 1:
        raise UnsupportedArchitecture(
            f"the architecture has {len(graph.input)} inputs and {len(graph.output)} outputs: it needs the samples, "
            "at least one parameter tensor, and one output; prepare the model again"
        )
    samples, *parameters = (_shape(value) for value in graph.input)
    output = _shape(graph.output[0])
    for value, shape in zip(graph.input[1:], parameters, strict=True):
        if not shape or None in shape:
            raise UnsupportedArchitecture(
                f"parameter {value.name} has the shape {shape}: every dimension must be fixed"
            )
    for name, shape in ((graph.input[0].name, samples), (graph.output[0].name, output)):
        if len(shape) < 2 or shape[0] is not None or None in shape[1:]:
            raise UnsupportedArchitecture(f"{name} has the shape {shape}: only the first dimension may be free, and is")
    return ArchitectureShapes(_fixed(samples[1:]), tuple(_fixed(shape) for shape in parameters), _fixed(output[1:]))


@dataclass(frozen=True)
class AuditGraph:
    """The graph of an audit circuit.

    Attributes:
        onnx: A serialized model.
        output_degree: The output's scale is 2^(output_degree · scale_bits).
        is_exact: Nothing is rounded; otherwise every product is, to the scale 2^scale_bits.
        has_tables: Some function is looked up.
    """

    onnx: bytes
    output_degree: int
    is_exact: bool
    has_tables: bool


def audit_graph(architecture: onnx.ModelProto, *, audit_samples: int, salt_elements: int) -> AuditGraph:
    """Derive the ONNX file that ezkl compiles.

    Args:
        architecture: See the module's docstring.
        audit_samples: k.
        salt_elements: Elements of tensor 0 behind the samples, read by nothing.

    Returns:
        The graph; equal arguments give equal bytes.

    Raises:
        UnsupportedArchitecture: The architecture breaks the convention, or an operator has no circuit.
    """
    shapes = read_shapes(architecture)
    source = architecture.graph.input[0].name
    values = audit_samples * shapes.features
    tensor_0 = helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, values + salt_elements])
    unpacking, shape_constants = _unpack_samples(source, values, (audit_samples, *shapes.sample))
    nodes = [_read_samples(node, source) for node in architecture.graph.node]
    exact = is_exact(nodes)
    inputs = [_SAMPLES, *(value.name for value in architecture.graph.input[1:])]
    if exact:
        made = align_scales(nodes, architecture.graph.initializer, inputs, _FLAT)
    else:
        made = lower_functions(nodes, architecture.graph.initializer)
    parameters = [
        helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape)
        for value, shape in zip(architecture.graph.input[1:], shapes.parameters, strict=True)
    ]
    output = helper.make_tensor_value_info(
        architecture.graph.output[0].name, TensorProto.FLOAT, [audit_samples, *shapes.output]
    )
    graph = helper.make_graph(
        [*unpacking, *made.nodes], "audit", [tensor_0, *parameters], [output], [*shape_constants, *made.constants]
    )
    model = helper.make_model(graph, opset_imports=architecture.opset_import, ir_version=architecture.ir_version)
    return AuditGraph(
        onnx=model.SerializeToString(deterministic=True),
        output_degree=made.degrees[architecture.graph.output[0].name] if exact else 1,
        is_exact=exact,
        has_tables=any(node.op_type in TABLE_OPERATORS for node in nodes),
    )


def _read_samples(node: onnx.NodeProto, source: str) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.ClearField("doc_string")
    copy.input[:] = [_SAMPLES if name == source else name for name in node.input]
    return copy


def _unpack_samples(
    source: str, values: int, shape: tuple[int, ...]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Slice the salt off and give the samples their shape."""
    constants = {"start": [0], "end": [values], "axis": [1], "shape": list(shape)}
    initializers = [numpy_helper.from_array(np.array(v, np.int64), _PREFIX + name) for name, v in constants.items()]
    start, end, axis, target = (tensor.name for tensor in initializers)
    return [
        helper.make_node("Slice", [source, start, end, axis], [_FLAT]),
        helper.make_node("Reshape", [_FLAT, target], [_SAMPLES]),
    ], initializers


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    """Declared dimensions; None where a dimension is free."""
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise UnsupportedArchitecture(f"{value.name} is not a float32 tensor: prepare the model again")
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def _fixed(shape: list[int | None]) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if size is not None)
    if not all(size > 0 for size in sizes):
        raise UnsupportedArchitecture(f"a tensor of the architecture has the shape {sizes}: it is empty")
    return sizes
