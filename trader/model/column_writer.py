"""Writes what expands the original data to features, for the delivered model: as `trader.model.columns`, in ONNX."""

from collections.abc import Mapping, Sequence

from onnx import TensorProto

from trader.model.columns import Column, ColumnType
from trader.model.onnx_writer import ML_DOMAIN, OnnxWriter

COLUMN_TYPES = {
    ColumnType.NUMBER: TensorProto.FLOAT,
    ColumnType.INTEGER: TensorProto.INT64,
    ColumnType.TEXT: TensorProto.STRING,
}
"""In which a column is read, whatever number its tensor holds."""


def write_columns(writer: OnnxWriter, columns: Sequence[Column], sources: Mapping[str, str], result: str) -> None:
    """Write nodes from the original's tensors to features [N, F] called `result`.

    Values that a column refuses are an error of onnxruntime's, too.

    Args:
        writer: Gets the nodes.
        columns: Of the original data.
        sources: By name of the original's tensor, the value [N, columns] that holds it, as `COLUMN_TYPES` says.
        result: Name of the features.
    """
    parts, seen = [], dict.fromkeys(sources, 0)
    for number, column in enumerate(columns):
        place = writer.integers(f"column_{number}_place", seen[column.input])
        seen[column.input] += 1
        if column.width:
            value = writer.node("Gather", [sources[column.input], place], f"column_{number}", axis=1)
            parts += _write_column(writer, column, value)
    writer.node("Concat", parts, result, axis=1)


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
