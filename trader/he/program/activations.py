"""Activations as polynomials, fitted where calibration data lies.

Ciphertexts can be added and multiplied, so a function such as Relu is replaced by a polynomial of u = x/radius on the
range that its input reaches on calibration data, widened by a margin. It is the least-squares fit at Chebyshev nodes,
whose density alone comes close to the smallest largest error, with more weight where the data lies. It is written in
Chebyshev polynomials T_k(u), whose values and coefficients stay small at any degree: powers of u take coefficients
that grow by 2.4 per degree and cancel, and magnify noise as much. The range is symmetric: the fit of a function that is
even or odd, but for a linear term, then has every other coefficient zero, and takes fewer products. What the
polynomials do to the outputs is measured on the calibration data (`approximation_error`); an input outside the range is
not promised anything.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebval
from numpy.typing import NDArray

from trader.model.bounds import evaluate_values
from trader.model.canonical import CanonicalModel
from trader.model.functions import activate
from trader.model.nodes import Activation
from trader.model.sampling import reach

DEGREES = (2, 3, 7, 15, 31, 63, 127, 255)
"""Degrees that are considered: each takes one product in sequence more than the one before.

At a kink, as Relu's, the error falls with the degree alone, by half from one to the next. Networks with a hidden layer
of 100 ReLUs, scikit-learn's default, take 127 or 255, for which the largest ring has room once."""
RANGE_MARGIN = 1.25
"""Factor by which inputs may reach further out than on calibration data, at least (`trader.model.sampling.reach`). A
choice; no benchmark backs it."""
ERROR_MARGIN = 2.0
"""Factor by which outputs may be further off than on calibration data, at least. A choice; no benchmark backs it."""
RADIUS_BITS = 8
"""Precision of the range: rounded up, it is wider by a hundredth at most."""
NODES = 1024
DATA_WEIGHT = 20.0
"""How much more the fit heeds the densest part of the data than empty parts of the range."""
NEGLIGIBLE = 2.0**-20
"""Coefficients below this part of the largest one are left out."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Σ c_k·T_k(u) with u = x/radius, |x| ≤ radius, T_k the Chebyshev polynomials of the first kind."""

    coefficients: tuple[float, ...]
    radius: float

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the polynomial at x, element by element."""
        return np.asarray(chebval(x / self.radius, self.coefficients))


def fit(node: Activation, data: NDArray[np.float64], degree: int) -> Polynomial:
    """Return a polynomial of a degree near an activation, for inputs like the data."""
    radius = _round_up(max(reach(data, RANGE_MARGIN), 2.0**-6))
    nodes = radius * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    density, edges = np.histogram(np.abs(data), bins=32, range=(0, radius))
    heed = density[np.clip(np.searchsorted(edges, np.abs(nodes), side="right") - 1, 0, 31)] / density.max()
    values = activate(node.kind, nodes, node.alpha, node.beta)
    series = Chebyshev.fit(nodes, values, degree, domain=[-radius, radius], w=np.sqrt(1 + DATA_WEIGHT * heed))
    coefficients = np.where(np.abs(series.coef) < NEGLIGIBLE * np.abs(series.coef).max(), 0.0, series.coef)
    return Polynomial(tuple(map(float, coefficients)), radius)


def _round_up(radius: float) -> float:
    """Return the next number of `RADIUS_BITS` bits: integers that bring scales together are the shorter for it."""
    mantissa, exponent = math.frexp(radius)
    return math.ldexp(math.ceil(math.ldexp(mantissa, RADIUS_BITS)), exponent - RADIUS_BITS)


def fit_activations(model: CanonicalModel, calibration: NDArray[np.int64], degree: int) -> dict[str, Polynomial]:
    """Return a polynomial of a degree for every activation, fitted to the values that quantised data gives."""
    values = evaluate_values(model, calibration)
    return {
        node.name: fit(node, values[node.inputs[0]], degree)
        for node in model.graph.nodes
        if isinstance(node, Activation)
    }


def approximation_error(
    model: CanonicalModel, polynomials: Mapping[str, Polynomial], calibration: NDArray[np.int64]
) -> float:
    """Return how far polynomials may move an output, real units, by what they do on calibration data (`reach`)."""
    exact, moved = _outputs(model, polynomials, calibration)
    return reach(moved - exact, ERROR_MARGIN) if np.isfinite(moved).all() else math.inf


def relative_error_99(
    model: CanonicalModel, polynomials: Mapping[str, Polynomial], calibration: NDArray[np.int64]
) -> float:
    """Return how far polynomials move 99 % of the calibration data's outputs at most, as part of the outputs' range."""
    exact, moved = _outputs(model, polynomials, calibration)
    if not np.isfinite(moved).all():
        return math.inf
    return float(np.quantile(np.abs(moved - exact).max(axis=1), 0.99)) / max(float(np.ptp(exact)), 2.0**-64)


def _outputs(
    model: CanonicalModel, polynomials: Mapping[str, Polynomial], calibration: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return outputs [n, O] with exact activations, and with polynomials."""
    return evaluate_values(model, calibration)[model.graph.output], moved_outputs(model, polynomials, calibration)


def moved_outputs(
    model: CanonicalModel, polynomials: Mapping[str, Polynomial], inputs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return outputs [n, O] with polynomials in the place of activations, real units."""
    with np.errstate(over="ignore", invalid="ignore"):
        return evaluate_values(model, inputs, lambda node, x: polynomials[node.name](x))[model.graph.output]
