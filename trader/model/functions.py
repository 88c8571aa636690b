"""Activation functions that are not polynomial, as the ONNX operators of the same names define them.

What is tested under encryption is a polynomial near them; `activate` is what that polynomial, and the proof, are
measured against.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class ActivationKind(StrEnum):
    """A function; alpha and beta are the node's parameters."""

    STEP = "step"
    """1 for positive x, else 0: a decision of a tree."""
    RELU = "relu"
    """max(x, 0)."""
    LEAKY_RELU = "leaky_relu"
    """x for positive x, else alpha·x."""
    ELU = "elu"
    """x for positive x, else alpha·(exp(x) - 1)."""
    CLIP = "clip"
    """x, limited to alpha … beta."""
    SIGMOID = "sigmoid"
    """1/(1 + exp(-x))."""
    HARD_SIGMOID = "hard_sigmoid"
    """alpha·x + beta, limited to 0 … 1."""
    TANH = "tanh"
    """Hyperbolic tangent."""
    SOFTPLUS = "softplus"
    """log(1 + exp(x))."""
    SILU = "silu"
    """x·sigmoid(x)."""
    HARD_SWISH = "hard_swish"
    """x·hard_sigmoid(x) with alpha = 1/6 and beta = 1/2."""
    GELU = "gelu"
    """x/2·(1 + erf(x/√2))."""
    GELU_TANH = "gelu_tanh"
    """x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    ERF = "erf"
    """The error function."""


HOMOGENEOUS = frozenset({ActivationKind.RELU, ActivationKind.LEAKY_RELU})
"""Positively homogeneous functions: f(r·x) = r·f(x) for r > 0."""


def activate(
    kind: ActivationKind, x: NDArray[np.float64], alpha: float = 0.0, beta: float = 0.0
) -> NDArray[np.float64]:
    """f(x), element by element, in float64."""
    return np.asarray(_FUNCTIONS[kind](np.asarray(x, dtype=np.float64), alpha, beta))


def bound_activation(
    kind: ActivationKind, magnitude: NDArray[np.float64], alpha: float = 0.0, beta: float = 0.0
) -> NDArray[np.float64]:
    """Return a bound on |f(x)| for |x| ≤ magnitude, element by element."""
    if kind in _SELF_GATED:
        return magnitude
    ends = (np.abs(activate(kind, sign * magnitude, alpha, beta)) for sign in (-1, 1))
    return np.maximum(*ends)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float64)


def _gelu_tanh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / 2 * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


_FUNCTIONS: dict[ActivationKind, Callable[[NDArray[np.float64], float, float], NDArray[np.float64]]] = {
    ActivationKind.STEP: lambda x, _, __: np.where(x > 0, 1.0, 0.0),
    ActivationKind.RELU: lambda x, _, __: np.maximum(x, 0),
    ActivationKind.LEAKY_RELU: lambda x, alpha, _: np.where(x > 0, x, alpha * x),
    ActivationKind.ELU: lambda x, alpha, _: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    ActivationKind.CLIP: lambda x, alpha, beta: np.clip(x, alpha, beta),
    ActivationKind.SIGMOID: lambda x, _, __: _sigmoid(x),
    ActivationKind.HARD_SIGMOID: lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    ActivationKind.TANH: lambda x, _, __: np.tanh(x),
    ActivationKind.SOFTPLUS: lambda x, _, __: np.logaddexp(0, x),
    ActivationKind.SILU: lambda x, _, __: x * _sigmoid(x),
    ActivationKind.HARD_SWISH: lambda x, _, __: x * np.clip(x / 6 + 0.5, 0, 1),
    ActivationKind.GELU: lambda x, _, __: x / 2 * (1 + _erf(x / math.sqrt(2))),
    ActivationKind.GELU_TANH: lambda x, _, __: _gelu_tanh(x),
    ActivationKind.ERF: lambda x, _, __: _erf(x),
}

_SELF_GATED = {ActivationKind.SILU, ActivationKind.HARD_SWISH, ActivationKind.GELU, ActivationKind.GELU_TANH}
"""Functions that are x times something between 0 and 1; on either side of 0, the others are monotonic."""
