"""The delivered model as an ordinary ONNX file: what the buyer runs from then on.

Weights are θq/2^s, which float32 holds exactly; salt is left out. Input `input` float32 [N, F]. The first output,
`output`, is what the original model returned (after post-processing), `raw` is what was tested and proven, up to
float32 arithmetic; a classifier with named classes has `label` as well.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT, Linear, Node, Square
from trader.model.postprocessing import PostProcessing, PostProcessingKind

OPSET = 13
IR_VERSION = 8
OUTPUT, RAW, LABEL = "output", "raw", "label"


def plain_model_bytes(
    model: CanonicalModel, post_processing: PostProcessing, input_exponents: tuple[int, ...] = ()
) -> bytes:
    """ONNX file of a canonical model.

    The bytes are a function of the arguments alone, salt left out: two parties with the same canonical parameters get
    the same file. Inputs are not rounded to the grid that the encrypted test uses.
    """
    writer = _Writer()
    source = _scaled(writer, INPUT, [2.0**exponent for exponent in input_exponents], "input_scaled")
    names = {INPUT: source}
    for node in model.graph.nodes:
        names[node.name] = _add_node(writer, node, model, names[node.inputs[0]])
    outputs = _add_post_processing(writer, names[model.graph.output], post_processing, model.graph.outputs)
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", model.graph.features])]
    graph = helper.make_graph(writer.nodes, "model", inputs, outputs, initializer=writer.constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="modelseal")
    proto.ir_version = IR_VERSION
    return bytes(proto.SerializeToString(deterministic=True))


class _Writer:
    """Collects ONNX nodes and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name


def _add_node(writer: _Writer, node: Node, model: CanonicalModel, source: str) -> str:
    match node:
        case Square():
            return writer.node("Mul", [source, source], node.name)
        case Linear():
            scale = 2.0**-model.scale_bits
            weights = (model.weights(node.parameter) * scale).astype(np.float32)
            bias = (model.bias(node.parameter) * scale).astype(np.float32)
            constants = [writer.constant(f"{node.name}_weights", weights), writer.constant(f"{node.name}_bias", bias)]
            return writer.node("Gemm", [source, *constants], node.name)


def _add_post_processing(
    writer: _Writer, source: str, post_processing: PostProcessing, outputs: int
) -> list[onnx.ValueInfoProto]:
    """Nodes from raw outputs to `output`, `raw` and, for named classes, `label`; their declarations."""
    raw = writer.node("Identity", [source], RAW)
    scaled = _scaled(writer, raw, [2.0**post_processing.exponent], "output_scaled")
    columns = _apply(writer, scaled, post_processing.kind, outputs)
    classes = post_processing.kind is PostProcessingKind.ARGMAX
    shape: list[str | int | None] = ["N"] if classes else ["N", columns]
    declared = [
        helper.make_tensor_value_info(OUTPUT, TensorProto.INT64 if classes else TensorProto.FLOAT, shape),
        helper.make_tensor_value_info(RAW, TensorProto.FLOAT, ["N", outputs]),
    ]
    return declared + ([_add_labels(writer, scaled, post_processing, outputs)] if post_processing.labels else [])


def _apply(writer: _Writer, source: str, kind: PostProcessingKind, outputs: int) -> int:
    """Nodes from scaled outputs to `output`; its number of columns."""
    match kind:
        case PostProcessingKind.NONE:
            writer.node("Identity", [source], OUTPUT)
        case PostProcessingKind.SIGMOID:
            writer.node("Sigmoid", [source], OUTPUT)
        case PostProcessingKind.BINARY:
            columns = [
                writer.node("Sigmoid", [writer.node("Neg", [source], "negated")], "negative"),
                writer.node("Sigmoid", [source], "positive"),
            ]
            writer.node("Concat", columns, OUTPUT, axis=1)
            return 2
        case PostProcessingKind.ONE_VS_REST:
            scores = writer.node("Sigmoid", [source], "scores")
            axes = writer.constant("axes", np.array([1], dtype=np.int64))
            writer.node("Div", [scores, writer.node("ReduceSum", [scores, axes], "total")], OUTPUT)
        case PostProcessingKind.SOFTMAX:
            writer.node("Softmax", [source], OUTPUT, axis=1)
        case PostProcessingKind.LOG_SOFTMAX:
            writer.node("LogSoftmax", [source], OUTPUT, axis=1)
        case PostProcessingKind.ARGMAX:
            writer.node("ArgMax", [source], OUTPUT, axis=1, keepdims=0)
    return outputs


def _add_labels(writer: _Writer, source: str, post_processing: PostProcessing, outputs: int) -> onnx.ValueInfoProto:
    """Nodes from scaled outputs to `label`; its declaration."""
    if outputs == 1:
        zero = writer.constant("zero", np.zeros((1, 1), dtype=np.float32))
        positive = writer.node("Greater", [source, zero], "is_positive")
        column = writer.node("Cast", [positive], "class_column", to=TensorProto.INT64)
        index = writer.node("Reshape", [column, writer.constant("flat", np.array([-1], dtype=np.int64))], "class_index")
    else:
        index = writer.node("ArgMax", [source], "class_index", axis=1, keepdims=0)
    text = isinstance(post_processing.labels[0], str)
    labels = np.array(post_processing.labels, dtype=np.object_ if text else np.int64)
    writer.node("Gather", [writer.constant("labels", labels), index], LABEL)
    return helper.make_tensor_value_info(LABEL, TensorProto.STRING if text else TensorProto.INT64, ["N"])


def _scaled(writer: _Writer, source: str, factors: list[float], name: str) -> str:
    """Source times constants; source itself if there is nothing to do."""
    if all(math.isclose(factor, 1.0) for factor in factors):
        return source
    return writer.node("Mul", [source, writer.constant(f"{name}_factors", np.array(factors, dtype=np.float32))], name)
