"""Whether the circuit's arithmetic modulo p is that of the integers: how large values can become, and where they wrap.

Bounds hold for all inputs and parameters below 2^24 in magnitude, since whoever proves chooses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from zk.circuits.audit import VALUE_BITS
from zk.circuits.integers import SLACK, Magnitudes, run
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

MAX_DECOMPOSED_BITS = 126
"""ezkl decomposes 128-bit integers."""


def magnitudes(integers: bytes, decomposed: float, checked: Iterable[str] = ()) -> dict[str, NDArray[np.float64]]:
    """Upper bounds of every value of an integer graph, for any inputs and parameters below 2^24 in magnitude.

    Args:
        integers: See `AuditGraph`.
        decomposed: Values that are decomposed into limbs are below this.
        checked: Names of values that are decomposed without being Relu's.
    """
    model, bounded = onnx.load_from_string(integers), set(checked)
    feeds = {
        value.name: np.full([d.dim_value for d in value.type.tensor_type.shape.dim], 2.0**VALUE_BITS - 1)
        for value in model.graph.input
    }
    return run(
        model.graph.node,
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer},
        feeds,
        Magnitudes(decomposed),
        lambda name, bound: np.minimum(bound, decomposed) if name in bounded else bound,
    )


def stays_below_half(bounds: Mapping[str, NDArray[np.float64]]) -> bool:
    """Whether no value can leave (-p/2, p/2): then the circuit's arithmetic modulo p is that of the integers."""
    return all(bound.max(initial=0.0) * SLACK < MODULUS // 2 for bound in bounds.values() if bound.dtype.kind == "f")
