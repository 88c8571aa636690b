"""From `architecture.onnx` to the ONNX graph of its audit circuit.

The architecture (`zk.circuits.architecture`) takes samples [N, F...] and parameter tensors. The circuit fixes N = k and
takes the k samples as one flat tensor with salt elements behind them, because ezkl makes one commitment per input
tensor:

    input [1, k·F + salt]  --Slice-->  [1, k·F]  --Reshape-->  [k, F...]  -->  the architecture's nodes

Where all operators are exact, `zk.circuits.scales` makes a graph of integers of it, whose layers
`zk.circuits.batching` proves for all samples at once; `zk.circuits.nonpolynomial` rewrites the others. The bytes
depend on architecture, k, scale, salt and the capacity of a column alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zk.circuits.architecture import read_shapes
from zk.circuits.audit import HiddenTensor
from zk.circuits.batching import (
    CHALLENGE,
    CHALLENGE_INSTANCE,
    CHECK,
    HIDDEN,
    Product,
    ShapedGraph,
    find_products,
    replace_products,
)
from zk.circuits.bounds import MAX_DECOMPOSED_BITS, magnitudes, stays_below_half
from zk.circuits.decisions import STEP, read_decisions, write_decisions
from zk.circuits.nonpolynomial import TABLE_OPERATORS, lower_functions
from zk.circuits.scales import align_scales, is_exact

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = "audit/"
_FLAT = f"{_PREFIX}flat"
_SAMPLES = f"{_PREFIX}samples"


@dataclass(frozen=True)
class AuditGraph:
    """The graph of an audit circuit.

    Attributes:
        onnx: A serialized model: what ezkl compiles.
        output_degree: The output's scale is 2^(output_degree · scale_bits).
        is_exact: Nothing is rounded; otherwise every product is, to the scale 2^scale_bits.
        has_tables: Some function is looked up.
        integers: Exact graphs: the computation on integers, before layers are replaced by committed results.
        hidden: The committed results, if there are any.
        checked: Names of results that are decomposed into limbs, so that nothing that follows can wrap around p.
        decomposed_degree: Largest degree of a value that is decomposed, by Relu or because it is checked; 0 if none is.
    """

    onnx: bytes
    output_degree: int
    is_exact: bool
    has_tables: bool
    integers: bytes = b""
    hidden: HiddenTensor | None = None
    checked: tuple[str, ...] = ()
    decomposed_degree: int = 0

    @property
    def decides(self) -> bool:
        """Whether it is one of trees: `zk.circuits.decisions` are looked up, which rounds nothing."""
        return self.is_exact and self.has_tables


def audit_graph(
    architecture: onnx.ModelProto, *, audit_samples: int, scale_bits: int, salt_elements: int, capacity: int
) -> AuditGraph:
    """Derive the ONNX file that ezkl compiles.

    Args:
        architecture: See the module's docstring.
        audit_samples: k.
        scale_bits: Scale of inputs and parameters.
        salt_elements: Elements of tensor 0 behind the samples, read by nothing.
        capacity: Values in a committed column.

    Returns:
        The graph; equal arguments give equal bytes.

    Raises:
        UnsupportedArchitectureError: The architecture breaks the convention, an operator has no circuit, or values can
            wrap around the field's modulus.
    """
    shapes = read_shapes(architecture)
    source, *names = (value.name for value in architecture.graph.input)
    values = audit_samples * shapes.features
    unpacking, shape_constants = _unpack_samples(source, values, (audit_samples, *shapes.sample))
    frame = _Frame(
        architecture,
        inputs=[
            _tensor(source, (1, values + salt_elements)),
            *(_tensor(name, shape) for name, shape in zip(names, shapes.parameters, strict=True)),
        ],
        output=_tensor(architecture.graph.output[0].name, (audit_samples, *shapes.output)),
        unpacking=unpacking,
        constants=shape_constants,
    )
    nodes = [_read_samples(node, source) for node in architecture.graph.node]
    return _exact_graph(frame, nodes, scale_bits, capacity) if is_exact(nodes) else _rounded_graph(frame, nodes)


@dataclass(frozen=True)
class _Frame:
    """What every form of a circuit's graph has: its interface, and how the samples are unpacked."""

    architecture: onnx.ModelProto
    inputs: list[onnx.ValueInfoProto]
    output: onnx.ValueInfoProto
    unpacking: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]

    def model(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: Sequence[onnx.TensorProto],
        more_inputs: Sequence[onnx.ValueInfoProto] = (),
        more_outputs: Sequence[onnx.ValueInfoProto] = (),
    ) -> bytes:
        """Return a serialized model of these nodes; further inputs and outputs come behind the usual ones."""
        inputs, outputs = [*self.inputs, *more_inputs], [self.output, *more_outputs]
        graph = helper.make_graph(nodes, "audit", inputs, outputs, constants)
        opsets, version = self.architecture.opset_import, self.architecture.ir_version
        data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=version).SerializeToString(
            deterministic=True
        )
        return data


