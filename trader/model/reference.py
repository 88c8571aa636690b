"""What a canonical model computes: exactly, in integers; and within which bounds.

Values are integers at the scales of `trader.model.graph.scale_bits_of`; the bias of a linear layer, at scale s, is
shifted up to the scale of its input. Nothing is ever rounded, so `evaluate_exact` predicts the audit circuit's
instances to the bit, and the homomorphic evaluator approximates the same numbers.

Read `evaluate_exact` first; `exact_product` is where its time goes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import PARAMETER_BITS, CanonicalModel
from trader.model.graph import INPUT, Linear, Square, scale_bits_of

FLOAT64_BITS = 53
INT64_BITS = 63


def evaluate_exact(model: CanonicalModel, inputs: NDArray[np.int64]) -> NDArray[np.object_]:
    """The integer reference: quantised inputs [n, F] to Python integers [n, O] at scale `output_scale_bits`."""
    scales = scale_bits_of(model.graph, model.scale_bits)
    values: dict[str, NDArray[Any]] = {INPUT: inputs.astype(np.int64)}
    for node in model.graph.nodes:
        x = values[node.inputs[0]]
        match node:
            case Linear():
                bias = model.bias(node.parameter).astype(np.object_) << scales[node.inputs[0]]
                values[node.name] = exact_product(x, model.weights(node.parameter)) + bias
            case Square():
                values[node.name] = x.astype(np.object_) ** 2
    return values[model.graph.output].astype(np.object_).reshape(len(inputs), model.graph.outputs)


def exact_product(left: NDArray[Any], weights: NDArray[np.int32]) -> NDArray[np.object_]:
    """Exact integer matrix product [n, a]·[a, b] of values of any size with parameters below 2^24.

    float64 BLAS is exact while every partial sum stays below 2^53: wider values are cut into limbs of as many bits as
    that leaves, and the limbs' products are recombined in Python integers.
    """
    room = FLOAT64_BITS - PARAMETER_BITS - math.ceil(math.log2(max(left.shape[-1], 2)))
    factor = weights.astype(np.float64)
    total: NDArray[np.object_] = np.zeros((*left.shape[:-1], weights.shape[1]), dtype=np.object_)
    for index, limb in enumerate(_limbs(left, room)):
        total += (limb @ factor).astype(np.int64).astype(np.object_) << (index * room)
    return total


def _limbs(values: NDArray[Any], bits: int) -> list[NDArray[np.float64]]:
    """Signed limbs, least significant first: values = Σ limb_i·2^(i·bits), each |limb| ≤ 2^bits."""
    limbs = []
    rest = values
    while int(np.abs(rest).max(initial=0)) >= 1 << bits:
        limbs.append((rest & ((1 << bits) - 1)).astype(np.float64))
        rest = rest >> bits
    limbs.append(rest.astype(np.float64))
    return limbs


def evaluate_values(model: CanonicalModel, inputs: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Every value of the graph in real units, float64 [n, …]: `evaluate_exact`, but for float64 rounding."""
    values = {INPUT: np.ldexp(inputs.astype(np.float64), -model.scale_bits)}
    for node in model.graph.nodes:
        x = values[node.inputs[0]]
        match node:
            case Linear():
                weights, bias = _real_parameters(model, node.parameter)
                values[node.name] = x @ weights + bias
            case Square():
                values[node.name] = x**2
    return values


def measured_bounds(model: CanonicalModel, inputs: NDArray[np.int64], margin: float = 2.0) -> dict[str, float]:
    """Largest |value| (real units) of every value on quantised calibration data, times the margin."""
    return {name: margin * float(np.abs(x).max(initial=0)) for name, x in evaluate_values(model, inputs).items()}


def interval_bounds(model: CanonicalModel, input_magnitude: float) -> dict[str, NDArray[np.float64]]:
    """Bound on |value| (real units) of every element of every value, for any input within ±input_magnitude."""
    bounds = {INPUT: np.full(model.graph.input_shape, input_magnitude)}
    for node in model.graph.nodes:
        x = bounds[node.inputs[0]]
        match node:
            case Linear():
                weights, bias = _real_parameters(model, node.parameter)
                bounds[node.name] = x @ np.abs(weights) + np.abs(bias)
            case Square():
                bounds[node.name] = x**2
    return bounds


def _real_parameters(model: CanonicalModel, parameter: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.ldexp(model.weights(parameter).astype(np.float64), -model.scale_bits),
        np.ldexp(model.bias(parameter).astype(np.float64), -model.scale_bits),
    )
