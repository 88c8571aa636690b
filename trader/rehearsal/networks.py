"""Random networks and ensembles of trees, for trying machines and code: nobody's models."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from trader.model import (
    INPUT,
    Activation,
    ActivationKind,
    CanonicalModel,
    Graph,
    Leaves,
    Linear,
    ParameterSpec,
    Square,
)
from trader.model.canonical import PARAMETER_BITS, SALT_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCALE_BITS = 13


def random_network(*widths: int, seed: int = 0, gain: float = 1.0) -> CanonicalModel:
    """Make dense layers of the given widths with square activations between them.

    Args:
        widths: Features, units of each hidden layer, outputs.
        seed: The same one gives the same weights and biases; salt too.
        gain: Standard deviation of a unit's sum for features of size 1; biases have a tenth of 1.
    """
    generator = np.random.default_rng(seed)
    nodes: list[Linear | Square] = []
    specs, tensors = [], []
    value = "input"
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensor = np.empty((inputs + 1 + SALT_ROWS, outputs), dtype=np.int32)
        tensor[:inputs] = np.rint(generator.normal(size=(inputs, outputs)) * gain / inputs**0.5 * 2**SCALE_BITS)
        tensor[inputs] = np.rint(generator.normal(size=outputs) * 0.1 * 2**SCALE_BITS)
        limit = 1 << (PARAMETER_BITS - 1)
        tensor[inputs + 1 :] = generator.integers(-limit, limit, (SALT_ROWS, outputs))
        tensors.append(tensor)
        specs.append(ParameterSpec(f"layer{index}", inputs, outputs, SALT_ROWS))
        nodes.append(Linear(f"linear{index}", (value,), (outputs,), index))
        value = f"linear{index}"
        if index < len(widths) - 2:
            nodes.append(Square(f"square{index}", (value,), (outputs,)))
            value = f"square{index}"
    return CanonicalModel(Graph((widths[0],), tuple(nodes), value, tuple(specs)), tuple(tensors), SCALE_BITS)


def random_trees(
    edges: Sequence[int],
    trees: int,
    depth: int,
    *,
    outputs: int = 1,
    groups: int = 1,
    leaf_bits: int = 8,
    seed: int = 0,
) -> CanonicalModel:
    """Make complete trees of one depth over bins.

    Args:
        edges: Of each column; bins are one more.
        trees: In all groups together.
        depth: Of each.
        outputs: Of each group.
        groups: Trees of different groups add to different outputs.
        leaf_bits: Leaves' values are below 2^leaf_bits in magnitude.
        seed: The same one gives the same trees.
    """
    generator = np.random.default_rng(seed)
    decisions, leaves = trees * ((1 << depth) - 1), trees << depth
    columns = generator.choice(np.flatnonzero(edges), decisions)
    first = np.zeros((len(edges) + 1 + SALT_ROWS, decisions), dtype=np.int32)
    first[columns, np.arange(decisions)] = 1
    first[len(edges)] = -generator.integers(0, np.asarray(edges)[columns])
    rows = leaves // groups
    limit = 1 << leaf_bits
    last = np.zeros((groups, rows + 1 + SALT_ROWS, outputs), dtype=np.int32)
    last[:, :rows] = generator.integers(-limit, limit, (groups, rows, outputs), endpoint=True)
    specs = (
        ParameterSpec("layer0", len(edges), decisions, SALT_ROWS),
        ParameterSpec("layer1", rows, outputs, SALT_ROWS, groups),
    )
    nodes = (
        Linear("linear_0", (INPUT,), (decisions,), 0),
        Activation("activation_1", ("linear_0",), (decisions,), ActivationKind.STEP),
        Leaves("leaves_2", ("activation_1",), (leaves,), trees, depth),
        Linear("linear_3", ("leaves_2",), (groups * outputs,), 1),
    )
    tensors = (first, last if groups > 1 else last[0])
    return CanonicalModel(Graph((len(edges),), nodes, "linear_3", specs), tensors, 0)


def random_bins(edges: Sequence[int], samples: int, seed: int = 1) -> NDArray[np.int64]:
    """Draw a bin of every column for samples: [n, F]."""
    return np.random.default_rng(seed).integers(0, edges, (samples, len(edges)), endpoint=True)


def random_inputs(model: CanonicalModel, samples: int, seed: int = 1) -> NDArray[np.int64]:
    """Draw samples [n, F] in [-1, 1], on the model's input grid."""
    limit = 1 << model.scale_bits
    return np.random.default_rng(seed).integers(-limit, limit, (samples, model.graph.features), endpoint=True)
