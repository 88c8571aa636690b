"""Evaluate an exact audit circuit's graph in Python: on integers, and on bounds of their magnitude.

Every operator of an exact circuit adds, multiplies or moves integers (Relu compares them with zero), so one walk over
the graph serves two questions:

- `INTEGERS`: which values does it give? Python integers of any size; products of matrices in float64 where no
  digit can be lost, the larger operand cut into limbs so that this is nearly always so.
- `Magnitudes`: how large can a value become, whoever chooses inputs and parameters? Upper bounds in float64,
  whose relative error (2^-53 per addition, at most 2^26 of them) `SLACK` covers.

A circuit computes modulo p. Its instances are the integers that this module computes iff no value leaves (-p/2, p/2),
and that is what the bounds are for.

Example: x = 3 and θ = -5 with |x|, |θ| <= 7 give Mul(x, θ) = -15 as integers, and at most 49 as magnitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from onnx import helper

from zk.circuits.decisions import STEP
from zk.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    Array = NDArray[Any]

DOUBLE_BITS = 53
"""Integers below 2^53 are exact in float64, and so are sums of products that stay below."""

MIN_LIMB_BITS = 4
"""Limbs of fewer bits would take longer than Python's integers do."""

SLACK = 1 + 2.0**-20
"""Bounds are multiplied by this before they are compared with a limit."""


class Domain(Protocol):
    """What a value is, and how values are combined."""

    def constant(self, value: Array) -> Array:
        """Return a float constant, which holds integers."""

    def matmul(self, a: Array, b: Array) -> Array:
        """Product of matrices, with NumPy's broadcasting."""

    def subtract(self, a: Array, b: Array) -> Array:
        """Difference."""

    def relu(self, a: Array) -> Array:
        """max(a, 0)."""

    def step(self, a: Array) -> Array:
        """1 where a >= 0, else 0."""


class Integers:
    """Exact values: object arrays of Python integers."""

    def constant(self, value: Array) -> Array:
        """Float constants of an integer graph hold integers."""
        return np.vectorize(int, otypes=[object])(value) if value.size else value.astype(object)

    def matmul(self, a: Array, b: Array) -> Array:
        """Exact product."""
        room = DOUBLE_BITS - a.shape[-1].bit_length() - _bits(b)
        limbs = -(-_bits(a) // room) if room >= MIN_LIMB_BITS else 0
        if not limbs:
            return np.asarray(np.matmul(a, b))
        total: Array = np.zeros((), dtype=object)
        right, rest = b.astype(np.float64), a
        for index in range(limbs):
            limb = rest if index == limbs - 1 else rest & ((1 << room) - 1)
            product = np.matmul(limb.astype(np.float64), right).astype(np.int64).astype(object)
            total = total + (product << (index * room))
            rest = rest >> room
        return total

    def subtract(self, a: Array, b: Array) -> Array:
        """Exact difference."""
        return a - b

    def relu(self, a: Array) -> Array:
        """Exact."""
        return np.maximum(a, 0)

    def step(self, a: Array) -> Array:
        """Exact."""
        return np.where(a >= 0, 1, 0).astype(object)


INTEGERS = Integers()


@dataclass(frozen=True)
class Magnitudes:
    """Upper bounds of |v|, float64.

    Attributes:
        decomposed: What a circuit decomposes into limbs is below this, or there is no proof.
    """

    decomposed: float

    def constant(self, value: Array) -> Array:
        """Its magnitude."""
        return np.abs(value.astype(np.float64))

    def matmul(self, a: Array, b: Array) -> Array:
        """|Σ a·b| <= Σ |a|·|b|."""
        return np.asarray(np.matmul(a, b))

    def subtract(self, a: Array, b: Array) -> Array:
        """Bound a difference: abs(a - b) <= abs(a) + abs(b), but x - x is 0."""
        return np.zeros_like(a) if a is b else a + b

    def relu(self, a: Array) -> Array:
        """Relu is made by decomposing its input."""
        return np.minimum(a, self.decomposed)

    def step(self, a: Array) -> Array:
        """Whatever a is, or there is no proof."""
        return np.ones_like(a)


def run(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    feeds: Mapping[str, Array],
    domain: Domain,
    replace: Callable[[str, Array], Array] = lambda _name, value: value,
) -> dict[str, Array]:
    """All values of a graph by name.

    Args:
        nodes: In order; the operators of `zk.circuits.scales.EXACT_OPERATORS`.
        constants: Shapes and indices (int64), and integers (floats).
        feeds: The inputs.
        domain: What values are.
        replace: Sees every value that is made, and gives the one that is used from there on.
    """
    values = {
        name: domain.constant(value) if value.dtype.kind == "f" else value for name, value in constants.items()
    } | dict(feeds)
    for node in nodes:
        inputs = [values[name] for name in node.input if name]
        made = _OPERATORS[node.op_type](domain, inputs, _attributes(node))
        values[node.output[0]] = replace(node.output[0], made)
    return values


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _bits(values: Array) -> int:
    """Bits of the largest magnitude."""
    return int(np.abs(values).max(initial=0)).bit_length()


def _axes(inputs: list[Array], attributes: dict[str, Any], position: int = 1) -> tuple[int, ...] | None:
    """Axes come as an input or, before opset 13, as an attribute."""
    axes = inputs[position].tolist() if len(inputs) > position else attributes.get("axes")
    return None if axes is None else tuple(axes)


def _pad(_: Domain, inputs: list[Array], attributes: dict[str, Any]) -> Array:
    x, widths = inputs[:2]
    if len(inputs) > 2 and np.any(inputs[2]):
        raise UnsupportedArchitectureError(
            "Pad with another value than 0 has no exact circuit: prepare the model again"
        )
    if attributes.get("mode", b"constant") != b"constant":
        raise UnsupportedArchitectureError(f"Pad with mode {attributes['mode']!r} has no exact circuit")
    if widths.min(initial=0) < 0:
        raise UnsupportedArchitectureError(f"Pad by {widths.tolist()} has no exact circuit: it would crop")
    before, after = (side.tolist() for side in np.split(widths, 2))
    padded = np.full([b + n + a for b, n, a in zip(before, x.shape, after, strict=True)], 0, dtype=x.dtype)
    # np.pad would fill object arrays with int64 zeros, and sums with these overflow.
    padded[tuple(slice(b, b + n) for b, n in zip(before, x.shape, strict=True))] = x
    return padded


def _reshape(_: Domain, inputs: list[Array], __: dict[str, Any]) -> Array:
    x, shape = inputs
    kept = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape.tolist())]
    return x.reshape(kept)


