"""Bins: what a decision of a tree can tell apart once its inputs are encrypted.

A tree compares a column with thresholds, and encrypted numbers can't be compared; but whether a value lies above an
edge, its owner can say beforehand. So each column has a public list of edges, the owner of a sample states in which bin
every value lies (`Grid.bins`), and the model's thresholds are edges.

The edges are public, so they must not tell the thresholds: `make_grid` looks at data only, at the order of magnitude of
a column's range and whether it holds small integers, and puts edges at equal distances, or at equal ratios where that
spreads the data better. A grid of a domain's own serves as well. `trader.model.snapping` moves thresholds to edges.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.errors import DataError

_DIGITS = 3
PREFERRED = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.5)
"""Distances between edges, times a power of ten: they say of a range no more than these few steps."""
CLEARLY_BETTER_BITS = 0.5
"""Edges at equal ratios are taken where they tell this much more of values than those at equal distances."""
INTEGERS_PER_BIN = 4
"""Columns of integers, up to so many for each bin, have edges halfway between integers."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Edges of bins, by column.

    Attributes:
        edges: Ascending, float32 numbers: bin j of a column holds values above j edges. A column without any has one
            bin.

    Raises:
        DataError: Edges don't ascend, or aren't numbers of 32 bits.
    """

    edges: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse edges that two parties could read differently."""
        for column, edges in enumerate(self.edges):
            numbers = np.asarray(edges, dtype=np.float64)
            exact = np.isfinite(numbers).all() and np.array_equal(numbers, numbers.astype(np.float32))
            if not exact or np.any(np.diff(numbers) <= 0):
                raise DataError(f"the edges of column {column} (from 0) are no ascending numbers of 32 bits")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of edges of each column."""
        return tuple(len(edges) for edges in self.edges)

    @property
    def decision_magnitude(self) -> int:
        """Largest |bin - j - 1| of a decision bin > j, edges that no value lies above, or any, included."""
        return max(self.sizes, default=0) + 1

    def bins(self, samples: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many edges each value of samples [n, F] exceeds, as the float32 number that it is in ONNX."""
        values = as_compared(samples)
        columns = [np.searchsorted(edges, values[:, column]) for column, edges in enumerate(self.edges)]
        return np.stack(columns, axis=1).astype(np.int64)

    def snap(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples [n, F] with one value for each bin, as training on the grid needs them.

        It is the bin's upper edge; in the last bin, a value as far above the last edge as that is above the one before.
        """
        snapped = np.asarray(samples, dtype=np.float64).copy()
        for column, edges in enumerate(self.edges):
            if edges:
                last = 2 * edges[-1] - edges[-2] if len(edges) > 1 else edges[-1] + abs(edges[-1]) + 1
                snapped[:, column] = np.array([*edges, last])[self.bins(samples)[:, column]]
        return snapped

    def to_json(self) -> str:
        """Return the grid as `read_grid` takes it."""
        return json.dumps({"edges": self.edges}) + "\n"


def as_compared(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Return samples as the float32 numbers that ONNX compares."""
    return np.asarray(samples, dtype=np.float32).astype(np.float64)


def read_grid(path: Path) -> Grid:
    """Read a grid: a JSON object with `edges`, a list of ascending numbers for each column.

    Raises:
        DataError: It is none.
    """
    try:
        edges = json.loads(path.read_text())["edges"]
        return Grid(tuple(tuple(float(np.float32(edge)) for edge in column) for column in edges))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path.name} is no grid ({error!r}): make one with modelseal model grid") from error


def make_grid(samples: NDArray[np.float64], bins: int) -> Grid:
    """Return edges for columns like those of samples [n, F], at most `bins` bins each."""
    return Grid(tuple(_edges(column, bins) for column in samples.T))


def _edges(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return ()
    if np.array_equal(values, np.rint(values)) and high - low < INTEGERS_PER_BIN * bins:
        step = math.ceil((high - low + 1) / bins)
        return tuple(float(edge) - 0.5 for edge in range(int(low) + step, int(high) + 1, step))
    unit = _rounded(float(np.median(np.abs(values))) or high - low)
    even = _cleaned(_steps(low, high, bins))
    ratios = _cleaned(unit * np.sinh(_steps(math.asinh(low / unit), math.asinh(high / unit), bins)))
    return ratios if _spread(values, ratios) > _spread(values, even) + CLEARLY_BETTER_BITS else even


def _steps(low: float, high: float, bins: int) -> NDArray[np.float64]:
    """Return multiples of a preferred number that divide a range, with both ends beyond the last ones."""
    least = (high - low) / (bins - 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(number * power for number in PREFERRED if number * power >= least)
    return np.asarray(step * np.arange(math.floor(low / step) + 1, math.ceil(high / step)), dtype=np.float64)


def _rounded(value: float) -> float:
    """Return a positive number to one digit."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(round(value / power) * power)


def _cleaned(edges: NDArray[np.float64]) -> tuple[float, ...]:
    """Return edges of few digits, as float32 numbers, each once."""
    texts = {float(np.float32(f"{edge:.{_DIGITS}g}")) for edge in edges}
    return tuple(sorted(texts))


def _spread(values: NDArray[np.float64], edges: tuple[float, ...]) -> float:
    """Return the entropy of the bins that values fall into."""
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    shares = counts[counts > 0] / len(values)
    return float(-(shares * np.log2(shares)).sum())
