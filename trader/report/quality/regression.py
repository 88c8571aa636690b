"""How well values are predicted: the usual figures, in NumPy alone. A test holds each against scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = (0.5, 0.9, 0.99, 1.0)
DIGITS = 3
"""That are shown of a single sample's figures."""
MOST_RESIDUALS = 500
"""Points of a plot; more would only be one over another."""


@dataclass(frozen=True, slots=True)
class Regression:
    """How well values of one output are predicted, in its units.

    Attributes:
        output: Name of the output; empty where there is one.
        samples: n.
        mean_absolute_error: MAE.
        root_mean_square_error: RMSE.
        r2: Share of the labels' variance that is explained; None where all labels are the same.
        absolute_error_quantiles: By share of samples, to three digits.
        baseline_mean_absolute_error: MAE of whoever always answers the labels' mean.
        baseline_root_mean_square_error: RMSE of the same.
        residuals: (prediction, prediction - label) of samples spread evenly over the predictions, to be drawn.
    """

    output: str
    samples: int
    mean_absolute_error: float
    root_mean_square_error: float
    r2: float | None
    absolute_error_quantiles: tuple[tuple[float, float], ...]
    baseline_mean_absolute_error: float
    baseline_root_mean_square_error: float
    residuals: tuple[tuple[float, float], ...]

    @property
    def beats_baseline(self) -> bool:
        """Whether the errors are smaller than those of the mean."""
        return self.root_mean_square_error < self.baseline_root_mean_square_error


def measure_regression(labels: NDArray[Any], predictions: NDArray[Any], output: str = "") -> Regression:
    """Measure predicted values.

    Args:
        labels: [n] true values, n at least 1.
        predictions: [n] predicted values.
        output: Name of the output.
    """
    truth, guess = labels.astype(np.float64), predictions.astype(np.float64)
    errors, spread = guess - truth, truth - truth.mean()
    size = np.abs(errors)
    with np.errstate(invalid="ignore"):  # predictions may be infinite
        quantiles = tuple((share, _rounded(np.quantile(size, share))) for share in QUANTILES)
    variance = float(np.sum(spread**2))
    shown = np.argsort(guess, kind="stable")
    if len(shown) > MOST_RESIDUALS:
        shown = shown[np.linspace(0, len(shown) - 1, MOST_RESIDUALS).astype(np.int64)]
    return Regression(
        output=output,
        samples=len(truth),
        mean_absolute_error=float(size.mean()),
        root_mean_square_error=float(np.sqrt(np.mean(errors**2))),
        r2=1.0 - float(np.sum(errors**2)) / variance if variance else None,
        absolute_error_quantiles=quantiles,
        baseline_mean_absolute_error=float(np.abs(spread).mean()),
        baseline_root_mean_square_error=float(np.sqrt(np.mean(spread**2))),
        residuals=tuple((_rounded(guess[at]), _rounded(errors[at])) for at in shown),
    )


def _rounded(value: float) -> float:
    """Return what is shown of a single sample: in full it would be a decrypted output."""
    return float(f"{value:.{DIGITS}g}")
