"""Dense networks with activations between their layers, as lowering gives them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from trader.model import (
    INPUT,
    Activation,
    ActivationKind,
    Graph,
    Linear,
    LinearParameters,
    LoweredModel,
    ParameterSpec,
    PostProcessing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trader.model import Node


def activation_network(kind: ActivationKind, widths: Sequence[int], rng: np.random.Generator) -> LoweredModel:
    """Random layers of these widths, the first of which is the number of features."""
    nodes: list[Node] = []
    specs, parameters, source = [], [], INPUT
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        if layer:
            nodes.append(Activation(f"activation_{len(nodes)}", (source,), (rows,), kind))
            source = nodes[-1].name
        nodes.append(Linear(f"linear_{len(nodes)}", (source,), (columns,), layer))
        source = nodes[-1].name
        specs.append(ParameterSpec(f"parameter_{layer}", rows, columns, salt_rows=0))
        weights = rng.normal(0, 1 / np.sqrt(rows), (rows, columns))
        parameters.append(LinearParameters(weights, rng.normal(0, 0.3, columns)))
    graph = Graph((widths[0],), tuple(nodes), source, tuple(specs))
    return LoweredModel(graph, tuple(parameters), PostProcessing(), (widths[0],))
