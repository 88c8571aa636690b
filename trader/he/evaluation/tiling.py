"""A stage of a program, tile by tile, over the ciphertexts of a batch and all their primes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from trader.he.evaluation.tiles import TileEvaluator
from trader.he.parallel import PerThread, run_tasks
from trader.he.program.steps import Stage
from trader.he.request import Inputs
from trader.he.ring.arithmetic import Arithmetic
from trader.he.types import Residues
from trader.model.graph import INPUT

LARGEST_VALUE_BYTES = 64 << 20
"""Of the values of a step on one tile: wide layers are computed on fewer positions at a time."""
LARGEST_TILE_COMPONENTS = 8
"""Components of a product in conjugate form, of both samples."""
SMALLEST_TILE = 64


@dataclass(frozen=True, slots=True)
class KnownValues:
    """The ciphertexts of one batch: the request's, and kept ones [size, components, primes, N].

    In conjugate form those of the second samples follow those of the first.
    """

    inputs: Inputs
    kept: dict[str, Residues] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, int]:
        """Size and components."""
        return (self.inputs.count, 2) if name == INPUT else self.kept[name].shape[:2]

    def components(self, name: str, prime: int, columns: slice) -> Sequence[Residues]:
        """Components [size, t]: some positions modulo one prime."""
        if name == INPUT:
            return self.inputs.components(prime, columns)
        return tuple(self.kept[name][:, :, prime, columns].swapaxes(0, 1))


def run_tiles(
    stage: Stage, evaluators: Sequence[TileEvaluator], shapes: Mapping[str, tuple[int, int]], values: KnownValues
) -> None:
    """Compute a stage's targets for every prime.

    Args:
        stage: what is computed.
        evaluators: one per prime.
        shapes: (size, components) of the targets; of those in conjugate form, the size is that of both samples' values.
        values: are read and added to.
    """
    arithmetic, degree = evaluators[0].arithmetic, values.inputs.degree
    block = arithmetic.block or degree
    width = _tile_width(stage, block) if arithmetic.block else degree
    groups = _mirrored_groups(degree, block, width) if stage.mirrored else _groups(degree, block, width)
    for name in stage.targets:
        values.kept[name] = np.empty((*shapes[name], len(evaluators), degree), dtype=np.uint32)

    integers = {name for name in stage.reads if all(evaluator.takes_integers(name) for evaluator in evaluators)}

    def scratch() -> dict[str, Any]:
        return {name: arithmetic.scratch((*values.shape(name), width), name in integers) for name in stage.reads}

    per_thread = PerThread(scratch)

    def run_group(place: tuple[int, _Group]) -> None:
        """Tiles whose positions are read together, modulo one prime by index."""
        index, group = place
        evaluator, memory = evaluators[index], per_thread.get()
        read = {name: [values.components(name, index, block) for block in group.blocks] for name in stage.reads}
        for columns in group.tiles:
            inputs = {
                name: arithmetic.load(_narrowed(blocks, columns), evaluator.prime, memory[name])
                for name, blocks in read.items()
            }
            for name, tile in evaluator.run(inputs).items():
                # In conjugate form, one sample's positions follow the other's.
                halves = np.split(values.kept[name], tile.shape[2] // width)
                targets = [half[:, :, index, block] for half in halves for block in group.blocks]
                _store(arithmetic, tile, evaluator.prime, targets, columns * len(halves))

    run_tasks(run_group, [(index, group) for index in range(len(evaluators)) for group in groups])


class _Group(NamedTuple):
    """Tiles that are read together.

    Attributes:
        blocks: Positions that are read.
        tiles: For each tile, its positions within each block.
    """

    blocks: tuple[slice, ...]
    tiles: tuple[tuple[slice, ...], ...]


def _tile_width(stage: Stage, block: int) -> int:
    """Return the positions of a tile: those of a block, or fewer where a stage has so many values."""
    most = max((math.prod(step.shape) for step in stage.steps), default=1)
    width = block
    while width > SMALLEST_TILE and 8 * LARGEST_TILE_COMPONENTS * most * width > LARGEST_VALUE_BYTES:
        width //= 2
    return width


def _groups(degree: int, block: int, width: int) -> list[_Group]:
    """Return tiles of successive positions."""
    tiles = tuple((slice(start, start + width),) for start in range(0, block, width))
    return [_Group((slice(start, start + block),), tiles) for start in range(0, degree, block)]


def _mirrored_groups(degree: int, block: int, width: int) -> list[_Group]:
    """Return tiles in which position i has its mirror image, N - 1 - i, at the mirrored place."""
    block, half = min(block, degree // 2), width // 2
    tiles = tuple(
        (slice(start, start + half), slice(block - start - half, block - start)) for start in range(0, block, half)
    )
    return [
        _Group((slice(start, start + block), slice(degree - start - block, degree - start)), tiles)
        for start in range(0, degree // 2, block)
    ]


def _narrowed(blocks: Sequence[Sequence[Residues]], columns: Sequence[slice]) -> list[list[Residues]]:
    """Return a tile's positions of the components [size, t] of some blocks."""
    return [
        [component[:, within] for component in components] for components, within in zip(blocks, columns, strict=True)
    ]


def _store(
    arithmetic: Arithmetic, tile: Any, prime: int, targets: Sequence[Residues], columns: Sequence[slice]
) -> None:
    """Write a tile to its positions in blocks [size, components, t]."""
    start = 0
    for target, within in zip(targets, columns, strict=True):
        stop = start + within.stop - within.start
        arithmetic.store(tile[:, :, start:stop], prime, target[:, :, within])
        start = stop
