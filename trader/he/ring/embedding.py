"""The canonical embedding in doubled precision: some 100 bits, on any machine, a few at a time in vector registers.

A number is the sum of two doubles, of which the second holds what the first rounds away (Dekker, 1971). Sums and
products of first parts are exact in two doubles (Knuth's two-sum; a fused multiplication and addition for products),
second parts are added up as they are: relative to the largest value their errors stay around 2^-100.

With values v_k at ζ^(4k + 1), k < n = N/2, ζ = exp(iπ/N), the polynomial m is given by

    m_t + i·m_(t + n) = ζ^-t / n · Σ_k v_k·exp(-2πi·kt/n),

as ζ^n = i. Its transform of length n = R·C is R rows of C columns (Bailey, 1990): transforms of columns, twiddle
factors, transforms of rows. Several of them stand side by side, in lanes.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.compiling import inlined, kernel
from trader.he.ring.kernels import fused
from trader.he.ring.transform import bit_reversal

LANES = 16
"""Transforms side by side; their data stays in a core's first cache."""
SMALLEST_DEGREE = 4 * LANES**2
_FRACTION_BITS = 120
_ONE = 1 << _FRACTION_BITS

Doubled = NDArray[np.float64]
"""Complex numbers [..., 4, lanes]: real part and what it rounds away, imaginary part likewise."""


class EmbeddingTables(NamedTuple):
    """Tables of a ring degree; n = R·C.

    Attributes:
        places: where the value at the exponent of slot j is put, in the flat array of the first transforms, [n].
        columns: exp(-2πi·j/R), j < R/2, [R/2, 4].
        rows: exp(-2πi·j/C), [C/2, 4].
        middle: twiddle factors, [C/lanes, R, 4, lanes].
        reversal: bit reversal of C.
        last: ζ^-t / n, [R/lanes, C, 4, lanes].
    """

    places: NDArray[np.int64]
    columns: NDArray[np.float64]
    rows: NDArray[np.float64]
    middle: Doubled
    reversal: NDArray[np.int64]
    last: Doubled


