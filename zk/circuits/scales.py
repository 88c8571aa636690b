"""Make every value of an exact circuit an integer, at a power of the scale that this module keeps.

ezkl computes on integers at scales of its own, which it changes where it likes. Exact circuits therefore have scale 1
as far as ezkl knows: their graphs compute on integers, and an integer stands for a real number at scale 2^(d·s), where
s is the scale of inputs and parameters. The *degree* d adds up in products. What follows from it:

- A float constant c becomes the integer round(c·2^s), of degree 1.
- Where a sum's operands have different degrees, one is multiplied by 2^(s·missing): a constant at once, a value by a
  *unit*, the constant 2^(s·missing). ezkl reads constants of at most 127 bits, float32 holds powers of two up to
  2^127: larger units are products, of a constant plus zero, so that nothing is folded.
- A constant that several operations read (the optimiser merges equal ones) is decomposed into limbs of limited range.
  Here such a constant gets one reader: constant + zero, which the others read.

Zero is x - x for some input x: a computed value. All of it is exact and costs a few rows.

Example, s = 4: Add(x·θ, c) with c = 0.5 has operands of degrees 2 and 1; c becomes 0.5·2^4·2^4 = 128, and the sum
x·θ + 128 stands for (x·θ + 128)/2^8.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from zk.circuits.decisions import DECISION_OPERATORS, STEP
from zk.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx
    from numpy.typing import NDArray

_PRODUCTS = {"MatMul", "Mul"}
_ALIGNED = {"Add", "Sub", "Concat"}
MAX_CONSTANT_BITS = 120
"""Constants are below 2^120: float32 and ezkl hold integers below 2^127."""

MAX_UNIT_BITS = 96

_KEEPING = {
    "Flatten",
    "Gather",
    "Identity",
    "Pad",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Slice",
    STEP,
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
        zero: Name of the zero of shape [1, 1].
    """

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]
    degrees: dict[str, int]
    zero: str = ""


def is_exact(nodes: Iterable[onnx.NodeProto]) -> bool:
    """Whether every operator has an exact circuit."""
    return all(node.op_type in EXACT_OPERATORS | DECISION_OPERATORS for node in nodes)


def align_scales(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    inputs: Iterable[str],
    some_input: str,
    scale_bits: int,
) -> AlignedGraph:
    """Rewrite a graph into integers: operands of sums have equal degrees, float constants one reader.

    Args:
        nodes: The graph in order.
        constants: Its initializers.
        inputs: Names of the values that it takes: samples and parameters.
        some_input: A value of shape [1, n] that depends on an input.
        scale_bits: s.

    Raises:
        UnsupportedArchitectureError: A node reads what is not made before it.
    """
    uses = Counter(name for node in nodes for name in node.input)
    aligner = _ScaleAligner(constants, inputs, some_input, uses, scale_bits)
    for node in nodes:
        aligner.append(node)
    zero = aligner.make_zero()
    return AlignedGraph(aligner.nodes, aligner.constants, aligner.degrees, zero)


