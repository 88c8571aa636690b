"""One stage of a program on one tile: some positions modulo one prime of all ciphertexts of a batch.

A value is a tile [size, components, t] of centred residues. Rearrangements are not carried out: a linear node reads its
operand in chunks of positions through the indices, so a convolution's patches exist for a few positions at a time.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.he.planning.propagation import multipliers
from trader.he.program.steps import Affine, Combine, JoinedLinear, Normalise, Refresh, Split, Stage, Step
from trader.he.ring.arithmetic import CPU, Arithmetic, Weights
from trader.he.ring.residues import heaviest_column
from trader.model.canonical import CanonicalModel
from trader.model.nodes import Add, Linear, Multiply, Rearrange, Square, Sum

Tile: TypeAlias = Any
"""Centred residues [elements, components, positions] modulo one prime, in arrays of the arithmetic's kind."""


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Elements of a tile by index; not yet copied."""

    source: Tile
    indices: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Selection:
    """Weights of a linear node of which every output reads one element at most: factor·x_index."""

    indices: NDArray[np.int64]
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, node: Linear, weights: NDArray[np.int32], prime: int) -> "_Selection | None":
        """Return weights [1, a, b] as a selection; None where they are none, or too large for exact products."""
        whole = node.shape == (weights.shape[2],)
        if len(weights) > 1 or not whole or np.count_nonzero(weights, axis=1).max(initial=0) > 1:
            return None
        indices = np.argmax(weights[0] != 0, axis=0)
        factors = weights[0][indices, np.arange(len(indices))].astype(np.float64)
        if np.abs(factors).max(initial=0) > heaviest_column(prime):
            return None
        return cls(indices, factors)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One linear node modulo one prime: weights and bias of each group, the bias at the scale of the product."""

    weights: _Selection | tuple[Weights, ...]
    biases: NDArray[np.float64]

    @property
    def matrices(self) -> tuple[Weights, ...]:
        """Each group's weights, where they are no selection."""
        if isinstance(self.weights, _Selection):
            raise TypeError("a selection has no matrix")
        return self.weights

    @property
    def takes_integers(self) -> bool:
        """Whether products are taken in integers."""
        return not isinstance(self.weights, _Selection) and all(group.takes_integers for group in self.weights)


