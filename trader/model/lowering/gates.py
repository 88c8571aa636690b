"""Products that stand for one activation: x·sigmoid(x) is SiLU, x·(1 + erf(x/√2)) is GELU.

Exporters write these functions out. As products they would cost a multiplication of ciphertexts after an approximation;
as one function they are approximated at once.
"""

import math

import numpy as np

from trader.model.functions import ActivationKind
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.symbols import View

TOLERANCE = 1e-3
"""Exporters write √2 and 1/6 with few digits, or in half precision."""


def gated_activation(builder: GraphBuilder, x: View, gate: View) -> View | None:
    """x·gate as one activation of x, if gate is a function of x that makes it one."""
    found = builder.activation_of(gate)
    if found is None:
        return None
    node, argument = found
    scale, offset = _constant(gate.scale, 1.0), _constant(gate.offset, 0.0)
    slope, shift = _affine_of(argument, x)
    if scale is None or offset is None or slope is None or shift is None or gate.shape != x.shape:
        return None
    match node.kind:
        case ActivationKind.SIGMOID if _near((slope, shift, offset), (1, 0, 0)):
            return _scaled(builder.activation(x, ActivationKind.SILU), scale)
        case ActivationKind.ERF if _near((slope, shift, offset / scale), (1 / math.sqrt(2), 0, 1)):
            return _scaled(builder.activation(x, ActivationKind.GELU), 2 * scale)
        case ActivationKind.HARD_SIGMOID if _near((slope, shift, offset), (1, 0, 0)):
            if _near((node.alpha, node.beta), (1 / 6, 1 / 2)):
                return _scaled(builder.activation(x, ActivationKind.HARD_SWISH), scale)
        case ActivationKind.CLIP if _near((slope, shift, offset, node.alpha, node.beta), (1, 3, 0, 0, 6)):
            return _scaled(builder.activation(x, ActivationKind.HARD_SWISH), 6 * scale)
    return None


def _affine_of(argument: View, x: View) -> tuple[float | None, float | None]:
    """Slope and shift if argument = slope·x + shift, element by element."""
    if argument.bases != x.bases or not np.array_equal(argument.places.ravel(), x.places.ravel()):
        return None, None
    outer_scale, inner_scale = np.ones(1), np.ones(1)
    if argument.scale is not None:
        outer_scale = argument.scale.ravel()
    if x.scale is not None:
        inner_scale = x.scale.ravel()
    if np.any(inner_scale == 0):
        return None, None
    slope = _constant(outer_scale / inner_scale, 1.0)
    if slope is None:
        return None, None
    offsets = [np.zeros(1) if view.offset is None else view.offset.ravel() for view in (argument, x)]
    return slope, _constant(offsets[0] - slope * offsets[1], 0.0)


def _constant(array: np.ndarray | None, default: float) -> float | None:
    """The one value of an array, or None if it has several."""
    if array is None:
        return default
    first = float(array.ravel()[0])
    return first if np.allclose(array, first, rtol=1e-6, atol=1e-9) else None


def _near(values: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return bool(np.allclose(values, expected, atol=TOLERANCE, rtol=0))


def _scaled(view: View, factor: float) -> View:
    return view if factor == 1 else view.scaled(np.asarray(factor))
