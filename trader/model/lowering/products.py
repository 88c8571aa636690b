"""Products along an axis: how scikit-learn's converter writes polynomial features, one node for each of them.

Each would be a multiplication of its own, of ciphertexts and in the proof. Products that end up beside each other, of
as many elements of the same values, become one multiplication of vectors, and what is multiplied is scaled once.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.context import NodeContext
from trader.model.lowering.convolution import reduced_axes
from trader.model.lowering.symbols import Symbol, View
from trader.model.nodes import ZERO

MAX_FACTORS = 16
"""As of powers: each doubling is a level of the encrypted test."""


def lower_reduce_prod(context: NodeContext) -> Symbol:
    """ReduceProd over axes of a sample."""
    view = context.view()
    axes = reduced_axes(context, view)
    kept = tuple(axis for axis in range(len(view.shape)) if axis not in axes)
    moved = view.transposed(kept + axes)
    shape = tuple(view.shape[axis] for axis in kept)
    count = moved.size // max(int(np.prod(shape)), 1)
    if count > MAX_FACTORS:
        context.refuse(
            f"it multiplies {count} values of the model with each other, more than {MAX_FACTORS}",
            "Use products of fewer columns, or ReduceMean or ReduceSum.",
        )
    rows = moved.reshaped((moved.size // count, count))
    made = context.builder.product([_column(rows, place) for place in range(count)]).reshaped(shape)
    if not context.attribute("keepdims", 1):
        return made
    return made.reshaped(tuple(1 if axis in axes else size for axis, size in enumerate(view.shape)))


def _column(rows: View, place: int) -> View:
    return rows.taken(np.arange(rows.size).reshape(rows.shape)[:, place])


def merged(builder: GraphBuilder, parts: Sequence[View]) -> list[View]:
    """Return views that are to be joined; products of elements of one value are made at once.

    What is multiplied is settled before, once for each different element, and so is what stands beside the products: a
    scaler is one layer then, which all of them read.
    """
    made = list(parts)
    factors = [builder.factors(part) or (part,) for part in parts]
    for bases in {known[0].bases for known in factors if len(known) > 1}:
        alike = [i for i, known in enumerate(factors) if all(factor.bases == bases for factor in known)]
        products = [index for index in alike if len(factors[index]) > 1]
        if len(products) < 2 or any(np.any(factor.places == ZERO) for i in alike for factor in factors[i]):
            continue
        settled = _settled(builder, [factor for index in alike for factor in factors[index]])
        columns = {index: [next(settled) for _ in factors[index]] for index in alike}
        for index in alike:
            made[index] = columns[index][0].reshaped(parts[index].shape)
        groups: dict[tuple[int, bool], list[int]] = {}
        for index in products:
            kind = (len(factors[index]), all(factor.equals(factors[index][0]) for factor in factors[index]))
            groups.setdefault(kind, []).append(index)
        for group in groups.values():
            joined = _together(builder, [columns[index] for index in group])
            for index, view in zip(group, joined, strict=True):
                made[index] = view.reshaped(parts[index].shape)
    return made


def _settled(builder: GraphBuilder, views: Sequence[View]) -> Iterator[View]:
    """Yield views of one value, flat, as parts of one without an affine map."""
    rows = [_elements(view) for view in views]
    different, where = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    places, scale, offset = different[:, 0].astype(np.int64), different[:, 1], different[:, 2]
    source = builder.settle(View(views[0].bases, (len(different),), places).scaled(scale).shifted(offset))
    ends = np.cumsum([0, *(len(part) for part in rows)])
    yield from (source.taken(where.ravel()[start:end]) for start, end in itertools.pairwise(ends))


def _elements(view: View) -> NDArray[np.float64]:
    """Return place, scale and offset of each element, [n, 3]."""
    parts = [view.places, 1.0 if view.scale is None else view.scale, 0.0 if view.offset is None else view.offset]
    return np.stack([np.broadcast_to(part, view.shape).ravel() for part in parts], axis=1).astype(np.float64)


def _together(builder: GraphBuilder, products: Sequence[Sequence[View]]) -> list[View]:
    """Return products of as many factors each, flat, as parts of one."""
    made = builder.product([builder.concatenate(column, 0) for column in zip(*products, strict=True)])
    ends = np.cumsum([0, *(factors[0].size for factors in products)])
    return [made.taken(np.arange(start, end)) for start, end in itertools.pairwise(ends)]
