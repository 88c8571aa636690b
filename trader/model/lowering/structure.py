"""Handlers of the operators that compute nothing: they rename, reshape, or move elements of a sample."""

import math
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from trader.model.lowering.context import BATCH, NodeContext, node_name
from trader.model.lowering.lookups import lower_embedding
from trader.model.lowering.products import merged
from trader.model.lowering.symbols import Comparison, Rounded, Symbol, Tail, View
from trader.model.lowering.tail import join_columns
from trader.model.lowering.written_out import total_of_sigmoids
from trader.model.nodes import ZERO
from trader.model.postprocessing import PostProcessingKind

FLOAT_TYPES = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}

INTEGER_TYPES = {TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8}

PAD_MODES = ("constant", "edge", "reflect", "wrap")
"""Of ONNX, and of NumPy by the same names."""


def lower_identity(context: NodeContext) -> Symbol:
    """Identity; Imputer, since test data may have no missing values."""
    symbol = context.inputs[0]
    return symbol if isinstance(symbol, Tail) else context.any_view()


def lower_dropout(context: NodeContext) -> tuple[Symbol, Symbol]:
    """Dropout, which does nothing outside training: its mask keeps everything."""
    if context.has(2) and context.constant(2, "training mode").any():
        context.refuse("it is in training mode, and drops values at random", "Export for inference.")
    return lower_identity(context), np.array(True)


def lower_cast(context: NodeContext) -> Symbol:
    """Cast between floating-point types; of labels and conditions, to anything."""
    symbol = context.inputs[0]
    if isinstance(symbol, (Tail, Comparison)):
        return symbol
    target = context.attribute("to")
    if isinstance(symbol, Rounded) and target in INTEGER_TYPES:
        return symbol
    view = context.any_view()
    if target == TensorProto.BOOL and total_of_sigmoids(context.builder, view) is not None:
        # It is positive: so scikit-learn's SGDClassifier guards a division.
        return np.ones((1, *view.shape), dtype=bool)
    whole = target in INTEGER_TYPES and context.encoding.is_whole(view)
    if target in FLOAT_TYPES or whole or (target != TensorProto.STRING and context.encoding.is_code(view)):
        return view
    if target == TensorProto.STRING:
        context.refuse("it makes text of numbers", "Encode the numbers themselves.")
    return Rounded(node_name(context.node), view)


def lower_missing(context: NodeContext) -> np.ndarray:
    """IsNaN and IsInf: no, for every value, since test data may have none that is missing or infinite."""
    return np.zeros((1, *context.view().shape), dtype=bool)


def lower_shape(context: NodeContext) -> Symbol:
    """Shape, with `BATCH` for the number of samples."""
    whole = np.array([BATCH, *context.view().shape], dtype=np.int64)
    return whole[context.attribute("start", 0) : context.attribute("end", len(whole))]


def lower_flatten(context: NodeContext) -> Symbol:
    """Flatten to [N, F]."""
    view = context.view()
    axis = context.attribute("axis", 1)
    if axis not in (1, -len(view.shape)):
        context.refuse("it flattens samples together", "Use Flatten with axis=1.")
    return view.reshaped((view.size,))


def lower_reshape(context: NodeContext) -> Symbol:
    """Reshape that keeps samples apart; of labels, any."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail):
        return symbol
    view = context.view()
    target = [int(size) for size in context.constant(1, "shape")]
    shape = _sample_shape(context, target, view.shape)
    if shape is None:
        context.refuse(f"shape {target} mixes samples of shape {list(view.shape)}", "Keep the first axis: [-1, …].")
    return view.reshaped(shape)


def _sample_shape(context: NodeContext, target: list[int], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Per-sample part of a target shape (0 keeps an axis, -1 is inferred), or None if it doesn't keep samples apart.

    The batch axis is 0 or -1, or the number of samples that the model was exported for.
    """
    if not target or not (target[0] in (-1, 0) or context.is_batch(target[0])):
        return None
    size = math.prod(shape)
    rest = [shape[axis] if dim == 0 and axis < len(shape) else dim for axis, dim in enumerate(target[1:])]
    known = math.prod(dim for dim in rest if dim != -1)
    if known > 0 and -1 in rest:
        rest[rest.index(-1)] = size // known
    return tuple(rest) if math.prod(rest) == size and min(rest, default=1) > 0 else None


