"""Products that stand for one activation: x·sigmoid(x) is SiLU, x·(1 + erf(x/√2)) is GELU.

Exporters write these functions out. As products they would cost a multiplication of ciphertexts after an approximation;
as one function they are approximated at once. With some k, what is recognised is f(k·x)/k for f any of SiLU, GELU, GELU
by tanh, and HardSwish: models may write 0.5·x before the product, or 1.702·x within the sigmoid.
"""

import math

import numpy as np
from numpy.polynomial import Polynomial

from trader.model.functions import ActivationKind
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.symbols import View
from trader.model.nodes import Activation, Add, Multiply, Square

TOLERANCE = 1e-3
"""Exporters write √2 and 1/6 with few digits, or in half precision."""

_GELU_TANH_SLOPE, _GELU_TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715
_GELU_TANH_DEGREE = 3


def gated_activation(builder: GraphBuilder, x: View, gate: View) -> View | None:
    """x·gate as one activation of x, if gate is a function of x that makes it one."""
    made = builder.elementwise_result(gate)
    if made is None or not isinstance(made.node, Activation) or gate.shape != x.shape:
        return None
    affine = affine_of(gate, made.view)
    argument = _polynomial_of(builder, made.operands[0], x)
    if affine is None or affine[0] == 0 or argument is None:
        return None
    scale, offset = affine
    found = _gated(made.node, argument, offset / scale)
    if found is None:
        return None
    kind, k, factor = found
    if math.isclose(k, 1, abs_tol=TOLERANCE):
        return builder.activation(x, kind).scaled(np.asarray(scale * factor))
    return builder.activation(x.scaled(np.asarray(k)), kind).scaled(np.asarray(scale * factor / k))


def _gated(node: Activation, argument: Polynomial, offset: float) -> tuple[ActivationKind, float, float] | None:
    """(f, k, c) such that x·(g(p(x)) + offset) = c·f(k·x)/k, for the function g of a node; None if there are none."""
    p0, p1, p2, p3 = np.pad(argument.coef, (0, _GELU_TANH_DEGREE))[: _GELU_TANH_DEGREE + 1]
    straight = argument.degree() == 1 and p1 != 0
    match node.kind:
        case ActivationKind.SIGMOID if straight and _near((p0, offset), (0, 0)):
            return ActivationKind.SILU, p1, 1
        case ActivationKind.ERF if straight and _near((p0, offset), (0, 1)):
            return ActivationKind.GELU, p1 * math.sqrt(2), 2
        case ActivationKind.TANH if argument.degree() == _GELU_TANH_DEGREE and p1 != 0:
            k = p1 / _GELU_TANH_SLOPE
            if _near((p0, p2, p3 / (p1 * k**2), offset), (0, 0, _GELU_TANH_CUBIC, 1)):
                return ActivationKind.GELU_TANH, k, 2
        case ActivationKind.HARD_SIGMOID if straight and _near((node.alpha * p0 + node.beta, offset), (0.5, 0)):
            return ActivationKind.HARD_SWISH, 6 * node.alpha * p1, 1
        case ActivationKind.CLIP if straight and _near((node.alpha, p0 / node.beta, offset), (0, 0.5, 0)):
            return ActivationKind.HARD_SWISH, 6 * p1 / node.beta, node.beta
    return None


def _polynomial_of(builder: GraphBuilder, view: View, x: View) -> Polynomial | None:
    """P such that view = p(x), element by element; None if it is not built as one."""
    affine = affine_of(view, x)
    if affine is not None:
        return Polynomial(affine[::-1])
    made = builder.elementwise_result(view)
    if made is None or isinstance(made.node, Activation):
        return None
    affine = affine_of(view, made.view)
    factors = [_polynomial_of(builder, operand, x) for operand in made.operands]
    known = [factor for factor in factors if factor is not None]
    if affine is None or len(known) < len(factors):
        return None
    match made.node:
        case Square():
            result = known[0] ** 2
        case Multiply():
            result = known[0] * known[1]
        case Add():
            result = known[0] + known[1]
    slope, shift = affine
    return slope * result + shift


def affine_of(view: View, x: View) -> tuple[float, float] | None:
    """Slope and shift if view = slope·x + shift, element by element; None if there are no such numbers."""
    if view.bases != x.bases or not np.array_equal(view.places.ravel(), x.places.ravel()):
        return None
    outer_scale, inner_scale = np.ones(1), np.ones(1)
    if view.scale is not None:
        outer_scale = view.scale.ravel()
    if x.scale is not None:
        inner_scale = x.scale.ravel()
    if np.any(inner_scale == 0):
        return None
    slope = _constant(outer_scale / inner_scale)
    if slope is None:
        return None
    offsets = [np.zeros(1) if each.offset is None else each.offset.ravel() for each in (view, x)]
    shift = _constant(offsets[0] - slope * offsets[1])
    return None if shift is None else (slope, shift)


def _constant(array: np.ndarray) -> float | None:
    """Return the one value of an array, or None if it has several."""
    first = float(array.ravel()[0])
    return first if np.allclose(array, first, rtol=1e-6, atol=1e-6) else None


def _near(values: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return bool(np.allclose(values, expected, atol=TOLERANCE, rtol=0))
