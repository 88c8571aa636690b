"""How scale, ciphertext size and noise move through a graph; the planner predicts with it, the evaluator relies on it.

Everything is exact but for noise: inputs stand at scale 2^a, parameters at 2^s; products add scales and convolve
components; where scales meet, the smaller ones are shifted up. Noise is a standard deviation per slot in real units, as
if the noises that meet were independent (Costache, Curtis, Hales, Murphy, Ogilvie and Player, "On the precision loss in
approximate homomorphic encryption", 2023, for the canonical embedding's factors).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trader.he.errors import PlanError
from trader.he.seal import ERROR_DEVIATION
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT, Graph
from trader.model.nodes import Add, Linear, Multiply, Node, Rearrange, Square, Sum
from trader.model.reference import rearrange

if TYPE_CHECKING:
    from numpy.typing import NDArray


def value_scales(graph: Graph, input_scale_bits: int, scale_bits: int) -> dict[str, int]:
    """Scale of every value under encryption: inputs at `input_scale_bits`, parameters at `scale_bits`."""
    scales = {INPUT: input_scale_bits}
    for node in graph.nodes:
        read = [scales[name] for name in node.inputs]
        match node:
            case Linear():
                scales[node.name] = read[0] + scale_bits
            case Square():
                scales[node.name] = 2 * read[0]
            case Multiply():
                scales[node.name] = sum(read)
            case Add() | Rearrange() | Sum():
                scales[node.name] = max(read)
            case _:
                raise unsupported(node)
    return scales


def component_counts(graph: Graph) -> dict[str, int]:
    """Polynomials per ciphertext of every value: a product of ciphertexts convolves them."""
    counts = {INPUT: 2}
    for node in graph.nodes:
        read = [counts[name] for name in node.inputs]
        match node:
            case Square():
                counts[node.name] = 2 * read[0] - 1
            case Multiply():
                counts[node.name] = sum(read) - 1
            case _:
                counts[node.name] = max(read)
    return counts


def fresh_noise(degree: int) -> float:
    """Deviation of a slot of a fresh symmetric encryption, rounding of the message included, at scale 1."""
    return math.sqrt((ERROR_DEVIATION**2 + 1 / 12) * degree / 2)


def output_noise(model: CanonicalModel, bounds: Mapping[str, float], input_noise: float) -> float:
    """Largest deviation of an output, real units, for inputs of deviation `input_noise`.

    Args:
        model: graph and parameters.
        bounds: largest |value| of every value, real units.
        input_noise: real units.
    """
    graph = model.graph
    noises: dict[str, NDArray[np.float64]] = {INPUT: np.full(graph.features, input_noise)}
    for node in graph.nodes:
        read = [noises[name] for name in node.inputs]
        match node:
            case Linear():
                noises[node.name] = _through_weights(model, node, read[0])
            case Square():
                # To first order: the noise's own square is smaller by the statistical distance that is asked for.
                noises[node.name] = 2 * bounds[node.inputs[0]] * read[0]
            case Multiply():
                noises[node.name] = np.hypot(bounds[node.inputs[1]] * read[0], bounds[node.inputs[0]] * read[1])
            case Add():
                noises[node.name] = np.hypot(read[0], read[1])
            case Sum():
                noises[node.name] = np.sqrt((read[0].reshape(-1, node.terms) ** 2).sum(axis=1))
            case Rearrange():
                noises[node.name] = rearrange([noise[np.newaxis] for noise in read], node.indices)[0]
            case _:
                raise unsupported(node)
    return max(float(noises[graph.output].max()), 2.0**-1000)


def _through_weights(model: CanonicalModel, node: Linear, noise: "NDArray[np.float64]") -> "NDArray[np.float64]":
    spec = model.graph.parameters[node.parameter]
    weights = np.ldexp(model.weights(node.parameter).astype(np.float64), -model.scale_bits)
    squares = weights.reshape(spec.groups, spec.inputs, spec.outputs) ** 2
    variances = noise.reshape(-1, spec.groups, spec.inputs).swapaxes(0, 1) ** 2 @ squares
    deviations: NDArray[np.float64] = np.sqrt(variances.swapaxes(0, 1).reshape(-1))
    return deviations


def unsupported(node: Node) -> PlanError:
    """The error for a node that encrypted evaluation doesn't know."""
    return PlanError(
        f"{type(node).__name__} '{node.name}' can't be evaluated on encrypted data; use a square activation instead"
    )
