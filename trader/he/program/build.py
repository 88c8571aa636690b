"""The program of a graph: activations as polynomials, and refreshes where depth asks for them.

Refreshing is put off until a product needs it, as sums and linear layers usually leave fewer ciphertexts to refresh. A
packed program refreshes after each affine map, and before it, as only ciphertexts of two components are rotated.

`build_program` is a function of the public graph and the plan, so both sides could rebuild it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from trader.he.errors import PlanError
from trader.he.program.activations import Polynomial
from trader.he.program.chebyshev import block_size, divide, without_zeros
from trader.he.program.steps import (
    CONJUGATE_PRODUCT_COMPONENTS,
    Affine,
    Combine,
    JoinedLinear,
    Normalise,
    Program,
    Refresh,
    Split,
    Step,
    ends_level,
)
from trader.model.graph import INPUT, Graph
from trader.model.nodes import Activation, Add, Linear, Multiply, Node, Rearrange, Square, Sum


def build_program(
    graph: Graph,
    polynomials: Mapping[str, Polynomial],
    *,
    staged: bool,
    packed: bool = False,
    paired: bool = False,
    switched: bool = False,
    joined_features: bool = False,
) -> Program:
    """Return the program of a graph.

    Args:
        graph: What is computed.
        polynomials: One for every activation node, by name.
        staged: Whether ciphertexts are refreshed.
        packed: Whether ciphertexts hold several features; a packed program is staged, too.
        paired: Whether it begins with two samples per slot.
        switched: Whether these are split by switched keys; in a staged program they always are.
        joined_features: Whether it begins with two features per ciphertext; it is not staged, packed or paired then.

    Raises:
        PlanError: An activation has no polynomial; or the program is to be packed, and a node moves elements of
            several values; or it is to be paired, and nothing in it multiplies, or it multiplies inputs themselves, or,
            in conjugate form, products; or features are to be joined, and something else than a dense layer reads them.
    """
    builder = _Builder(graph, polynomials, staged or packed, paired, switched)
    for node in _join_linear(graph) if packed else graph.nodes:
        if joined_features and INPUT in node.inputs:
            builder.add_joined(node)
        else:
            builder.add_node(node)
    program = Program(
        graph,
        tuple(builder.steps),
        builder.levels,
        builder.components,
        frozenset(builder.shared),
        frozenset(builder.conjugate),
    )
    multiplied = program.components[graph.output] >= CONJUGATE_PRODUCT_COMPONENTS
    if graph.output in program.shared or (paired and graph.output in program.conjugate and not multiplied):
        raise PlanError("a linear model's samples never need to be split")
    if joined_features and not multiplied:
        raise PlanError("features of a linear model are not joined")
    return program


def _join_linear(graph: Graph) -> list[Node | Affine]:
    """Return the nodes of a graph, runs of linear ones as affine maps; values inside a run are read by nobody else."""
    reads = Counter(name for node in graph.nodes for name in node.inputs)
    sizes = {INPUT: graph.features, **{node.name: math.prod(node.shape) for node in graph.nodes}}
    joined: list[Node | Affine] = []
    for node in graph.nodes:
        if not isinstance(node, Linear | Sum | Rearrange):
            joined.append(node)
            continue
        if len(node.inputs) > 1:
            raise PlanError(f"'{node.name}' moves elements of several values, which packed ciphertexts don't allow")
        source = node.inputs[0]
        chain: tuple[Linear | Sum | Rearrange, ...] = (node,)
        before = next((step for step in joined if step.name == source), None)
        if isinstance(before, Affine) and reads[source] == 1:
            joined.remove(before)
            source, chain = before.inputs[0], (*before.chain, node)
        joined.append(Affine(node.name, (source,), node.shape, chain, sizes[source]))
    return joined


class _Builder:
    """A program as far as it is built, with level and components of every value."""

    def __init__(
        self, graph: Graph, polynomials: Mapping[str, Polynomial], staged: bool, paired: bool, switched: bool
    ) -> None:
        self._graph = graph
        self._polynomials = polynomials
        self._staged = staged
        self._switched = staged or switched
        self.steps: list[Step] = []
        self.levels = {INPUT: 0}
        self.components = {INPUT: 2}
        self._refreshed: dict[str, str] = {}
        self._lifted: set[str] = set()
        """Values whose scale holds that of a map's weights."""
        self.shared = {INPUT} if paired else set()
        """Values with two samples per slot."""
        self.conjugate: set[str] = set()
        """Values in conjugate form."""

    def add_node(self, node: Node | Affine) -> None:
        """Add a node of the graph, and the refreshes and splits that it takes."""
        self._split_operands(node)
        match node:
            case Affine():
                self._add(replace(node, inputs=(self._refresh(node.inputs[0]),)))
            case Activation():
                if node.name not in self._polynomials:
                    raise _without_polynomial(node)
                self._add_activation(node, self._polynomials[node.name])
            case Square():
                self._add(replace(node, inputs=(self._refresh(node.inputs[0]),)))
            case Multiply():
                self._add(replace(node, inputs=(self._refresh(node.inputs[0]), self._refresh(node.inputs[1]))))
            case Rearrange():
                self._add(replace(node, inputs=tuple(self._newest(name) for name in node.inputs)))
            case Add():
                self._add(replace(node, inputs=(self._newest(node.inputs[0]), self._newest(node.inputs[1]))))
            case Linear() | Sum():
                self._add(replace(node, inputs=(self._newest(node.inputs[0]),)))

    def add_joined(self, node: Node | Affine) -> None:
        """Add a dense layer that reads inputs of which two share every slot."""
        if isinstance(node, Linear):
            spec = self._graph.parameters[node.parameter]
            if spec.groups == 1 and spec.inputs == self._graph.features:
                self.conjugate.add(self._add(JoinedLinear(node.name, (INPUT,), node.shape, node.parameter)))
                return
        raise PlanError(f"'{node.name}' is no dense layer of all features, which joined ones ask for")

    def _add(self, step: Step) -> str:
        level = max(self.levels[name] for name in step.inputs)
        read = [self.components[name] for name in step.inputs]
        match step:
            case Refresh() | Split():
                level, components = level + ends_level(step), 2
            case Square() | Multiply() if self.conjugate.intersection(step.inputs):
                if max(read) > 2:
                    raise PlanError("a product of products would have to be split")
                components = CONJUGATE_PRODUCT_COMPONENTS
            case Square():
                components = 2 * read[0] - 1
            case Multiply():
                components = sum(read) - 1
            case _:
                components = max(read)
        self.steps.append(step)
        self.levels[step.name], self.components[step.name] = level, components
        if isinstance(step, Affine) or (not isinstance(step, Refresh) and self._lifted.intersection(step.inputs)):
            self._lifted.add(step.name)
        if isinstance(step, Split):
            self.conjugate.update(() if step.switched else (step.name,))
        elif self.shared.intersection(step.inputs):
            self.shared.add(step.name)
        elif self.conjugate.intersection(step.inputs):
            self.conjugate.add(step.name)
        return step.name

    def _newest(self, name: str) -> str:
        """Return the refreshed value where there is one."""
        return self._refreshed.get(name, name)

    def _split_operands(self, node: Node | Affine) -> None:
        """Split what a node can't read with two samples per slot: it isn't linear, or reads split values besides."""
        # What was split is read so from then on.
        whole = self.shared - self._refreshed.keys()
        if isinstance(node, Linear | Sum | Rearrange | Add) and whole.issuperset(node.inputs):
            return
        for name in whole.intersection(node.inputs):
            if name == INPUT:
                raise PlanError("every input would have to be split")
            self._refreshed[name] = self._add(Split(f"{name}%", (name,), self._shape(name), self._switched))

    def _refresh(self, name: str) -> str:
        """Return the value as a product, or an affine map, may read it."""
        newest = self._newest(name)
        if not self._staged or (self.components[newest] == 2 and newest not in self._lifted):
            return newest
        self._refreshed[name] = self._add(Refresh(f"{name}~", (name,), self._shape(name)))
        return self._refreshed[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        return next(step.shape for step in self.steps if step.name == name)

    def _add_activation(self, node: Activation, polynomial: Polynomial) -> None:
        """Its polynomial, by baby steps and giant steps in Chebyshev polynomials."""
        unit = Normalise(f"{node.name}/1", (self._refresh(node.inputs[0]),), node.shape, polynomial.radius)
        chebyshev = {1: self._add(unit)}
        block = block_size(polynomial.coefficients) if self._staged else 2
        terms, constant = self._terms(node, chebyshev, polynomial.coefficients, block, node.name)
        self._add_combination(node.name, node.shape, terms, constant)

    def _terms(
        self,
        node: Activation,
        chebyshev: dict[int, str],
        coefficients: Sequence[float],
        block: int,
        label: str,
        beside: str | None = None,
    ) -> tuple[dict[str, float], float]:
        """Values and their factors whose sum, with the constant, is Σ c_k·T_k.

        Args:
            node: The activation.
            chebyshev: The T_k that were made so far; more are added.
            coefficients: c_0, c_1, …
            block: Size of blocks.
            label: Of the values that are made.
            beside: A product that the sum will be added to.
        """
        coefficients = without_zeros(coefficients)
        if len(coefficients) <= block:
            used = [k for k, factor in enumerate(coefficients) if k and factor]
            return {self._refresh(self._chebyshev(node, chebyshev, k)): coefficients[k] for k in used}, coefficients[0]
        half = 1 << ((len(coefficients) - 1).bit_length() - 1)
        quotient, rest = divide(coefficients, half)
        high, high_constant = self._terms(node, chebyshev, quotient, block, f"{label}/{half}")
        giant = self._chebyshev(node, chebyshev, half)
        if not high:
            low, constant = self._terms(node, chebyshev, rest, block, f"{label}/0", beside)
            return {**low, self._newest(giant): high_constant}, constant
        giant = self._refresh(giant)
        aligned = None if beside is None else (beside, giant)
        factor = self._add_combination(f"{label}/{half}+", node.shape, high, high_constant, aligned=aligned)
        product = self._add(Multiply(f"{label}/{half}*", (giant, self._refresh(factor)), node.shape))
        low, constant = self._terms(node, chebyshev, rest, block, f"{label}/0", beside or product)
        return {**low, product: 1.0}, constant

    def _chebyshev(self, node: Activation, made: dict[int, str], k: int) -> str:
        """Return T_k = 2·T_a·T_b - T_(a-b), a the largest power of two below k, and a + b = k."""
        if k not in made:
            a = 1 << ((k - 1).bit_length() - 1)
            name, b = f"{node.name}/{k}", k - a
            first = self._refresh(self._chebyshev(node, made, a))
            if a == b:
                product = self._add(Square(f"{name}^", (first,), node.shape))
                terms, constant = {product: 2.0}, -1.0
            else:
                second, difference = (self._refresh(self._chebyshev(node, made, index)) for index in (b, a - b))
                product = self._add(Multiply(f"{name}^", (first, second), node.shape))
                terms, constant = {product: 2.0, difference: -1.0}, 0.0
            made[k] = self._add_combination(name, node.shape, terms, constant, bound=1.0)
        return made[k]

    def _add_combination(
        self,
        name: str,
        shape: tuple[int, ...],
        terms: dict[str, float],
        constant: float,
        *,
        bound: float | None = None,
        aligned: tuple[str, str] | None = None,
    ) -> str:
        newest: dict[str, float] = {}
        for value, factor in terms.items():
            newest[self._newest(value)] = newest.get(self._newest(value), 0.0) + factor
        if not newest:
            raise PlanError(f"the polynomial for '{name}' is constant; prepare the model again")
        return self._add(Combine(name, tuple(newest), shape, tuple(newest.values()), constant, bound, aligned))


def _without_polynomial(node: Activation) -> PlanError:
    """Return the error for an activation that was planned without data to fit it to."""
    return PlanError(
        f"{node.kind} '{node.name}' can't be evaluated on encrypted data without a polynomial; prepare the "
        "model with calibration data, or use a square activation instead"
    )
