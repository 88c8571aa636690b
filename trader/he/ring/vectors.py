"""Vectors of eight words in Numba's kernels: the parts of LLVM's language that some kernels are written in.

Numba has no vectors. LLVM makes them of simple loops, but four lanes at a time where products have 64 bits, and none
where values change places. What is written here is for any processor: LLVM takes the instructions that it has.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

LANES = 8
INDEX, WORD = ir.IntType(64), ir.IntType(32)
WORDS, SHORTS = ir.VectorType(WORD, LANES), ir.VectorType(ir.IntType(16), 2 * LANES)
DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_PAIRS = ir.VectorType(ir.IntType(64), LANES // 2)


def data(
    context: Any, builder: ir.IRBuilder, signature: Any, operands: Sequence[Any], place: int, written: bool = False
) -> Any:
    """Return the address of an array, the operand at a place.

    Raises:
        TypeError: Numba doesn't know that its elements stand side by side; or it is to be written, and read-only.
    """
    kind = signature.args[place]
    if kind.layout != "C":
        raise TypeError("vectors are read from arrays that are contiguous by their type")
    if written and not kind.mutable:
        raise TypeError("the array is read-only")
    return context.make_array(kind)(context, builder, operands[place]).data


def address(
    context: Any, builder: ir.IRBuilder, signature: Any, operands: Sequence[Any], place: int, written: bool = False
) -> Any:
    """Return the address of an element of an array, the operand at a place; the next operand is its flat index."""
    return builder.gep(data(context, builder, signature, operands, place, written), [operands[place + 1]])


def load(builder: ir.IRBuilder, base: Any, start: Any, kind: Any) -> Any:
    """Read a vector, or a word, from a place of an array on.

    Raises:
        TypeError: The array has elements of another size.
    """
    # Parts of a message begin at any byte.
    return builder.load(_pointer(builder, base, start, kind), align=1)


def store(builder: ir.IRBuilder, values: Any, base: Any, start: Any) -> None:
    """Write a vector to a place of an array on.

    Raises:
        TypeError: As `load`.
    """
    builder.store(values, _pointer(builder, base, start, values.type), align=1)


def _pointer(builder: ir.IRBuilder, base: Any, start: Any, kind: Any) -> Any:
    element = DOUBLES.element if getattr(kind, "element", None) == DOUBLES.element else WORD
    if base.type.pointee != element:
        raise TypeError(f"elements are {base.type.pointee}, not {element}")
    return builder.bitcast(builder.gep(base, [start]), kind.as_pointer())


def constant(value: int) -> Any:
    """Return words that are all the same, known beforehand."""
    return WORDS([value] * LANES)


def repeat(builder: ir.IRBuilder, word: Any) -> Any:
    """Return a word in every lane."""
    single = builder.insert_element(WORDS(ir.Undefined), word, WORD(0))
    return choose(builder, single, single, [0] * LANES)


def choose(builder: ir.IRBuilder, first: Any, second: Any, lanes: Sequence[int]) -> Any:
    """Return words of two vectors: lane numbers go through the first, and then through the second."""
    return builder.shuffle_vector(first, second, ir.VectorType(WORD, len(lanes))(list(lanes)))


def smaller(builder: ir.IRBuilder, first: Any, second: Any) -> Any:
    """Return the smaller words, unsigned."""
    return builder.select(builder.icmp_unsigned("<", first, second), first, second)


def multiply_high(builder: ir.IRBuilder, first: Any, second: Any) -> Any:
    """Return the upper halves of products of words: those of even lanes and those of odd ones, each four at a time."""
    low, width = _PAIRS([0xFFFFFFFF] * (LANES // 2)), _PAIRS([32] * (LANES // 2))
    pairs = [builder.bitcast(words, _PAIRS) for words in (first, second)]
    even = builder.mul(*(builder.and_(words, low) for words in pairs))
    odd = builder.mul(*(builder.lshr(words, width) for words in pairs))
    high = builder.or_(builder.lshr(even, width), builder.and_(odd, builder.not_(low)))
    return builder.bitcast(high, WORDS)


def multiply_shoup(builder: ir.IRBuilder, words: Any, factor: Any, quotient: Any, q: Any) -> Any:
    """Return words·factor mod q for any words, where quotient = floor(factor·2^32 / q)."""
    estimate = multiply_high(builder, words, quotient)
    product = builder.sub(builder.mul(words, factor), builder.mul(estimate, q))
    return smaller(builder, product, builder.sub(product, q))