def _rounded_graph(frame: _Frame, nodes: list[onnx.NodeProto]) -> AuditGraph:
    made = lower_functions(nodes, frame.architecture.graph.initializer)
    return AuditGraph(
        onnx=frame.model([*frame.unpacking, *made.nodes], [*frame.constants, *made.constants]),
        output_degree=1,
        is_exact=False,
        has_tables=any(node.op_type in TABLE_OPERATORS for node in nodes),
    )


def _exact_graph(frame: _Frame, nodes: list[onnx.NodeProto], scale_bits: int, capacity: int) -> AuditGraph:
    names = [value.name for value in frame.inputs[1:]]
    nodes, constants = read_decisions(nodes, frame.architecture.graph.initializer, scale_bits)
    aligned = align_scales(nodes, constants, [_SAMPLES, *names], _FLAT, scale_bits)
    nodes, constants = [*frame.unpacking, *aligned.nodes], [*frame.constants, *aligned.constants]
    integers = frame.model(nodes, constants)
    # Relu's own limbs bound what follows it: what the largest decomposition allows is enough to decide.
    bounds = magnitudes(integers, 2.0**MAX_DECOMPOSED_BITS)
    shaped = ShapedGraph(
        nodes,
        {name: bound.shape for name, bound in bounds.items()},
        {tensor.name: numpy_helper.to_array(tensor) for tensor in constants if tensor.data_type == TensorProto.INT64},
        aligned.zero,
    )
    fits = stays_below_half(bounds)
    # A result of one row is committed only in order to be checked.
    products = find_products(shaped, names, least_rows=2 if fits else 1)
    results = tuple(product.name for product in products)
    checked = () if fits else tuple(name for name in results if name != frame.output.name)
    hidden = HiddenTensor(results, sum(math.prod(p.shape) for p in products), capacity) if products else None
    decomposed = [*checked, *(node.input[0] for node in nodes if node.op_type == "Relu")]
    degrees = {frame.inputs[0].name: 1, _FLAT: 1, **aligned.degrees}
    return AuditGraph(
        onnx=_with_check(frame, shaped, constants, products, hidden, checked)
        if hidden
        else frame.model(write_decisions(nodes), constants),
        output_degree=aligned.degrees[frame.output.name],
        is_exact=True,
        has_tables=any(node.op_type == STEP for node in nodes),
        integers=integers,
        hidden=hidden,
        checked=checked,
        decomposed_degree=max((degrees[name] for name in decomposed), default=0),
    )


def _with_check(
    frame: _Frame,
    shaped: ShapedGraph,
    constants: Sequence[onnx.TensorProto],
    products: Sequence[Product],
    hidden: HiddenTensor,
    checked: Sequence[str],
) -> bytes:
    """Return the graph that takes results from the committed tensor, and checks them."""
    nodes, more = replace_products(shaped, products, hidden, checked)
    inputs = [_tensor(HIDDEN, (1, hidden.elements)), _tensor(CHALLENGE, (1, 1))]
    outputs = [_tensor(CHALLENGE_INSTANCE, (1, 1)), _tensor(CHECK, (1, 1))]
    return frame.model(write_decisions(nodes), [*constants, *more], inputs, outputs)


def _tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


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
