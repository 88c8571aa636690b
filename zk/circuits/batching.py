"""Prove the linear layers of many samples at about the cost of one sample.

A layer H = A·W, with A [M, n] (M = k samples times positions) and W [n, b], costs M·n·b products if it is laid out.
Here its result is *committed*, as part of one more input tensor, and the circuit checks one random combination of all
rows and columns of all layers (Freivalds, "Probabilistic machines can use less running time", IFIP 1977; the univariate
form is the Schwartz-Zippel lemma in one variable):

    sum_l sum_j s^(j_l) · ((r^T A_l) W_l - r^T H_l)_j = 0,    r = (1, c, c², …, c^(M-1)),  s = c^L,  L = 2^i >= M

with (l, j) numbered through as j_l. Every entry (m, j) of every layer has a power c^(m + L·j_l) of its own, so a false
entry makes the left side a non-zero polynomial in the challenge c, of degree below L·J, J being the number of columns
of all layers: it vanishes for fewer than L·J of the p challenges. c is a public instance that the verifier derives from
all commitments and outputs (`zk.proofs.challenge`); whoever makes the proof knows it only when A's inputs, W and H
are fixed. M·n + n·b products remain of M·n·b, and activations read H element by element.

Example, one layer, M = 2, n = b = 1: A = (3, 4), W = 5, H = (15, 20). The check is (3 + 4c)·5 - (15 + 20c) = 0 for
every c; with H = (15, 21) it is -c, which is 0 for c = 0 only.

ezkl commits to an input tensor without blinding, so each column of the committed tensor ends in salt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from zk.circuits.audit import HiddenTensor

HIDDEN = "audit/hidden"
CHALLENGE = "audit/challenge"
CHALLENGE_INSTANCE = "audit/challenge_instance"
CHECK = "audit/check"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A product of a value of M rows with a parameter.

    Attributes:
        name: Of its result.
        left: Name of A, shape [..., *groups, m, n].
        right: Name of W, shape [*groups, n, b].
        left_shape: Of A.
        right_shape: Of W.
    """

    name: str
    left: str
    right: str
    left_shape: Shape
    right_shape: Shape

    @property
    def shape(self) -> Shape:
        """Shape of the result, [..., *groups, m, b]."""
        return (*self.left_shape[:-1], self.columns)

    @property
    def columns(self) -> int:
        """Columns of W, b."""
        return self.right_shape[-1]

    @property
    def groups(self) -> Shape:
        """Dimensions that W has a matrix for each of."""
        return self.right_shape[:-2]

    @property
    def group_count(self) -> int:
        """Number of W's matrices."""
        return math.prod(self.groups)

    @property
    def rows(self) -> int:
        """M: rows of A per group."""
        return math.prod(self.left_shape[:-1]) // self.group_count


@dataclass(frozen=True)
class ShapedGraph:
    """An integer graph, and what is known of its values.

    Attributes:
        nodes: In order.
        shapes: Of all values, by name.
        integers: Constants that are shapes or indices, by name.
        zero: Name of a computed 0, [1, 1].
    """

    nodes: Sequence[onnx.NodeProto]
    shapes: Mapping[str, Shape]
    integers: Mapping[str, NDArray[np.int64]]
    zero: str


def find_products(graph: ShapedGraph, parameters: Iterable[str], least_rows: int) -> list[Product]:
    """Return the products to commit to: those with a parameter, of so many rows at least."""
    known, shapes = set(parameters), graph.shapes
    found = []
    for node in graph.nodes:
        if node.op_type != "MatMul" or node.input[1] not in known or node.input[0] in known:
            continue
        left, right = node.input
        product = Product(node.output[0], left, right, shapes[left], shapes[right])
        matches = len(product.left_shape) >= len(product.right_shape) >= 2
        groups = product.left_shape[:-2][len(product.left_shape) - len(product.right_shape) :]
        if matches and groups == product.groups and product.rows >= least_rows:
            found.append(product)
    return found


