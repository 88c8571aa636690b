"""Where elements stand when several features of a sample share a ciphertext, and what a linear map takes then.

A ciphertext's N/2 slots are B blocks of `stride` samples each. A vector of d elements stands in ⌈d/B⌉ ciphertexts,
element e in block e mod B; a shorter one is repeated with a power-of-two period, so that rotations by whole blocks
rotate it, whatever its length. An affine map is evaluated by the diagonals of its matrix (Halevi and Shoup, 2014), the
rotations shared between baby and giant steps, and wide matrices folded (Juvekar, Vaikuntanathan and Chandrakasan,
"GAZELLE", 2018, section 4): with input period p and output period r

    y_β = Σ_f Σ_k W[β + k mod p, β mod r]·x_(β + k),    k < min(p, r),

where f stands for rotations by multiples of r, if p > r. The output has period r, in every block. The last map of a
program leaves out the sum over f, which the reader's average over blocks takes instead (`MapLayout.unfolded`).

If the input stands in several copies, c of them share the work: copy j is rotated by j·r/c blocks, so that it serves
the diagonals from j·r/c on with k < r/c, and folds add up the copies too. The buyer rotates them, which costs nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.he.layouts.visible import period_of
from trader.he.program.steps import Affine, Program
from trader.model.bounds import evaluate_node, real_parameters
from trader.model.canonical import CanonicalModel
from trader.model.nodes import Linear

UNIT_VECTORS = 64
SWITCHINGS_PER_KEY = 6
"""A key takes as much time as so many rotations, on both sides together."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How samples share ciphertexts.

    Attributes:
        degree: N.
        stride: slots of a block, a power of two.
        samples: number of samples n, at most the stride.
    """

    degree: int
    stride: int
    samples: int

    @classmethod
    def tight(cls, degree: int, samples: int) -> "Packing":
        """As many blocks as there is room for."""
        return cls(degree, period_of(samples), samples)

    @property
    def blocks(self) -> int:
        """Blocks B of a ciphertext."""
        return self.degree // 2 // self.stride

    def ciphertexts(self, size: int) -> int:
        """Ciphertexts that a vector of `size` elements takes."""
        return -(-size // self.blocks)

    def period(self, size: int) -> int:
        """Blocks after which a vector of `size` elements is repeated."""
        return min(self.blocks, period_of(size))

    def elements(self, size: int, copies: int = 1, apart: int = 0) -> NDArray[np.int64]:
        """Which element stands in each block, [ciphertexts, B]; `size` or more where none does.

        The first of every so many copies is not rotated, each other one by some blocks more than the one before.
        """
        count, period = self.ciphertexts(size), self.period(size)
        blocks = np.arange(self.blocks)
        rotated = (blocks + apart * (blocks // period % copies)) % period
        return np.arange(count)[:, np.newaxis] * self.blocks + rotated

    def turns(self, rotation: int) -> tuple[int, ...]:
        """Rotations that have keys, whose sum is a rotation by a power of two of blocks: itself, or twice its half.

        Only every other power of two has a key, since a key costs as much as several rotations.
        """
        odd = ((rotation // self.stride).bit_length() - 1) % 2
        return (rotation >> odd,) * (1 + odd)

    def pack(self, values: NDArray[np.float64], copies: int = 1, apart: int = 0) -> NDArray[np.float64]:
        """Samples [n, d] as slots [ciphertexts, N/2]; copies may be rotated, see `elements`.

        Samples are repeated with the period of their number, which a response is read by (`trader.he.layouts.visible`);
        those that lack for a whole period are the first ones once more. Blocks where nothing stands hold copies: what a
        polynomial makes of zero could be larger than the modulus, and spoil the whole ciphertext.
        """
        samples, size = values.shape
        columns = values[np.arange(self.stride) % period_of(samples) % samples].T
        slots: NDArray[np.float64] = columns[self.elements(size, copies, apart) % size]
        return slots.reshape(len(slots), -1)


@dataclass(frozen=True, slots=True)
class MapLayout:
    """How an affine map of `inputs` to `outputs` elements is evaluated under a packing.

    Attributes:
        packing: how samples share ciphertexts.
        inputs: elements that are read.
        outputs: elements that are made.
        copies: of the input that share the work.
        unfolded: whether the folds are left to who reads the coefficients that are visible then: these average the
            blocks that folds would add up (`trader.he.layouts.visible`), and weights are encoded the larger for it.
    """

    packing: Packing
    inputs: int
    outputs: int
    copies: int = 1
    unfolded: bool = False

    def spread(self) -> "MapLayout":
        """With the work shared by as many copies of the input as takes least rotations, keys included."""
        period = self.packing.period(self.outputs)
        if self.sources > 1 or period > self.packing.period(self.inputs):
            return self
        most = min(self.packing.blocks // self.packing.period(self.inputs), period)
        options = (replace(self, copies=1 << bits) for bits in range(most.bit_length()))
        return min(options, key=lambda layout: layout.switchings + SWITCHINGS_PER_KEY * len(layout.rotations))

    def pack(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples [n, inputs] as the slots [ciphertexts, N/2] that are read."""
        return self.packing.pack(values, self.copies, self.diagonals)

    @property
    def sources(self) -> int:
        """Ciphertexts that are read."""
        return self.packing.ciphertexts(self.inputs)

    @property
    def targets(self) -> int:
        """Ciphertexts that are made."""
        return self.packing.ciphertexts(self.outputs)

    @property
    def diagonals(self) -> int:
        """Diagonals per pair of ciphertexts, and copy."""
        return min(self.packing.period(self.inputs), self.packing.period(self.outputs)) // self.copies

    @property
    def baby_steps(self) -> int:
        """Rotations of each source, 0 included: a power of two at which rotations in all are fewest."""
        options = (1 << bits for bits in range(self.diagonals.bit_length()))

        def switchings(baby: int) -> int:
            turns = len(self.packing.turns(baby * self.packing.stride))
            return self.sources * (baby - 1) + self.targets * (self.diagonals // baby - 1) * turns

        return min(options, key=switchings)

    @property
    def giant_steps(self) -> int:
        """Sums per target, which are rotated into each other."""
        return self.diagonals // self.baby_steps

    @property
    def baby_rotation(self) -> int:
        """Slots between two rotations of a source."""
        return self.packing.stride

    @property
    def giant_rotation(self) -> int:
        """Slots between two sums of a target."""
        return self.baby_steps * self.packing.stride

    @property
    def folded_bits(self) -> int:
        """Every output is the sum of 2^b blocks."""
        return (self.packing.period(self.inputs) // self.diagonals).bit_length() - 1

    @property
    def folds(self) -> tuple[int, ...]:
        """Slots by which a target is rotated and added to itself, one after the other."""
        first = self.diagonals * self.copies * self.packing.stride
        return () if self.unfolded else tuple(first << bit for bit in range(self.folded_bits))

    @property
    def rotations(self) -> frozenset[int]:
        """Rotations that need a key."""
        baby = [self.baby_rotation] if self.baby_steps > 1 else []
        giant = [self.giant_rotation] if self.giant_steps > 1 else []
        return frozenset(turn for rotation in (*baby, *giant, *self.folds) for turn in self.packing.turns(rotation))

    @property
    def switchings(self) -> int:
        """Key switchings in all."""
        giants = (self.giant_steps - 1) * len(self.packing.turns(self.giant_rotation))
        folds = sum(len(self.packing.turns(fold)) for fold in self.folds)
        return self.sources * (self.baby_steps - 1) + self.targets * (giants + folds)

    @property
    def products(self) -> int:
        """Products of a ciphertext with a diagonal."""
        return self.sources * self.targets * self.diagonals

    def diagonal(self, matrix: NDArray[np.float64], target: int, source: int, index: int) -> NDArray[np.float64]:
        """Entries by block, [B], of a diagonal of W [inputs, outputs], rotated back by its giant step.

        Blocks in which no output stands get copies of others.
        """
        columns = np.roll(self.packing.elements(self.inputs, self.copies, self.diagonals)[source], -index)
        held = columns < self.inputs
        entries = np.where(held, matrix[np.where(held, columns, 0), self.rows(target)], 0.0)
        return np.roll(entries, index - index % self.baby_steps)

    def rows(self, target: int) -> NDArray[np.int64]:
        """Which output stands in each block, [B], of a target."""
        rows: NDArray[np.int64] = self.packing.elements(self.outputs)[target] % self.outputs
        return rows

    def slots(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values by block [..., B] as slots [..., N/2]."""
        return np.repeat(blocks, self.packing.stride, axis=-1)


@lru_cache(maxsize=64)
def map_layouts(
    packing: Packing, maps: tuple[tuple[int, int], ...], *, spread: bool, unfolded: bool
) -> tuple[MapLayout, ...]:
    """Layouts of affine maps of these (inputs, outputs).

    Whether the first one's copies share its work, and whether the last one's folds are left to the reader.
    """
    layouts = [MapLayout(packing, inputs, outputs) for inputs, outputs in maps]
    layouts[-1:] = [replace(layout, unfolded=unfolded) for layout in layouts[-1:]]
    return (layouts[0].spread(), *layouts[1:]) if spread else tuple(layouts)


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """The numbers of an affine map, real units: y = x·W + b.

    Attributes:
        matrix: W [inputs, outputs].
        offset: b [outputs].
    """

    matrix: NDArray[np.float64] = field(repr=False)
    offset: NDArray[np.float64] = field(repr=False)


def affine_maps(model: CanonicalModel, program: Program) -> dict[str, AffineMap]:
    """The maps of a packed program by name, as their chains map zero and the unit vectors."""
    return {step.name: _affine_map(model, step) for step in program.steps if isinstance(step, Affine)}


def map_supports(model: CanonicalModel, program: Program) -> dict[str, NDArray[np.float64]]:
    """Matrices [inputs, outputs] that are 1 where those of the maps are not zero for all weights, else 0.

    What an evaluation leaves out must follow from the architecture alone: its time would tell which weights are zero.
    """
    ones = CanonicalModel(model.graph, tuple(np.ones_like(tensor) for tensor in model.tensors), 0)
    return {name: np.sign(numbers.matrix) for name, numbers in affine_maps(ones, program).items()}


def _affine_map(model: CanonicalModel, step: Affine) -> AffineMap:
    match step.chain:
        case (Linear() as node,) if model.graph.parameters[node.parameter].inputs == step.size:
            weights, bias = real_parameters(model, node.parameter)
            return AffineMap(weights[0], bias[0])

    def through_chain(values: NDArray[np.float64]) -> NDArray[np.float64]:
        for node in step.chain:
            values = evaluate_node(model, node, [values])
        return values

    offset = through_chain(np.zeros((1, step.size)))[0]
    matrix = np.empty((step.size, offset.size))
    # Some unit vectors at a time: a convolution's patches are many times as large.
    for start in range(0, step.size, UNIT_VECTORS):
        rows = slice(start, start + UNIT_VECTORS)
        matrix[rows] = through_chain(np.eye(min(UNIT_VECTORS, step.size - start), step.size, start)) - offset
    return AffineMap(matrix, offset)


def needed_rotations(layouts: Iterable[MapLayout]) -> tuple[int, ...]:
    """All rotations that affine maps need, in ascending order."""
    return tuple(sorted(frozenset[int]().union(*(layout.rotations for layout in layouts))))


def encoding_error(degree: int) -> float:
    """Deviation of a slot of a rounded polynomial from what was to be encoded, at scale 1."""
    return math.sqrt(degree / 24)
