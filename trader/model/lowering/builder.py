"""Builds a graph and its float parameters from views of earlier values: one method for each kind of node.

What the methods share has names of its own: `GraphDraft` (draft.py) holds the nodes and puts elements into order,
`LayerBuilder` (layers.py) adds linear layers and folds into them the affine maps that views carry.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind, activate
from trader.model.lowering.draft import GraphDraft, Lookup
from trader.model.lowering.layers import LayerBuilder, common_row
from trader.model.lowering.symbols import View
from trader.model.nodes import ZERO, Activation, Add, Leaves, Multiply, Square, Sum


@dataclass(frozen=True, slots=True)
class ElementwiseResult:
    """What a builder's method made of its operands.

    Attributes:
        node: Computes the result, element by element.
        view: The result, as it was returned.
        operands: What the method was given.
    """

    node: Square | Multiply | Add | Activation
    view: View
    operands: tuple[View, ...]


class GraphBuilder:
    """Grows a graph over flat samples of F elements.

    Attributes:
        draft: The graph so far.
    """

    def __init__(self, features: int, columns: int = 0) -> None:
        self.draft = GraphDraft(features, columns)
        self._layers = LayerBuilder(self.draft)
        self._elementwise: dict[str, ElementwiseResult] = {}
        self._factors: dict[str, tuple[View, tuple[View, ...]]] = {}

    def linear(self, view: View, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> View:
        """Apply weights [groups, a, b] and bias [groups, b] to a view [positions…, groups, a]: [positions…, groups, b].

        Raises:
            TooLargeError: As `settle`.
        """
        return self._layers.linear(view, weights, bias)

    def look_up(self, hot: View, table: NDArray[np.float64]) -> View:
        """Take rows of a table [K, D] by features [positions…, K], of which one is 1: [positions…, D]."""
        rows, columns = table.shape
        grouped = hot.reshaped((*hot.shape[:-1], 1, rows))
        made = self.linear(grouped, table[np.newaxis], np.zeros((1, columns)))
        self.draft.lookups[made.bases[0]] = Lookup(hot.places.reshape(-1, rows), table)
        return made.reshaped((*hot.shape[:-1], columns))

    def settle(self, view: View) -> View:
        """Return a view without affine map that equals a view.

        Raises:
            TooLargeError: That would take a layer that is out of proportion.
        """
        return self._layers.settle(view)

    def square(self, view: View) -> View:
        """Square a view, element by element."""
        x = self.draft.arrange_whole(self._layers.without_offset(view))
        node = Square(self.draft.next_name("square"), (x.bases[0],), (self.draft.size(x.bases[0]),))
        squared = View((self.draft.add(node),), x.shape, x.indices)
        return self._note(node, squared if x.scale is None else squared.scaled(x.scale**2), view)

    def multiply(self, left: View, right: View) -> View:
        """Multiply two views of one shape, element by element."""
        scaled = self._layers.without_offset(left), self._layers.without_offset(right)
        x, y, indices = self.draft.arrange_alike(*scaled)
        node = Multiply(self.draft.next_name("multiply"), (x, y), (self.draft.size(x),))
        product = View((self.draft.add(node),), left.shape, indices)
        for factor in scaled:
            product = product if factor.scale is None else product.scaled(factor.scale)
        return self._note(node, product, left, right)

    def product(self, factors: Sequence[View]) -> View:
        """Multiply views of one shape, element by element, halves first."""
        if len(factors) == 1:
            return factors[0]
        half = (len(factors) + 1) // 2
        left, right = self.product(factors[:half]), self.product(factors[half:])
        made = self.square(left) if left.equals(right) else self.multiply(left, right)
        self._factors[made.bases[0]] = (made, tuple(factors))
        return made

    def factors(self, view: View) -> tuple[View, ...] | None:
        """Return the factors that a view, up to its shape, is the product of; None if it isn't one, or moved since."""
        made, factors = self._factors.get(view.bases[0] if len(view.bases) == 1 else "", (None, ()))
        return factors if made is not None and view.equals(made) else None

    def add(self, left: View, right: View) -> View:
        """Add two views of one shape, element by element."""
        shifted = self._layers.without_scale(left), self._layers.without_scale(right)
        x, y, indices = self.draft.arrange_alike(*shifted)
        node = Add(self.draft.next_name("add"), (x, y), (self.draft.size(x),))
        total = View((self.draft.add(node),), left.shape, indices)
        for term in shifted:
            total = total if term.offset is None else total.shifted(term.offset)
        return self._note(node, total, left, right)

    def sum(self, view: View, axes: tuple[int, ...]) -> View:
        """Sum a view along axes, which are dropped."""
        kept = tuple(axis for axis in range(len(view.shape)) if axis not in axes)
        moved = view.transposed(kept + axes)
        shape = tuple(view.shape[axis] for axis in kept)
        terms = moved.size // max(int(np.prod(shape)), 1)
        rows = moved.reshaped((moved.size // terms, terms))
        scale = None if rows.scale is None else common_row(rows.scale.T, rows.places.T != ZERO)
        if (scale is None) != (rows.scale is None):
            return self.sum(self.settle(view), axes)
        size = len(rows.places)
        made = self.draft.add(Sum(self.draft.next_name("sum"), (self.draft.arrange(rows.plain()),), (size,), terms))
        total = View((made,), (size,))
        total = total if scale is None else total.scaled(scale)
        total = total if rows.offset is None else total.shifted(rows.offset.sum(axis=1))
        return total.reshaped(shape)

    def concatenate(self, parts: Sequence[View], axis: int) -> View:
        """Join views, one after the other along an axis."""
        # Parts of one value stay parts of one value, so that the next layer can still take up their affine maps.
        starts: dict[tuple[str, ...], int] = {}
        places, end = [], 0
        for part in parts:
            if part.bases not in starts:
                starts[part.bases] = end
                end += self.draft.size(*part.bases)
            places.append(np.where(part.places == ZERO, ZERO, part.places + starts[part.bases]))
        bases = itertools.chain.from_iterable(starts)
        indices = np.concatenate(places, axis=axis)
        scale = _joined([part.scale for part in parts], [part.shape for part in parts], axis, 1.0)
        offset = _joined([part.offset for part in parts], [part.shape for part in parts], axis, 0.0)
        return View(tuple(bases), indices.shape, indices, scale, offset)

    def activation(self, view: View, kind: ActivationKind, alpha: float = 0.0, beta: float = 0.0) -> View:
        """Apply a function to a view, element by element."""
        x = self.draft.arrange_whole(self.settle(view))
        node = Activation(
            self.draft.next_name("activation"), (x.bases[0],), (self.draft.size(x.bases[0]),), kind, alpha, beta
        )
        result = View((self.draft.add(node),), x.shape, x.indices)
        at_zero = float(activate(kind, np.zeros(1), alpha, beta)[0])
        outside = x.places == ZERO
        if at_zero and outside.any():
            result = result.shifted(np.where(outside, at_zero, 0.0))
        return self._note(node, result, view)

    def leaves(self, bits: View, trees: int, depth: int) -> View:
        """Apply decisions [trees·(2^depth - 1)]: ones at the leaves that they lead to, [trees·2^depth]."""
        read = self.draft.arrange(self.settle(bits))
        node = Leaves(self.draft.next_name("leaves"), (read,), (trees << depth,), trees, depth)
        return View((self.draft.add(node),), node.shape)

    def elementwise_result(self, view: View) -> ElementwiseResult | None:
        """Return what a view, up to its affine map, is the result of; None if its elements moved since."""
        found = self._elementwise.get(view.bases[0]) if len(view.bases) == 1 else None
        same = found is not None and np.array_equal(found.view.places.ravel(), view.places.ravel())
        return found if same else None

    def _note(self, node: Square | Multiply | Add | Activation, result: View, *operands: View) -> View:
        """Remember what an element-wise node was applied to; return its result."""
        self._elementwise[node.name] = ElementwiseResult(node, result, operands)
        return result


def _joined(
    arrays: Sequence[NDArray[np.float64] | None], shapes: Sequence[tuple[int, ...]], axis: int, default: float
) -> NDArray[np.float64] | None:
    """Scales or offsets of views, one after the other; None if none has any."""
    if all(array is None for array in arrays):
        return None
    filled = [np.full(shape, default) if a is None else a for a, shape in zip(arrays, shapes, strict=True)]
    return np.concatenate(filled, axis=axis)
