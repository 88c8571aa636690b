"""Thresholds of trees that read standardised columns, in the columns' own units.

Boosted trees decide by values that their data have. Whether such a value is beyond its threshold depends on how
float32 rounds what a scaler makes of it, so thresholds are not divided by the scale: the numbers on either side of them
are looked for.
"""

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT
from trader.model.lowering.symbols import View

_SIGN = 1 << 31


def in_own_units(
    value: View, features: NDArray[np.int64], thresholds: NDArray[np.float64]
) -> tuple[View, NDArray[np.float64]]:
    """Return what decisions compare, and their thresholds, without the standardisation of columns of the sample.

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
    found[decides] = _last_not_beyond(thresholds[decides], scale, offset)
    return value.plain(), found


def _last_not_beyond(
    thresholds: NDArray[np.float64], scale: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest float32 numbers x whose x·scale + offset is not above thresholds, [k] each.

    It is computed in float32 as the file does: something is subtracted before the product, or added behind it, and the
    product may be a division. Which, the numbers say: a file's are of float32, and what follows from them is not.
    """
    before, multiplies = -offset / scale, _is_single(scale)
    adds, subtracts = _is_single(offset), _is_single(before)
    # Where both are, as before = 4 makes them, it is as in most others.
    adds &= ~subtracts | (np.sum(adds & ~subtracts) > np.sum(subtracts & ~adds))
    subtracted, added = np.where(adds, 0.0, before).astype(np.float32), np.where(adds, offset, 0.0).astype(np.float32)
    factor, divisor, limits = (numbers.astype(np.float32) for numbers in (scale, 1 / scale, thresholds))

    def is_beyond(places: NDArray[np.int64]) -> NDArray[np.bool_]:
        centred = _number(places) - subtracted
        return np.asarray(np.where(multiplies, centred * factor, centred / divisor) + added > limits)

    # Three roundings, each by 2^-24 at most of numbers that are not larger than this.
    middle, reach = before + thresholds / scale, 2.0**-20 * (np.abs(before) + np.abs(thresholds / scale))
    low, high = _place(middle - reach), _place(middle + reach)
    while np.any(high - low > 1):
        half = (low + high) // 2
        beyond = is_beyond(half)
        low, high = np.where(beyond, low, half), np.where(beyond, half, high)
    return _number(low).astype(np.float64)


def _is_single(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether numbers are of float32, but for what float64 rounds away."""
    return np.asarray(np.abs(numbers.astype(np.float32) - numbers) <= 2.0**-50 * np.abs(numbers))


def _place(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of float32 numbers among all of them, 0 being that of 0."""
    bits = numbers.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits + _SIGN), bits)


def _number(places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the float32 numbers at places."""
    return np.where(places < 0, _SIGN - places, places).astype(np.uint32).view(np.float32)
