"""The nodes of a graph: what can be computed.

Every value is flat, one vector per sample, in row-major order of whatever shape the model's author gave it: reshapes
are not nodes, and every other movement of elements is a `Rearrange`. A convolution is a `Rearrange` (its patches) and a
`Linear` over their positions; an average is a `Sum` whose divisor is folded into parameters.

`name` is the name of the value that a node makes, `inputs` those that it reads, `shape` is `(size,)` of what it makes.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.model.functions import ActivationKind

ZERO = -1
"""In `Rearrange.indices`: an element that is 0."""


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x·W + b: x is read as [positions, groups, a], W is [groups, a, b], y is [positions, groups, b].

    The same weights serve all positions. Groups are 1 but for grouped convolutions and element-wise maps; then W is
    kept as [a, b].

    Attributes:
        parameter: index of the canonical tensor that holds W and b; its `ParameterSpec` has groups, a and b.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    parameter: int


@dataclass(frozen=True, slots=True)
class Square:
    """y = x², element by element."""

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Multiply:
    """y = x₀·x₁, element by element."""

    name: str
    inputs: tuple[str, str]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Add:
    """y = x₀ + x₁, element by element."""

    name: str
    inputs: tuple[str, str]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """Sums of `terms` successive elements: x is read as [size, terms]."""

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    terms: int


@dataclass(frozen=True, slots=True, eq=False)
class Rearrange:
    """y_j = x_(indices_j), or 0 where the index is `ZERO`; x is the concatenation of all inputs.

    Attributes:
        indices: int64 [size]; not to be written to.
    """

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    indices: NDArray[np.int64] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rearrange):
            return NotImplemented
        same = (self.name, self.inputs, self.shape) == (other.name, other.inputs, other.shape)
        return same and np.array_equal(self.indices, other.indices)

    def __hash__(self) -> int:
        return hash((self.name, self.inputs, self.shape, self.indices.tobytes()))


@dataclass(frozen=True, slots=True)
class Activation:
    """y = f(x), element by element, for a function that is not polynomial.

    Attributes:
        kind: f; `trader.model.functions.activate` computes it.
        alpha: first parameter of f, 0 if it has none.
        beta: second parameter of f, 0 if it has none.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    kind: ActivationKind
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaf that every tree's decisions lead to, as 0 and 1: bits [trees, 2^depth - 1] to [trees, 2^depth].

    Trees are complete. The decisions of one are in the order of a heap: those after decision i are 2i + 1, where it is
    0, and 2i + 2, where it is 1; its leaves are in the order in which these lead to them.

    Attributes:
        trees: how many.
        depth: decisions from the root to a leaf, at least 1.
    """

    name: str
    inputs: tuple[str]
    shape: tuple[int, ...]
    trees: int
    depth: int

    @property
    def decisions(self) -> int:
        """Decisions of one tree, 2^depth - 1."""
        return (1 << self.depth) - 1


Node: TypeAlias = Linear | Square | Multiply | Add | Sum | Rearrange | Activation | Leaves