class _ScaleAligner:
    """Copies nodes in order; `nodes` and `constants` are the graph so far."""

    def __init__(
        self,
        constants: Sequence[onnx.TensorProto],
        inputs: Iterable[str],
        some_input: str,
        uses: Counter[str],
        scale_bits: int,
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = [_as_integers(tensor, scale_bits) for tensor in constants]
        self._some_input = some_input
        self._scale_bits = scale_bits
        self.degrees = dict.fromkeys([*inputs, *(tensor.name for tensor in constants), ""], 1)
        self._units: dict[int, str] = {}
        self._zero = ""
        self._readable = self._merge_constants(uses)
        self._given_constants = {tensor.name: index for index, tensor in enumerate(constants)}

    def append(self, node: onnx.NodeProto) -> None:
        """Add a node, and before it whatever brings its inputs to one scale; reading what nobody made is refused."""
        inputs = [self._readable.get(name, name) for name in node.input]
        if unknown := [name for name in inputs if name not in self.degrees]:
            raise UnsupportedArchitectureError(
                f"{node.op_type} {node.name} reads {unknown[0]}, which is not made before it"
            )
        degrees = [self.degrees[name] for name in inputs]
        degree = sum(degrees) if node.op_type in _PRODUCTS else max(degrees, default=1)
        if node.op_type in _ALIGNED:
            inputs = [self._raise(name, degree) for name in inputs]
        copy = helper.make_node(node.op_type, inputs, list(node.output), name=node.name, domain=node.domain)
        copy.attribute.extend(node.attribute)
        self.nodes.append(copy)
        self.degrees |= dict.fromkeys(node.output, degree)

    def make_zero(self) -> str:
        """Zero as x - x for some input x, which no optimiser takes for a constant; shape [1, 1]."""
        if not self._zero:
            bounds = [self._constant(n, np.array([v], np.int64)) for n, v in (("start", 0), ("end", 1), ("axis", 1))]
            x = self._emit("Slice", self._some_input, *bounds)
            self._zero = self._emit("Sub", x, x)
        return self._zero

    def _merge_constants(self, uses: Counter[str]) -> dict[str, str]:
        """Return what to read instead of a float constant that is read more than once, under one name or several."""
        readers: Counter[tuple[object, ...]] = Counter()
        values = {tensor.name: _value(tensor) for tensor in self.constants}
        for name, value in values.items():
            readers[value] += uses[name]
        made: dict[tuple[object, ...], str] = {}
        readable = {}
        for name, value in values.items():
            if value and readers[value] > 1:
                if value not in made:
                    made[value] = self._emit("Add", name, self.make_zero())
                readable[name] = made[value]
        return readable

    def _raise(self, name: str, degree: int) -> str:
        bits = (degree - self.degrees[name]) * self._scale_bits
        if not bits:
            return name
        if name in self._given_constants and self._shift_constant(name, bits):
            self.degrees[name] = degree
            return name
        return self._emit("Mul", name, self._unit(bits), degree=degree)

    def _shift_constant(self, name: str, bits: int) -> bool:
        """Multiply a constant with one reader by 2^bits, which float32 does exactly; False where it gets too large."""
        index = self._given_constants[name]
        value = numpy_helper.to_array(self.constants[index]).astype(np.float64)
        fits = bool(np.all(np.abs(np.ldexp(value, bits)) < 2.0**MAX_CONSTANT_BITS))
        if fits:
            self.constants[index] = numpy_helper.from_array(np.ldexp(value, bits).astype(np.float32), name)
        return fits

    def _unit(self, bits: int) -> str:
        """2^bits."""
        if bits not in self._units:
            if bits <= MAX_UNIT_BITS:
                power = self._constant(f"power/{bits}", np.full((1, 1), 2.0**bits, np.float32))
                self._units[bits] = self._emit("Add", self.make_zero(), power)
            else:
                self._units[bits] = self._emit("Mul", self._unit(MAX_UNIT_BITS), self._unit(bits - MAX_UNIT_BITS))
        return self._units[bits]

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        tensor = numpy_helper.from_array(value, _PREFIX + name)
        self.constants.append(tensor)
        return str(tensor.name)

    def _emit(self, operator: str, *inputs: str, degree: int = 1) -> str:
        output = f"{_PREFIX}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output]))
        self.degrees[output] = degree
        return output


def _as_integers(tensor: onnx.TensorProto, scale_bits: int) -> onnx.TensorProto:
    """Return a float constant at scale 2^scale_bits, rounded; others, which are shapes and indices, as they are.

    The result is exact in float32: it has at most 24 bits, or the constant's own bits.
    """
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    value = np.rint(np.ldexp(numpy_helper.to_array(tensor).astype(np.float64), scale_bits))
    return numpy_helper.from_array(value.astype(np.float32), tensor.name)


def _value(tensor: onnx.TensorProto) -> tuple[object, ...]:
    """Shape and content of a float constant; empty for others, which are shapes and indices."""
    if tensor.data_type != TensorProto.FLOAT:
        return ()
    array = numpy_helper.to_array(tensor)
    return (array.shape, array.tobytes())
