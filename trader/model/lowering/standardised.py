"""Thresholds of trees that read standardised columns, in the columns' own units.

Boosted trees decide by values that their data have. Whether such a value is beyond its threshold depends on how
float32 rounds (x - offset)·scale, so thresholds are not divided by the scale: the numbers on either side of them are
looked for.
"""

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT
from trader.model.lowering.symbols import View

_SIGN = 1 << 31


def in_own_units(
    value: View, features: NDArray[np.int64], thresholds: NDArray[np.float64]
) -> tuple[View, NDArray[np.float64]]:
    """Return what decisions compare and their thresholds without the standardisation of columns of the sample.

    Args:
        value: [F].
        features: Element that each decision x_j > t reads, or -1 for none.
        thresholds: t, float32 numbers.

    Returns:
        Both as they are where the value is no sample, or a column of it is turned around.
    """
    decides = features >= 0
    scale = np.ones(value.size) if value.scale is None else value.scale
    offset = np.zeros(value.size) if value.offset is None else value.offset
    scale, offset = scale[features[decides]], offset[features[decides]]
    if value.is_plain or value.bases != (INPUT,) or np.any(scale <= 0):
        return value, thresholds
    found = thresholds.copy()
    found[decides] = _last_not_beyond(thresholds[decides], scale, -offset / scale)
    return value.plain(), found


def _last_not_beyond(
    thresholds: NDArray[np.float64], scale: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest float32 numbers x whose (x - offset)·scale, in float32, is not above thresholds, [k] each.

    Files multiply by a scale or divide by a deviation; which of them is a float32 number says what they do.
    """
    start, factor, divisor = offset.astype(np.float32), scale.astype(np.float32), (1 / scale).astype(np.float32)
    multiplies, limits = factor == scale, thresholds.astype(np.float32)

    def is_beyond(places: NDArray[np.int64]) -> NDArray[np.bool_]:
        moved = _number(places) - start
        return np.asarray(np.where(multiplies, moved * factor, moved / divisor) > limits)

    middle = thresholds / scale + offset
    reach = 2.0**-20 * (np.abs(middle) + np.abs(offset) + np.abs(thresholds / scale))
    low, high = _place(middle - reach), _place(middle + reach)
    low, high = np.where(is_beyond(low), _place(middle), low), np.where(is_beyond(high), high, _place(middle))
    while np.any(high - low > 1):
        half = (low + high) // 2
        beyond = is_beyond(half)
        low, high = np.where(beyond, low, half), np.where(beyond, half, high)
    return _number(low).astype(np.float64)


def _place(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of float32 numbers among all of them, 0 being that of 0."""
    bits = numbers.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits + _SIGN), bits)


def _number(places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the float32 numbers at places."""
    return np.where(places < 0, _SIGN - places, places).astype(np.uint32).view(np.float32)
