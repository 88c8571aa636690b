"""Handlers of operators over windows of an image or a series: convolutions, average pooling, reductions.

A window operator gathers its windows first (`windows`): a view [positions, channels, taps] with zeros where a window
reaches over the edge. A convolution is then a linear layer over positions, an average a sum over taps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol, View
from trader.model.nodes import ZERO

MAX_WINDOW_ELEMENTS = 1 << 26


@dataclass(frozen=True, slots=True)
class Geometry:
    """How windows lie on an input, one number per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    padded: tuple[int, ...]
    outputs: tuple[int, ...]


def lower_conv(context: NodeContext) -> Symbol:
    """Conv with any number of spatial axes, strides, padding, dilation and groups."""
    view, weights = context.view(), context.constant(1, "kernel")
    groups = int(context.attribute("group", 1))
    if weights.ndim != len(view.shape) + 1 or groups < 1 or view.shape[0] != groups * weights.shape[1]:
        context.refuse(f"a kernel of shape {list(weights.shape)} meets samples of shape {list(view.shape)}")
    geometry = window_geometry(context, view.shape[1:], weights.shape[2:])
    channels = weights.shape[0]
    bias = context.constant(2, "bias") if context.has(2) else np.zeros(channels)
    # [positions, channels, taps] -> [positions, groups, channels of a group · taps]
    read = view.taken(windows(context, view.shape, geometry))
    patches = read.reshaped((read.shape[0], groups, math.prod(read.shape[1:]) // groups))
    matrices = weights.reshape(groups, channels // groups, -1).transpose(0, 2, 1)
    made = context.builder.linear(patches, matrices, bias.reshape(groups, -1))
    return made.reshaped((*geometry.outputs, channels)).transposed(_channels_first(geometry.outputs))


def lower_average_pool(context: NodeContext) -> Symbol:
    """AveragePool; windows count padding if `count_include_pad` says so, but never what lies beyond it."""
    view = context.view()
    kernel = tuple(context.attribute("kernel_shape"))
    if len(kernel) != len(view.shape) - 1:
        context.refuse(f"a window of shape {list(kernel)} meets samples of shape {list(view.shape)}")
    geometry = window_geometry(context, view.shape[1:], kernel)
    where = windows(context, view.shape, geometry)
    counted = where
    if context.attribute("count_include_pad", 0):
        counted = windows(context, (1, *geometry.padded), replace(geometry, begins=(0,) * len(kernel)))
    counts = (counted != ZERO).sum(axis=2)
    total = context.builder.sum(view.taken(where), (2,)).scaled(1 / np.maximum(counts, 1))
    return total.reshaped((*geometry.outputs, view.shape[0])).transposed(_channels_first(geometry.outputs))


def lower_global_average_pool(context: NodeContext) -> Symbol:
    """GlobalAveragePool: the mean over all spatial axes, which stay with size 1."""
    return _reduced(context, context.view(), tuple(range(1, len(context.view().shape))), mean=True, keep=True)


def lower_reduce(context: NodeContext) -> Symbol:
    """ReduceMean, ReduceSum and ReduceSumSquare over axes of a sample."""
    view = context.any_view()
    if context.node.op_type == "ReduceSumSquare":
        view = replace(context.builder.square(view), batch=view.batch)
    if context.attribute("noop_with_empty_axes", 0) and not context.integers("axes", 1):
        return view
    axes = reduced_axes(context, view)
    mean, keep = context.node.op_type == "ReduceMean", bool(context.attribute("keepdims", 1))
    dropped = 0 if keep else sum(axis < view.batch for axis in axes)
    return replace(_reduced(context, view, axes, mean=mean, keep=keep), batch=view.batch - dropped)


def reduced_axes(context: NodeContext, view: View) -> tuple[int, ...]:
    """Return the axes of a sample that a node reduces."""
    given = context.integers("axes", 1)
    if not given:
        context.refuse("it reduces over the samples", "Name the axes.")
    return tuple(context.sample_axis(axis, len(view.shape), view.batch) for axis in given)


def _reduced(context: NodeContext, view: View, axes: tuple[int, ...], *, mean: bool, keep: bool) -> View:
    terms = math.prod(view.shape[axis] for axis in axes)
    total = context.builder.sum(view, axes)
    if keep:
        total = total.reshaped(tuple(1 if axis in axes else size for axis, size in enumerate(view.shape)))
    return total.scaled(np.asarray(1 / terms)) if mean else total


def _channels_first(spatial: Sequence[int]) -> tuple[int, ...]:
    return (len(spatial), *range(len(spatial)))


def window_geometry(context: NodeContext, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> Geometry:
    """Return how the windows of a node lie on an input of that spatial shape."""
    rank = len(spatial)
    strides = tuple(context.attribute("strides") or [1] * rank)
    dilations = tuple(context.attribute("dilations") or [1] * rank)
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    pads = _pads(context, spatial, spans, strides)
    padded = [size + pads[axis] + pads[rank + axis] for axis, size in enumerate(spatial)]
    outputs = []
    for axis, size in enumerate(spatial):
        room = padded[axis] - spans[axis]
        count = room // strides[axis] + 1
        # With ceil_mode, one more window reaches over the end, but it may not begin there.
        one_more = (
            context.attribute("ceil_mode", 0) and room % strides[axis] and count * strides[axis] < size + pads[axis]
        )
        outputs.append(count + bool(one_more))
    if min(outputs, default=1) < 1:
        context.refuse(f"its windows don't fit samples of shape {list(spatial)}")
    return Geometry(tuple(kernel), strides, dilations, tuple(pads[:rank]), tuple(padded), tuple(outputs))


def _pads(context: NodeContext, spatial: tuple[int, ...], spans: Sequence[int], strides: tuple[int, ...]) -> list[int]:
    """Return the padding at the begin of each axis, then at the end of each."""
    mode = context.attribute("auto_pad", "NOTSET")
    if mode == "VALID":
        return [0] * (2 * len(spatial))
    if mode == "NOTSET":
        return list(context.attribute("pads") or [0] * (2 * len(spatial)))
    totals = [
        max((-(-size // stride) - 1) * stride + span - size, 0)
        for size, stride, span in zip(spatial, strides, spans, strict=True)
    ]
    halves = [total // 2 for total in totals]
    others = [total - half for total, half in zip(totals, halves, strict=True)]
    return halves + others if mode == "SAME_UPPER" else others + halves


def windows(context: NodeContext, shape: tuple[int, ...], geometry: Geometry) -> NDArray[np.int64]:
    """Return indices [positions, channels, taps] into a sample [channels, *spatial]; `ZERO` outside it."""
    spatial = shape[1:]
    positions, taps = math.prod(geometry.outputs), math.prod(geometry.kernel)
    if positions * taps * shape[0] > MAX_WINDOW_ELEMENTS:
        context.refuse(f"its windows hold {positions * taps * shape[0]} elements, more than {MAX_WINDOW_ELEMENTS}")
    flat = np.zeros((positions, taps), dtype=np.int64)
    inside = np.ones((positions, taps), dtype=np.bool_)
    for axis, size in enumerate(spatial):
        starts = np.indices(geometry.outputs)[axis].ravel() * geometry.strides[axis] - geometry.begins[axis]
        steps = np.indices(geometry.kernel)[axis].ravel() * geometry.dilations[axis]
        places = starts[:, np.newaxis] + steps
        inside &= (places >= 0) & (places < size)
        flat = flat * size + places
    channel = np.arange(shape[0])[np.newaxis, :, np.newaxis] * math.prod(spatial)
    return np.where(inside[:, np.newaxis], flat[:, np.newaxis] + channel, ZERO)
