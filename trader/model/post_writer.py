"""Writes post-processing as ONNX nodes: as `trader.model.postprocessing`, in float32."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from trader.model.onnx_writer import OnnxWriter
from trader.model.pair_writer import write_pairs
from trader.model.postprocessing import PostProcessingKind

_SHARES = (("Sub", "negative"), ("Add", "positive"))


def write_post_processing(writer: OnnxWriter, source: str, kind: PostProcessingKind, result: str, outputs: int) -> None:
    """Write nodes from scaled outputs [N, outputs] to what `kind` makes of them, called `result`."""
    if kind.is_one_vs_one:
        write_pairs(writer, source, kind, result, outputs)
    elif kind in _OPERATORS:
        operator, attributes = _OPERATORS[kind]
        writer.node(operator, [source], result, **attributes)
    elif kind.is_decision:
        operator = "Greater" if kind is PostProcessingKind.POSITIVE else "GreaterOrEqual"
        beyond = writer.node(operator, [source, writer.number(f"{result}_threshold", 0)], f"{result}_beyond")
        writer.node("Cast", [beyond], result, to=TensorProto.FLOAT)
    elif kind is PostProcessingKind.MIRRORED:
        writer.node("Concat", [writer.node("Neg", [source], f"{result}_negated"), source], result, axis=1)
    elif kind is PostProcessingKind.BINARY:
        negated = writer.node("Neg", [source], f"{result}_negated")
        columns = [
            writer.node("Sigmoid", [negated], f"{result}_negative"),
            writer.node("Sigmoid", [source], f"{result}_positive"),
        ]
        writer.node("Concat", columns, result, axis=1)
    elif kind is PostProcessingKind.BINARY_SHARE:
        half = writer.constant(f"{result}_half", np.full((1, 1), 0.5, dtype=np.float32))
        columns = [writer.node(operator, [half, source], f"{result}_{name}") for operator, name in _SHARES]
        writer.node("Concat", columns, result, axis=1)
    else:
        scores = writer.node("Sigmoid", [source], f"{result}_scores")
        axes = writer.integers(f"{result}_axes", 1)
        writer.node("Div", [scores, writer.node("ReduceSum", [scores, axes], f"{result}_total")], result)


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
