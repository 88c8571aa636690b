"""What the model that was handed in computes: its ONNX file, run by onnxruntime.

Everything else in this package is about a model that was lowered and rounded. Whether that is still the model that its
author knows, only the author's own file can tell.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from trader.model.columns import Column, as_tensors
from trader.model.errors import UnsafeModelError

ROWS_AT_ONCE = 512
"""Bounds the memory that a run takes; models that were exported for a number of samples get that many."""
IR_VERSION = 10
"""Later versions of the file format add types of numbers that no model here has; onnxruntime reads them later."""


def run_original(
    model: onnx.ModelProto, samples: NDArray[np.float64], columns: Sequence[Column] = ()
) -> tuple[NDArray[Any], ...]:
    """Run a checked model (`trader.model.loading`) on samples.

    Args:
        model: As it was handed in.
        samples: float64 [n, F], in the order of the model's input, flat; or the features of `columns`.
        columns: of the original data, where the model has categories or several inputs.

    Returns:
        The model's outputs, [n, …] each; probabilities by class (ZipMap) as columns in the order of the classes.
        Outputs that have not one row per sample (constants) are left out, as lowering does.

    Raises:
        UnsafeModelError: onnxruntime can't run it.
    """
    # It takes a quarter of a second to import, and only who prepares a model needs it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.ir_version = min(model.ir_version, IR_VERSION)
    try:
        session = onnxruntime.InferenceSession(known.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = list(_feeds(model, samples, columns))
        runs = [session.run(None, feed) for feed in feeds]
    except Exception as error:  # its errors have no common root
        raise UnsafeModelError(f"onnxruntime can't run the model: {str(error).splitlines()[0]}") from error
    rows = [len(next(iter(feed.values()))) for feed in feeds]
    arrays = [[_as_array(value) for value in run] for run in runs]
    by_output = (parts for parts in zip(*arrays, strict=True) if [len(np.atleast_1d(part)) for part in parts] == rows)
    return tuple(np.concatenate(parts)[: len(samples)] for parts in by_output)


def _feeds(
    model: onnx.ModelProto, samples: NDArray[np.float64], columns: Sequence[Column]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the inputs of each run; the last rows are repeated where a run takes a fixed number."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    fixed = next((int(value.type.tensor_type.shape.dim[0].dim_value) for value in inputs), 0)
    rows = fixed or min(ROWS_AT_ONCE, len(samples))
    for start in range(0, len(samples), rows):
        part = samples[start : start + rows]
        if fixed and len(part) < fixed:
            part = np.concatenate([part, np.repeat(part[-1:], fixed - len(part), axis=0)])
        tensors = as_tensors(columns, part)
        yield {value.name: _as_input(value, tensors.get(value.name, part)) for value in inputs}


def _as_input(value: onnx.ValueInfoProto, rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows in the type and shape of an input; zeros for an input that doesn't take samples."""
    tensor = value.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    rows = rows.astype(object) if rows.dtype.kind == "U" else rows
    shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim[1:])
    if math.prod(shape) != rows.shape[1]:
        return np.zeros((len(rows), *(size or 1 for size in shape)), dtype=kind)
    return rows.reshape(len(rows), *shape).astype(kind)


def _as_array(value: Any) -> NDArray[Any]:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return np.array([list(row.values()) for row in value])
    return np.asarray(value)
