"""Canonical parameters: the integers that are tested, proven and delivered.

`canonicalise` rounds parameters to θq = round(θ·2^s), |θq| < 2^24, so that float32 holds θq/2^s exactly. Each
layer is one int32 tensor W' [a + 1 + t, b]: a weight rows, 1 bias row and t salt rows. The layer computes
y = (Pad(x, 1 + t) + [0…0, 1, 0…0])·W': salt rows meet zeros, and hide what commitment and proofs would tell of
the tensor (`hidden_proofs`). A layer with groups has such a matrix for each: W' [groups, a + 1 + t, b].

`trader.model.reference` says what a canonical model computes.
"""

import math
import secrets
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trader.model.errors import PrecisionError
from trader.model.graph import Graph, ParameterSpec, output_scale_bits
from trader.model.lowering import LinearParameters, LoweredModel

DEFAULT_SCALE_BITS = 13
PARAMETER_BITS = 24
"""Magnitudes stay below 2^24: a float32 significand."""
SALT_ROWS = 12
"""Rows per tensor (over all its groups), at least; trees, whose tensors are wide, have as many as proofs ask for."""
DEFAULT_PROOFS = 16
EVALUATION_BITS = 254
"""What a published proof says about each tensor: its polynomial's value, a field element, at a point that all know."""
LISTED_EVALUATIONS = 2
"""The commitment to a tensor and the opening in the manifest say as much as two proofs do."""
HIDING_BITS = 128
"""Bits of salt that remain unknown after all that was published (leftover hash lemma: within 2^-64 of uniform)."""
MAX_RELATIVE_ERROR = 0.05
"""Rounding that moves a layer's weights by more than this (Frobenius norm) is refused."""
OUTPUT_SCALE_BITS = 220
"""Largest scale of a raw output: it leaves 32 bits for its magnitude in the 254-bit field of the audit circuit."""


@dataclass(frozen=True, slots=True)
class CanonicalModel:
    """A graph and its canonical parameters.

    Attributes:
        graph: the public part.
        tensors: secret; one int32 tensor per parameter, of the shape that `graph.parameters` says. Those of another
            seller's making may use all 32 bits: nothing in circuit, chunks or escrow asks for less.
        scale_bits: s.
    """

    graph: Graph
    tensors: tuple[NDArray[np.int32], ...] = field(repr=False)
    scale_bits: int = DEFAULT_SCALE_BITS

    def __post_init__(self) -> None:
        expected = tuple(spec.shape for spec in self.graph.parameters)
        actual = tuple(tensor.shape for tensor in self.tensors)
        if actual != expected:
            raise PrecisionError(f"canonical tensors have shapes {actual}, the architecture asks for {expected}")
        if self.graph.has_trees and self.scale_bits:
            raise PrecisionError("trees compare integers, so their grid is that of integers")
        if any(tensor.dtype != np.int32 for tensor in self.tensors):
            raise PrecisionError(f"canonical tensors are int32, not {[str(tensor.dtype) for tensor in self.tensors]}")

    def weights(self, parameter: int) -> NDArray[np.int32]:
        """Weight rows of a tensor: [a, b], or [groups, a, b]."""
        return self.tensors[parameter][..., : self.graph.parameters[parameter].inputs, :]

    def bias(self, parameter: int) -> NDArray[np.int32]:
        """Bias row of a tensor, at scale s like the weights: [b], or [groups, b]."""
        row: NDArray[np.int32] = self.tensors[parameter][..., self.graph.parameters[parameter].inputs, :]
        return row


