"""The graph on one tile: `BLOCK` positions modulo one prime of all ciphertexts of a batch.

A value is a tile [size, components, t] of centred residues. Rearrangements are not carried out: a linear node reads its
operand in chunks of positions through the indices, so a convolution's patches exist for a few positions at a time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trader.he import kernels
from trader.he.propagation import unsupported, value_scales
from trader.he.residues import (
    ExactWeights,
    Tile,
    add_values,
    multiply_values,
    multiply_weights,
    prepare_weights,
    shift_values,
    sum_terms,
)
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT, Graph
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
    """A canonical model modulo one prime."""

    graph: Graph
    prime: int
    scales: dict[str, int]
    layers: dict[str, _Layer]

    @classmethod
    def prepare(cls, model: CanonicalModel, input_scale_bits: int, prime: int) -> "TileEvaluator":
        """Split weights and lift biases once for all tiles."""
        scales = value_scales(model.graph, input_scale_bits, model.scale_bits)
        layers = {
            node.name: _prepare_layer(model, node, scales[node.inputs[0]], prime)
            for node in model.graph.nodes
            if isinstance(node, Linear)
        }
        return cls(model.graph, prime, scales, layers)

    def run(self, inputs: Tile) -> Tile:
        """Inputs [F, 2, t] to outputs [O, components, t]."""
        values: dict[str, Tile | _Gathered] = {INPUT: inputs}
        last_use = {name: position for position, node in enumerate(self.graph.nodes) for name in node.inputs}
        for position, node in enumerate(self.graph.nodes):
            read = [values[name] for name in node.inputs]
            match node:
                case Linear():
                    values[node.name] = self._linear(self.layers[node.name], read[0])
                case Square():
                    operand = _gather(read[0])
                    values[node.name] = multiply_values(operand, operand, self.prime)
                case Multiply():
                    values[node.name] = multiply_values(_gather(read[0]), _gather(read[1]), self.prime)
                case Add():
                    left, right = self._aligned(node.inputs, read)
                    values[node.name] = add_values(left, right, self.prime)
                case Sum():
                    values[node.name] = sum_terms(_gather(read[0]), node.terms, self.prime)
                case Rearrange():
                    values[node.name] = self._rearrange(node, read)
                case _:
                    raise unsupported(node)
            for name in node.inputs:
                if last_use[name] == position and name != self.graph.output:
                    values.pop(name, None)
        return _gather(values[self.graph.output])

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

    def _aligned(self, names: tuple[str, ...], read: list[Tile | _Gathered]) -> list[Tile]:
        """Operands at the same, largest scale and with as many components."""
        scale = max(self.scales[name] for name in names)
        tiles = [_gather(value) for value in read]
        components = max(tile.shape[1] for tile in tiles)
        return [
            _widen(shift_values(tile, scale - self.scales[name], self.prime), components)
            for name, tile in zip(names, tiles, strict=True)
        ]

    def _rearrange(self, node: Rearrange, read: list[Tile | _Gathered]) -> _Gathered:
        if len(read) == 1 and not isinstance(read[0], _Gathered):
            return _Gathered(read[0], node.indices)
        tiles = self._aligned(node.inputs, read)
        return _Gathered(tiles[0] if len(tiles) == 1 else np.concatenate(tiles), node.indices)


def _widen(tile: Tile, components: int) -> Tile:
    """Missing components are zero."""
    if tile.shape[1] == components:
        return tile
    return np.pad(tile, ((0, 0), (0, components - tile.shape[1]), (0, 0)))


def _prepare_layer(model: CanonicalModel, node: Linear, input_scale_bits: int, prime: int) -> _Layer:
    spec = model.graph.parameters[node.parameter]
    weights = model.weights(node.parameter).reshape(spec.groups, spec.inputs, spec.outputs)
    lifted = model.bias(node.parameter).astype(np.object_) * (1 << input_scale_bits) % prime
    biases = lifted.astype(np.float64).reshape(spec.groups, spec.outputs)
    return _Layer(tuple(prepare_weights(group, prime) for group in weights), biases)
