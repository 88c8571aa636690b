"""Products of residues with short weights in 16-bit integers, where the processor has instructions for them.

A residue r of 31 bits is two limbs, r = 2^16·h + l with l in [-2^15, 2^15), and a weight that fits into 16 bits is one:
two multiplications of integers for one of doubles, but AVX2's `vpmaddwd` does sixteen of them where a vector of doubles
has four, and adds each two products up. That is half the time of `trader.he.ring.residues`' way through BLAS, which
stays for other weights and other processors. Results are the same, bit for bit.

Sums of 32 bits are exact as long as Σ |w|·2^15 < 2^31: inputs are taken in chunks of Σ |w| < 2^16, after each of which
2^16·Σ w·h + Σ w·l is added to a double. These are exact below 2^53, as there.

How operands are laid out and held is Goto and van de Geijn's ("Anatomy of high-performance matrix multiplication",
2008): a panel of 8 positions is split once and stays in the first cache, while four outputs at a time stay in
registers. A word holds the same limb, or the weights, of two successive inputs.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import codegen
from numba.extending import intrinsic
from numpy.typing import NDArray

from trader.he.ring import vectors
from trader.he.ring.compiling import kernel
from trader.he.ring.kernels import reduce_doubles
from trader.he.ring.residues import Tile, heaviest_column

OUTPUTS = 4
"""Outputs whose sums are in registers together."""
POSITIONS = vectors.LANES
"""Of a panel: one vector of words."""
PANELS = 4
"""Panels that are split together, so that lines of the cache are read whole."""
LARGEST_WEIGHT = (1 << 15) - 1
LARGEST_SUM = (1 << 16) - 1
"""Of the weights' magnitudes in a chunk."""
SMALLEST_CHUNK = 24
"""Inputs per chunk, on average and but for the last one, below which sums are converted so often that doubles are
faster."""
FEWEST_INPUTS, FEWEST_OUTPUTS = 8, 4
"""Fewer are not worth the splitting of residues."""
FEW_INPUTS, LARGEST_PADDING = 32, 0.25
"""With few inputs, outputs beside those that there are may be so large a part of all that are computed."""


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether kernels are compiled for a processor with AVX2: this one, unless Numba was told otherwise.

    Numba itself leaves AVX out for some processors that have it. To ask takes longer than to prepare a small matrix.
    """
    named = [getattr(config, setting) for setting in ("CPU_NAME", "CPU_FEATURES")]
    return named == [None, None] and "+avx2" in codegen.get_host_cpu_features().split(",")


@dataclass(frozen=True, slots=True)
class IntegerWeights:
    """An integer matrix [a, b] for exact products in 16-bit integers.

    Attributes:
        words: pairs of weights, int32 [⌈b/4⌉, ⌈a/2⌉, 4].
        chunks: places among the pairs where a chunk begins, and the end.
        inputs: a.
        outputs: b.
    """

    takes_integers: ClassVar = True

    words: NDArray[np.int32] = field(repr=False)
    chunks: NDArray[np.int64]
    inputs: int
    outputs: int

    @classmethod
    def of(cls, weights: NDArray[np.int32], largest_prime: int) -> "IntegerWeights | None":
        """Return a matrix [a, b], if products with it are exact and faster than in doubles, else None."""
        inputs, outputs = weights.shape
        magnitudes = np.abs(weights.astype(np.int64))
        fits = magnitudes.max(initial=0) <= LARGEST_WEIGHT and magnitudes.sum(axis=0).max(initial=0) <= heaviest_column(
            largest_prime
        )
        pairs, groups = -(-inputs // 2), -(-outputs // OUTPUTS)
        padding = 1 - outputs / (OUTPUTS * groups) if inputs < FEW_INPUTS else 0
        pays = inputs >= FEWEST_INPUTS and outputs >= FEWEST_OUTPUTS and padding <= LARGEST_PADDING
        if not fits or not pays or not available():
            return None
        chunks = _chunks(magnitudes)
        if inputs < SMALLEST_CHUNK * (len(chunks) - 2):
            return None
        padded = np.zeros((2 * pairs, OUTPUTS * groups), dtype=np.int16)
        padded[:inputs, :outputs] = weights
        words = np.ascontiguousarray(padded.reshape(pairs, 2, groups, OUTPUTS).transpose(2, 0, 3, 1))
        return cls(words.view("<i4")[..., 0], chunks, inputs, outputs)

    def multiply(self, values: Tile | NDArray[np.int32], prime: int) -> Tile:
        """y_b = Σ_a W[a, b]·x_a modulo the prime, centred: values [..., a, c, t] to [..., b, c, t].

        Args:
            values: centred, as doubles or as integers.
            prime: q.
        """
        flat = values.reshape(-1, self.inputs, values.shape[-2] * values.shape[-1])
        missing = -flat.shape[-1] % POSITIONS
        columns = np.pad(flat, ((0, 0), (0, 0), (0, missing))) if missing else flat
        products = np.empty((len(columns), OUTPUTS * len(self.words), columns.shape[-1]))
        for matrix, product in zip(columns, products, strict=True):
            _multiply(self.words, self.chunks, np.ascontiguousarray(matrix), prime, product)
        outputs = products[:, : self.outputs, : products.shape[-1] - missing]
        return outputs.reshape(*values.shape[:-3], self.outputs, *values.shape[-2:])


def _chunks(magnitudes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where chunks of pairs begin, as few as their sums allow, and the end; a pair alone is never too much."""
    chunks, sums = [0], np.zeros(magnitudes.shape[1], dtype=np.int64)
    for start in range(0, len(magnitudes), 2):
        pair = magnitudes[start : start + 2].sum(axis=0)
        if (sums + pair).max() > LARGEST_SUM:
            chunks.append(start // 2)
            sums = np.zeros_like(sums)
        sums = sums + pair
    return np.array([*chunks, -(-len(magnitudes) // 2)])


def _type_multiplication(
    _context: Any, words: Any, w: Any, panel: Any, p: Any, pairs: Any, sums: Any, s: Any, stride: Any
) -> Any:
    """Add four outputs' products with a panel to sums.

    Arrays are each followed by the place at which what is meant begins: words [pairs, 4], a panel [pairs, 2, 8], and
    doubles [4, 8] with a stride from row to row.
    """
    return types.void(words, w, panel, p, pairs, sums, s, stride), _generate_multiplication


def _generate_multiplication(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    """Write the loop over pairs, with all sums in registers, and what adds them to doubles."""
    weights, panel = (vectors.address(context, builder, signature, operands, place) for place in (0, 2))
    sums = vectors.address(context, builder, signature, operands, 5, written=True)
    pairs, stride = operands[4], operands[7]
    shorts = [vectors.SHORTS] * 2
    multiply = builder.module.declare_intrinsic("llvm.x86.avx2.pmadd.wd", fnty=ir.FunctionType(vectors.WORDS, shorts))
    before, loop, after = builder.block, *(builder.append_basic_block(name) for name in ("pair", "after"))
    builder.branch(loop)

    builder.position_at_end(loop)
    pair = builder.phi(vectors.INDEX)
    totals = [builder.phi(vectors.WORDS) for _ in range(2 * OUTPUTS)]
    places = [_place(builder, pair, 2 * POSITIONS, limb * POSITIONS) for limb in range(2)]
    limbs = [vectors.load(builder, panel, place, vectors.SHORTS) for place in places]
    products = []
    for output in range(OUTPUTS):
        word = vectors.load(builder, weights, _place(builder, pair, OUTPUTS, output), vectors.WORD)
        repeated = builder.bitcast(vectors.repeat(builder, word), vectors.SHORTS)
        products += [builder.call(multiply, [repeated, limb]) for limb in limbs]
    added = [builder.add(total, product) for total, product in zip(totals, products, strict=True)]
    following = builder.add(pair, vectors.INDEX(1))
    first = (vectors.INDEX(0), *[vectors.constant(0)] * len(totals))
    for value, start, turned in zip((pair, *totals), first, (following, *added), strict=True):
        value.add_incoming(start, before)
        value.add_incoming(turned, loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, after)

    builder.position_at_end(after)
    for output in range(OUTPUTS):
        low, high = (builder.sitofp(limb, vectors.DOUBLES) for limb in added[2 * output : 2 * output + 2])
        value = builder.fadd(builder.fmul(high, vectors.DOUBLES([65536.0] * POSITIONS)), low)
        row = builder.mul(stride, vectors.INDEX(output))
        vectors.store(builder, builder.fadd(vectors.load(builder, sums, row, vectors.DOUBLES), value), sums, row)
    return context.get_dummy_value()


def _place(builder: ir.IRBuilder, index: Any, size: int, offset: int) -> Any:
    return builder.add(builder.mul(index, vectors.INDEX(size)), vectors.INDEX(offset))


def _type_split(_context: Any, first: Any, f: Any, second: Any, s: Any, panel: Any, p: Any) -> Any:
    """Write a panel's words [2, 8] for eight positions of two inputs; arrays are followed by places, as above."""
    return types.void(first, f, second, s, panel, p), _generate_split


def _generate_split(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    """Write low limbs, then high ones, those of the two inputs side by side in a word."""
    first, second = (vectors.address(context, builder, signature, operands, place) for place in (0, 2))
    panel = vectors.address(context, builder, signature, operands, 4, written=True)
    kind = ir.VectorType(first.type.pointee, POSITIONS)
    inputs = [vectors.load(builder, source, vectors.INDEX(0), kind) for source in (first, second)]
    if kind != vectors.WORDS:
        inputs = [builder.fptosi(values, vectors.WORDS) for values in inputs]
    half, low_bits, width = (vectors.constant(value) for value in (1 << 15, 0xFFFF, 16))
    # With 2^15 added, the upper half of a word is h.
    rounded = [builder.add(values, half) for values in inputs]
    low = builder.or_(builder.and_(inputs[0], low_bits), builder.shl(inputs[1], width))
    high = builder.or_(builder.lshr(rounded[0], width), builder.and_(rounded[1], builder.not_(low_bits)))
    vectors.store(builder, low, panel, vectors.INDEX(0))
    vectors.store(builder, high, panel, vectors.INDEX(POSITIONS))
    return context.get_dummy_value()


_add_products: Any = intrinsic(_type_multiplication)
_split: Any = intrinsic(_type_split)


@kernel
def _multiply(
    words: NDArray[np.int32], chunks: NDArray[np.int64], values: Any, prime: int, products: NDArray[np.float64]
) -> None:
    """Write products [4·groups, n] of values [a, n]; n a multiple of `POSITIONS`."""
    groups, pairs = words.shape[0], words.shape[1]
    inputs, columns = values.shape
    panels = np.empty((PANELS, pairs, 2, POSITIONS), dtype=np.int32)
    panel_size = pairs * 2 * POSITIONS
    products[:] = 0.0
    for block in range(0, columns, PANELS * POSITIONS):
        count = min(PANELS, (columns - block) // POSITIONS)
        for pair in range(pairs):
            # The weight of an input that isn't there is zero, whatever stands in its place.
            first, second = 2 * pair, min(2 * pair + 1, inputs - 1)
            for panel in range(count):
                start = block + panel * POSITIONS
                target = panel * panel_size + pair * 2 * POSITIONS
                _split(values, first * columns + start, values, second * columns + start, panels, target)
        for panel in range(count):
            for chunk in range(chunks.size - 1):
                begin, size = chunks[chunk], chunks[chunk + 1] - chunks[chunk]
                source = panel * panel_size + begin * 2 * POSITIONS
                for group in range(groups):
                    target = group * OUTPUTS * columns + block + panel * POSITIONS
                    place = (group * pairs + begin) * OUTPUTS
                    _add_products(words, place, panels, source, size, products, target, columns)
    reduce_doubles(products, prime)
