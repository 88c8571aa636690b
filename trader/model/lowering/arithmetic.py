"""Handlers of the standard operators that compute: linear layers, element-wise maps with constants, squares."""

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Affine, Symbol, Tail

PRODUCT_ALTERNATIVE = "Of products of two values, the square Mul(x, x) is supported."


def lower_gemm(context: NodeContext) -> Symbol:
    """Gemm: alpha·x·B + beta·C."""
    if context.attribute("transA", 0):
        context.refuse("transA is set")
    weights = context.constant(1, "weight matrix") * context.attribute("alpha", 1.0)
    if context.attribute("transB", 0):
        weights = weights.T
    bias = np.zeros(weights.shape[-1])
    if context.has(2):
        bias = bias + _per_sample(context, context.constant(2, "bias"), bias.shape) * context.attribute("beta", 1.0)
    return _linear(context, weights, bias)


def lower_matmul(context: NodeContext) -> Symbol:
    """MatMul: x·B."""
    weights = context.constant(1, "right-hand side")
    return _linear(context, weights, np.zeros(weights.shape[-1]))


def _linear(context: NodeContext, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Symbol:
    value = context.affine()
    if weights.ndim != 2 or value.shape != (weights.shape[0],):
        context.refuse(f"samples of shape {list(value.shape)} meet weights of shape {list(weights.shape)}")
    return context.builder.linear(value, weights, bias)


def lower_add(context: NodeContext) -> Symbol:
    """Add: x + constant."""
    value, other = _value_and_constant(context)
    return shifted(value, other)


def lower_sub(context: NodeContext) -> Symbol:
    """Sub: x - constant, constant - x, or 1 - sigmoid(x) at the end of a model."""
    subtrahend = context.inputs[1]
    if isinstance(subtrahend, Tail):
        return _complement(context, subtrahend)
    value, other = _value_and_constant(context)
    if value is context.inputs[0]:
        return shifted(value, -other)
    return shifted(scaled(value, np.asarray(-1.0)), other)


def lower_mul(context: NodeContext) -> Symbol:
    """Mul: x·constant or x·x."""
    left, right = context.inputs[:2]
    if isinstance(left, Affine) and left is right:
        squared: Affine = context.settled(lambda: context.builder.square(left))
        return squared
    if isinstance(left, Affine) and isinstance(right, Affine):
        context.refuse("it multiplies two different values", PRODUCT_ALTERNATIVE)
    value, other = _value_and_constant(context)
    return scaled(value, other)


def lower_div(context: NodeContext) -> Symbol:
    """Div: x / constant."""
    value, other = context.affine(0), context.constant(1, "divisor")
    if not other.all():
        context.refuse("it divides by zero")
    return scaled(value, _per_sample(context, 1 / other, value.shape))


def lower_neg(context: NodeContext) -> Symbol:
    """Neg: -x."""
    return scaled(context.affine(), np.asarray(-1.0))


def lower_pow(context: NodeContext) -> Symbol:
    """Pow: x¹, x², x⁴."""
    value = context.affine()
    exponent = context.constant(1, "exponent")
    if exponent.size != 1 or exponent.item() not in (1, 2, 4):
        context.refuse("its exponent is not 1, 2 or 4", "Use Pow(x, 2) or Mul(x, x).")
    for _ in range(int(exponent.item()) // 2):
        value = context.settled(lambda value=value: context.builder.square(value))
    return value


def _value_and_constant(context: NodeContext) -> tuple[Affine, NDArray[np.float64]]:
    """The input that depends on the sample, and the constant one, shaped to broadcast against one sample."""
    first_is_constant = isinstance(context.inputs[0], np.ndarray)
    if not first_is_constant and not isinstance(context.inputs[1], np.ndarray):
        context.affine(0), context.affine(1)
        context.refuse("it joins two values of the model", "Residual connections are not supported yet.")
    value = context.affine(1 if first_is_constant else 0)
    constant = context.constant(0 if first_is_constant else 1, "other input")
    return value, _per_sample(context, constant, value.shape)


def _per_sample(context: NodeContext, constant: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A constant that broadcasts against [N, *shape], without the batch axis."""
    if constant.ndim == len(shape) + 1 and constant.shape[0] == 1:
        constant = constant[0]
    try:
        fits = np.broadcast_shapes(constant.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        context.refuse(f"a constant of shape {list(constant.shape)} meets samples of shape {list(shape)}")
    return constant


def shifted(value: Affine, by: NDArray[np.float64]) -> Affine:
    """Value + by, for something that broadcasts to its shape."""
    offset = np.broadcast_to(by, value.shape) + (0 if value.offset is None else value.offset)
    return Affine(value.base, value.shape, value.scale, offset)


def scaled(value: Affine, by: NDArray[np.float64]) -> Affine:
    """Value·by, for something that broadcasts to its shape."""
    scale = np.broadcast_to(by, value.shape) * (1 if value.scale is None else value.scale)
    offset = None if value.offset is None else value.offset * by
    return Affine(value.base, value.shape, scale, offset)


def _complement(context: NodeContext, tail: Tail) -> Tail:
    """1 - sigmoid(x): the first column of a binary classifier."""
    one = context.inputs[0]
    if tail.kind != "sigmoid" or not isinstance(one, np.ndarray) or not np.all(one == 1):
        context.affine(1)
    return Tail(tail.value, tail.kind, tail.operator, tail.node, tail.labels, complement=True)
