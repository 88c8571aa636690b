"""What the encrypted test of a model is planned from: how large its values get, measured where there is data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trader.he import PlanningProblem, SecurityPolicy
from trader.model import (
    CanonicalModel,
    Grid,
    interval_bounds,
    measured_bounds,
    quantise_inputs,
    thermometer_bounds,
    thermometer_model,
)
from trader.model.sampling import reach, reaches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DEFAULT_INPUT_MAGNITUDE = 8.0
"""Largest |input| without calibration data: standardised features rarely lie further out."""
CALIBRATION_MARGIN = 2.0
"""Buyers' data may reach so many times further out than the calibration data, at least."""
ANY_POLICY = SecurityPolicy()
INTEGER_ERROR_BUDGET = 0.4
"""Outputs of trees are integers, and are rounded: a little less than what would still be exact."""
LARGEST_REACH = 64
"""Exponents in the manifest are no larger."""


@dataclass(frozen=True, slots=True)
class PlanningData:
    """Arguments of `trader.he.plan_encryption`.

    Attributes:
        input_magnitude: largest |input|, real units.
        bounds: largest |value| of every value of the graph, real units.
        column_reach: b_j, by feature: |x_j·2^e_j| stays below 2^b_j in data like the samples; empty without samples.
        output_reach: what |output| stays below in such data, real units; None without samples.
        calibration: quantised calibration data [n, F], or None.
        edges: of an ensemble of trees, by column; magnitude and bounds are then those of its form over bits.
    """

    input_magnitude: float
    bounds: dict[str, float]
    calibration: NDArray[np.int64] | None = field(repr=False)
    column_reach: tuple[int, ...] = ()
    output_reach: float | None = None
    edges: tuple[int, ...] = ()

    def problem(
        self,
        canonical: CanonicalModel,
        policy: SecurityPolicy = ANY_POLICY,
        keeps: Callable[[NDArray[np.float64]], bool] | None = None,
    ) -> PlanningProblem:
        """Return what is asked of a plan for the model; `keeps` is the problem's."""
        magnitude = self.input_magnitude
        if not self.edges:
            return PlanningProblem(
                canonical,
                self.bounds,
                input_magnitude=magnitude,
                calibration=self.calibration,
                policy=policy,
                keeps=keeps,
            )
        return PlanningProblem(
            thermometer_model(canonical, self.edges),
            self.bounds,
            input_magnitude=magnitude,
            error_budget=INTEGER_ERROR_BUDGET,
            policy=policy,
            edges=self.edges,
        )


def planning_data(
    canonical: CanonicalModel,
    input_exponents: tuple[int, ...],
    samples: NDArray[np.float64] | None,
    grid: Grid | None = None,
) -> PlanningData:
    """Bounds measured on samples with a margin, or by interval arithmetic where there are none.

    Those of an ensemble of trees, which reads the bins of a grid, hold for any sample.

    Raises:
        DataError: the samples don't fit the model.
    """
    if grid is not None:
        return PlanningData(1.0, thermometer_bounds(canonical, grid.sizes), None, edges=grid.sizes)
    if samples is None:
        intervals = interval_bounds(canonical, DEFAULT_INPUT_MAGNITUDE)
        bounds = {name: float(np.max(bound)) for name, bound in intervals.items()}
        return PlanningData(DEFAULT_INPUT_MAGNITUDE, bounds, None)
    inputs = quantise_inputs(samples, canonical.graph, canonical.scale_bits, input_exponents)
    real = np.ldexp(inputs.astype(np.float64), -canonical.scale_bits)
    magnitude = 2.0 ** math.ceil(math.log2(max(reach(real, CALIBRATION_MARGIN), 1.0)))
    bounds = measured_bounds(canonical, inputs, CALIBRATION_MARGIN)
    output = max(bounds[canonical.graph.output], 2.0**-canonical.scale_bits)
    return PlanningData(magnitude, bounds, inputs, _column_reach(real), output)


def _column_reach(inputs: NDArray[np.float64]) -> tuple[int, ...]:
    """Return powers of two only: the manifest tells buyers no more of the seller's data than that."""
    powers = np.ceil(np.log2(np.maximum(reaches(inputs, 1.0), 2.0**-LARGEST_REACH)))
    return tuple(powers.clip(-LARGEST_REACH, LARGEST_REACH).astype(int).tolist())
