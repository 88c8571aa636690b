"""One stage of a program on one tile: `BLOCK` positions modulo one prime of all ciphertexts of a batch.

A value is a tile [size, components, t] of centred residues. Rearrangements are not carried out: a linear node reads its
operand in chunks of positions through the indices, so a convolution's patches exist for a few positions at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.program import Affine, Combine, Normalise, Refresh, Split, Stage, Step
from trader.he.propagation import multipliers
from trader.he.residues import (
    ExactWeights,
    Tile,
    add_values,
    multiply_values,
    multiply_weights,
    prepare_weights,
    scale_values,
    sum_terms,
)
from trader.model.canonical import CanonicalModel
from trader.model.nodes import ZERO, Add, Linear, Multiply, Rearrange, Square, Sum

BLOCK = 512
"""Positions in a tile; divides every ring degree."""
CHUNK_BYTES = 4 << 20
"""Operands of one product, which should stay in cache."""


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Elements of a tile by index; not yet copied."""

    source: Tile
    indices: NDArray[np.int64]

    def rows(self, start: int, stop: int) -> Tile:
        """Elements start … stop - 1."""
        chosen = self.indices[start:stop]
        tile: Tile = self.source[chosen]
        tile[chosen == ZERO] = 0
        return tile


def _gather(value: Tile | _Gathered) -> Tile:
    return value.rows(0, len(value.indices)) if isinstance(value, _Gathered) else value


@dataclass(frozen=True, slots=True)
class _Layer:
    """One linear node modulo one prime: weights and bias of each group, the bias at the scale of the product."""

    weights: tuple[ExactWeights, ...]
    biases: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TileEvaluator:
    """One stage of a program modulo one prime."""

    stage: Stage
    prime: int
    scales: Mapping[str, Fraction]
    layers: dict[str, _Layer]

    @classmethod
    def prepare(
        cls, model: CanonicalModel, stage: Stage, scales: Mapping[str, Fraction], prime: int, *, biased: bool = True
    ) -> "TileEvaluator":
        """Split weights and lift biases, or leave them out, once for all tiles."""
        layers = {
            step.name: _prepare_layer(model, step, scales[step.inputs[0]] * biased, prime)
            for step in stage.steps
            if isinstance(step, Linear)
        }
        return cls(stage, prime, scales, layers)

    def run(self, inputs: Mapping[str, Tile]) -> dict[str, Tile]:
        """Tiles [size, components, t] of what the stage reads to those of its targets."""
        values: dict[str, Tile | _Gathered] = dict(inputs)
        last_use = {name: position for position, step in enumerate(self.stage.steps) for name in step.inputs}
        for position, step in enumerate(self.stage.steps):
            values[step.name] = self._run_step(step, [values[name] for name in step.inputs])
            for name in step.inputs:
                if last_use[name] == position and name not in self.stage.targets:
                    values.pop(name, None)
        return {name: _gather(values[name]) for name in self.stage.targets}

    def _run_step(self, step: Step, read: list[Tile | _Gathered]) -> Tile | _Gathered:
        match step:
            case Linear():
                return self._linear(self.layers[step.name], read[0])
            case Square():
                operand = _gather(read[0])
                return multiply_values(operand, operand, self.prime)
            case Multiply():
                return multiply_values(_gather(read[0]), _gather(read[1]), self.prime)
            case Sum():
                return sum_terms(_gather(read[0]), step.terms, self.prime)
            case Rearrange():
                return self._rearrange(step, read)
            case Normalise():
                return read[0]
            case Add() | Combine():
                return self._combine(step, read)
            case Refresh() | Affine() | Split():
                raise TypeError("what SEAL does part of is not carried out on tiles")

    def _linear(self, layer: _Layer, operand: Tile | _Gathered) -> Tile:
        """Every position and group through its weights, a few positions at a time."""
        groups, inputs = len(layer.weights), layer.weights[0].limbs.shape[1]
        size = len(operand.indices) if isinstance(operand, _Gathered) else len(operand)
        source = operand.source if isinstance(operand, _Gathered) else operand
        positions, per_position = size // (groups * inputs), groups * inputs
        chunk = max(1, CHUNK_BYTES // (per_position * source[0].nbytes))
        result = np.empty((positions, groups, layer.weights[0].outputs, *source.shape[1:]))
        for start in range(0, positions, chunk):
            stop = min(start + chunk, positions)
            first, last = start * per_position, stop * per_position
            rows = operand.rows(first, last) if isinstance(operand, _Gathered) else operand[first:last]
            tile = rows.reshape(stop - start, groups, inputs, *source.shape[1:])
            for group, weights in enumerate(layer.weights):
                result[start:stop, group] = multiply_weights(weights, tile[:, group], self.prime)
                for position in range(start, stop):
                    kernels.add_constants(result[position, group], layer.biases[group], self.prime)
        return result.reshape(-1, *source.shape[1:])

    def _aligned(self, step: Step, read: list[Tile | _Gathered]) -> list[Tile]:
        """What a step reads, at the step's scale, coefficients included, and with as many components."""
        tiles = [_gather(value) for value in read]
        components = max(tile.shape[1] for tile in tiles)
        return [
            _widen(scale_values(tile, factor, self.prime), components)
            for tile, factor in zip(tiles, multipliers(step, self.scales), strict=True)
        ]

    def _combine(self, step: Add | Combine, read: list[Tile | _Gathered]) -> Tile:
        total, *others = self._aligned(step, read)
        for tile in others:
            total = add_values(total, tile, self.prime)
        constant = round(Fraction(step.constant) * self.scales[step.name]) if isinstance(step, Combine) else 0
        if constant:
            total = total.copy()
            kernels.add_constants(total, np.full(len(total), constant % self.prime, dtype=np.float64), self.prime)
        return total

    def _rearrange(self, step: Rearrange, read: list[Tile | _Gathered]) -> _Gathered:
        if len(read) == 1 and not isinstance(read[0], _Gathered):
            return _Gathered(read[0], step.indices)
        tiles = self._aligned(step, read)
        return _Gathered(tiles[0] if len(tiles) == 1 else np.concatenate(tiles), step.indices)


def _widen(tile: Tile, components: int) -> Tile:
    """Missing components are zero."""
    if tile.shape[1] == components:
        return tile
    return np.pad(tile, ((0, 0), (0, components - tile.shape[1]), (0, 0)))


def _prepare_layer(model: CanonicalModel, node: Linear, scale: Fraction, prime: int) -> _Layer:
    spec = model.graph.parameters[node.parameter]
    weights = model.weights(node.parameter).reshape(spec.groups, spec.inputs, spec.outputs)
    lifted = [round(int(value) * scale) % prime for value in model.bias(node.parameter).reshape(-1)]
    biases = np.array(lifted, dtype=np.float64).reshape(spec.groups, spec.outputs)
    return _Layer(tuple(prepare_weights(group, prime) for group in weights), biases)
