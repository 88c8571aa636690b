"""A graph that is an ensemble of trees and nothing else, and what its trees decide.

`Ensemble` is public: bins -> Linear -> step -> `Leaves` -> Linear. `Decisions` reads the secret part, for those who
need trees as trees: the encrypted test (`trader.model.thermometer`) and the delivered file (`trader.model.plain`). Not
every tensor is one of trees; the proof and `evaluate_exact` compute with whatever there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import CanonicalModel
from trader.model.errors import PrecisionError
from trader.model.functions import ActivationKind
from trader.model.graph import INPUT, Graph
from trader.model.nodes import Activation, Leaves, Linear


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The shape of an ensemble.

    Attributes:
        groups: G: trees stand in G groups of equal size, each of which has outputs of its own.
        outputs: O: outputs of a group.
        per_group: Trees of a group.
        depth: D.
    """

    groups: int
    outputs: int
    per_group: int
    depth: int

    @classmethod
    def of(cls, graph: Graph) -> "Ensemble":
        """Read the shape off a graph.

        Raises:
            PrecisionError: It is none of an ensemble by itself.
        """
        if len(graph.nodes) == 4:
            first, step, leaves, last = graph.nodes
            chain = (first.inputs, step.inputs, leaves.inputs, last.inputs, graph.output)
            links = ((INPUT,), (first.name,), (step.name,), (leaves.name,), last.name)
            kinds = isinstance(first, Linear) and isinstance(step, Activation) and step.kind is ActivationKind.STEP
            if kinds and chain == links and isinstance(leaves, Leaves) and isinstance(last, Linear):
                spec = graph.parameters[last.parameter]
                decides = graph.parameters[0].groups == 1 and graph.parameters[0].inputs == graph.features
                if decides and leaves.trees % spec.groups == 0 and spec.groups * spec.outputs == graph.outputs:
                    return cls(spec.groups, spec.outputs, leaves.trees // spec.groups, leaves.depth)
        raise PrecisionError("only an ensemble of trees by itself is tested on bits")

    @property
    def count(self) -> int:
        """Trees in all."""
        return self.groups * self.per_group

    @property
    def decisions(self) -> int:
        """Decisions of one tree, in the order of a heap."""
        return (1 << self.depth) - 1


@dataclass(frozen=True, slots=True)
class Decisions:
    """What each decision of each tree is about: arrays [trees, 2^D - 1].

    Attributes:
        columns: The column that it reads; -1 where the answer is known beforehand.
        edges: The edge of that column which the value must lie above; else 0.
        always: Where the answer is known beforehand: whether it is yes.
    """

    columns: NDArray[np.int64]
    edges: NDArray[np.int64]
    always: NDArray[np.bool_]

    @classmethod
    def of(cls, model: CanonicalModel, edges: Sequence[int]) -> "Decisions":
        """Read decisions off a model's first tensor.

        Args:
            model: An ensemble.
            edges: How many each column has.

        Raises:
            PrecisionError: The model is no ensemble, or a decision is not about one column alone.
        """
        trees = Ensemble.of(model.graph)
        weights, numbers = model.weights(0), -model.bias(0).astype(np.int64)
        used = weights != 0
        if np.any(used.sum(axis=0) > 1) or np.any(weights[used] != 1):
            raise PrecisionError("a tree's decision is not about one column")
        columns = used.argmax(axis=0)
        decides = used.any(axis=0) & (numbers >= 0) & (numbers < np.asarray(edges)[columns])
        shape = (trees.count, trees.decisions)
        return cls(
            np.where(decides, columns, -1).reshape(shape),
            np.where(decides, numbers, 0).reshape(shape),
            (~decides & (numbers < 0)).reshape(shape),
        )


def holds_trees(model: CanonicalModel, edges: Sequence[int]) -> bool:
    """Whether a model's tensors are those of trees: see `Decisions.of`."""
    try:
        Decisions.of(model, edges)
    except PrecisionError:
        return False
    return True
