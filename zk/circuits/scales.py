"""Keep every value of a circuit at an exact power of the scale.

ezkl computes on integers at scale 2^(d·s), where s is the scale of inputs and constants; the *degree* d adds up in
products. Two of its habits would cost exactness, or fail, in deeper networks:

- Where a sum's operands have different degrees, it multiplies one by a constant 2^(…), of at most 127 bits. Here the
  operand is multiplied by a *unit* instead, unless it is a constant that fits: a computed 1 at degree d, u^d with
  u = 1 + zero.
- A constant that several operations read (the optimiser merges equal ones) is decomposed into limbs of limited range.
  Here such a constant gets one reader: constant + zero, which the others read.

Zero is x - x for some input x: a computed value, so that nothing is folded. All of it is exact and costs a few rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from zk.errors import UnsupportedArchitecture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx
    from numpy.typing import NDArray

_PRODUCTS = {"MatMul", "Mul"}
_ALIGNED = {"Add", "Sub", "Concat"}
_MAX_CONSTANT_DEGREE = 5
"""Up to here (5 · 24 bits) ezkl scales a constant with one reader exactly, and without any row."""

_KEEPING = {
    "Flatten",
    "Gather",
    "Identity",
    "Pad",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
"""Operators that give their first input's degree."""

EXACT_OPERATORS = _PRODUCTS | _ALIGNED | _KEEPING
"""Operators whose circuits compute on integers without rounding; Relu by decomposing its input into limbs."""
_PREFIX = "audit/scale/"


@dataclass(frozen=True)
class AlignedGraph:
    """A graph of equal function.

    Attributes:
        nodes: In order.
        constants: Initializers.
        degrees: Degree of every value by name.
    """

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]
    degrees: dict[str, int]


def is_exact(nodes: Iterable[onnx.NodeProto]) -> bool:
    """Whether every operator has an exact circuit."""
    return all(node.op_type in EXACT_OPERATORS for node in nodes)


def align_scales(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto], inputs: Iterable[str], some_input: str
) -> AlignedGraph:
    """Rewrite a graph so that operands of sums have equal degrees and float constants one reader.

    Args:
        nodes: The graph in order.
        constants: Its initializers.
        inputs: Names of the values that it takes: samples and parameters.
        some_input: A value of shape [1, n] that depends on an input.

    Raises:
        UnsupportedArchitecture: A node reads what is not made before it.
    """
    aligner = _ScaleAligner(constants, inputs, some_input, Counter(name for node in nodes for name in node.input))
    for node in nodes:
        aligner.append(node)
    return AlignedGraph(aligner.nodes, aligner.constants, aligner.degrees)


class _ScaleAligner:
    """Copies nodes in order; ``nodes`` and ``constants`` are the graph so far."""

    def __init__(
        self, constants: Sequence[onnx.TensorProto], inputs: Iterable[str], some_input: str, uses: Counter[str]
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = list(constants)
        self._some_input = some_input
        self.degrees = dict.fromkeys([*inputs, *(tensor.name for tensor in constants), ""], 1)
        self._units: dict[int, str] = {}
        self._zero = ""
        self._given_constants = {tensor.name for tensor in constants}
        self._readable = self._merge_constants(uses)

    def append(self, node: onnx.NodeProto) -> None:
        """Add a node, and before it whatever brings its inputs to one scale; reading what nobody made is refused."""
        inputs = [self._readable.get(name, name) for name in node.input]
        if unknown := [name for name in inputs if name not in self.degrees]:
            raise UnsupportedArchitecture(f"{node.op_type} {node.name} reads {unknown[0]}, which is not made before it")
        degrees = [self.degrees[name] for name in inputs]
        degree = sum(degrees) if node.op_type in _PRODUCTS else max(degrees, default=1)
        if node.op_type in _ALIGNED:
            inputs = [self._raise(name, degree) for name in inputs]
        copy = helper.make_node(node.op_type, inputs, list(node.output), name=node.name, domain=node.domain)
        copy.attribute.extend(node.attribute)
        self.nodes.append(copy)
        self.degrees |= dict.fromkeys(node.output, degree)

    def _merge_constants(self, uses: Counter[str]) -> dict[str, str]:
        """What to read instead of a float constant that is read more than once, under one name or several."""
        readers: Counter[tuple[object, ...]] = Counter()
        values = {tensor.name: _value(tensor) for tensor in self.constants}
        for name, value in values.items():
            readers[value] += uses[name]
        made: dict[tuple[object, ...], str] = {}
        readable = {}
        for name, value in values.items():
            if value and readers[value] > 1:
                if value not in made:
                    made[value] = self._emit("Add", name, self._make_zero())
                readable[name] = made[value]
        return readable

    def _raise(self, name: str, degree: int) -> str:
        missing = degree - self.degrees[name]
        if not missing or (name in self._given_constants and degree <= _MAX_CONSTANT_DEGREE):
            return name
        return self._emit("Mul", name, self._unit(missing), degree=degree)

    def _unit(self, degree: int) -> str:
        """1 at the given degree: a product of two smaller ones."""
        if degree not in self._units:
            half = degree // 2
            if half:
                self._units[degree] = self._emit("Mul", self._unit(half), self._unit(degree - half), degree=degree)
            else:
                one = self._constant("one", np.ones((1, 1), np.float32))
                self._units[degree] = self._emit("Add", self._make_zero(), one)
        return self._units[degree]

    def _make_zero(self) -> str:
        if not self._zero:
            bounds = [self._constant(n, np.array([v], np.int64)) for n, v in (("start", 0), ("end", 1), ("axis", 1))]
            x = self._emit("Slice", self._some_input, *bounds)
            self._zero = self._emit("Sub", x, x)
        return self._zero

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        tensor = numpy_helper.from_array(value, _PREFIX + name)
        self.constants.append(tensor)
        return str(tensor.name)

    def _emit(self, operator: str, *inputs: str, degree: int = 1) -> str:
        output = f"{_PREFIX}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output]))
        self.degrees[output] = degree
        return output


def _value(tensor: onnx.TensorProto) -> tuple[object, ...]:
    """Shape and content of a float constant; empty for others, which are shapes and indices."""
    if tensor.data_type != TensorProto.FLOAT:
        return ()
    array = numpy_helper.to_array(tensor)
    return (array.shape, array.tobytes())
