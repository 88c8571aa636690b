"""Where elements stand when several features of a sample share a ciphertext, and what a linear map takes then.

An example with N = 16, so 8 slots, and two samples: blocks have two slots, one per sample, and there are B = 4 of them.
Four features of both samples stand in one ciphertext, x0 in both slots of block 0, x1 in block 1, and so on; without
packing they would take four. Two outputs y = x·W are then sums of two products with plain numbers, block by block,

    block             0       1       2       3
    k = 0   W00·x0  W11·x1  W20·x2  W31·x3      the ciphertext as it is,
    k = 1   W10·x1  W21·x2  W30·x3  W01·x0      rotated by one block,

and of one fold: the sum, rotated by two blocks, is added to itself. Block 0 has W00·x0 + W10·x1 from the two products
and W20·x2 + W30·x3 from the fold, which is y0; block 1 has y1, and blocks 2 and 3 have y0 and y1 once more. A rotation
may come before its product, a baby step, or after it, a giant step, as it does here: x0 x1 x2 x3 is multiplied by
W01 W10 W21 W30, then rotated. Rotating by two blocks is rotating by one twice, which saves a key. That makes two
products and three rotations for both samples together, instead of eight products and no rotation.

Two features leave half of the blocks free, and stand there twice. If the second copy is rotated by a block when it is
encrypted, x0 x1 x1 x0, one product with W00 W11 W10 W01 and the fold give the same: the copies share the work.

In general, a ciphertext's N/2 slots are B blocks of `stride` samples each. A vector of d elements stands in ⌈d/B⌉
ciphertexts, element e in block e mod B; a shorter one is repeated with a power-of-two period, so that rotations by
whole blocks rotate it, whatever its length. An affine map is evaluated by the diagonals of its matrix (Halevi and
Shoup, 2014), the rotations shared between baby and giant steps, and wide matrices folded (Juvekar, Vaikuntanathan and
Chandrakasan, "GAZELLE", 2018, section 4): with input period p and output period r

    y_β = Σ_f Σ_k W[β + k mod p, β mod r]·x_(β + k),    k < min(p, r),

where f stands for rotations by multiples of r, if p > r. The output has period r, in every block. The last map of a
program leaves out the sum over f, which the reader's average over blocks takes instead (`MapLayout.unfolded`).

If the input stands in several copies, c of them share the work: copy j is rotated by j·r/c blocks, so that it serves
the diagonals from j·r/c on with k < r/c, and folds add up the copies too. The buyer rotates them, which costs nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from trader.he.layouts.visible import period_of
from trader.he.program.steps import Affine, Program
from trader.model.bounds import evaluate_node, real_parameters
from trader.model.canonical import CanonicalModel
from trader.model.nodes import Linear

UNIT_VECTORS = 64
"""Rows of a matrix that are computed at a time."""
SWITCHINGS_PER_LARGE_KEY = 100
"""A key of many primes counts as 100 rotations: it is 20 MB or so, which take seconds on most lines. A choice; no
benchmark backs it."""
SWITCHINGS_PER_KEY = 6
"""A rotation's key counts as 6 rotations: it takes as long as 10 to 16 of them, on both sides together (benchmark
`he.cost.key`), but rotations follow each other on one core."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How samples share ciphertexts.

    Attributes:
        degree: N.
        stride: Slots of a block, a power of two.
        samples: Number of samples n, at most the stride.
        key_spacing: Rotations by 2^k blocks have a key where k is a multiple of this.
    """

    degree: int
    stride: int
    samples: int
    key_spacing: int = 2

    @classmethod
    def tight(cls, degree: int, samples: int, key_spacing: int = 2) -> "Packing":
        """Return the packing with as many blocks as there is room for."""
        return cls(degree, period_of(samples), samples, key_spacing)

    @property
    def is_sparse(self) -> bool:
        """Whether keys are so large that there are as few as can be."""
        return self.key_spacing > 2

    @property
    def blocks(self) -> int:
        """Blocks B of a ciphertext."""
        return self.degree // 2 // self.stride

    def ciphertexts(self, size: int) -> int:
        """Return the number of ciphertexts that a vector of `size` elements takes."""
        return -(-size // self.blocks)

    def period(self, size: int) -> int:
        """Return the number of blocks after which a vector of `size` elements is repeated."""
        return min(self.blocks, period_of(size))

    def elements(self, size: int, copies: int = 1, apart: int = 0) -> NDArray[np.int64]:
        """Return which element stands in each block, [ciphertexts, B]; `size` or more where none does.

        Args:
            size: Elements of the vector.
            copies: Number of its copies that are rotated against each other.
            apart: Blocks by which each of these is rotated further than the one before; the first is not rotated.
        """
        count, period = self.ciphertexts(size), self.period(size)
        blocks = np.arange(self.blocks)
        rotated = (blocks + apart * (blocks // period % copies)) % period
        return np.arange(count)[:, np.newaxis] * self.blocks + rotated

    def turns(self, rotation: int) -> tuple[int, ...]:
        """Return rotations that have keys, whose sum is `rotation` by a power of two of blocks: it, or parts of it.

        Only every other power of two has a key, or fewer (`key_spacing`), since a key costs as much as several
        rotations. Rotations are in slots.
        """
        missing = ((rotation // self.stride).bit_length() - 1) % self.key_spacing
        return (rotation >> missing,) * (1 << missing)

    def pack(self, values: NDArray[np.float64], copies: int = 1, apart: int = 0) -> NDArray[np.float64]:
        """Return samples [n, d] as slots [ciphertexts, N/2]; copies may be rotated, see `elements`.

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
        packing: How samples share ciphertexts.
        inputs: Elements that are read.
        outputs: Elements that are made.
        copies: Number of copies of the input that share the work.
        unfolded: Whether folds are left to the reader of the visible coefficients: these average the blocks that folds
            would add up (`trader.he.layouts.visible`), and weights are encoded the larger for it.
    """

    packing: Packing
    inputs: int
    outputs: int
    copies: int = 1
    unfolded: bool = False

    def spread(self) -> "MapLayout":
        """Return the layout whose work is shared by as many copies as takes least rotations, keys included."""
        period = self.packing.period(self.outputs)
        if self.sources > 1 or period > self.packing.period(self.inputs):
            return self
        most = min(self.packing.blocks // self.packing.period(self.inputs), period)
        options = (replace(self, copies=1 << bits) for bits in range(most.bit_length()))
        per_key = SWITCHINGS_PER_LARGE_KEY if self.packing.is_sparse else SWITCHINGS_PER_KEY
        return min(options, key=lambda layout: layout.switchings + per_key * len(layout.rotations))

    def pack(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples [n, inputs] as the slots [ciphertexts, N/2] that are read."""
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
        """Rotations of each source, 0 included: a power of two at which rotations in all are fewest.

        There are none where keys are sparse. Deep plans are made so, and a rotation before the product adds noise at a
        scale that lacks that of the weights: three bits of modulus more at every level, for a few rotations less.
        """
        if self.packing.is_sparse:
            return 1
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

    def giant_step(self, matrix: NDArray[np.float64], target: int, giant: int) -> NDArray[np.float64]:
        """Return the diagonals of W that a giant step takes, rotated back: [sources, baby steps, B], entries by block.

        Blocks in which no output stands get copies of others.

        Args:
            matrix: W [inputs, outputs].
            target: Ciphertext that is made.
            giant: Number of the giant step, whose diagonals are number giant·b + 0, …, giant·b + b - 1.
        """
        count, blocks = self.baby_steps, self.packing.blocks
        made = (np.arange(blocks) - giant * count) % blocks
        read = (made + giant * count + np.arange(count)[:, np.newaxis]) % blocks
        columns = self.packing.elements(self.inputs, self.copies, self.diagonals)[:, read]
        held = columns < self.inputs
        return np.where(held, matrix[np.where(held, columns, 0), self.rows(target)[made]], 0.0)

    def rows(self, target: int) -> NDArray[np.int64]:
        """Return which output stands in each block, [B], of a target."""
        rows: NDArray[np.int64] = self.packing.elements(self.outputs)[target] % self.outputs
        return rows

    def slots(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values by block [..., B] as slots [..., N/2]."""
        return np.repeat(blocks, self.packing.stride, axis=-1)


@lru_cache(maxsize=64)
def map_layouts(
    packing: Packing, maps: tuple[tuple[int, int], ...], *, spread: bool, unfolded: bool
) -> tuple[MapLayout, ...]:
    """Return the layouts of a program's affine maps.

    Args:
        packing: How samples share ciphertexts.
        maps: (inputs, outputs) of each.
        spread: Whether copies of the input share the work of the first one.
        unfolded: Whether folds of the last one are left to the reader.
    """
    layouts = [MapLayout(packing, inputs, outputs) for inputs, outputs in maps]
    layouts[-1:] = [replace(layout, unfolded=unfolded) for layout in layouts[-1:]]
    return (layouts[0].spread(), *layouts[1:]) if spread else tuple(layouts)


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """The numbers of an affine map, real units: y = x·W + b.

    Attributes:
        matrix: Matrix W [inputs, outputs].
        offset: Vector b [outputs].
    """

    matrix: NDArray[np.float64] = field(repr=False)
    offset: NDArray[np.float64] = field(repr=False)


def affine_maps(model: CanonicalModel, program: Program) -> dict[str, AffineMap]:
    """Return the maps of a packed program by name, as their chains map zero and the unit vectors."""
    return {step.name: _affine_map(model, step) for step in program.steps if isinstance(step, Affine)}


def map_supports(model: CanonicalModel, program: Program) -> dict[str, NDArray[np.float64]]:
    """Return matrices [inputs, outputs] that are 1 where those of the maps are not zero for all weights, else 0.

    What an evaluation leaves out must follow from the architecture alone: its time would tell which weights are zero.
    """
    ones = CanonicalModel(model.graph, tuple(np.ones_like(tensor) for tensor in model.tensors), 0)
    return {name: np.sign(numbers.matrix) for name, numbers in affine_maps(ones, program).items()}


def _affine_map(model: CanonicalModel, step: Affine) -> AffineMap:
    match step.chain:
        case (Linear() as node,) if model.graph.parameters[node.parameter].inputs == step.size:
            weights, bias = real_parameters(model, node.parameter)
            return AffineMap(weights[0], bias[0])

    parameters = partial(real_parameters, model)

    def through_chain(values: NDArray[np.float64]) -> NDArray[np.float64]:
        for node in step.chain:
            values = evaluate_node(node, [values], parameters)
        return values

    offset = through_chain(np.zeros((1, step.size)))[0]
    matrix = np.empty((step.size, offset.size))
    # Some unit vectors at a time: a convolution's patches are many times as large.
    for start in range(0, step.size, UNIT_VECTORS):
        rows = slice(start, start + UNIT_VECTORS)
        matrix[rows] = through_chain(np.eye(min(UNIT_VECTORS, step.size - start), step.size, start)) - offset
    return AffineMap(matrix, offset)


def needed_rotations(layouts: Iterable[MapLayout]) -> tuple[int, ...]:
    """Return all rotations that affine maps need, in slots, in ascending order."""
    return tuple(sorted(frozenset[int]().union(*(layout.rotations for layout in layouts))))


def encoding_error(degree: int) -> float:
    """Return the deviation of a slot of a rounded polynomial from what was to be encoded, at scale 1."""
    return math.sqrt(degree / 24)
