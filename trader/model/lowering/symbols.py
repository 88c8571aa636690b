"""What a tensor of the ONNX file stands for while it is lowered.

A tensor is a constant (a NumPy array), a `View` of values of the graph, something that only the buyer computes, in
clear (`Tail`), or what can be recognised but not computed: a condition on values (`Comparison`), integers made of
them (`Rounded`), or steps on the way to a last one (`Traced`).

A view carries the movement of elements and the element-wise affine maps that came since the values were made. They
become nodes and parameters only where something needs the plain value: a reshape, a transpose, a scaler, a bias or a
folded normalisation costs nothing if the next linear layer takes it up, or the previous one can.
"""

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.model.nodes import ZERO
from trader.model.postprocessing import PostProcessingKind

SOURCE = "source"
"""Base of views of the original data, whose columns are numbers or categories; see `trader.model.lowering.encoding`."""


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """scale ⊙ x + offset, per sample; x_j is element indices_j of the bases, one after the other, or 0.

    Two views are the same only if they are one object.

    Attributes:
        bases: names of graph values.
        shape: per-sample shape that the ONNX file gives the tensor.
        indices: int64, of `shape`; `ZERO` for 0. None if x is the only base, in order.
        scale: of `shape`, or None for 1. It says nothing where the index is `ZERO`.
        offset: of `shape`, or None for 0.
        batch: axis of the ONNX tensor that samples run along, which `shape` leaves out. Only operators that move
            elements take views where it isn't the first (`NodeContext.any_view`).
    """

    bases: tuple[str, ...]
    shape: tuple[int, ...]
    indices: NDArray[np.int64] | None = field(default=None, repr=False)
    scale: NDArray[np.float64] | None = field(default=None, repr=False)
    offset: NDArray[np.float64] | None = field(default=None, repr=False)
    batch: int = 0

    @property
    def size(self) -> int:
        """Elements per sample."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether elements are moved only."""
        return self.scale is None and self.offset is None

    @property
    def places(self) -> NDArray[np.int64]:
        """The indices, written out."""
        return np.arange(self.size).reshape(self.shape) if self.indices is None else self.indices

    def equals(self, other: "View") -> bool:
        """Whether another view has the same elements in the same order, whatever the shapes are."""
        same = self.bases == other.bases and np.array_equal(self.places.ravel(), other.places.ravel())
        return same and _equal(self.scale, other.scale) and _equal(self.offset, other.offset)

    def plain(self) -> "View":
        """Return the view without its affine map."""
        return View(self.bases, self.shape, self.indices)

    def scaled(self, by: NDArray[np.float64]) -> "View":
        """Return the view times something that broadcasts to its shape."""
        if np.all(by == 1):
            return self
        scale = np.broadcast_to(by, self.shape) * (1.0 if self.scale is None else self.scale)
        offset = None if self.offset is None else self.offset * by
        return View(self.bases, self.shape, self.indices, scale, offset)

    def shifted(self, by: NDArray[np.float64]) -> "View":
        """Return the view plus something that broadcasts to its shape."""
        if not np.any(by):
            return self
        offset = np.broadcast_to(by, self.shape) + (0.0 if self.offset is None else self.offset)
        return View(self.bases, self.shape, self.indices, self.scale, offset)

    def reshaped(self, shape: tuple[int, ...]) -> "View":
        """Return the same elements in another shape."""
        scale = None if self.scale is None else self.scale.reshape(shape)
        offset = None if self.offset is None else self.offset.reshape(shape)
        indices = None if self.indices is None else self.indices.reshape(shape)
        return View(self.bases, shape, indices, scale, offset)

    def taken(self, where: NDArray[np.int64]) -> "View":
        """Elements of the view (indices into it, flat; `ZERO` for 0) in the shape of `where`."""
        outside = where == ZERO
        indices = np.where(outside, ZERO, self.places.ravel()[where])
        scale = None if self.scale is None else self.scale.ravel()[where]
        offset = None if self.offset is None else np.where(outside, 0.0, self.offset.ravel()[where])
        return View(self.bases, where.shape, indices, scale, offset)

    def transposed(self, axes: tuple[int, ...]) -> "View":
        """Return the view with its axes in another order."""
        return self.taken(np.arange(self.size).reshape(self.shape).transpose(axes))


def _equal(left: NDArray[np.float64] | None, right: NDArray[np.float64] | None) -> bool:
    if left is None or right is None:
        return left is right
    return bool(np.array_equal(left.ravel(), right.ravel()))


@dataclass(frozen=True, eq=False, slots=True)
class Tail:
    """A function of raw outputs that is left to the buyer.

    Attributes:
        value: the raw outputs.
        kind: what is computed from them.
        operator: ONNX operator that began the tail.
        node: its name.
        labels: class labels, if known.
        complement: whether this is 1 minus a sigmoid, on its way to becoming the first of two columns.
        column: the only column of the result that this is, or None for all of them.
    """

    value: View
    kind: PostProcessingKind
    operator: str
    node: str
    labels: tuple[int, ...] | tuple[str, ...] = ()
    complement: bool = False
    column: int | None = None

    @property
    def columns(self) -> int:
        """Number of columns of the result."""
        return 1 if self.column is not None else self.kind.width(self.value.size)


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """Whether the elements of a view are positive.

    Attributes:
        margin: the view.
        strict: whether 0 is left out.
        operator: ONNX operator that compares.
        node: its name.
    """

    margin: View
    strict: bool
    operator: str
    node: str


@dataclass(frozen=True, eq=False, slots=True)
class Rounded:
    """Values of the model as integers.

    Attributes:
        node: name of the ONNX node that rounds them.
        value: what is rounded.
    """

    node: str
    value: View


@dataclass(frozen=True, eq=False, slots=True)
class Traced:
    """What is computed of the decisions of pairs of classes and of nothing else, and is no last step yet.

    Attributes:
        source: the decisions, of kind `ONE_VS_ONE`.
        values: what they make of fixed examples (`trader.model.lowering.tracing`).
    """

    source: Tail
    values: NDArray[Any] = field(repr=False)


Symbol: TypeAlias = View | Tail | Comparison | Rounded | Traced | NDArray[Any]