def lower_squeeze(context: NodeContext) -> Symbol:
    """Squeeze of axes of size 1; of probabilities, any."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail):
        return symbol
    view = context.any_view()
    rank = len(view.shape)
    axes = context.integers("axes", 1)
    dropped = (
        {axis for axis in range(rank) if view.shape[axis] == 1}
        if axes is None
        else {context.sample_axis(axis, rank, view.batch) for axis in axes}
    )
    if any(view.shape[axis] != 1 for axis in dropped):
        context.refuse(f"it drops axes of samples of shape {list(view.shape)}")
    kept = view.reshaped(tuple(size for axis, size in enumerate(view.shape) if axis not in dropped))
    return replace(kept, batch=view.batch - sum(axis < view.batch for axis in dropped))


def lower_unsqueeze(context: NodeContext) -> Symbol:
    """Unsqueeze: new axes of size 1."""
    view = context.any_view()
    axes = context.integers("axes", 1) or ()
    rank = len(view.shape) + len(axes) + 1
    added = {axis % rank for axis in axes}
    old = [axis for axis in range(rank) if axis not in added]
    batch = old.pop(view.batch)
    sizes = [1] * rank
    for axis, size in zip(old, view.shape, strict=True):
        sizes[axis] = size
    return replace(view.reshaped((*sizes[:batch], *sizes[batch + 1 :])), batch=batch)


def lower_transpose(context: NodeContext) -> Symbol:
    """Transpose; samples may move to another axis for a while."""
    view = context.any_view()
    rank = len(view.shape)
    order = list(context.attribute("perm") or range(rank, -1, -1))
    batch = order.index(view.batch)
    axes = (axis - (axis > view.batch) for axis in order if axis != view.batch)
    return replace(view.transposed(tuple(axes)), batch=batch)


def lower_slice(context: NodeContext) -> Symbol:
    """Slice of axes of a sample; on the batch axis, only all of it."""
    view = context.any_view()
    starts, ends = context.integers("starts", 1) or (), context.integers("ends", 2) or ()
    axes = context.integers("axes", 3) or tuple(range(len(starts)))
    steps = context.integers("steps", 4) or (1,) * len(starts)
    where = np.arange(view.size).reshape(view.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % (len(view.shape) + 1) == view.batch and start == 0 and end >= BATCH and step == 1:
            continue
        inner = context.sample_axis(axis, len(view.shape), view.batch)
        size = view.shape[inner]
        begin = None if step < 0 and start >= size - 1 else start
        stop = None if (step < 0 and end < -size) or (step > 0 and end >= size) else end
        where = where[(slice(None),) * inner + (slice(begin, stop, step),)]
    if not where.size:
        context.refuse("nothing is left of a sample")
    return replace(view.taken(where), batch=view.batch)


def lower_gather(context: NodeContext) -> Symbol:
    """Gather of constant places along an axis of a sample."""
    if isinstance(context.inputs[0], np.ndarray):
        return lower_embedding(context)
    view = context.any_view()
    axis = context.sample_axis(context.attribute("axis", 0), len(view.shape), view.batch)
    places = context.constant(1, "list of places").astype(np.int64)
    if np.any((places < -view.shape[axis]) | (places >= view.shape[axis])):
        context.refuse(f"it reads outside samples of shape {list(view.shape)}")
    taken = view.taken(np.take(np.arange(view.size).reshape(view.shape), places, axis=axis))
    return replace(taken, batch=view.batch + (places.ndim - 1 if axis < view.batch else 0))


def lower_gather_nd(context: NodeContext) -> Symbol:
    """GatherND of constant places along the axes before the samples: how PyTorch writes x[:, [0, 3, 5]], transposed."""
    view = context.any_view()
    places = context.constant(1, "list of places").astype(np.int64)
    depth = places.shape[-1]
    if context.attribute("batch_dims", 0) or depth > view.batch:
        context.refuse("it takes places along the samples", "Take columns with Gather or Slice.")
    sizes = np.array(view.shape[:depth])
    if np.any((places < -sizes) | (places >= sizes)):
        context.refuse(f"it reads outside samples of shape {list(view.shape)}")
    where = np.arange(view.size).reshape(view.shape)[tuple(np.moveaxis(places, -1, 0))]
    return replace(view.taken(where), batch=view.batch - depth + places.ndim - 1)


def lower_split(context: NodeContext) -> tuple[Symbol, ...]:
    """Split along an axis of a sample."""
    view = context.any_view()
    axis = context.sample_axis(context.attribute("axis", 0), len(view.shape), view.batch)
    count = len(context.node.output)
    sizes = context.integers("split", 1)
    if sizes is None:
        each = -(-view.shape[axis] // count)
        sizes = (*[each] * (count - 1), view.shape[axis] - each * (count - 1))
    if sum(sizes) != view.shape[axis] or min(sizes) < 1:
        context.refuse(f"it cuts {list(view.shape)} into parts of {list(sizes)}")
    where = np.arange(view.size).reshape(view.shape)
    parts = np.split(where, np.cumsum(sizes)[:-1], axis=axis)
    return tuple(replace(view.taken(part), batch=view.batch) for part in parts)


def lower_pad(context: NodeContext) -> Symbol:
    """Pad with a constant, or with elements of the sample; negative padding crops."""
    view = context.view()
    pads = context.integers("pads", 1)
    rank = len(view.shape)
    mode = context.attribute("mode", "constant")
    if mode not in PAD_MODES or pads is None:
        context.refuse(f"its mode is {mode}", "Pad with zeros.")
    axes = context.integers("axes", 3) or tuple(range(len(pads) // 2))
    filling = float(context.constant(2, "value").item()) if context.has(2) else context.attribute("value", 0.0)
    where = np.arange(view.size).reshape(view.shape)
    for i, axis in enumerate(axes):
        begin, end = pads[i], pads[i + len(axes)]
        if begin == end == 0:
            continue
        inner = context.sample_axis(axis, rank)
        cut = (slice(None),) * inner + (slice(max(-begin, 0), where.shape[inner] - max(-end, 0)),)
        widths = [(max(begin, 0), max(end, 0)) if a == inner else (0, 0) for a in range(rank)]
        kept = where[cut]
        if mode == "constant":
            where = np.pad(kept, widths, constant_values=ZERO)
        elif kept.size:
            where = np.pad(kept, widths, mode=mode)
    padded = view.taken(where)
    return padded.shifted(np.where(where == ZERO, filling, 0.0)) if filling and mode == "constant" else padded


def lower_expand(context: NodeContext) -> Symbol:
    """Expand along axes of a sample."""
    symbol = context.inputs[0]
    if isinstance(symbol, Tail) and symbol.kind is PostProcessingKind.L2_NORM:
        return symbol  # what is divided by it next says whether the shape is right
    view, target = context.view(), context.integers("shape", 1) or ()
    if len(target) > len(view.shape) and context.is_batch(target[0]):
        target = target[1:]
    try:
        shape = np.broadcast_shapes(view.shape, target)
    except ValueError:
        shape = ()
    if len(shape) != len(view.shape):
        context.refuse(f"it expands samples of shape {list(view.shape)} to {list(target)}")
    return view.taken(np.broadcast_to(np.arange(view.size).reshape(view.shape), shape))


def lower_tile(context: NodeContext) -> Symbol:
    """Tile along axes of a sample."""
    view, repeats = context.view(), context.integers("repeats", 1) or ()
    if len(repeats) != len(view.shape) + 1 or repeats[0] != 1 or min(repeats) < 1:
        context.refuse(f"it repeats samples of shape {list(view.shape)} {list(repeats)} times", "Keep axis 0 as it is.")
    return view.taken(np.tile(np.arange(view.size).reshape(view.shape), repeats[1:]))


def lower_concat(context: NodeContext) -> Symbol:
    """Concat along an axis of a sample, with constants too; of the two columns of a binary classifier."""
    joined = join_columns(context)
    if joined is not None:
        return joined
    constant = [isinstance(symbol, np.ndarray) for symbol in context.inputs]
    first = context.any_view(constant.index(False))
    rank, batch = len(first.shape), first.batch
    if context.attribute("axis") in (batch, batch - rank - 1):
        context.refuse(
            "it puts values behind each other along the samples, as exported bagging does",
            "Average regressors with VotingRegressor, or sell one model; in place of quadratic discriminants use "
            "polynomial features and LogisticRegression.",
        )
    axis = context.sample_axis(context.attribute("axis"), rank, batch)
    parts = [_same_for_all(context, i, first) if fixed else context.any_view(i) for i, fixed in enumerate(constant)]
    if any(part.batch != batch for part in parts):
        context.refuse("its inputs have samples along different axes", "Transpose them to [N, …] first.")
    parts = parts if batch else merged(context.builder, parts)
    return replace(context.builder.concatenate(parts, axis), batch=batch)


def _same_for_all(context: NodeContext, index: int, like: View) -> View:
    """Return a constant as a part of every sample."""
    values = context.constant(index, "part")
    if values.ndim != len(like.shape) + 1 or values.shape[like.batch] != 1:
        context.refuse(f"it joins samples of {len(like.shape)} axes with a constant of shape {list(values.shape)}")
    part = values.squeeze(like.batch)
    return replace(View((), part.shape, np.full(part.shape, ZERO)).shifted(part), batch=like.batch)
