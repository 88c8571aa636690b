"""Handlers of the operators that compute: linear layers, element-wise sums and products, normalisation."""

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.gates import gated_activation
from trader.model.lowering.symbols import Symbol, Tail, View
from trader.model.lowering.written_out import (
    by_its_norm,
    is_total,
    normalised,
    reciprocal_exp,
    scaled_tail,
    shifted_exp,
)

MAX_POWER = 16


def lower_gemm(context: NodeContext) -> Symbol:
    """Gemm: alpha·x·B + beta·C, C constant or a value of the model."""
    if context.attribute("transA", 0):
        context.refuse("transA is set")
    weights = context.constant(1, "weight matrix") * context.attribute("alpha", 1.0)
    if context.attribute("transB", 0):
        weights = weights.T
    view = context.view()
    if len(view.shape) != 1:
        context.refuse(f"it reads samples of shape {list(view.shape)}", "Flatten them to [N, F] first.")
    result = _linear(context, view, weights)
    if not context.has(2):
        return result
    if not isinstance(context.inputs[2], np.ndarray):
        return added(context, result, context.view(2).scaled(np.asarray(context.attribute("beta", 1.0))))
    _, bias = meeting(context, result, context.constant(2, "bias"))
    return result.shifted(bias * context.attribute("beta", 1.0))


def lower_matmul(context: NodeContext) -> Symbol:
    """MatMul: x·B or A·x with a constant matrix."""
    if isinstance(context.inputs[0], np.ndarray):
        weights, view = context.constant(0, "left-hand side"), context.view(1)
        if len(view.shape) < 2:
            context.refuse("it multiplies samples with each other")
        order = (*range(len(view.shape) - 2), len(view.shape) - 1, len(view.shape) - 2)
        return _linear(context, view.transposed(order), weights.T).transposed(order)
    if isinstance(context.inputs[1], (View, Tail)):
        context.refuse(
            "it multiplies two values of the model as matrices, as attention does",
            "Products of values are supported element by element; along a sequence, use convolutions or averages.",
        )
    return _linear(context, context.view(), context.constant(1, "right-hand side"))


def _linear(context: NodeContext, view: View, weights: NDArray[np.float64]) -> View:
    while weights.ndim > 2 and weights.shape[0] == 1:
        weights = weights[0]
    if weights.ndim == 1:
        # A vector takes the last axis away.
        return _linear(context, view, weights[:, np.newaxis]).reshaped(view.shape[:-1])
    if weights.ndim != 2 or not view.shape or view.shape[-1] != weights.shape[0]:
        context.refuse(f"samples of shape {list(view.shape)} meet weights of shape {list(weights.shape)}")
    grouped = view.reshaped((*view.shape[:-1], 1, view.shape[-1]))
    made = context.builder.linear(grouped, weights[np.newaxis], np.zeros((1, weights.shape[1])))
    return made.reshaped((*view.shape[:-1], weights.shape[1]))


def lower_add(context: NodeContext) -> Symbol:
    """Add and Sum: of views and constants, any number of them; of 1 and an exponential."""
    match context.inputs:
        case [Tail() as tail, np.ndarray() as constant] | [np.ndarray() as constant, Tail() as tail]:
            if not np.any(constant) and constant.size == 1:
                return tail
            if (made := shifted_exp(context, tail, constant)) is not None:
                return made
    total: View | NDArray[np.float64] | None = None
    for index, symbol in enumerate(context.inputs):
        term = context.constant(index, "term") if isinstance(symbol, np.ndarray) else context.view(index)
        total = term if total is None else added(context, total, term)
    return total if isinstance(total, View) else context.view()


def lower_mean(context: NodeContext) -> Symbol:
    """Mean of views and constants, element by element."""
    total = lower_add(context)
    return total.scaled(np.asarray(1 / len(context.inputs))) if isinstance(total, View) else context.view()


def lower_sub(context: NodeContext) -> Symbol:
    """Sub: x - y, or 1 - sigmoid(x), which may be the first of two columns of a classifier."""
    left, right = context.inputs[:2]
    if isinstance(right, Tail) and right.kind == "sigmoid" and isinstance(left, np.ndarray) and np.all(left == 1):
        return Tail(right.value, right.kind, right.operator, right.node, right.labels, complement=True)
    first = context.constant(0, "minuend") if isinstance(left, np.ndarray) else context.view(0)
    if isinstance(right, np.ndarray):
        return added(context, first, -context.constant(1, "subtrahend"))
    return added(context, first, context.view(1).scaled(np.asarray(-1.0)))


