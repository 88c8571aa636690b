"""The delivered model as an ordinary ONNX file: what the buyer runs from then on.

Weights are θq/2^s, which float32 holds exactly up to 24 bits and rounds beyond as it rounds every sum; salt is left
out. Input `input` float32 [N, F]; or the original's inputs, where it has several or takes categories, as
[N, columns] each. The first output,
`output`, is what the original model returned (after post-processing), `raw` is what was tested and proven, up to
float32 arithmetic; a classifier with named classes has `label` as well.

An ensemble of trees becomes a TreeEnsembleRegressor, whose thresholds are edges of the grid. Tensors that are not those
of trees, which only a seller that cheats would deliver, become what they compute all the same.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from trader.model.canonical import CanonicalModel
from trader.model.column_writer import write_columns
from trader.model.columns import Column
from trader.model.ensemble import holds_trees
from trader.model.graph import INPUT, ParameterSpec
from trader.model.grid import Grid
from trader.model.nodes import Linear
from trader.model.onnx_writer import BATCH, OnnxWriter, float_value, write_nodes
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.model.tree_writer import write_bins, write_trees

OUTPUT, RAW, LABEL = "output", "raw", "label"
_SHARES = (("Sub", "negative"), ("Add", "positive"))


def plain_model_bytes(
    model: CanonicalModel,
    post_processing: PostProcessing,
    input_exponents: tuple[int, ...] = (),
    grid: Grid | None = None,
    columns: tuple[Column, ...] = (),
) -> bytes:
    """ONNX file of a canonical model.

    The bytes are a function of the arguments alone, salt left out: two parties with the same canonical parameters get
    the same file. Inputs are not rounded to the grid that the encrypted test uses; where the model reads bins, they
    are the columns that `grid` puts into bins, and the outputs those of the bins, exactly.
    """
    writer = OnnxWriter()
    inputs = write_columns(writer, columns, INPUT) or [float_value(INPUT, BATCH, model.graph.features)]
    if grid is None:
        source = write_scaled(writer, INPUT, [2.0**exponent for exponent in input_exponents], "input_scaled")
        _write_graph(writer, model, source)
    elif holds_trees(model, grid.sizes):
        write_trees(writer, model, grid, INPUT, RAW)
    else:
        _write_graph(writer, model, write_bins(writer, grid, INPUT))
    outputs = _add_post_processing(writer, post_processing, model.graph.outputs)
    return writer.model_bytes(inputs, outputs)


def _write_graph(writer: OnnxWriter, model: CanonicalModel, source: str) -> None:
    """Write nodes of the graph, whatever its tensors are."""

    def write_linear(_: OnnxWriter, node: Linear, read: str, output: str) -> None:
        tensors = (model.weights(node.parameter), model.bias(node.parameter))
        weights, bias = (np.ldexp(tensor.astype(np.float64), -model.scale_bits) for tensor in tensors)
        write_layer(writer, model.graph.parameters[node.parameter], node, read, output, weights, bias)

    write_nodes(writer, model.graph, source, RAW, write_linear)


def write_layer(
    writer: OnnxWriter,
    spec: ParameterSpec,
    node: Linear,
    source: str,
    output: str,
    weights_values: NDArray[np.float64],
    bias_values: NDArray[np.float64],
) -> None:
    """Write Gemm, or MatMul and Add on rows where weights serve several positions or differ by group."""
    name = node.name
    weights = writer.constant(f"{name}_weights", weights_values.astype(np.float32))
    bias_values = bias_values.astype(np.float32)
    if spec.groups == 1 and node.shape == (spec.outputs,):
        writer.node("Gemm", [source, weights, writer.constant(f"{name}_bias", bias_values)], output)
        return
    rows = writer.integers(f"{name}_rows", -1, spec.groups, 1, spec.inputs)
    product = writer.node(
        "MatMul", [writer.node("Reshape", [source, rows], f"{name}_read"), weights], f"{name}_product"
    )
    bias = writer.constant(f"{name}_bias", bias_values.reshape(spec.groups, 1, spec.outputs))
    added = writer.node("Add", [product, bias], f"{name}_added")
    writer.node("Reshape", [added, writer.integers(f"{name}_shape", -1, *node.shape)], output)


def _add_post_processing(
    writer: OnnxWriter, post_processing: PostProcessing, outputs: int
) -> list[onnx.ValueInfoProto]:
    """Nodes from raw outputs to `output` and, for named classes, `label`; declarations of all outputs."""
    scaled = write_scaled(writer, RAW, [2.0**post_processing.exponent], "output_scaled")
    columns = write_post_processing(writer, scaled, post_processing.kind, outputs)
    parts = _write_parts(writer, post_processing)
    classes = post_processing.kind is PostProcessingKind.ARGMAX
    result = helper.make_tensor_value_info(OUTPUT, TensorProto.INT64, [BATCH])
    declared = [result if classes else float_value(OUTPUT, BATCH, columns), float_value(RAW, BATCH, outputs)]
    return (
        declared + parts + ([_add_labels(writer, scaled, post_processing, outputs)] if post_processing.labels else [])
    )


def write_post_processing(writer: OnnxWriter, source: str, kind: PostProcessingKind, outputs: int) -> int:
    """Write nodes from scaled outputs to `output`; return its number of columns."""
    if kind in _OPERATORS:
        operator, attributes = _OPERATORS[kind]
        writer.node(operator, [source], OUTPUT, **attributes)
    elif kind.is_decision:
        operator = "Greater" if kind is PostProcessingKind.POSITIVE else "GreaterOrEqual"
        beyond = writer.node(operator, [source, writer.number("threshold", 0)], "threshold_beyond")
        writer.node("Cast", [beyond], OUTPUT, to=TensorProto.FLOAT)
    elif kind is PostProcessingKind.BINARY:
        columns = [
            writer.node("Sigmoid", [writer.node("Neg", [source], "negated")], "negative"),
            writer.node("Sigmoid", [source], "positive"),
        ]
        writer.node("Concat", columns, OUTPUT, axis=1)
    elif kind is PostProcessingKind.BINARY_SHARE:
        half = writer.constant("half", np.full((1, 1), 0.5, dtype=np.float32))
        columns = [writer.node(operator, [half, source], name) for operator, name in _SHARES]
        writer.node("Concat", columns, OUTPUT, axis=1)
    else:
        scores = writer.node("Sigmoid", [source], "scores")
        axes = writer.integers("axes", 1)
        writer.node("Div", [scores, writer.node("ReduceSum", [scores, axes], "total")], OUTPUT)
    columns_of = {PostProcessingKind.BINARY: 2, PostProcessingKind.BINARY_SHARE: 2, PostProcessingKind.L2_NORM: 1}
    return columns_of.get(kind, outputs)


_OPERATORS: Mapping[PostProcessingKind, tuple[str, dict[str, Any]]] = {
    PostProcessingKind.NONE: ("Identity", {}),
    PostProcessingKind.SIGMOID: ("Sigmoid", {}),
    PostProcessingKind.EXP: ("Exp", {}),
    PostProcessingKind.SOFTMAX: ("Softmax", {"axis": 1}),
    PostProcessingKind.LOG_SOFTMAX: ("LogSoftmax", {"axis": 1}),
    PostProcessingKind.ARGMAX: ("ArgMax", {"axis": 1, "keepdims": 0}),
    PostProcessingKind.SIGN: ("Sign", {}),
    PostProcessingKind.SOFTSIGN: ("Softsign", {}),
    PostProcessingKind.L2_NORM: ("ReduceL2", {"axes": [1]}),
    PostProcessingKind.UNIT: ("LpNormalization", {"axis": 1, "p": 2}),
}
"""Those that are one operator, and its attributes."""


def _write_parts(writer: OnnxWriter, post_processing: PostProcessing) -> list[onnx.ValueInfoProto]:
    """Write the original's outputs, where it has several, as `output_` and their names; return their declarations."""
    parts = post_processing.parts
    if not parts:
        return []
    names = [f"{OUTPUT}_{part.name}" for part in parts]
    sizes = writer.integers(f"{OUTPUT}s_columns", *(part.columns for part in parts))
    writer.nodes.append(helper.make_node("Split", [OUTPUT, sizes], names, name=f"{OUTPUT}s", axis=1))
    return [float_value(name, BATCH, part.columns) for name, part in zip(names, parts, strict=True)]


