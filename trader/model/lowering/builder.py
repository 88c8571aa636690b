"""Builds a graph and its float parameters, one node at a time, from views of earlier values.

`linear` folds the affine map that its input carries into its weights. `settle` turns a carried affine map into
parameters when a node needs the plain value, by folding it back into the linear layer that made the value, or by a
layer of one weight per channel if there is none. What is no longer read in the end is dropped, so folding back costs
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind, activate
from trader.model.graph import INPUT, value_name
from trader.model.lowering.symbols import View
from trader.model.nodes import ZERO, Activation, Add, Linear, Multiply, Node, Rearrange, Square, Sum

MAX_CHANNELS = 4096
MAX_INDICES = 1 << 26


class TooLargeError(Exception):
    """The graph would need a node that is out of proportion; says what."""


@dataclass(frozen=True, slots=True)
class LinearParameters:
    """Weights and bias of one linear layer, as the model's author trained them.

    Attributes:
        weights: float64 [a, b], or [groups, a, b].
        bias: float64 [b], or [groups, b].
    """

    weights: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Layer:
    """The parameters of a linear node, and the scale of the model's input that was folded into their rows.

    Attributes:
        parameters: weights [groups, a, b] and bias [groups, b].
        row_scale: [groups, a], or None.
        feature_scale: the same for each feature of the model's input, or None if the layer doesn't read that.
    """

    parameters: LinearParameters
    row_scale: NDArray[np.float64] | None = None
    feature_scale: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The ONNX operator and node that a graph node comes from."""

    operator: str
    node: str


@dataclass(frozen=True, slots=True)
class Made:
    """An element-wise node, the view of its result that was returned, and the views that it was applied to."""

    node: Square | Multiply | Add | Activation
    result: View
    operands: tuple[View, ...]