def lower_mul(context: NodeContext) -> Symbol:
    """Mul: x·constant, x·x, x·y, and the products that stand for one activation (x·sigmoid(x))."""
    if any(isinstance(symbol, np.ndarray) for symbol in context.inputs[:2]):
        constant_first = isinstance(context.inputs[0], np.ndarray)
        if (tail := scaled_tail(context, 1 if constant_first else 0)) is not None:
            return tail
        view = context.view(1 if constant_first else 0)
        wide, factor = meeting(context, view, context.constant(0 if constant_first else 1, "factor"))
        return wide.scaled(factor)
    left, right = context.view(0), context.view(1)
    if context.inputs[0] is context.inputs[1]:
        return context.builder.square(left)
    gated = gated_activation(context.builder, left, right) or gated_activation(context.builder, right, left)
    if gated is not None:
        return gated
    return context.builder.multiply(*_same_shape(context, left, right))


def lower_div(context: NodeContext) -> Symbol:
    """Div: x / constant, sigmoids by their sum, or 1 by an exponential."""
    left, right = context.inputs[:2]
    if isinstance(left, np.ndarray) and np.all(left == 1) and (made := reciprocal_exp(context, right)) is not None:
        return made
    if isinstance(left, Tail) and isinstance(right, View) and is_total(context.builder, left, right):
        return normalised(left)
    if (unit := by_its_norm(context)) is not None:
        return unit
    if not isinstance(right, np.ndarray):
        context.refuse(
            "it divides by a value that it takes from the sample, and encrypted values can't be divided by",
            "Divide by constants; normalise with BatchNormalization.",
        )
    view, divisor = context.view(0), context.constant(1, "divisor")
    if not divisor.all():
        context.refuse("it divides by zero")
    wide, factor = meeting(context, view, 1 / divisor)
    return wide.scaled(factor)


def lower_neg(context: NodeContext) -> Symbol:
    """Neg: -x."""
    return context.view().scaled(np.asarray(-1.0))


def lower_pow(context: NodeContext) -> Symbol:
    """Pow with a small positive integer, by squaring and multiplying."""
    if isinstance(context.inputs[0], np.ndarray):
        context.refuse(
            "it raises a constant to a power that it takes from the sample",
            "Return the power; Exp may be the last step.",
        )
    view, exponent = context.view(), context.constant(1, "exponent")
    if exponent.size != 1 or exponent.item() not in range(1, MAX_POWER + 1):
        context.refuse(f"its exponent is not an integer from 1 to {MAX_POWER}", "Use Pow(x, 2) or Mul(x, x).")
    return _power(context, view, int(exponent.item()))


def _power(context: NodeContext, view: View, exponent: int) -> View:
    if exponent == 1:
        return view
    half = _power(context, view, exponent // 2)
    even = context.builder.square(half)
    return context.builder.multiply(even, view) if exponent % 2 else even


def lower_batch_normalization(context: NodeContext) -> Symbol:
    """BatchNormalization, as it is after training: one factor and one offset per channel."""
    view = context.view()
    gamma, beta, mean, variance = (context.constant(i, "statistics") for i in range(1, 5))
    if not view.shape or gamma.shape != (view.shape[0],) or context.attribute("training_mode", 0):
        context.refuse(f"it does not normalise samples of shape {list(view.shape)} by channel", "Export for inference.")
    scale = gamma / np.sqrt(variance + context.attribute("epsilon", 1e-5))
    channel = (-1, *[1] * (len(view.shape) - 1))
    return view.scaled(scale.reshape(channel)).shifted((beta - mean * scale).reshape(channel))


def added(context: NodeContext, left: View | NDArray[np.float64], right: View | NDArray[np.float64]) -> View:
    """Sum of two views, or of a view and a constant."""
    if isinstance(left, View) and isinstance(right, View):
        return context.builder.add(*_same_shape(context, left, right))
    if isinstance(left, View):
        left, right = right, left
    if isinstance(right, View) and not isinstance(left, View):
        view, constant = meeting(context, right, left)
        return view.shifted(constant)
    return context.refuse("it joins constants with constants")


def _same_shape(context: NodeContext, left: View, right: View) -> tuple[View, View]:
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        shape = ()
    if len(left.shape) != len(right.shape) or len(shape) != len(left.shape):
        context.refuse(f"samples of shape {list(left.shape)} meet samples of shape {list(right.shape)}")
    return _broadcast(left, shape), _broadcast(right, shape)


def meeting(context: NodeContext, view: View, constant: NDArray[np.float64]) -> tuple[View, NDArray[np.float64]]:
    """Return a view and a constant that broadcasts against it, in the shape that both have, without the batch."""
    if constant.ndim == len(view.shape) + 1 and constant.shape[0] == 1:
        constant = constant[0]
    try:
        shape = np.broadcast_shapes(view.shape, constant.shape)
    except ValueError:
        shape = (*view.shape, 0)
    if len(shape) > len(view.shape):
        context.refuse(f"a constant of shape {list(constant.shape)} meets samples of shape {list(view.shape)}")
    return _broadcast(view, shape), constant


def _broadcast(view: View, shape: tuple[int, ...]) -> View:
    """Return the view, its elements repeated to a shape."""
    if view.shape == shape:
        return view
    return view.taken(np.broadcast_to(np.arange(view.size).reshape(view.shape), shape))