def _add_labels(writer: OnnxWriter, source: str, post_processing: PostProcessing, outputs: int) -> onnx.ValueInfoProto:
    """Nodes from scaled outputs to `label`; its declaration."""
    if outputs == 1:
        zero = writer.constant("zero", np.zeros((1, 1), dtype=np.float32))
        positive = writer.node("Greater", [source, zero], "is_positive")
        column = writer.node("Cast", [positive], "class_column", to=TensorProto.INT64)
        index = writer.node("Reshape", [column, writer.integers("flat", -1)], "class_index")
    else:
        index = writer.node("ArgMax", [source], "class_index", axis=1, keepdims=0)
    text = isinstance(post_processing.labels[0], str)
    labels = np.array(post_processing.labels, dtype=np.object_ if text else np.int64)
    writer.node("Gather", [writer.constant("labels", labels), index], LABEL)
    return helper.make_tensor_value_info(LABEL, TensorProto.STRING if text else TensorProto.INT64, [BATCH])


def write_scaled(writer: OnnxWriter, source: str, factors: list[float], name: str) -> str:
    """Return source times constants; source itself if there is nothing to do."""
    if all(math.isclose(factor, 1.0) for factor in factors):
        return source
    return writer.node("Mul", [source, writer.constant(f"{name}_factors", np.array(factors, dtype=np.float32))], name)
