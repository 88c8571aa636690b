"""What is carried out on ciphertexts: steps, and programs of them.

A product has three components, and a product of products more, at ever larger scales. A *staged* program refreshes a
ciphertext of more than two components before it enters another product: it is relinearised to two components and
rescaled, which drops primes. Refreshes cut a program into levels: everything at one level has the same primes, and a
value that is read at a higher level is switched there by leaving residues out.

A *paired* program begins with two samples per slot, as real and imaginary parts. Linear nodes don't mind; before the
first products the samples are split, and what comes after is carried out for both. In a staged program a switched key
takes every ciphertext apart, which ends a level. Else values are split in *conjugate form*
(`trader.he.evaluation.splitting`), which takes no key; only outputs, which are fewer, are switched back.

A program of *joined features* begins with two features per ciphertext, x + J·x', of one sample per slot. Its first
layers take both apart as they add them up, with weights W and W': Re(Σ W·(x + J·x')) is the one half, Im(Σ W'·(x +
J·x')) the other, and both parts of a value cost nothing in conjugate form.

A *packed* program is for ciphertexts that hold several features (`trader.he.layouts.packing`). Its linear nodes are
joined to affine maps, whose weights are not integers but encoded polynomials at a scale of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from trader.model.graph import Graph
from trader.model.nodes import Add, Linear, Multiply, Rearrange, Square, Sum


@dataclass(frozen=True, slots=True)
class Combine:
    """y = Σ c_i·x_i + constant, element by element; coefficients are rounded to the grid of the common scale.

    Attributes:
        coefficients: c_i.
        constant: Real units.
        bound: Largest |y|, where it is less than the terms' together.
        aligned: (product, operand), values: y times the operand is to have the product's scale, so that both can be
            added without integers that bring them together, which take modulus.
    """

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float
    bound: float | None = None
    aligned: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Normalise:
    """y = x/divisor: the same ciphertexts, read at another scale."""

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    divisor: float


@dataclass(frozen=True, slots=True)
class Refresh:
    """y = x with two components, at the next level, its scale divided by the primes that are dropped."""

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Affine:
    """y = x·W + b: a run of linear nodes as one map, which is how packed ciphertexts are multiplied.

    Attributes:
        chain: Nodes, each of which reads the one before.
        size: Elements of x.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    chain: tuple[Linear | Sum | Rearrange, ...]
    size: int


@dataclass(frozen=True, slots=True)
class JoinedLinear:
    """y = x·W + b of inputs of which two share every slot, in conjugate form, at twice the scale.

    Attributes:
        parameter: Index of the graph's, W and b.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    parameter: int


@dataclass(frozen=True, slots=True)
class Split:
    """y = the two samples that share every slot of x, apart from each other, at twice the scale.

    Attributes:
        switched: Whether by a switched key, at the next level; else in conjugate form, at the same level.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    switched: bool


CONJUGATE_PRODUCT_COMPONENTS = 4
"""Of a product of two values in conjugate form: 1, s, s² and s·s̄; those of s̄ and s̄² are images of others."""
FOLDED_SWITCHINGS = 4
"""Polynomials of such a product, those of s², s̄, s̄² and s·s̄, that are switched to s."""

Step: TypeAlias = (
    Linear | Square | Multiply | Add | Sum | Rearrange | Combine | Normalise | Refresh | Affine | Split | JoinedLinear
)


@dataclass(frozen=True, slots=True)
class Program:
    """Steps in topological order.

    Attributes:
        graph: What is computed.
        steps: How.
        levels: Of every value: number of refreshes on the longest path to it.
        components: Of every value: polynomials per ciphertext, as many as its form keeps.
        shared: Values with two samples per slot.
        conjugate: Values in conjugate form.
    """

    graph: Graph
    steps: tuple[Step, ...]
    levels: Mapping[str, int]
    components: Mapping[str, int]
    shared: frozenset[str] = frozenset()
    conjugate: frozenset[str] = frozenset()

    @property
    def depth(self) -> int:
        """Number of refreshes on the longest path; 0 where nothing is relinearised."""
        return max(self.levels.values())

    def refreshes(self, level: int) -> list[Refresh]:
        """Return the refreshes that end a level."""
        return [s for s in self.steps if isinstance(s, Refresh) and self.levels[s.inputs[0]] == level]

    @property
    def splits(self) -> list[Split]:
        """Those of a paired program; switched ones end level 0."""
        return [step for step in self.steps if isinstance(step, Split)]

    @property
    def response_components(self) -> int:
        """Polynomials per ciphertext of the response; what is in conjugate form is switched to s before."""
        return 2 if self.graph.output in self.conjugate else self.components[self.graph.output]

    def stage(self, level: int) -> "Stage":
        """Return what is computed on tiles at a level."""
        made = {step.name: step for step in self.steps}
        last = level == self.depth
        ends = [step for step in self.steps if ends_level(step) and self.levels[step.inputs[0]] == level]
        targets = {self.graph.output} if last else {step.inputs[0] for step in ends}
        targets |= {name for name in self._kept() if self.levels[name] == level}
        needed, reads, waiting = set(), set(), sorted(targets)
        while waiting:
            name = waiting.pop()
            step = made.get(name)
            if step is None or ends_level(step) or (self.levels[name] < level and not _is_free(step)):
                reads.add(name)
            elif name not in needed:
                needed.add(name)
                waiting.extend(step.inputs)
        return Stage(
            level,
            tuple(step for step in self.steps if step.name in needed),
            tuple(sorted(reads)),
            tuple(sorted(targets)),
            self.shared,
            self.conjugate,
        )

    def _kept(self) -> set[str]:
        """Values, other than refreshed ones, that a later level reads; free steps in between are taken again there."""
        made = {step.name: step for step in self.steps}
        kept = set()
        for step in self.steps:
            waiting = list(step.inputs)
            while waiting:
                name = waiting.pop()
                source = made.get(name)
                if source is None or ends_level(source):
                    continue
                if _is_free(source):
                    waiting.extend(source.inputs)
                elif self.levels[name] < self.levels[step.name]:
                    kept.add(name)
        return kept


@dataclass(frozen=True, slots=True)
class Stage:
    """The part of a program at one level.

    Attributes:
        level: Number of refreshes before it.
        steps: In order, no refreshes among them.
        reads: Values that exist before: the input, refreshed ones, and ones kept from lower levels.
        targets: Values that are kept or refreshed, or the output.
        shared: Values of the program with two samples per slot.
        conjugate: Values of the program in conjugate form.
    """

    level: int
    steps: tuple[Step, ...]
    reads: tuple[str, ...]
    targets: tuple[str, ...]
    shared: frozenset[str] = frozenset()
    conjugate: frozenset[str] = frozenset()

    @property
    def mirrored(self) -> bool:
        """Whether a tile needs the mirror image of each position, as something is in conjugate form."""
        return any(step.name in self.conjugate for step in self.steps)

    @property
    def halves(self) -> int:
        """Samples per slot of what is in conjugate form."""
        return 2 if self.shared else 1


def ends_level(step: Step) -> bool:
    """Whether what a step makes is at the level after what it reads."""
    return isinstance(step, Refresh) or (isinstance(step, Split) and step.switched)


def _is_free(step: Step) -> bool:
    return isinstance(step, Rearrange | Normalise)
