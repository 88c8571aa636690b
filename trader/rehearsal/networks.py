"""Random networks, for trying machines and code: nobody's model."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from trader.model import CanonicalModel, Graph, Linear, ParameterSpec, Square
from trader.model.canonical import PARAMETER_BITS, SALT_ROWS

if TYPE_CHECKING:
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


def random_inputs(model: CanonicalModel, samples: int, seed: int = 1) -> NDArray[np.int64]:
    """Draw samples [n, F] in [-1, 1], on the model's input grid."""
    limit = 1 << model.scale_bits
    return np.random.default_rng(seed).integers(-limit, limit, (samples, model.graph.features), endpoint=True)