def replace_products(
    graph: ShapedGraph, products: Sequence[Product], hidden: HiddenTensor, checked: Iterable[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Take products from the committed tensor, and check them.

    Args:
        graph: The integer graph.
        products: What to take from `HIDDEN`.
        hidden: Where it is there.
        checked: Names of products that are decomposed into limbs as well, which bounds them.

    Returns:
        Nodes and further constants. They read `HIDDEN` and `CHALLENGE` and give
        `CHALLENGE_INSTANCE` and `CHECK`, [1, 1] each.
    """
    made = _Writer()
    values = made.join([made.slice(HIDDEN, start, end) for start, end in hidden.runs])
    start, replaced = 0, {product.name for product in products}
    for product in products:
        end = start + math.prod(product.shape)
        made.node("Reshape", made.slice(values, start, end), made.integers(product.shape), output=product.name)
        start = end
    kept = [node for node in graph.nodes if node.output[0] not in replaced]
    taken, made.nodes = made.nodes, []
    _write_check(made, graph, kept, products, set(checked))
    return [*taken, *kept, *made.nodes], made.constants


def _write_check(
    made: _Writer,
    graph: ShapedGraph,
    nodes: Sequence[onnx.NodeProto],
    products: Sequence[Product],
    checked: set[str],
) -> None:
    rows_of = _RowCombiner(made, {node.output[0]: node for node in nodes}, graph)
    zero = graph.zero
    one = made.node("Add", zero, made.constant(np.ones((1, 1), np.float32)))
    rows, next_power = _powers(made, zero, one, CHALLENGE, max(product.rows for product in products))
    differences = []
    for product in products:
        weights = made.slice(rows, 0, product.rows)
        left = made.node("MatMul", rows_of.combine(weights, product.left, product), product.right)
        right = rows_of.combine(weights, product.name, product)
        difference = made.node("Sub", left, right)
        count = product.group_count * product.columns
        differences.append(
            made.node("Reshape", difference, made.integers((1, count))) if product.groups else difference
        )
    columns, _ = _powers(
        made, zero, one, next_power, sum(product.group_count * product.columns for product in products)
    )
    column = made.node("Transpose", columns, perm=[1, 0])
    total = made.node("MatMul", made.join(differences), column)
    for product in products:
        if product.name in checked:
            total = made.node("Add", total, _bounded(made, product))
    made.nodes[-1].output[0] = CHECK
    made.node("Add", zero, CHALLENGE, output=CHALLENGE_INSTANCE)


def _bounded(made: _Writer, product: Product) -> str:
    """|h|² - h², summed: always 0, but |h| takes a decomposition of h into limbs."""
    flat = made.node("Reshape", product.name, made.integers((1, math.prod(product.shape))))
    magnitude = made.node("Abs", flat)
    squares = [made.node("Mul", value, value) for value in (magnitude, flat)]
    axis = made.integers((1,))
    return made.node("ReduceSum", made.node("Sub", *squares), axis, keepdims=1)


@dataclass
class _RowCombiner:
    """Writes r^T·A, without laying out A where it is a sum with a constant row, or padded in its rows.

    r^T(A + 1·c) = r^T A + (Σ r)·c, and r^T Pad(A) = Pad(r^T A): architectures make each layer's input that way.
    """

    made: _Writer
    producers: Mapping[str, onnx.NodeProto]
    graph: ShapedGraph

    def combine(self, weights: str, name: str, product: Product) -> str:
        """r^T·A, shape [*groups, 1, n]."""
        node = self.producers.get(name)
        if node is not None and node.op_type == "Add" and self._is_row(node.input[1], name):
            return self._combine_sum(weights, node, product)
        if node is not None and (pads := self._pads_of_rows(node, product)):
            return self.made.node("Pad", self.combine(weights, node.input[0], product), self.made.integers(pads))
        combined = self.made.node("MatMul", weights, self._rows_first(name, product))
        if product.groups:
            shape = (*product.groups, 1, self.graph.shapes[name][-1])
            combined = self.made.node("Reshape", combined, self.made.integers(shape))
        return combined

    def _combine_sum(self, weights: str, node: onnx.NodeProto, product: Product) -> str:
        value, row = node.input
        columns = self.graph.shapes[row][-1]
        row = self.made.node("Reshape", row, self.made.integers((*(1 for _ in product.groups), 1, columns)))
        total = self.made.node("ReduceSum", weights, self.made.integers((1,)), keepdims=1)
        return self.made.node("Add", self.combine(weights, value, product), self.made.node("Mul", total, row))

    def _is_row(self, name: str, total: str) -> bool:
        """Whether a summand is one row, as long as the sum's."""
        *lead, columns = self.graph.shapes[name]
        return set(lead) <= {1} and columns == self.graph.shapes[total][-1]

    def _pads_of_rows(self, node: onnx.NodeProto, product: Product) -> Shape:
        """Return the widths of a Pad of rows alone, for r^T·A; empty for other nodes."""
        if node.op_type != "Pad" or len(node.input) != 2 or node.input[1] not in self.graph.integers:
            return ()
        before, after = np.split(self.graph.integers[node.input[1]], 2)
        if before[:-1].any() or after[:-1].any():
            return ()
        lead = (0,) * (len(product.groups) + 1)
        return (*lead, int(before[-1]), *lead, int(after[-1]))

    def _rows_first(self, name: str, product: Product) -> str:
        """Bring a value [..., *groups, m, n] to [M, groups · n]."""
        shape = self.graph.shapes[name]
        lead = len(shape) - len(product.right_shape)
        groups = range(lead, len(shape) - 2)
        if groups and shape[-2] > 1:
            perm = [*range(lead), len(shape) - 2, *groups, len(shape) - 1]
            name = self.made.node("Transpose", name, perm=perm)
        wanted = (product.rows, product.group_count * shape[-1])
        return name if shape == wanted else self.made.node("Reshape", name, self.made.integers(wanted))


def _powers(made: _Writer, zero: str, one: str, base: str, count: int) -> tuple[str, str]:
    """(1, b, b², …) of shape [1, count], and b^L for the least power of two L >= count."""
    powers, length, step = one, 1, base
    while length < count:
        part = made.slice(powers, 0, min(length, count - length)) if count < 2 * length else powers
        powers = made.join([powers, made.node("Mul", part, step)])
        length = min(2 * length, count)
        step = made.node("Mul", step, step)
    # Behind a sum the optimiser doesn't see the Concat: it would cut what is multiplied by it, and assign it again.
    return made.node("Add", powers, zero), step


@dataclass
class _Writer:
    """Nodes and constants with names of their own."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    count: int = 0

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or self._name()
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        tensor = numpy_helper.from_array(value, self._name())
        self.constants.append(tensor)
        return str(tensor.name)

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def slice(self, name: str, start: int, end: int) -> str:
        """Return some columns of a value [1, n]."""
        return self.node("Slice", name, *(self.integers((v,)) for v in (start, end, 1)))

    def join(self, names: Sequence[str]) -> str:
        """Values [1, n] side by side."""
        return self.node("Concat", *names, axis=1) if len(names) > 1 else names[0]

    def _name(self) -> str:
        self.count += 1
        return f"audit/batch/{self.count}"
