"""A stage of a program, tile by tile, over the ciphertexts of a batch and all their primes."""

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
    width = arithmetic.block or degree
    groups = _mirrored_groups(degree, width) if stage.splits_in_place else _groups(degree, width)
    for name in stage.targets:
        values.kept[name] = np.empty((*shapes[name], len(evaluators), degree), dtype=np.uint32)

    def scratch() -> dict[str, Any]:
        return {name: arithmetic.scratch((*values.shape(name), width)) for name in stage.reads}

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


def _groups(degree: int, width: int) -> list[_Group]:
    """Return tiles of successive positions."""
    return [_Group((slice(start, start + width),), ((slice(0, width),),)) for start in range(0, degree, width)]


def _mirrored_groups(degree: int, width: int) -> list[_Group]:
    """Return tiles in which position i has its mirror image, N - 1 - i, at the mirrored place."""
    if width == degree:
        return _groups(degree, width)
    half = width // 2
    # Of two blocks that mirror each other, one tile has the outer halves, the other the inner ones.
    first, second = slice(0, half), slice(half, width)
    return [
        _Group(
            (slice(start, start + width), slice(degree - start - width, degree - start)),
            ((first, second), (second, first)),
        )
        for start in range(0, degree // 2, width)
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
