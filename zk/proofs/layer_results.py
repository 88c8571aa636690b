"""What an exact circuit computes, in Python integers: outputs, and the layers' results that a proof commits to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from zk.circuits.integers import INTEGERS, run
from zk.field import to_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zk.circuits.audit import AuditCircuit


@dataclass(frozen=True)
class LayerResults:
    """An evaluation.

    Attributes:
        outputs: k·O integers at scale 2^output_scale_bits, row-major.
        hidden: Values of the hidden tensor, in its order; secret.
    """

    outputs: tuple[int, ...]
    hidden: list[int] = field(repr=False)


def layer_results(circuit: AuditCircuit, tensors: Sequence[Sequence[int]]) -> LayerResults:
    """Evaluate an exact circuit.

    Args:
        circuit: The circuit.
        tensors: Inputs with salt, then parameters, as field elements.
    """
    graph = onnx.load_from_string(circuit.integers).graph
    feeds = {}
    for value, elements in zip(graph.input, tensors, strict=True):
        shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        feeds[value.name] = np.array([to_signed(element) for element in elements], dtype=object).reshape(shape)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = run(graph.node, constants, feeds, INTEGERS)
    names = circuit.hidden.products if circuit.hidden else ()
    return LayerResults(
        outputs=tuple(int(value) for value in values[graph.output[0].name].ravel()),
        hidden=[int(value) for name in names for value in values[name].ravel()],
    )
