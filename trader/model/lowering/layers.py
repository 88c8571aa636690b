"""Linear layers, and the affine maps that views carry: folded into the next layer, or else into the previous one.

A view is c ⊙ x + d (`trader.model.lowering.symbols`). A layer W, b that reads it is the layer W·diag(c), W·d + b that
reads x. Where a node needs the plain value c ⊙ x + d, and a layer W, b computes x, the value is what the layer
diag(c)·W, c ⊙ b + d computes. Only where neither serves is a layer of one weight per channel added.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import INPUT
from trader.model.lowering.draft import GraphDraft, Layer, LinearParameters, TooLargeError
from trader.model.lowering.symbols import View
from trader.model.nodes import ZERO, Linear

MAX_CHANNELS = 4096


class LayerBuilder:
    """Adds linear layers to a draft."""

    def __init__(self, draft: GraphDraft) -> None:
        self._draft = draft
        self._settled: dict[View, View] = {}

    def linear(self, view: View, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> View:
        """Apply a layer, with the affine map of its input folded into it.

        Args:
            view: [positions…, groups, a].
            weights: [groups, a, b].
            bias: [groups, b].

        Returns:
            [positions…, groups, b].

        Raises:
            TooLargeError: As `settle`.
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
        if (folded := self._absorb_lookups(view, layer)) is not None:
            return View((self._draft.add_linear(INPUT, folded),), (*view.shape[:-1], columns))
        absorbed = self._absorb_order(view, layer)
        if absorbed is not None:
            return View((self._draft.add_linear(view.bases[0], absorbed),), (*view.shape[:-1], columns))
        name = self._draft.add_linear(self._draft.arrange(view.plain()), layer)
        return View((name,), (*view.shape[:-1], columns))

    def settle(self, view: View) -> View:
        """Return a view without affine map that equals a view.

        Raises:
            TooLargeError: That would take a layer of more than MAX_CHANNELS channels.
        """
        if view.is_plain:
            return view
        if view not in self._settled:
            self._settled[view] = self._fold_back(view) or self._by_channel(view)
        return self._settled[view]

    def without_offset(self, view: View) -> View:
        """Return the view, settled if it has an offset, or if that costs nothing."""
        if view.is_plain:
            return view
        return self.settle(view) if view.offset is not None else self._fold_back(view) or view

    def without_scale(self, view: View) -> View:
        """Return the view, settled if it has a scale, or if that costs nothing."""
        if view.is_plain:
            return view
        return self.settle(view) if view.scale is not None else self._fold_back(view) or view

    def _absorb_order(self, view: View, layer: Layer) -> Layer | None:
        """Return the layer, with its rows in the order of the view's base, and zeros for what it doesn't read.

        None if the base is read at several positions, by several groups, or is much larger than what is read.
        """
        groups, rows, columns = layer.parameters.weights.shape
        size = self._draft.size(view.bases[0])
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

    def _absorb_lookups(self, view: View, layer: Layer) -> Layer | None:
        """Return the layer, with tables that were looked up multiplied in, as one that reads the features.

        None if none was, or the layer reads other values as well, or at several positions, or by groups.
        """
        lookups, weights = self._draft.lookups, layer.parameters.weights
        known = all(base == INPUT or base in lookups for base in view.bases)
        if not known or view.bases in ((), (INPUT,)) or view.size != weights.shape[1] or len(weights) > 1:
            return None
        features = self._draft.size(INPUT)
        made, row_scale = np.zeros((1, features, weights.shape[2])), np.ones((1, features))
        places, start = view.places.ravel(), 0
        for base in view.bases:
            size = self._draft.size(base)
            rows = np.flatnonzero((places >= start) & (places < start + size))
            read = places[rows] - start
            if base == INPUT:
                np.add.at(made[0], read, weights[0, rows])
                row_scale[0, read] = 1.0 if layer.row_scale is None else layer.row_scale[0, rows]
            else:
                lookup = lookups[base]
                position, column = np.divmod(read, lookup.table.shape[1])
                for row, where, which in zip(rows, lookup.places[position], column, strict=True):
                    made[0, where] += np.outer(lookup.table[:, which], weights[0, row])
            start += size
        scaled = layer.row_scale is not None and INPUT in view.bases
        parameters = LinearParameters(made, layer.parameters.bias)
        return Layer(parameters, row_scale if scaled else None, row_scale[0] if scaled else None)

    def _fold_back(self, view: View) -> View | None:
        """Return the map as new parameters of the linear layer that made the value; None if they don't allow it."""
        node = self._draft.nodes.get(view.bases[0]) if len(view.bases) == 1 else None
        offset = np.zeros(view.shape) if view.offset is None else view.offset
        if not isinstance(node, Linear) or np.any(offset[view.places == ZERO] != 0):
            return None
        layer = self._draft.layers[node.parameter]
        bias = layer.parameters.bias
        scale_row = self._column_values(view, np.ones(view.shape) if view.scale is None else view.scale, bias.size)
        offset_row = self._column_values(view, offset, bias.size)
        if scale_row is None or offset_row is None:
            return None
        scale, shift = scale_row.reshape(bias.shape), offset_row.reshape(bias.shape)
        made = LinearParameters(layer.parameters.weights * scale[:, np.newaxis, :], bias * scale + shift)
        name = self._draft.add_linear(node.inputs[0], replace(layer, parameters=made))
        return View((name,), view.shape, view.indices)

    def _by_channel(self, view: View) -> View:
        """Return the affine map as a layer with one weight per channel, along the axis that it varies along."""
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

    def _feature_scale(self, view: View) -> NDArray[np.float64] | None:
        if view.bases != (INPUT,) or view.scale is None:
            return None
        return self._per_element(view, view.scale)

    def _column_values(self, view: View, array: NDArray[np.float64], columns: int) -> NDArray[np.float64] | None:
        """Return an array of the view's shape by column of the layer that made its base; None if there is none."""
        by_element = self._per_element(view, array)
        if by_element is None:
            return None
        rows = by_element.reshape(-1, columns)
        return common_row(rows, ~np.isnan(rows))

    def _per_element(self, view: View, array: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return an array of the view's shape, by element of its base (NaN if not seen); None if it is ambiguous."""
        result = np.full(self._draft.size(view.bases[0]), np.nan)
        inside = view.places != ZERO
        result[view.places[inside]] = array[inside]
        return result if np.array_equal(result[view.places[inside]], array[inside]) else None


def common_row(rows: NDArray[np.float64], known: NDArray[np.bool_] | None = None) -> NDArray[np.float64] | None:
    """Return the row [b] that all rows [n, b] equal where they are known, 1 where none is; None if they differ."""
    if known is None:
        return rows[0] if np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)) else None
    first = np.argmax(known, axis=0)
    row = rows[first, np.arange(rows.shape[1])]
    row = np.where(known.any(axis=0), row, 1.0)
    return row if np.array_equal(np.where(known, rows, row), np.broadcast_to(row, rows.shape)) else None


def _varying_axis(*arrays: NDArray[np.float64]) -> int | None:
    """Return the one axis that arrays of one shape vary along; None if it is not just one."""
    varying = [axis for axis in range(arrays[0].ndim) if any(np.any(np.ptp(array, axis=axis) != 0) for array in arrays)]
    return varying[0] if len(varying) == 1 else None
