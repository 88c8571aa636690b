"""The integer reference: what a canonical model computes, exactly.

Values are integers at the scales of `trader.model.graph.scale_bits_of`; the bias of a linear layer, at scale s, is
shifted up to the scale of its input. Polynomial models are never rounded, so `evaluate_exact` predicts the audit
circuit's instances to the bit, and the homomorphic evaluator approximates the same numbers. An activation that is not
polynomial is rounded once, to scale s.

Read `evaluate_exact` first; `exact_product` is where its time goes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.model.canonical import PARAMETER_BITS, CanonicalModel
from trader.model.functions import ActivationKind, activate
from trader.model.graph import INPUT, scale_bits_of
from trader.model.nodes import Activation, Add, Leaves, Linear, Multiply, Rearrange, Square, Sum

FLOAT64_BITS = 53
_HALF_BITS = 16


def evaluate_exact(model: CanonicalModel, inputs: NDArray[np.int64]) -> NDArray[np.object_]:
    """Quantised inputs [n, F] to Python integers [n, O] at scale `output_scale_bits`."""
    return _Integers(model).run(inputs)[model.graph.output].astype(np.object_)


class _Integers:
    """Evaluates the graph on integers of any size; values are int64 or object arrays [n, size]."""

    def __init__(self, model: CanonicalModel) -> None:
        self._model = model
        self._scales = scale_bits_of(model.graph, model.scale_bits)
        self._values: dict[str, NDArray[Any]] = {}

    def run(self, inputs: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Every value of the graph."""
        self._values = {INPUT: inputs.astype(np.int64)}
        for node in self._model.graph.nodes:
            match node:
                case Linear():
                    value = self._linear(node)
                case Square():
                    value = self._aligned(node)[0] ** 2
                case Multiply():
                    value = self._values[node.inputs[0]].astype(np.object_) * self._values[node.inputs[1]]
                case Add():
                    left, right = self._aligned(node)
                    value = left + right
                case Sum():
                    x = self._aligned(node)[0]
                    value = x.reshape(len(x), -1, node.terms).sum(axis=2)
                case Rearrange():
                    value = rearrange(self._aligned(node), node.indices)
                case Activation():
                    value = self._activation(node)
                case Leaves():
                    value = leaves(self._values[node.inputs[0]], node)
            self._values[node.name] = value
        return self._values

    def _aligned(self, node: Square | Add | Sum | Rearrange) -> list[NDArray[np.object_]]:
        """Return the values that a node reads, shifted up to the largest scale among them."""
        scale = max(self._scales[name] for name in node.inputs)
        return [self._values[name].astype(np.object_) << (scale - self._scales[name]) for name in node.inputs]

    def _linear(self, node: Linear) -> NDArray[np.object_]:
        spec = self._model.graph.parameters[node.parameter]
        weights = self._model.weights(node.parameter).reshape(spec.groups, spec.inputs, spec.outputs)
        bias = self._model.bias(node.parameter).reshape(spec.groups, spec.outputs)
        x = self._values[node.inputs[0]]
        rows = x.reshape(-1, spec.groups, spec.inputs)
        products = [exact_product(rows[:, group], weights[group]) for group in range(spec.groups)]
        shifted = bias.astype(np.object_) << self._scales[node.inputs[0]]
        result: NDArray[np.object_] = (np.stack(products, axis=1) + shifted).reshape(len(x), -1)
        return result

    def _activation(self, node: Activation) -> NDArray[np.object_]:
        x = self._values[node.inputs[0]]
        if node.kind is ActivationKind.RELU:
            return np.asarray(np.maximum(x, 0), dtype=np.object_)
        if node.kind is ActivationKind.STEP:
            return np.asarray(np.asarray(x > 0, dtype=np.int64), dtype=np.object_)
        real = np.ldexp(x.astype(np.float64), -self._scales[node.inputs[0]])
        result = np.ldexp(activate(node.kind, real, node.alpha, node.beta), self._model.scale_bits)
        return np.rint(result).astype(np.int64).astype(np.object_)


def rearrange(values: list[NDArray[Any]], indices: NDArray[np.int64]) -> NDArray[Any]:
    """Elements of the concatenation of values [n, size], 0 where an index is `ZERO` (which is -1, so the last one)."""
    zero = np.zeros((len(values[0]), 1), dtype=values[0].dtype)
    return np.concatenate([*values, zero], axis=1)[:, indices]


def leaves(bits: NDArray[Any], node: Leaves) -> NDArray[Any]:
    """Bits [n, trees·(2^depth - 1)] to ones at the leaves that they lead to, [n, trees·2^depth]."""
    decisions = bits.reshape(len(bits), node.trees, node.decisions)
    reached = np.ones_like(decisions[:, :, :1])
    for level in range(node.depth):
        right = reached * decisions[:, :, (1 << level) - 1 : (2 << level) - 1]
        reached = np.stack([reached - right, right], axis=-1).reshape(len(bits), node.trees, 2 << level)
    return reached.reshape(len(bits), -1)


def exact_product(left: NDArray[Any], weights: NDArray[np.int32]) -> NDArray[np.object_]:
    """Exact integer matrix product [n, a]·[a, b] of values of any size with int32 parameters.

    float64 BLAS is exact while every partial sum stays below 2^53: wider values are cut into limbs of as many bits as
    that leaves, and the limbs' products are recombined in Python integers.
    """
    if int(np.abs(weights.astype(np.int64)).max(initial=0)) >= 1 << PARAMETER_BITS:
        high, low = exact_product(left, weights >> _HALF_BITS), exact_product(left, weights & ((1 << _HALF_BITS) - 1))
        whole: NDArray[np.object_] = (high << _HALF_BITS) + low
        return whole
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