def canonicalise(
    lowered: LoweredModel, scale_bits: int = DEFAULT_SCALE_BITS, proofs: int = DEFAULT_PROOFS
) -> CanonicalModel:
    """Round parameters to the grid and add salt from the system's randomness.

    Args:
        lowered: the model.
        scale_bits: lowered until every |θq| < 2^24, and further for deep models, whose scales grow beyond what the
            audit circuit holds; trees are integers.
        proofs: that may be published about the model without giving anything away, see `hidden_proofs`.

    Raises:
        PrecisionError: a parameter isn't finite, or no scale keeps a useful precision.
    """
    if lowered.graph.has_trees:
        if lowered.grid is None:
            raise PrecisionError(
                "an ensemble of trees is tested on bins of its columns: give data like that of buyers (--calibration)"
            )
        scale_bits = 0
    bits = _fitting_scale(lowered.parameters, _depth_limit(lowered.graph, scale_bits))
    least = 1 if lowered.graph.has_trees else SALT_ROWS
    specs = tuple(replace(spec, salt_rows=_salt_rows(spec, proofs, least)) for spec in lowered.graph.parameters)
    tensors = tuple(_tensor(layer, spec, bits) for layer, spec in zip(lowered.parameters, specs, strict=True))
    return CanonicalModel(replace(lowered.graph, parameters=specs), tensors, bits)


def hidden_proofs(graph: Graph) -> int:
    """How many proofs about a model may be published before they say something about its parameters.

    Each proof gives a linear equation, known modulo p, in the elements of every tensor. As long as the salt has more
    bits than all equations together, they are consistent with any parameters. With more, lattice reduction finds small
    tensors from a few proofs, and linear algebra any tensor from as many as it has elements.
    """
    return min(_hidden_by(PARAMETER_BITS * spec.groups * spec.salt_rows * spec.outputs) for spec in graph.parameters)


def _hidden_by(salt_bits: int) -> int:
    return max(0, (salt_bits - HIDING_BITS) // EVALUATION_BITS - LISTED_EVALUATIONS)


def _salt_rows(spec: ParameterSpec, proofs: int, least: int) -> int:
    bits = (proofs + LISTED_EVALUATIONS) * EVALUATION_BITS + HIDING_BITS
    enough = math.ceil(bits / (PARAMETER_BITS * spec.groups * spec.outputs))
    return max(enough, math.ceil(least / spec.groups))


def _depth_limit(graph: Graph, scale_bits: int) -> int:
    """Return the scale, lowered until that of the raw outputs is OUTPUT_SCALE_BITS at most."""
    return min(scale_bits, OUTPUT_SCALE_BITS // output_scale_bits(graph, 1))


def _fitting_scale(layers: tuple[LinearParameters, ...], scale_bits: int) -> int:
    values = [array for layer in layers for array in (layer.weights, layer.bias)]
    largest = float(max(np.abs(array).max(initial=0) for array in values))
    if not all(np.isfinite(array).all() for array in values):
        raise PrecisionError("the model has parameters that are NaN or infinite; export it again from finite weights")
    for bits in range(scale_bits, -1, -1):
        if np.rint(np.ldexp(largest, bits)) < 1 << PARAMETER_BITS:
            return bits
    raise PrecisionError(
        f"the largest parameter is {largest:.3g}, the grid ends at {1 << PARAMETER_BITS}; "
        "standardise the features or rescale the targets and train again"
    )


def _tensor(layer: LinearParameters, spec: ParameterSpec, scale_bits: int) -> NDArray[np.int32]:
    exact = np.concatenate([layer.weights, layer.bias[..., np.newaxis, :]], axis=-2)
    rounded = np.rint(np.ldexp(exact, scale_bits))
    error = np.linalg.norm(np.ldexp(rounded, -scale_bits) - exact)
    if error > MAX_RELATIVE_ERROR * np.linalg.norm(exact):
        raise PrecisionError(
            f"rounding {spec.name} to multiples of 2^-{scale_bits} changes it by {error / np.linalg.norm(exact):.0%}; "
            "its values are too small beside the model's largest ones: standardise the features and train again"
        )
    salt = _salt((*spec.shape[:-2], spec.salt_rows, spec.outputs))
    return np.concatenate([rounded.astype(np.int32), salt], axis=-2)


def _salt(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Random integers, uniform below 2^24."""
    random = np.frombuffer(secrets.token_bytes(4 * math.prod(shape)), dtype="<u4")
    return (random >> (32 - PARAMETER_BITS)).astype(np.int32).reshape(shape)