@dataclass(frozen=True, slots=True)
class Splitting:
    """What values are split with, modulo one prime.

    Attributes:
        unit: J, in the first half of positions.
        offsets: Of each split value, by element: what biases add to it, at its scale.
    """

    unit: int
    offsets: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class TileEvaluator:
    """One stage of a program modulo one prime."""

    stage: Stage
    prime: int
    scales: Mapping[str, Fraction]
    layers: Mapping[str, _Layer]
    arithmetic: Arithmetic
    splitting: Splitting | None = None

    @classmethod
    def prepare(
        cls,
        model: CanonicalModel,
        stage: Stage,
        scales: Mapping[str, Fraction],
        primes: Sequence[int],
        *,
        arithmetic: Arithmetic = CPU,
        splittings: Sequence[Splitting | None] = (),
    ) -> "tuple[TileEvaluator, ...]":
        """Split weights once for all primes, and lift biases for each; some wait until samples in a slot split."""
        nodes = [step for step in stage.steps if isinstance(step, Linear | JoinedLinear)]
        weights = {node.name: _prepare_weights(model, node, max(primes), arithmetic) for node in nodes}
        return tuple(
            cls(
                stage,
                prime,
                scales,
                {node.name: _Layer(weights[node.name], _lift(model, node, stage, scales, prime)) for node in nodes},
                arithmetic,
                splitting,
            )
            for prime, splitting in itertools.zip_longest(primes, splittings)
        )

    def takes_integers(self, name: str) -> bool:
        """Whether a value is gathered, multiplied with weights that take integers, and nothing else."""
        return name not in self.stage.targets and all(
            self._reads_integers(step) for step in self.stage.steps if name in step.inputs
        )

    def _reads_integers(self, step: Step) -> bool:
        match step:
            case Linear() | JoinedLinear():
                return self.layers[step.name].takes_integers
            case Normalise() | Rearrange():
                return len(step.inputs) == 1 and self.takes_integers(step.name)
            case _:
                return False

    def run(self, inputs: Mapping[str, Tile]) -> dict[str, Tile]:
        """Tiles [size, components, t] of what the stage reads to those of its targets."""
        values: dict[str, Tile | _Gathered] = dict(inputs)
        last_use = {name: position for position, step in enumerate(self.stage.steps) for name in step.inputs}
        for position, step in enumerate(self.stage.steps):
            values[step.name] = self._run_step(step, [values[name] for name in step.inputs])
            for name in step.inputs:
                if last_use[name] == position and name not in self.stage.targets:
                    values.pop(name, None)
        return {name: self._gather(values[name]) for name in self.stage.targets}

    def _run_step(self, step: Step, read: list[Tile | _Gathered]) -> Tile | _Gathered:
        match step:
            case Linear():
                return self._linear(self.layers[step.name], read[0])
            case Square():
                operand = self._gather(read[0])
                return self._multiply(step, operand, operand)
            case Multiply():
                return self._multiply(step, self._gather(read[0]), self._gather(read[1]))
            case Split(switched=False) | JoinedLinear():
                return self._in_conjugate_form(step, self._gather(read[0]))
            case Sum():
                return self.arithmetic.sum_terms(self._gather(read[0]), step.terms, self.prime)
            case Rearrange():
                return self._rearrange(step, read)
            case Normalise():
                return read[0]
            case Add() | Combine():
                return self._combine(step, read)
            case Refresh() | Affine() | Split():
                raise TypeError("what switches keys is not carried out on tiles")

    def _multiply(self, step: Square | Multiply, left: Tile, right: Tile) -> Tile:
        if step.name in self.stage.conjugate:
            return self.arithmetic.multiply_conjugates(left, right, self.stage.halves, self.prime)
        return self.arithmetic.multiply_values(left, right, self.prime)

    def _in_conjugate_form(self, step: Split | JoinedLinear, operand: Tile) -> Tile:
        """Both samples of a slot, or a layer of features that share slots, with what biases add."""
        if self.splitting is None:
            raise TypeError("a stage with values in conjugate form has been prepared for it")
        if isinstance(step, JoinedLinear):
            layer = self.layers[step.name]
            parts = self.arithmetic.multiply_weights(layer.matrices[0], operand, self.prime)
            values, constants = self.arithmetic.join_parts(parts, self.splitting.unit, self.prime), layer.biases[0]
        else:
            values = self.arithmetic.split_halves(operand, self.splitting.unit, self.prime)
            offsets = self.splitting.offsets[step.name]
            constants = np.array([offset % self.prime for offset in offsets], dtype=np.float64)
        self.arithmetic.add_constants(values, constants, self.prime)
        return values

    def _gather(self, value: Tile | _Gathered) -> Tile:
        return self._rows(value, 0, len(value.indices)) if isinstance(value, _Gathered) else value

    def _rows(self, value: Tile | _Gathered, start: int, stop: int) -> Tile:
        """Elements start … stop - 1."""
        if isinstance(value, _Gathered):
            return self.arithmetic.gather(value.source, value.indices[start:stop])
        return value[start:stop]

    def _select(self, selection: _Selection, biases: NDArray[np.float64], operand: Tile) -> Tile:
        """Each output from the element that it reads."""
        result = self.arithmetic.select_values(operand, selection.indices, selection.factors, self.prime)
        self.arithmetic.add_constants(result, biases, self.prime)
        return result

    def _linear(self, layer: _Layer, operand: Tile | _Gathered) -> Tile:
        """Every position and group through its weights, a few positions at a time."""
        if isinstance(layer.weights, _Selection):
            return self._select(layer.weights, layer.biases[0], self._gather(operand))
        matrices = layer.matrices
        groups, inputs = len(matrices), matrices[0].inputs
        size = len(operand.indices) if isinstance(operand, _Gathered) else len(operand)
        source = operand.source if isinstance(operand, _Gathered) else operand
        positions, per_position = size // (groups * inputs), groups * inputs
        chunk = max(1, self.arithmetic.chunk_bytes // (per_position * source[0].nbytes))

        def rows(start: int, stop: int) -> Tile:
            tile = self._rows(operand, start * per_position, stop * per_position)
            return tile.reshape(stop - start, groups, inputs, *source.shape[1:])

        if positions == groups == 1:
            return self._weighted(layer, 0, rows(0, 1)[:, 0])[0]
        result = self.arithmetic.empty((positions, groups, matrices[0].outputs, *source.shape[1:]))
        for start in range(0, positions, chunk):
            stop = min(start + chunk, positions)
            tile = rows(start, stop)
            for group in range(groups):
                result[start:stop, group] = self._weighted(layer, group, tile[:, group])
        return result.reshape(-1, *source.shape[1:])

    def _weighted(self, layer: _Layer, group: int, tile: Tile) -> Tile:
        """Positions [p, inputs, c, t] of a group to [p, outputs, c, t]."""
        products = self.arithmetic.multiply_weights(layer.matrices[group], tile, self.prime)
        for position in products:
            self.arithmetic.add_constants(position, layer.biases[group], self.prime)
        return products

    def _aligned(self, step: Step, read: list[Tile | _Gathered]) -> list[Tile]:
        """Return what a step reads, at the step's scale, coefficients included, and with as many components."""
        tiles = [self._gather(value) for value in read]
        components = max(tile.shape[1] for tile in tiles)
        return [
            self._widen(self.arithmetic.scale_values(tile, factor, self.prime), components)
            for tile, factor in zip(tiles, multipliers(step, self.scales), strict=True)
        ]

    def _combine(self, step: Add | Combine, read: list[Tile | _Gathered]) -> Tile:
        total, *others = self._aligned(step, read)
        for tile in others:
            total = self.arithmetic.add_values(total, tile, self.prime)
        constant = round(Fraction(step.constant) * self.scales[step.name]) if isinstance(step, Combine) else 0
        if constant:
            total = total + 0.0  # a copy, whatever the kind of array
            constants = np.full(len(total), constant % self.prime, dtype=np.float64)
            self.arithmetic.add_constants(total, constants, self.prime)
        return total

    def _widen(self, tile: Tile, components: int) -> Tile:
        """Missing components are zero."""
        return tile if tile.shape[1] == components else self.arithmetic.widen(tile, components)

    def _rearrange(self, step: Rearrange, read: list[Tile | _Gathered]) -> _Gathered:
        if len(read) == 1 and not isinstance(read[0], _Gathered):
            return _Gathered(read[0], step.indices)
        tiles = self._aligned(step, read)
        return _Gathered(tiles[0] if len(tiles) == 1 else self.arithmetic.concatenate(tiles), step.indices)


def _prepare_weights(
    model: CanonicalModel, node: Linear | JoinedLinear, largest_prime: int, arithmetic: Arithmetic
) -> _Selection | tuple[Weights, ...]:
    """Prepare each group's weights; of a joined layer those of even features and, beside them, those of odd ones."""
    spec = model.graph.parameters[node.parameter]
    weights = model.weights(node.parameter).reshape(spec.groups, spec.inputs, spec.outputs)
    if isinstance(node, JoinedLinear):
        # A last odd feature that lacks is zero.
        halves = np.zeros(((spec.inputs + 1) // 2, 2, spec.outputs), dtype=weights.dtype)
        halves.reshape(-1, spec.outputs)[: spec.inputs] = weights[0]
        weights = halves.reshape(1, len(halves), -1)
    elif (chosen := _Selection.of(node, weights, largest_prime)) is not None:
        return chosen
    return tuple(arithmetic.prepare_weights(group, largest_prime) for group in weights)


def _lift(
    model: CanonicalModel, node: Linear | JoinedLinear, stage: Stage, scales: Mapping[str, Fraction], prime: int
) -> NDArray[np.float64]:
    """Return biases [groups, b] at the scale of the product; zero for both samples of a slot, until these split."""
    spec = model.graph.parameters[node.parameter]
    factor = 2 if isinstance(node, JoinedLinear) else node.name not in stage.shared
    scale = scales[node.inputs[0]] * factor
    lifted = [round(int(value) * scale) % prime for value in model.bias(node.parameter).reshape(-1)]
    return np.array(lifted, dtype=np.float64).reshape(spec.groups, spec.outputs)
