"""Writes what expands the original data to features, for the delivered model: as `trader.model.columns`, in ONNX."""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from trader.model.columns import Column, ColumnType, tensor_sizes
from trader.model.onnx_writer import BATCH, ML_DOMAIN, OnnxWriter

_TYPES = {
    ColumnType.NUMBER: TensorProto.FLOAT,
    ColumnType.INTEGER: TensorProto.INT64,
    ColumnType.TEXT: TensorProto.STRING,
}


_TAKEN = {"activation", "add", "axes", "class", "column", "data", "flat", "input", "is", "label", "labels", "linear"}
_TAKEN |= {"multiply", "negated", "negative", "output", "positive", "raw", "rearrange", "scores", "square", "sum"}
_TAKEN |= {"bin", "bins", "half", "leaves", "threshold", "total", "tree", "trees", "zero"}
"""First words of names in delivered files."""


def write_columns(writer: OnnxWriter, columns: Sequence[Column], result: str) -> list[onnx.ValueInfoProto]:
    """Write nodes from the original's inputs to features [N, F] called `result`; return the inputs' declarations.

    An input has the original's name, after `data_` if nodes of this file may have it, and shape [N, columns]. Values
    that a column refuses are an error of onnxruntime's, too.
    """
    if not columns:
        return []
    names = {name: f"data_{name}" if name.partition("_")[0] in _TAKEN else name for name in tensor_sizes(columns)}
    declared, parts, seen = {}, [], dict.fromkeys(names, 0)
    for number, column in enumerate(columns):
        source = names[column.input]
        kind = _TYPES[column.type]
        declared[column.input] = helper.make_tensor_value_info(
            source, kind, [BATCH, tensor_sizes(columns)[column.input]]
        )
        place = writer.integers(f"column_{number}_place", seen[column.input])
        seen[column.input] += 1
        if column.width:
            value = writer.node("Gather", [source, place], f"column_{number}", axis=1)
            parts += _write_column(writer, column, value)
    writer.node("Concat", parts, result, axis=1)
    return list(declared.values())


def _write_column(writer: OnnxWriter, column: Column, value: str) -> list[str]:
    """Write the features of one column [N, 1], as [N, k] each."""
    parts = []
    if column.number:
        parts.append(writer.node("Cast", [value], f"{value}_number", to=TensorProto.FLOAT))
    if column.categories:
        text = column.type is ColumnType.TEXT
        codes = value if text else writer.node("Cast", [value], f"{value}_code", to=TensorProto.INT64)
        known = {"cats_strings" if text else "cats_int64s": list(column.categories)}
        hot = f"{value}_hot"
        writer.node("OneHotEncoder", [codes], hot, domain=ML_DOMAIN, zeros=int(not column.refused), **known)
        shape = writer.integers(f"{value}_shape", -1, len(column.categories))
        parts.append(writer.node("Reshape", [hot, shape], f"{value}_features"))
    return parts
