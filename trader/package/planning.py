"""What the encrypted test of a model is planned from: how large its values get, measured where there is data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trader.model import CanonicalModel, interval_bounds, measured_bounds, quantise_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_INPUT_MAGNITUDE = 8.0
"""Largest |input| without calibration data: standardised features rarely lie further out."""
CALIBRATION_MARGIN = 2.0
"""Buyers' data may reach so many times further out than the calibration data."""


@dataclass(frozen=True, slots=True)
class PlanningData:
    """Arguments of `trader.he.plan_encryption`.

    Attributes:
        input_magnitude: largest |input|, real units.
        bounds: largest |value| of every value of the graph, real units.
        calibration: quantised calibration data [n, F], or None.
    """

    input_magnitude: float
    bounds: dict[str, float]
    calibration: NDArray[np.int64] | None = field(repr=False)


def planning_data(
    canonical: CanonicalModel, input_exponents: tuple[int, ...], samples: NDArray[np.float64] | None
) -> PlanningData:
    """Bounds measured on samples with a margin, or by interval arithmetic where there are none.

    Raises:
        DataError: the samples don't fit the model.
    """
    if samples is None:
        intervals = interval_bounds(canonical, DEFAULT_INPUT_MAGNITUDE)
        bounds = {name: float(np.max(bound)) for name, bound in intervals.items()}
        return PlanningData(DEFAULT_INPUT_MAGNITUDE, bounds, None)
    inputs = quantise_inputs(samples, canonical.graph, canonical.scale_bits, input_exponents)
    largest = float(np.abs(inputs).max()) / 2**canonical.scale_bits
    magnitude = 2.0 ** math.ceil(math.log2(max(largest * CALIBRATION_MARGIN, 1.0)))
    return PlanningData(magnitude, measured_bounds(canonical, inputs, CALIBRATION_MARGIN), inputs)