def _slice(_: Domain, inputs: list[Array], __: dict[str, Any]) -> Array:
    x, starts, ends, *rest = (given.tolist() if index else given for index, given in enumerate(inputs))
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # An end of -1 counts from the end, as in Python; ONNX's huge ends are clipped, as in Python.
        index[axis] = slice(start, end if end > -(1 << 31) else None, step)
    return x[tuple(index)]


def _sum(_: Domain, inputs: list[Array], attributes: dict[str, Any]) -> Array:
    return np.asarray(inputs[0].sum(axis=_axes(inputs, attributes), keepdims=bool(attributes.get("keepdims", 1))))


def _flatten(_: Domain, inputs: list[Array], attributes: dict[str, Any]) -> Array:
    (x,), axis = inputs, attributes.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


_OPERATORS: dict[str, Callable[[Domain, list[Array], dict[str, Any]], Array]] = {
    "Add": lambda _d, i, _a: i[0] + i[1],
    "Concat": lambda _d, i, a: np.concatenate(i, axis=a["axis"]),
    "Flatten": _flatten,
    "Gather": lambda _d, i, a: np.take(i[0], i[1], axis=a.get("axis", 0)),
    "Identity": lambda _d, i, _a: i[0],
    "MatMul": lambda d, i, _a: d.matmul(i[0], i[1]),
    "Mul": lambda _d, i, _a: i[0] * i[1],
    "Pad": _pad,
    "ReduceSum": _sum,
    "Relu": lambda d, i, _a: d.relu(i[0]),
    "Reshape": _reshape,
    "Slice": _slice,
    STEP: lambda d, i, _a: d.step(i[0]),
    "Squeeze": lambda _d, i, a: np.squeeze(i[0], _axes(i, a)),
    "Sub": lambda d, i, _a: d.subtract(i[0], i[1]),
    "Transpose": lambda _d, i, a: np.transpose(i[0], a.get("perm")),
    "Unsqueeze": lambda _d, i, a: np.expand_dims(i[0], _axes(i, a) or ()),
}
