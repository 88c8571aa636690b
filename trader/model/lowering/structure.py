"""Handlers of the standard operators that compute nothing: casts, reshapes, operators that only training needs."""

import math

from onnx import TensorProto

from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Affine, Symbol, Tail

FLOAT_TYPES = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def lower_identity(context: NodeContext) -> Symbol:
    """Identity, and Dropout, which does nothing outside training."""
    symbol = context.inputs[0]
    return symbol if isinstance(symbol, Tail) else context.affine()


def lower_cast(context: NodeContext) -> Symbol:
    """Cast between floating-point types; of labels, to anything."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail):
        return symbol
    if context.attribute("to") not in FLOAT_TYPES:
        context.refuse("it rounds values of the model to integers", "Leave the cast out.")
    return context.affine()


def lower_flatten(context: NodeContext) -> Symbol:
    """Flatten to [N, F]."""
    value = context.affine()
    axis = context.attribute("axis", 1)
    if axis not in (1, -len(value.shape)):
        context.refuse("it flattens samples together", "Use Flatten with axis=1.")
    return _reshaped(value, (math.prod(value.shape),))


def lower_reshape(context: NodeContext) -> Symbol:
    """Reshape that keeps samples apart; of labels, any."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail):
        return symbol
    value = context.affine()
    target = [int(size) for size in context.constant(1, "shape")]
    shape = _sample_shape(target, value.shape)
    if shape is None:
        context.refuse(f"shape {target} mixes samples of shape {list(value.shape)}", "Keep the first axis: [-1, …].")
    return _reshaped(value, shape)


def _sample_shape(target: list[int], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Per-sample part of a target shape (0 keeps an axis, -1 is inferred), or None if it doesn't keep samples apart.

    The batch axis is 0 or -1, or 1 in a model that was exported for single samples.
    """
    if not target or target[0] not in (-1, 0, 1):
        return None
    size = math.prod(shape)
    rest = [shape[axis] if dim == 0 and axis < len(shape) else dim for axis, dim in enumerate(target[1:])]
    known = math.prod(dim for dim in rest if dim != -1)
    if known > 0 and -1 in rest:
        rest[rest.index(-1)] = size // known
    return tuple(rest) if math.prod(rest) == size and min(rest, default=1) > 0 else None


def _reshaped(value: Affine, shape: tuple[int, ...]) -> Affine:
    scale = None if value.scale is None else value.scale.reshape(shape)
    offset = None if value.offset is None else value.offset.reshape(shape)
    return Affine(value.base, shape, scale, offset)
