"""Canonical parameters: the integers that are tested, proven and delivered.

Parameters are rounded to θq = round(θ·2^s), |θq| < 2^24, so that float32 holds θq/2^s exactly; inputs are rounded to the
same grid. Each layer is one int32 tensor W' [a + 1 + t, b]: a weight rows, 1 bias row and t salt rows. The layer computes
y = (Pad(x, 1 + t) + [0…0, 1, 0…0])·W'; salt rows meet zeros and hide the commitment to the tensor.

Scales: a value at scale c is an integer that stands for integer/2^c. Inputs have scale s, `Linear` adds s, `Square` doubles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trader.model.graph import Graph
from trader.model.lowering import LoweredModel

DEFAULT_SCALE_BITS = 13
SALT_ROWS = 12
PARAMETER_BITS = 24


@dataclass(frozen=True, slots=True)
class CanonicalModel:
    """A graph and its canonical parameters.

    Attributes:
        graph: the public part.
        tensors: secret; one int32 tensor per parameter, of the shape that `graph.parameters` says.
        scale_bits: s.
    """

    graph: Graph
    tensors: tuple[NDArray[np.int32], ...] = field(repr=False)
    scale_bits: int = DEFAULT_SCALE_BITS

    def weights(self, parameter: int) -> NDArray[np.int32]:
        """Weight rows [a, b] of a tensor."""
        return self.tensors[parameter][: self.graph.parameters[parameter].inputs]

    def bias(self, parameter: int) -> NDArray[np.int32]:
        """Bias row [b] of a tensor, at scale s like the weights."""
        row: NDArray[np.int32] = self.tensors[parameter][self.graph.parameters[parameter].inputs]
        return row


def canonicalise(lowered: LoweredModel, scale_bits: int = DEFAULT_SCALE_BITS) -> CanonicalModel:
    """Round parameters to the grid and add salt from the system's randomness.

    The scale is lowered until every |θq| < 2^24.

    Raises:
        PrecisionError: a parameter isn't finite, or no scale keeps a useful precision.
    """
    raise NotImplementedError


def scale_bits_of(graph: Graph, scale_bits: int) -> Mapping[str, int]:
    """Scale of every value of the graph, the input included."""
    raise NotImplementedError


def output_scale_bits(graph: Graph, scale_bits: int) -> int:
    """Scale of the raw outputs: `scale_bits_of` at the graph's output."""
    raise NotImplementedError


def quantise_inputs(
    x: NDArray[np.float64],
    graph: Graph,
    scale_bits: int,
    exponents: tuple[int, ...] = (),
    magnitude: float | None = None,
) -> NDArray[np.int64]:
    """Samples [n, …] to the input grid: int64 [n, F], round(x_j·2^(e_j + s)).

    Raises:
        DataError: wrong shape, NaN or infinity, or |x_j·2^e_j| > magnitude; names row and column.
    """
    raise NotImplementedError


def evaluate_exact(model: CanonicalModel, inputs: NDArray[np.int64]) -> NDArray[np.object_]:
    """The integer reference: quantised inputs [n, F] to Python integers [n, O] at scale 2^output_scale_bits."""
    raise NotImplementedError


def interval_bounds(model: CanonicalModel, input_magnitude: float) -> dict[str, NDArray[np.float64]]:
    """Bound on |value| (real units) of every element of every value, for any input within ±input_magnitude."""
    raise NotImplementedError


def measured_bounds(model: CanonicalModel, inputs: NDArray[np.int64], margin: float = 2.0) -> dict[str, float]:
    """Largest |value| (real units) of every value on quantised calibration data, times the margin."""
    raise NotImplementedError
