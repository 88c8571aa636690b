"""Samples to the input grid: the integers that are encrypted, and that the audit circuit reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.errors import DataError
from trader.model.graph import Graph
from trader.model.grid import Grid

INPUT_BITS = 31
"""Quantised inputs stay below 2^31, whatever the plan allows."""


def quantise_inputs(
    x: NDArray[Any],
    graph: Graph,
    scale_bits: int,
    exponents: tuple[int, ...] = (),
    magnitude: float | None = None,
    grid: Grid | None = None,
) -> NDArray[np.int64]:
    """Round samples [n, …] with F elements each to the grid: int64 [n, F], round(x_j·2^(e_j + s)), halves to even.

    Or put them into bins, for an ensemble of trees.

    Args:
        x: real numbers; the axes after the first are flattened in row-major order.
        graph: of the model.
        scale_bits: s.
        exponents: e_j of the model (see `LoweredModel.input_exponents`), or empty.
        magnitude: largest |x_j·2^e_j| that the HE plan allows; None checks 2^31 grid steps only.
        grid: of the bins, if the model reads bins; any number lies in one.

    Raises:
        DataError: wrong shape, NaN or infinity, or out of range; names row and column, both counted from 0.
    """
    rows = _flat(x, graph.features)
    _refuse(rows, ~np.isfinite(rows), "is not a finite number")
    if grid is not None:
        return grid.bins(rows)
    scaled = np.ldexp(rows, np.asarray(exponents, dtype=np.int32)) if exponents else rows
    limit = np.ldexp(1.0, INPUT_BITS - scale_bits) - 1
    limit = limit if magnitude is None else min(limit, magnitude)
    _refuse(rows, np.abs(scaled) > limit, f"is out of the model's input range (±{limit:g} after scaling)")
    return np.rint(np.ldexp(scaled, scale_bits)).astype(np.int64)


def _flat(x: NDArray[Any], features: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("the samples are not numbers") from error
    if array.ndim < 2 or not array.size or array[0].size != features:
        raise DataError(f"the samples have shape {list(array.shape)}, the model takes [n, {features}]")
    return array.reshape(len(array), features)


def _refuse(rows: NDArray[np.float64], bad: NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"row {row}, column {column} (from 0): {rows[row, column]:g} {reason}; correct or drop the row")