class GraphBuilder:
    """Grows a graph over flat samples of F elements.

    Attributes:
        nodes: by the name of what they make, in topological order; some are not needed in the end.
        layers: by the `parameter` of linear nodes.
        origins: by node name.
        origin: what is being lowered now.
    """

    def __init__(self, features: int) -> None:
        self.nodes: dict[str, Node] = {}
        self.layers: list[Layer] = []
        self.origins: dict[str, Origin] = {}
        self.origin = Origin("", "")
        self._sizes = {INPUT: features}
        self._settled: dict[View, View] = {}
        self._arranged: dict[tuple[tuple[str, ...], bytes], str] = {}
        self._made: dict[str, Made] = {}

    def linear(self, view: View, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> View:
        """View [positions…, groups, a] through weights [groups, a, b] and bias [groups, b]: [positions…, groups, b].

        Raises:
            TooLargeError: as `settle`.
        """
        groups, rows, columns = weights.shape
        known = view.places.reshape(-1, groups * rows) != ZERO
        scale = None if view.scale is None else common_row(view.scale.reshape(-1, groups * rows), known)
        offset = None if view.offset is None else common_row(view.offset.reshape(-1, groups * rows))
        if (scale is None) != (view.scale is None) or (offset is None) != (view.offset is None):
            return self.linear(self.settle(view), weights, bias)
        row_scale = None if scale is None else scale.reshape(groups, rows)
        if offset is not None:
            bias = bias + np.einsum("ga,gab->gb", offset.reshape(groups, rows), weights)
        if row_scale is not None:
            weights = row_scale[:, :, np.newaxis] * weights
        layer = Layer(LinearParameters(weights, bias), row_scale, self._feature_scale(view))
        absorbed = self._absorb_order(view, layer)
        if absorbed is not None:
            return View((self._add_linear(view.bases[0], absorbed),), (*view.shape[:-1], columns))
        name = self._add_linear(self.arrange(view.plain()), layer)
        return View((name,), (*view.shape[:-1], columns))

    def _absorb_order(self, view: View, layer: Layer) -> Layer | None:
        """The layer, with its rows in the order of the view's base, and zeros for what it doesn't read.

        None if the base is read at several positions, by several groups, or is much larger than what is read.
        """
        groups, rows, columns = layer.parameters.weights.shape
        size = self._sizes[view.bases[0]]
        places = view.places.ravel()
        inside = places != ZERO
        unique = len(np.unique(places[inside])) == inside.sum()
        if len(view.bases) > 1 or groups > 1 or view.size != rows or not unique or size > max(2 * rows, MAX_CHANNELS):
            return None
        weights = np.zeros((1, size, columns))
        weights[0, places[inside]] = layer.parameters.weights[0, inside]
        row_scale = None
        if layer.row_scale is not None:
            row_scale = np.ones((1, size))
            row_scale[0, places[inside]] = layer.row_scale[0, inside]
        return replace(layer, parameters=replace(layer.parameters, weights=weights), row_scale=row_scale)

    def square(self, view: View) -> View:
        """View², element by element."""
        x = self._movable(self._without_offset(view))
        node = Square(self._next("square"), (x.bases[0],), (self._sizes[x.bases[0]],))
        squared = View((self._add(node),), x.shape, x.indices)
        return self._note(node, squared if x.scale is None else squared.scaled(x.scale**2), view)

    def multiply(self, left: View, right: View) -> View:
        """Product of two views of one shape, element by element."""
        scaled = self._without_offset(left), self._without_offset(right)
        x, y, indices = self._aligned(*scaled)
        node = Multiply(self._next("multiply"), (x, y), (self._sizes[x],))
        product = View((self._add(node),), left.shape, indices)
        for factor in scaled:
            product = product if factor.scale is None else product.scaled(factor.scale)
        return self._note(node, product, left, right)

    def add(self, left: View, right: View) -> View:
        """Sum of two views of one shape, element by element."""
        shifted = self._without_scale(left), self._without_scale(right)
        x, y, indices = self._aligned(*shifted)
        node = Add(self._next("add"), (x, y), (self._sizes[x],))
        total = View((self._add(node),), left.shape, indices)
        for term in shifted:
            total = total if term.offset is None else total.shifted(term.offset)
        return self._note(node, total, left, right)

    def sum(self, view: View, axes: tuple[int, ...]) -> View:
        """Sum along axes, which are dropped."""
        kept = tuple(axis for axis in range(len(view.shape)) if axis not in axes)
        moved = view.transposed(kept + axes)
        shape = tuple(view.shape[axis] for axis in kept)
        terms = moved.size // max(int(np.prod(shape)), 1)
        rows = moved.reshaped((moved.size // terms, terms))
        scale = None if rows.scale is None else common_row(rows.scale.T, rows.places.T != ZERO)
        if (scale is None) != (rows.scale is None):
            return self.sum(self.settle(view), axes)
        size = len(rows.places)
        made = self._add(Sum(self._next("sum"), (self.arrange(rows.plain()),), (size,), terms))
        total = View((made,), (size,))
        total = total if scale is None else total.scaled(scale)
        total = total if rows.offset is None else total.shifted(rows.offset.sum(axis=1))
        return total.reshaped(shape)

    def concatenate(self, parts: Sequence[View], axis: int) -> View:
        """Views, one after the other along an axis."""
        bases: list[str] = []
        places = []
        start = 0
        for part in parts:
            places.append(np.where(part.places == ZERO, ZERO, part.places + start))
            bases += part.bases
            start += sum(self._sizes[base] for base in part.bases)
        indices = np.concatenate(places, axis=axis)
        scale = _joined([part.scale for part in parts], [part.shape for part in parts], axis, 1.0)
        offset = _joined([part.offset for part in parts], [part.shape for part in parts], axis, 0.0)
        return View(tuple(bases), indices.shape, indices, scale, offset)

    def activation(self, view: View, kind: ActivationKind, alpha: float = 0.0, beta: float = 0.0) -> View:
        """f(view), element by element."""
        x = self._movable(self.settle(view))
        node = Activation(self._next("activation"), (x.bases[0],), (self._sizes[x.bases[0]],), kind, alpha, beta)
        result = View((self._add(node),), x.shape, x.indices)
        at_zero = float(activate(kind, np.zeros(1), alpha, beta)[0])
        outside = x.places == ZERO
        if at_zero and outside.any():
            result = result.shifted(np.where(outside, at_zero, 0.0))
        return self._note(node, result, view)

    def made_from(self, view: View) -> Made | None:
        """The element-wise node that a view is the result of, up to its affine map; None if elements moved since."""
        made = self._made.get(view.bases[0]) if len(view.bases) == 1 else None
        same = made is not None and np.array_equal(made.result.places.ravel(), view.places.ravel())
        return made if same else None

    def _note(self, node: Square | Multiply | Add | Activation, result: View, *operands: View) -> View:
        """Remember what an element-wise node was applied to; returns its result."""
        self._made[node.name] = Made(node, result, operands)
        return result

    def settle(self, view: View) -> View:
        """A view without affine map that equals a view.

        Raises:
            TooLargeError: that would take a layer of more than MAX_CHANNELS channels.
        """
        if view.is_plain:
            return view
        if view not in self._settled:
            self._settled[view] = self._fold_back(view) or self._by_channel(view)
        return self._settled[view]

    def arrange(self, view: View) -> str:
        """Name of a graph value that holds the elements of a view without affine map, in order.

        Raises:
            TooLargeError: more than MAX_INDICES elements.
        """
        total = sum(self._sizes[base] for base in view.bases)
        places = view.places.ravel()
        if len(view.bases) == 1 and len(places) == total and np.array_equal(places, np.arange(total)):
            return view.bases[0]
        if len(places) > MAX_INDICES:
            raise TooLargeError(f"it needs {len(places)} elements in order, more than {MAX_INDICES}")
        key = (view.bases, places.tobytes())
        if key not in self._arranged:
            node = Rearrange(self._next("rearrange"), view.bases, (len(places),), places.copy())
            self._arranged[key] = self._add(node)
        return self._arranged[key]

    def _fold_back(self, view: View) -> View | None:
        """The affine map as new parameters of the linear layer that made the value; None if they don't allow it."""
        node = self.nodes.get(view.bases[0]) if len(view.bases) == 1 else None
        offset = np.zeros(view.shape) if view.offset is None else view.offset
        if not isinstance(node, Linear) or np.any(offset[view.places == ZERO] != 0):
            return None
        layer = self.layers[node.parameter]
        bias = layer.parameters.bias
        scale_row = self._column_values(view, np.ones(view.shape) if view.scale is None else view.scale, bias.size)
        offset_row = self._column_values(view, offset, bias.size)
        if scale_row is None or offset_row is None:
            return None
        scale, shift = scale_row.reshape(bias.shape), offset_row.reshape(bias.shape)
        made = LinearParameters(layer.parameters.weights * scale[:, np.newaxis, :], bias * scale + shift)
        return View((self._add_linear(node.inputs[0], replace(layer, parameters=made)),), view.shape, view.indices)

    def _column_values(self, view: View, array: NDArray[np.float64], columns: int) -> NDArray[np.float64] | None:
        """An array of the view's shape by column of the layer that made its base; None if it has no such values."""
        by_element = self._per_element(view, array)
        if by_element is None:
            return None
        rows = by_element.reshape(-1, columns)
        return common_row(rows, ~np.isnan(rows))

    def _per_element(self, view: View, array: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """An array of the view's shape, by element of its base (NaN if not seen); None if it is ambiguous."""
        result = np.full(self._sizes[view.bases[0]], np.nan)
        inside = view.places != ZERO
        result[view.places[inside]] = array[inside]
        return result if np.array_equal(result[view.places[inside]], array[inside]) else None

    def _by_channel(self, view: View) -> View:
        """The affine map as a layer with one weight per channel, along the axis that it varies along."""
        scale = np.ones(view.shape) if view.scale is None else np.where(view.places == ZERO, 1.0, view.scale)
        offset = np.zeros(view.shape) if view.offset is None else view.offset
        axis = _varying_axis(scale, offset)
        flat = replace(view, scale=scale, offset=None)
        if axis is None:
            # Along none, or along several: one channel in all, or one per element.
            constant = np.ptp(scale) == np.ptp(offset) == 0
            shape = (view.size, 1) if constant else (1, view.size)
            flat, offset, axis = flat.reshaped(shape), offset.reshape(shape), 1
        channels = flat.shape[axis]
        if channels > MAX_CHANNELS:
            raise TooLargeError(
                f"it needs a layer that scales {channels} elements one by one, more than {MAX_CHANNELS}"
            )
        order = (*(a for a in range(len(flat.shape)) if a != axis), axis)
        # `linear` takes the weights from the view's scale, and remembers them as that of the features it reads.
        moved = flat.transposed(order)
        bias = offset.transpose(order).reshape(-1, channels)[0].reshape(channels, 1)
        made = self.linear(moved.reshaped((*moved.shape, 1)), np.ones((channels, 1, 1)), bias).reshaped(moved.shape)
        return made.transposed(tuple(np.argsort(order))).reshaped(view.shape)

    def _without_offset(self, view: View) -> View:
        """The view, settled if it has an offset, or if that costs nothing."""
        if view.is_plain:
            return view
        return self.settle(view) if view.offset is not None else self._fold_back(view) or view

    def _without_scale(self, view: View) -> View:
        """The view, settled if it has a scale, or if that costs nothing."""
        if view.is_plain:
            return view
        return self.settle(view) if view.scale is not None else self._fold_back(view) or view

    def _movable(self, view: View) -> View:
        """The view, over one base of which every element is seen: what acts on elements acts on the base."""
        if len(view.bases) == 1:
            seen = np.unique(view.places)
            if len(seen) - (seen[0] == ZERO) == self._sizes[view.bases[0]]:
                return view
        return View((self.arrange(view.plain()),), view.shape, None, view.scale, view.offset)

    def _aligned(self, left: View, right: View) -> tuple[str, str, NDArray[np.int64] | None]:
        """Names of values with the elements of both views in one order, and where the views have each of them."""
        places = left.places.ravel()
        size = self._sizes[left.bases[0]]
        if len(left.bases) == 1 and len(places) == size and np.array_equal(np.sort(places), np.arange(size)):
            # The order of the left view's base: nothing moves if the right one has the same.
            return left.bases[0], self.arrange(right.plain().taken(np.argsort(places))), left.indices
        return self.arrange(left.plain()), self.arrange(right.plain()), None

    def _feature_scale(self, view: View) -> NDArray[np.float64] | None:
        if view.bases != (INPUT,) or view.scale is None:
            return None
        return self._per_element(view, view.scale)

    def _add_linear(self, source: str, layer: Layer) -> str:
        groups, rows, columns = layer.parameters.weights.shape
        size = self._sizes[source] // (groups * rows) * groups * columns
        self.layers.append(layer)
        return self._add(Linear(self._next("linear"), (source,), (size,), len(self.layers) - 1))

    def _add(self, node: Node) -> str:
        self.nodes[node.name] = node
        self.origins[node.name] = self.origin
        self._sizes[node.name] = node.shape[0]
        return node.name

    def _next(self, kind: str) -> str:
        return value_name(kind, len(self.nodes))


def _joined(
    arrays: Sequence[NDArray[np.float64] | None], shapes: Sequence[tuple[int, ...]], axis: int, default: float
) -> NDArray[np.float64] | None:
    """Scales or offsets of views, one after the other; None if none has any."""
    if all(array is None for array in arrays):
        return None
    filled = [np.full(shape, default) if a is None else a for a, shape in zip(arrays, shapes, strict=True)]
    return np.concatenate(filled, axis=axis)


def common_row(rows: NDArray[np.float64], known: NDArray[np.bool_] | None = None) -> NDArray[np.float64] | None:
    """The row [b] that all rows [n, b] equal, as far as they are known (1 where none is); None if they differ."""
    if known is None:
        return rows[0] if np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)) else None
    first = np.argmax(known, axis=0)
    row = rows[first, np.arange(rows.shape[1])]
    row = np.where(known.any(axis=0), row, 1.0)
    return row if np.array_equal(np.where(known, rows, row), np.broadcast_to(row, rows.shape)) else None


def _varying_axis(*arrays: NDArray[np.float64]) -> int | None:
    """The one axis that arrays of one shape vary along; None if it is not just one."""
    varying = [axis for axis in range(arrays[0].ndim) if any(np.any(np.ptp(array, axis=axis) != 0) for array in arrays)]
    return varying[0] if len(varying) == 1 else None
