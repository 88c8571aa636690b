"""Handlers of operators that take the largest of several elements of a sample.

The largest of two is one ReLU (`trader.model.lowering.choices`). Of several, halves meet until one is left: n elements
take n - 1 ReLUs, ⌈log2 n⌉ of them one after the other.
"""

import math

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.choices import larger, negative
from trader.model.lowering.context import NodeContext
from trader.model.lowering.convolution import reduced_axes, window_geometry
from trader.model.lowering.symbols import Symbol, View


def lower_max_pool(context: NodeContext) -> Symbol:
    """MaxPool, one axis after the other, so that overlapping windows share what they have in common."""
    view = context.view()
    kernel = tuple(context.attribute("kernel_shape"))
    if len(kernel) != len(view.shape) - 1:
        context.refuse(f"a window of shape {list(kernel)} meets samples of shape {list(view.shape)}")
    geometry = window_geometry(context, view.shape[1:], kernel)
    for axis, size in enumerate(kernel):
        starts = np.arange(geometry.outputs[axis]) * geometry.strides[axis] - geometry.begins[axis]
        places = starts[:, np.newaxis] + np.arange(size) * geometry.dilations[axis]
        inside = (places >= 0) & (places < view.shape[axis + 1])
        if not inside.any(axis=1).all():
            context.refuse(f"a window of shape {list(kernel)} holds nothing but padding")
        # Padding never is the largest: the window's first element stands for it.
        first = np.take_along_axis(places, inside.argmax(axis=1)[:, np.newaxis], axis=1)
        view = _largest_at(context, view, axis + 1, np.where(inside, places, first))
    return view


def lower_global_max_pool(context: NodeContext) -> Symbol:
    """GlobalMaxPool: the largest over all spatial axes, which stay with size 1."""
    view = context.view()
    return _largest_along(context, view, tuple(range(1, len(view.shape))), keep=True)


def lower_reduce_max(context: NodeContext) -> Symbol:
    """ReduceMax and ReduceMin over axes of a sample."""
    view, least = context.view(), context.node.op_type == "ReduceMin"
    axes, keep = reduced_axes(context, view), bool(context.attribute("keepdims", 1))
    found = _largest_along(context, negative(view) if least else view, axes, keep=keep)
    return negative(found) if least else found


def _largest_at(context: NodeContext, view: View, axis: int, places: NDArray[np.int64]) -> View:
    """Return the largest of the places [outputs, terms] along an axis, for each output."""
    where = np.take(np.arange(view.size).reshape(view.shape), places, axis=axis)
    return _largest(context, view.taken(where), axis + 1)


def _largest_along(context: NodeContext, view: View, axes: tuple[int, ...], *, keep: bool) -> View:
    """Return the largest along axes, which are dropped, or kept with size 1."""
    kept = tuple(axis for axis in range(len(view.shape)) if axis not in axes)
    sizes = tuple(view.shape[axis] for axis in kept)
    found = _largest(context, view.transposed(kept + axes).reshaped((*sizes, view.size // math.prod(sizes))), len(kept))
    return found.reshaped(tuple(1 if a in axes else n for a, n in enumerate(view.shape))) if keep else found


def _largest(context: NodeContext, view: View, axis: int) -> View:
    """Return the largest along an axis, which is dropped."""
    while (count := view.shape[axis]) > 1:
        where = np.arange(view.size).reshape(view.shape)
        left, right, rest = np.split(where, [count // 2, count // 2 * 2], axis=axis)
        met = larger(context, view.taken(left), view.taken(right))
        view = context.builder.concatenate([met, view.taken(rest)], axis) if rest.size else met
    return view.reshaped((*view.shape[:axis], *view.shape[axis + 1 :]))
