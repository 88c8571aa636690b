"""Handlers of operators that give an image or a series another size: they repeat, move and average elements.

Interpolation is an average of repeated elements. So it needs no parameters, which would be known to everybody, and yet
count where quotas are taken from the number of secret ones.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol, View

MAX_TERMS = 64
"""Elements whose average an interpolated one is, along one axis."""
_EXACT = 1e-4
"""Within which weights are multiples of 1/terms."""


@dataclass(frozen=True, slots=True)
class _Scaling:
    """From how many elements to how many an axis goes, and by which factor."""

    size: int
    outputs: int
    factor: float

    @property
    def places(self) -> NDArray[np.float32]:
        """Numbers of the outputs. What is computed from them is rounded as onnxruntime rounds it, before it is cut."""
        return np.arange(self.outputs, dtype=np.float32)


def _half_pixel(axis: _Scaling) -> NDArray[np.float32]:
    return (axis.places + np.float32(0.5)) / np.float32(axis.factor) - np.float32(0.5)


def _align_corners(axis: _Scaling) -> NDArray[np.float32]:
    return axis.places * np.float32(axis.size - 1) / np.float32(max(axis.outputs - 1, 1))


_COORDINATES: Mapping[str, Callable[[_Scaling], NDArray[np.float32]]] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": lambda axis: _half_pixel(axis) if axis.outputs > 1 else np.zeros(1, np.float32),
    "align_corners": _align_corners,
    "asymmetric": lambda axis: axis.places / np.float32(axis.factor),
}
"""Where an output lies among the inputs, by `coordinate_transformation_mode`."""

_ROUNDINGS: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""By `nearest_mode`."""


def lower_resize(context: NodeContext) -> Symbol:
    """Resize, and Upsample as its predecessor: nearest, or linear along any number of axes."""
    view = context.view()
    old = context.node.op_type == "Upsample" or context.opset < _COORDINATES_SINCE
    coordinates = "asymmetric" if old else context.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else context.attribute("nearest_mode", "round_prefer_floor")
    mode = context.attribute("mode", "nearest")
    if mode not in ("nearest", "linear") or coordinates not in _COORDINATES or context.attribute("antialias", 0):
        context.refuse(
            f"its mode is {mode}, its coordinates are {coordinates}, or it smooths",
            "Use mode nearest or linear, without antialiasing.",
        )
    for number, axis in enumerate(_scalings(context, view, old=old)):
        if axis.size == axis.outputs and axis.factor == 1:
            continue
        where = np.clip(_COORDINATES[coordinates](axis), 0, axis.size - 1)
        if mode == "nearest":
            terms = _ROUNDINGS[rounding](where).astype(np.int64)[:, np.newaxis]
        else:
            terms = _interpolated(context, where, axis.size)
        view = _averaged(context, view, number, terms)
    return view


_COORDINATES_SINCE = 11
"""The operator set in which Resize got its coordinates, and `scales` moved to the third input."""


def _scalings(context: NodeContext, view: View, *, old: bool) -> list[_Scaling]:
    """Return how each axis of a sample is scaled."""
    rank = len(view.shape) + 1
    axes = [axis % rank for axis in context.attribute("axes") or range(rank)]
    scalings = [_Scaling(size, size, 1.0) for size in view.shape]
    sizes = None if old or not context.has(3) else context.constant(3, "size").ravel()
    if sizes is not None and sizes.size:
        if context.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            context.refuse("it keeps the ratio of the axes", "Give the sizes that this comes to.")
        wanted = {axis: int(size) for axis, size in zip(axes, sizes, strict=True)}
        scales = {a: n / view.shape[a - 1] for a, n in wanted.items() if a}
        whole = context.is_batch(wanted.get(0, 1))
    else:
        given = context.attribute("scales")
        factors = context.constant(1 if old else 2, "scale").ravel() if given is None else given
        scales = {axis: float(factor) for axis, factor in zip(axes, factors, strict=True)}
        whole = scales.pop(0, 1.0) == 1
        wanted = {a: math.floor(view.shape[a - 1] * factor) for a, factor in scales.items()}
    if not whole:
        context.refuse("it changes the number of samples")
    for axis, factor in scales.items():
        if wanted[axis] < 1:
            context.refuse(f"it leaves nothing of samples of shape {list(view.shape)}")
        scalings[axis - 1] = _Scaling(view.shape[axis - 1], wanted[axis], factor)
    return scalings


def _interpolated(context: NodeContext, where: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """Return elements [outputs, terms] whose averages are the values at fractional places."""
    low = np.minimum(np.floor(where).astype(np.int64), size - 1)
    weights = where - low
    parts = [Fraction(float(weight)).limit_denominator(MAX_TERMS) for weight in weights]
    terms = math.lcm(*(part.denominator for part in parts))
    if terms > MAX_TERMS or any(abs(float(p) - w) > _EXACT for p, w in zip(parts, weights, strict=True)):
        context.refuse(
            f"it interpolates with weights that are not multiples of 1/{MAX_TERMS} or of more",
            "Scale by 2 or 4, without align_corners, or use mode nearest.",
        )
    upper = np.array([int(part * terms) for part in parts])[:, np.newaxis]
    beyond = np.arange(terms) >= terms - upper
    return np.where(beyond, np.minimum(low + 1, size - 1)[:, np.newaxis], low[:, np.newaxis])


def _averaged(context: NodeContext, view: View, axis: int, terms: NDArray[np.int64]) -> View:
    """Return averages of elements along an axis: those of each row of `terms` [outputs, terms]."""
    taken = view.taken(np.take(np.arange(view.size).reshape(view.shape), terms, axis=axis))
    count = terms.shape[1]
    if count == 1:
        return taken.reshaped((*view.shape[:axis], len(terms), *view.shape[axis + 1 :]))
    return context.builder.sum(taken, (axis + 1,)).scaled(np.asarray(1 / count))


def lower_depth_to_space(context: NodeContext) -> Symbol:
    """DepthToSpace: channels become the pixels of a block."""
    view = context.view()
    block = int(context.attribute("blocksize", 0))
    if len(view.shape) != _IMAGE or block < 1 or view.shape[0] % block**2:
        context.refuse(f"it makes blocks of {block} by {block} of samples of shape {list(view.shape)}")
    channels, height, width = view.shape[0] // block**2, *view.shape[1:]
    if context.attribute("mode", "DCR") == "DCR":
        shape, order = (block, block, channels, height, width), (2, 3, 0, 4, 1)
    else:
        shape, order = (channels, block, block, height, width), (0, 3, 1, 4, 2)
    return view.reshaped(shape).transposed(order).reshaped((channels, height * block, width * block))


def lower_space_to_depth(context: NodeContext) -> Symbol:
    """SpaceToDepth: the pixels of a block become channels."""
    view = context.view()
    block = int(context.attribute("blocksize", 0))
    if len(view.shape) != _IMAGE or block < 1 or view.shape[1] % block or view.shape[2] % block:
        context.refuse(f"it takes blocks of {block} by {block} of samples of shape {list(view.shape)}")
    channels, height, width = view.shape[0], view.shape[1] // block, view.shape[2] // block
    moved = view.reshaped((channels, height, block, width, block)).transposed((2, 4, 0, 1, 3))
    return moved.reshaped((channels * block**2, height, width))


_IMAGE = 3
"""Axes of a sample with channels, height and width."""
