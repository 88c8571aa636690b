"""What a model computes in real numbers, and how large its values get: what encryption is planned with."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import CanonicalModel
from trader.model.functions import activate, bound_activation
from trader.model.graph import INPUT, Graph
from trader.model.nodes import Activation, Add, Leaves, Linear, Multiply, Node, Rearrange, Square, Sum
from trader.model.reference import leaves, rearrange
from trader.model.sampling import reach


def _exact_activation(node: Activation, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return activate(node.kind, x, node.alpha, node.beta)


Parameters = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Weights [groups, a, b] and bias [groups, b] of a linear node's parameter, real units."""
ActivationFunction = Callable[[Activation, NDArray[np.float64]], NDArray[np.float64]]
"""Applies an activation to values, real units, element by element."""


def evaluate_values(
    model: CanonicalModel, inputs: NDArray[np.int64], activation: ActivationFunction = _exact_activation
) -> dict[str, NDArray[np.float64]]:
    """Every value of the graph in real units, float64 [n, size]: `evaluate_exact`, but for float64 rounding.

    Activations are the exact functions of `trader.model.functions`, not rounded, or what `activation` makes of them.
    """
    real = np.ldexp(inputs.astype(np.float64), -model.scale_bits)
    return evaluate_graph(model.graph, real, partial(real_parameters, model), activation)


def evaluate_graph(
    graph: Graph,
    inputs: NDArray[np.float64],
    parameters: Parameters,
    activation: ActivationFunction = _exact_activation,
) -> dict[str, NDArray[np.float64]]:
    """Every value of a graph on inputs [n, F], real units, float64 [n, size], whatever its parameters are."""
    values = {INPUT: inputs}
    for node in graph.nodes:
        values[node.name] = evaluate_node(node, [values[name] for name in node.inputs], parameters, activation)
    return values


def evaluate_node(
    node: Node,
    read: list[NDArray[np.float64]],
    parameters: Parameters,
    activation: ActivationFunction = _exact_activation,
) -> NDArray[np.float64]:
    """One node on what it reads, real units: [n, size] each to [n, size]."""
    match node:
        case Linear():
            return _linear(read[0], *parameters(node.parameter))
        case Square() | Multiply() | Add() | Sum():
            return np.asarray(evaluate_arithmetic(node, read))
        case Rearrange():
            return rearrange(read, node.indices)
        case Activation():
            return activation(node, read[0])
        case Leaves():
            return leaves(read[0], node)


def evaluate_arithmetic(node: Square | Multiply | Add | Sum, read: list[Any]) -> Any:
    """One node of arithmetic alone, of arrays or of what else has their operators: [n, size] each to [n, size]."""
    match node:
        case Square():
            return read[0] ** 2
        case Multiply():
            return read[0] * read[1]
        case Add():
            return read[0] + read[1]
        case Sum():
            return read[0].reshape(len(read[0]), -1, node.terms).sum(2)


def measured_bounds(model: CanonicalModel, inputs: NDArray[np.int64], margin: float = 2.0) -> dict[str, float]:
    """Largest |value| (real units) that every value may reach, by quantised calibration data: `reach`."""
    return {name: reach(x, margin) for name, x in evaluate_values(model, inputs).items()}


def interval_bounds(model: CanonicalModel, input_magnitude: float) -> dict[str, NDArray[np.float64]]:
    """Bound on |value| (real units) of every element of every value, for any input within ±input_magnitude."""
    bounds = {INPUT: np.full(model.graph.input_shape, input_magnitude)}
    for node in model.graph.nodes:
        read = [bounds[name] for name in node.inputs]
        match node:
            case Linear():
                weights, bias = real_parameters(model, node.parameter)
                bound = _linear(read[0][np.newaxis], np.abs(weights), np.abs(bias))[0]
            case Square():
                bound = read[0] ** 2
            case Multiply():
                bound = read[0] * read[1]
            case Add():
                bound = read[0] + read[1]
            case Sum():
                bound = read[0].reshape(-1, node.terms).sum(axis=1)
            case Rearrange():
                bound = rearrange([x[np.newaxis] for x in read], node.indices)[0]
            case Activation():
                bound = bound_activation(node.kind, read[0], node.alpha, node.beta)
            case Leaves():
                bound = np.ones(node.shape)
        bounds[node.name] = bound
    return bounds


def _linear(x: NDArray[np.float64], weights: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """X [n, size] through weights [groups, a, b] and bias [groups, b]."""
    groups, rows, _ = weights.shape
    by_group = x.reshape(-1, groups, rows).swapaxes(0, 1) @ weights
    return np.asarray((by_group.swapaxes(0, 1) + bias).reshape(len(x), -1))


def real_parameters(model: CanonicalModel, parameter: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [groups, a, b] and bias [groups, b] in real units."""
    spec = model.graph.parameters[parameter]
    weights = model.weights(parameter).reshape(spec.groups, spec.inputs, spec.outputs)
    bias = model.bias(parameter).reshape(spec.groups, spec.outputs)
    return np.ldexp(weights.astype(np.float64), -model.scale_bits), np.ldexp(bias.astype(np.float64), -model.scale_bits)