@lru_cache(maxsize=8)
def embedding_tables(degree: int) -> EmbeddingTables:
    """Tables for a ring degree N, a power of two from `SMALLEST_DEGREE` on."""
    length = degree // 2
    rows = 1 << (length.bit_length() - 1) // 2
    columns = length // rows
    roots = _roots(2 * degree)
    row, column = np.divmod(slot_positions(degree), columns)
    group, lane = np.divmod(column, LANES)
    places = (group * rows + bit_reversal(rows)[row]) * 4 * LANES + lane
    middle = np.arange(rows)[:, np.newaxis] * np.arange(columns)
    last = np.arange(rows) + rows * np.arange(columns)[:, np.newaxis]
    return EmbeddingTables(
        places,
        roots[:: 4 * columns][: rows // 2].copy(),
        roots[:: 4 * rows][: columns // 2].copy(),
        _in_lanes(roots[4 * middle]),
        bit_reversal(columns),
        _in_lanes(roots[last]) / length,
    )


@lru_cache(maxsize=8)
def slot_positions(degree: int) -> NDArray[np.int64]:
    """Return the k of each slot: slot j is the value at ζ^(3^j), which is ζ^(4k + 1) or its conjugate, [N/2]."""
    exponents = np.ones(degree // 2, dtype=np.int64)
    filled = 1
    while filled < exponents.size:
        exponents[filled : 2 * filled] = exponents[:filled] * pow(3, filled, 2 * degree) % (2 * degree)
        filled *= 2
    return np.where(exponents % 4 == 1, exponents, 2 * degree - exponents) // 4


def _in_lanes(numbers: NDArray[np.float64]) -> Doubled:
    """Numbers [a, b, 4] as [b/lanes, a, 4, lanes]."""
    count, width, _ = numbers.shape
    return np.ascontiguousarray(numbers.reshape(count, width // LANES, LANES, 4).transpose(1, 0, 3, 2))


def _roots(order: int) -> NDArray[np.float64]:
    """exp(-2πi·k/order), [order, 4]: half angles and products of integers of 120 bits."""
    cosines, sines = np.array([_ONE], dtype=object), np.array([0], dtype=object)
    cosine, sine = 0, -_ONE  # a quarter of a turn
    while 4 * len(cosines) < order:
        cosine = math.isqrt((_ONE + cosine) * _ONE // 2)
        sine = sine * _ONE // (2 * cosine)
        odd = (cosines * cosine - sines * sine) >> _FRACTION_BITS, (cosines * sine + sines * cosine) >> _FRACTION_BITS
        cosines = np.stack([cosines, odd[0]], axis=1).reshape(-1)
        sines = np.stack([sines, odd[1]], axis=1).reshape(-1)
    real, imaginary = _doubled(cosines), _doubled(sines)
    quarter = np.concatenate([real, imaginary], axis=1)
    next_quarter = np.concatenate([imaginary, -real], axis=1)
    return np.concatenate([quarter, next_quarter, -quarter, -next_quarter])


def _doubled(integers: NDArray[Any]) -> NDArray[np.float64]:
    """Integers over 2^120 as two doubles each, [k, 2]."""
    first = integers.astype(np.float64)
    rest = integers - np.array([int(value) for value in first], dtype=object)
    return np.stack([first, rest.astype(np.float64)], axis=1) * 2.0**-_FRACTION_BITS


@inlined
def _add(left: Any, left_rest: Any, right: Any, right_rest: Any) -> Any:
    total = left + right
    added = total - left
    return total, (left - (total - added)) + (right - added) + (left_rest + right_rest)


@inlined
def _multiply(number: Any, lane: Any, b: Any, b_rest: Any, c: Any, c_rest: Any) -> Any:
    """Return a lane of numbers [4, lanes] times b + ic."""
    x, x_rest, y, y_rest = number[0, lane], number[1, lane], number[2, lane], number[3, lane]
    xb, yc, xc, yb = x * b, y * c, x * c, y * b
    real_rest = fused(x, b, -xb) - fused(y, c, -yc)
    real_rest += fused(x, b_rest, x_rest * b) - fused(y, c_rest, y_rest * c)
    imaginary_rest = fused(x, c, -xc) + fused(y, b, -yb)
    imaginary_rest += fused(x, c_rest, x_rest * c) + fused(y, b_rest, y_rest * b)
    real, real_rest = _add(xb, real_rest, -yc, 0.0)
    imaginary, imaginary_rest = _add(xc, imaginary_rest, yb, 0.0)
    return real, real_rest, imaginary, imaginary_rest


@kernel
def _transform_columns(values: Doubled, roots: NDArray[np.float64]) -> None:
    """Discrete Fourier transforms, in place: values [length, 4, lanes], in bit-reversed order at first."""
    span = 1
    while span < len(values):
        for offset in range(span):
            root = roots[offset * (len(roots) // span)]
            for first in range(offset, len(values), 2 * span):
                low, high = values[first], values[first + span]
                for lane in range(LANES):
                    x, x_rest, y, y_rest = _multiply(high, lane, root[0], root[1], root[2], root[3])
                    a, a_rest, b, b_rest = low[0, lane], low[1, lane], low[2, lane], low[3, lane]
                    low[0, lane], low[1, lane] = _add(a, a_rest, x, x_rest)
                    low[2, lane], low[3, lane] = _add(b, b_rest, y, y_rest)
                    high[0, lane], high[1, lane] = _add(a, a_rest, -x, -x_rest)
                    high[2, lane], high[3, lane] = _add(b, b_rest, -y, -y_rest)
        span *= 2


@kernel
def embed(
    slots: NDArray[np.complex128], scale: float, limb_bits: int, tables: EmbeddingTables, limbs: NDArray[np.float64]
) -> None:
    """Slots [k] times a scale as the nearest polynomial, whose coefficients are low + high·2^limb_bits.

    Args:
        slots: values; real parts, and imaginary parts of which every second slot's count negatively.
        scale: a power of two.
        limb_bits: of the low limb.
        tables: of N.
        limbs: low and high, integers, [2, N], to be written.
    """
    first, second = np.zeros_like(tables.middle), np.empty_like(tables.last)
    flat = first.reshape(-1)
    for j in range(slots.size):
        flat[tables.places[j]] = slots[j].real
        flat[tables.places[j] + 2 * LANES] = slots[j].imag
    for group in range(len(first)):
        _transform_columns(first[group], tables.columns)
        for k in range(first.shape[1]):
            number, twiddle = first[group, k], tables.middle[group, k]
            target = second[k // LANES]
            for lane in range(LANES):
                row = target[tables.reversal[group * LANES + lane], :, k % LANES]
                row[0], row[1], row[2], row[3] = _multiply(
                    number, lane, twiddle[0, lane], twiddle[1, lane], twiddle[2, lane], twiddle[3, lane]
                )
    half = limbs.shape[1] // 2
    step = 2.0**limb_bits
    for group in range(len(second)):
        _transform_columns(second[group], tables.rows)
        for k in range(second.shape[1]):
            number, twiddle = second[group, k], tables.last[group, k]
            start = k * len(second) * LANES + group * LANES
            for lane in range(LANES):
                x, x_rest, y, y_rest = _multiply(
                    number, lane, twiddle[0, lane], twiddle[1, lane], twiddle[2, lane], twiddle[3, lane]
                )
                high = np.rint(x * scale / step)
                limbs[1, start + lane] = high
                limbs[0, start + lane] = np.rint((x * scale - high * step) + x_rest * scale)
                high = np.rint(y * scale / step)
                limbs[1, half + start + lane] = high
                limbs[0, half + start + lane] = np.rint((y * scale - high * step) + y_rest * scale)
