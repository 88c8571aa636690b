"""Transposed convolutions: each position of the input writes a kernel of outputs, a stride before the next one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.convolution import Geometry, windows
from trader.model.lowering.symbols import Symbol, View


@dataclass(frozen=True, slots=True)
class _Axis:
    """Outputs along one spatial axis, in steps of the stride.

    Before it is cropped, output u belongs to step u div stride. A step reads the input of its own number and those
    before it, one for each tap.

    Attributes:
        stride: outputs of a step.
        taps: inputs that a step reads.
        first: the first step of which an output is left.
        steps: steps from there on.
        crop: outputs of these steps that are cut off at the begin.
        outputs: that are left.
    """

    stride: int
    taps: int
    first: int
    steps: int
    crop: int
    outputs: int


def lower_conv_transpose(context: NodeContext) -> Symbol:
    """ConvTranspose, as one linear layer: at each step of the stride, from the inputs that it reads to its outputs.

    No zeros between the inputs are multiplied: Shi et al. (2016), "Is the deconvolution layer the same as a
    convolutional layer?".
    """
    view, kernel = context.view(), context.constant(1, "kernel")
    groups, rank = int(context.attribute("group", 1)), len(view.shape) - 1
    if rank < 1 or kernel.ndim != rank + 2 or kernel.shape[0] != view.shape[0] or view.shape[0] % groups:
        context.refuse(f"a kernel of shape {list(kernel.shape)} meets samples of shape {list(view.shape)}")
    dilations = tuple(context.attribute("dilations") or [1] * rank)
    axes = _axes(context, view.shape[1:], kernel.shape[2:], dilations)
    channels = kernel.shape[1] * groups
    bias = context.constant(2, "bias") if context.has(2) else np.zeros(channels)
    phases = math.prod(axis.stride for axis in axes)
    geometry = Geometry(
        kernel=tuple(axis.taps for axis in axes),
        strides=(1,) * rank,
        dilations=(1,) * rank,
        begins=tuple(axis.taps - 1 - axis.first for axis in axes),
        padded=(),
        outputs=tuple(axis.steps for axis in axes),
    )
    read = view.taken(windows(context, view.shape, geometry))
    patches = read.reshaped((read.shape[0], groups, math.prod(read.shape[1:]) // groups))
    matrices = _matrices(kernel, groups, axes, dilations)
    made = context.builder.linear(patches, matrices, np.repeat(bias.reshape(groups, -1), phases, axis=1))
    return _interleaved(made, channels, axes)


def _axes(
    context: NodeContext, spatial: tuple[int, ...], kernel: tuple[int, ...], dilations: tuple[int, ...]
) -> list[_Axis]:
    rank = len(spatial)
    strides = context.attribute("strides") or [1] * rank
    extra = context.attribute("output_padding") or [0] * rank
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    whole = [(spatial[a] - 1) * strides[a] + spans[a] + extra[a] for a in range(rank)]
    pads = _pads(context, spatial, strides, whole)
    axes = []
    for a, stride in enumerate(strides):
        outputs, first = whole[a] - pads[a] - pads[rank + a], pads[a] // stride
        if outputs < 1 or min(pads) < 0:
            context.refuse(f"its padding leaves nothing of samples of shape {list(spatial)}")
        steps = -(-(pads[a] + outputs) // stride) - first
        axes.append(_Axis(stride, -(-spans[a] // stride), first, steps, pads[a] - first * stride, outputs))
    return axes


def _pads(context: NodeContext, spatial: tuple[int, ...], strides: Sequence[int], whole: Sequence[int]) -> list[int]:
    """Return what is cut off at the begin of each axis, then at the end of each."""
    mode = context.attribute("auto_pad", "NOTSET")
    wanted = context.attribute("output_shape")
    if wanted is None and mode in ("NOTSET", "VALID"):
        pads = context.attribute("pads") if mode == "NOTSET" else None
        return list(pads or [0] * (2 * len(spatial)))
    if wanted is None:
        wanted = [size * stride for size, stride in zip(spatial, strides, strict=True)]
    totals = [max(size - target, 0) for size, target in zip(whole, wanted[-len(spatial) :], strict=True)]
    halves = [total // 2 for total in totals]
    others = [total - half for total, half in zip(totals, halves, strict=True)]
    return halves + others if mode == "SAME_UPPER" else others + halves


def _matrices(
    kernel: NDArray[np.float64], groups: int, axes: Sequence[_Axis], dilations: Sequence[int]
) -> NDArray[np.float64]:
    """Return weights [groups, inputs of a group · taps, outputs of a group · phases] of a kernel."""
    inputs, outputs, *sizes = kernel.shape
    spread = np.zeros((inputs, outputs, *(axis.taps * axis.stride for axis in axes)))
    filled = tuple(slice(0, size * step, step) for size, step in zip(sizes, dilations, strict=True))
    spread[(slice(None), slice(None), *filled)] = kernel
    split = spread.reshape(inputs, outputs, *(n for axis in axes for n in (axis.taps, axis.stride)))
    taps = tuple(range(2, split.ndim, 2))
    # The last tap of a step reads the input of its own number, the one before it the input before.
    ordered = np.flip(split, taps).transpose(0, *taps, 1, *(axis + 1 for axis in taps))
    return ordered.reshape(groups, inputs // groups * math.prod(a.taps for a in axes), -1)


def _interleaved(made: View, channels: int, axes: Sequence[_Axis]) -> View:
    """Put outputs [steps…, groups, outputs of a group · phases] into order: [channels, *spatial]."""
    rank = len(axes)
    split = made.reshaped((*(axis.steps for axis in axes), channels, *(axis.stride for axis in axes)))
    order = (rank, *(place for axis in range(rank) for place in (axis, rank + 1 + axis)))
    whole = split.transposed(order).reshaped((channels, *(axis.steps * axis.stride for axis in axes)))
    where = np.arange(whole.size).reshape(whole.shape)
    return whole.taken(where[(slice(None), *(slice(axis.crop, axis.crop + axis.outputs) for axis in axes))])
