"""What a sample of n rows says of rows that are not in it.

Two statements, neither of which more data than the n rows could improve. Without any assumption: with confidence 95 %,
at least a share p of all rows lies below the largest of n, where p^n = 5 % (Wilks, "Determination of sample sizes for
setting tolerance limits", Annals of Mathematical Statistics 12, 1941). For values that are about normal: with the same
confidence, 99.9 % of them lie within k(n) deviations of the mean (Howe, "Two-sided tolerance limits for normal
populations: some improvements", JASA 64, 1969). Both take the rows as drawn at random from what buyers will send.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
COVERAGE = 0.999
"""Share of values that a tolerance interval is to hold."""
FEW_ROWS = 100
"""With fewer, the share that `covered_share` gives is below 97 %."""
LARGEST_FACTOR = 64.0
"""For two rows, and for one, whose spread is unknown."""


def covered_share(rows: int) -> float:
    """Return the share of all rows that, with confidence `CONFIDENCE`, lie below the largest of n rows."""
    return float((1 - CONFIDENCE) ** (1 / rows))


def tolerance_factor(rows: int) -> float:
    """Return k(n): mean ± k deviations of n normal values hold `COVERAGE` of all, with confidence `CONFIDENCE`.

    The quantile of χ² is Wilson and Hilferty's (1931): k comes out too large by 14 % for three rows, by 2 % for five.
    """
    freedom = rows - 1
    if freedom < 2:
        return LARGEST_FACTOR
    lower = NormalDist().inv_cdf(1 - CONFIDENCE)
    chi_squared = freedom * (1 - 2 / (9 * freedom) + lower * math.sqrt(2 / (9 * freedom))) ** 3
    two_sided = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    return min(two_sided * math.sqrt(freedom * (1 + 1 / rows) / chi_squared), LARGEST_FACTOR)


def reaches(values: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Return how large |value| may get in rows like those of values [n, size], by column: [size].

    It is the largest of them times the margin, or where the tolerance interval ends, whichever is further out: few rows
    say little of the extremes.
    """
    largest = margin * np.abs(values).max(axis=0)
    deviations = values.std(axis=0, ddof=1) if len(values) > 1 else np.abs(values[0])
    return np.asarray(np.maximum(largest, np.abs(values.mean(axis=0)) + tolerance_factor(len(values)) * deviations))


def reach(values: NDArray[np.float64], margin: float) -> float:
    """Return the largest of `reaches`; 0 for no values, infinity where some are not finite."""
    if not values.size:
        return 0.0
    return float(reaches(values, margin).max()) if np.isfinite(values).all() else math.inf
