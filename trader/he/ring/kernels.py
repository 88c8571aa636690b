"""Compiled loops over residues: modular arithmetic, in integers and in doubles.

Everything here is plain arithmetic on arrays that the callers have checked; nothing knows of keys or plans. All kernels
release the interpreter lock, so that threads run them side by side. Primes are below 2^31 and residues are stored as
uint32 in [0, q); products of two residues then fit into 64 bits. Signed ("centred") residues are float64, which is what
BLAS works on.

Products with constants are Shoup's, with a precomputed quotient. Elsewhere quotients are estimated in floating point,
which is exact up to one, and corrected; divisions would not vectorise.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from trader.he.ring import vectors
from trader.he.ring.compiling import inlined, kernel
from trader.he.types import Residues


def _type_fused(_context: Any, _left: Any, _right: Any, _addend: Any) -> Any:
    """Return LLVM's left·right + addend, rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


fused: Any = intrinsic(_type_fused)


def _type_bits(_context: Any, _value: Any) -> Any:
    """Return the 64 bits of a double."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


bits_of: Any = intrinsic(_type_bits)


@inlined
def multiply_shoup(value: Any, factor: Any, quotient: Any, q: Any) -> Any:
    """value·factor mod q for any 32-bit value, where quotient = floor(factor·2^32 / q)."""
    wide = np.uint64(value)
    estimate = (wide * np.uint64(quotient)) >> np.uint64(32)
    product = np.uint32(wide * np.uint64(factor) - estimate * np.uint64(q))
    return min(product, np.uint32(product - q))


@inlined
def _inverse_of(prime: Any) -> Any:
    """Return 1/q for `_reduce_word`."""
    if prime <= 12288:
        raise ValueError("words are not reduced modulo such small primes")
    return 1.0 / np.float64(prime)


@inlined
def _reduce_word(value: Any, inverse: Any, q: Any) -> Any:
    """Return a 64-bit word mod q, for primes above 12,288, which all of rings of 1,024 coefficients or more are.

    The quotient, the nearest integer to value·(1/q), stands in the lowest bits of a double to which 3·2^51 is added. It
    is rounded three times by 2^-53 of less than 2^64/q, which is half at most: value - quotient·q is in (-q, q).
    """
    quotient = np.uint32(bits_of(np.float64(value) * inverse + 6755399441055744.0))
    remainder = np.uint32(np.uint32(value) - quotient * q)
    return min(remainder, np.uint32(remainder + q))


@inlined
def _multiply(left: Any, right: Any, q: Any, inverse: Any) -> Any:
    """left·right mod q for residues in [0, q), as int64."""
    product = np.int64(left) * np.int64(right)
    remainder = product - np.int64(np.float64(product) * inverse) * q
    remainder += q if remainder < 0 else np.int64(0)
    return remainder - (q if remainder >= q else np.int64(0))


def _on_words(compute: Any) -> Any:
    """Return an intrinsic that writes what is computed of eight words of an array, and those of the result.

    It takes the array, the place of either, factor, quotient and q, and the result.
    """

    def typed(_context: Any, values: Any, place: Any, factor: Any, quotient: Any, q: Any, result: Any) -> Any:
        """Return the intrinsic's type, and what writes it."""

        def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            source = vectors.data(context, builder, signature, operands, 0)
            target = vectors.data(context, builder, signature, operands, 5, written=True)
            words, old = (vectors.load(builder, base, operands[1], vectors.WORDS) for base in (source, target))
            constants = [vectors.repeat(builder, word) for word in operands[2:5]]
            vectors.store(builder, compute(builder, words, old, *constants), target, operands[1])
            return context.get_dummy_value()

        return types.void(values, place, factor, quotient, q, result), generate

    return intrinsic(typed)


def _scaled(builder: Any, words: Any, _old: Any, factor: Any, quotient: Any, q: Any) -> Any:
    return vectors.multiply_shoup(builder, words, factor, quotient, q)


def _with_multiple(builder: Any, words: Any, old: Any, factor: Any, quotient: Any, q: Any) -> Any:
    total = builder.add(old, vectors.multiply_shoup(builder, words, factor, quotient, q))
    return vectors.smaller(builder, total, builder.sub(total, q))


_scale_words: Any = _on_words(_scaled)
_add_words: Any = _on_words(_with_multiple)


@kernel
def scale(values: Residues, factor: Any, quotient: Any, prime: int, result: Residues) -> None:
    """Write values·factor mod q for 32-bit values, where quotient = floor(factor·2^32 / q); both may be one array."""
    q, whole = np.uint32(prime), values.size // vectors.LANES * vectors.LANES
    for i in range(0, whole, vectors.LANES):
        _scale_words(values, i, factor, quotient, q, result)
    for i in range(whole, values.size):
        result[i] = multiply_shoup(values[i], factor, quotient, q)


@kernel
def add_multiple(values: Residues, factor: Any, quotient: Any, prime: int, result: Residues) -> None:
    """Add values·factor mod q to residues, in place; values as in `scale`."""
    q, whole = np.uint32(prime), values.size // vectors.LANES * vectors.LANES
    for i in range(0, whole, vectors.LANES):
        _add_words(values, i, factor, quotient, q, result)
    for i in range(whole, values.size):
        total = np.uint32(result[i] + multiply_shoup(values[i], factor, quotient, q))
        result[i] = min(total, np.uint32(total - q))


@kernel
def add_integers(integers: NDArray[np.int64], prime: int, factor: int, residues: Residues) -> None:
    """Add integers·factor to the residues; |integers| < 2^62, factor in [0, q)."""
    q = np.int64(prime)
    inverse = 1.0 / np.float64(prime)
    for i in range(integers.size):
        remainder = integers[i] - np.int64(np.floor(np.float64(integers[i]) * inverse)) * q
        remainder += q if remainder < 0 else np.int64(0)
        remainder -= q if remainder >= q else np.int64(0)
        total = _multiply(remainder, factor, q, inverse) + np.int64(residues[i])
        residues[i] = np.uint32(total - (q if total >= q else np.int64(0)))


@kernel
def add_doubles(integers: NDArray[np.float64], prime: int, factor: int, residues: Residues) -> None:
    """Add integers·factor to the residues; |integers| < 2^51, factor in [0, q)."""
    q = np.uint32(prime)
    real = np.float64(prime)
    inverse = 1.0 / real
    wide = np.uint64(factor)
    quotient = (wide << np.uint64(32)) // np.uint64(prime)
    for i in range(integers.size):
        centred = np.uint32(np.int32(integers[i] - real * np.rint(integers[i] * inverse)))
        # A negative one has wrapped around: with q added it is the smaller of the two.
        residue = min(centred, np.uint32(centred + q))
        total = np.uint32(residues[i] + multiply_shoup(residue, wide, quotient, q))
        residues[i] = min(total, np.uint32(total - q))


@kernel
def join_bytes(content: NDArray[np.uint8], bits: int, offset: int, values: NDArray[np.int32]) -> None:
    """Little-endian words of as few bytes as hold `bits`, at most 32: their lowest, minus an offset, modulo 2^32."""
    width = (bits + 7) // 8
    mask = np.uint32((1 << bits) - 1)
    for i in range(values.size):
        word = np.uint32(0)
        for place in range(width):
            word |= np.uint32(content[width * i + place]) << np.uint32(8 * place)
        values[i] = np.int32(word & mask) - np.int32(offset)


@kernel
def split_bytes(values: NDArray[np.int32], bits: int, offset: int, content: NDArray[np.uint8]) -> None:
    """Write values, with the offset added, as the words that `join_bytes` reads."""
    width = (bits + 7) // 8
    for i in range(values.size):
        word = np.uint32(values[i] + np.int32(offset))
        for place in range(width):
            content[width * i + place] = np.uint8(word >> np.uint32(8 * place))


@kernel
def add(addend: Residues, prime: int, result: Residues) -> None:
    """Add one vector of residues to another, in place."""
    q = np.uint32(prime)
    for i in range(result.size):
        total = np.uint32(result[i] + addend[i])
        result[i] = min(total, np.uint32(total - q))


@kernel
def subtract(subtrahend: Residues, prime: int, result: Residues) -> None:
    """Subtract one vector of residues from another, in place."""
    q = np.uint32(prime)
    for i in range(result.size):
        difference = np.uint32(result[i] - subtrahend[i])
        result[i] = min(difference, np.uint32(difference + q))


@kernel
def multiply_accumulate(left: Residues, right: Residues, addend: Residues, prime: int, result: Residues) -> None:
    """Write left·right + addend to `result`, element by element."""
    q, inverse = np.uint32(prime), _inverse_of(prime)
    for i in range(result.size):
        product = np.uint64(left[i]) * np.uint64(right[i])
        total = np.uint32(_reduce_word(product, inverse, q) + addend[i])
        result[i] = min(total, np.uint32(total - q))


@kernel
def add_product(left: Residues, right: Residues, prime: int, total: NDArray[np.uint64]) -> None:
    """Add left·right to sums that are reduced to below q·2^32 only, element by element; `reduce_words` ends it."""
    limit = np.uint64(prime) << np.uint64(32)
    for i in range(total.size):
        value = total[i] + np.uint64(left[i]) * np.uint64(right[i])
        total[i] = min(value, value - limit)


@kernel
def add_products(left: Residues, right: Residues, primes: NDArray[np.int64], total: NDArray[np.uint64]) -> None:
    """`add_product` for a ciphertext [components, primes, N] and a polynomial [primes, N]."""
    for component in range(left.shape[0]):
        for index in range(primes.size):
            add_product(left[component, index], right[index], primes[index], total[component, index])


@kernel
def reduce_words(values: NDArray[np.uint64], prime: int, residues: Residues) -> None:
    """64-bit words as residues."""
    q, inverse = np.uint32(prime), _inverse_of(prime)
    for i in range(values.size):
        residues[i] = _reduce_word(values[i], inverse, q)


@kernel
def reduce_values(values: Residues, prime: int, residues: Residues) -> None:
    """Residues modulo another prime as residues modulo this one."""
    q = np.uint32(prime)
    unit = np.uint64(1 << 32) // np.uint64(prime)
    for i in range(values.size):
        residues[i] = multiply_shoup(values[i], np.uint64(1), unit, q)


@inlined
def _centre_rows(residues: Any, prime: Any, centred: Any, item: Any) -> None:
    """Write residues [r, t] as signed numbers of so many bytes; their rows have no gaps.

    A loop over what is known to stand side by side is vectorised; and so are conversions of 32-bit integers.
    """
    if residues.strides[1] != 4 or centred.strides[1] != item:
        raise ValueError("rows are not contiguous")
    q, half = np.uint32(prime), np.uint32(prime >> 1)
    for row in range(residues.shape[0]):
        for i in range(residues.shape[1]):
            value = residues[row, i]
            centred[row, i] = np.int32(value - (q if value > half else np.uint32(0)))


@kernel
def centre(residues: Residues, prime: int, centred: NDArray[np.float64]) -> None:
    """Residues [r, t] as signed doubles in (-q/2, q/2]; rows are contiguous."""
    _centre_rows(residues, prime, centred, 8)


@kernel
def centre_integers(residues: Residues, prime: int, centred: NDArray[np.int32]) -> None:
    """Residues [r, t] as signed integers in (-q/2, q/2]; rows are contiguous."""
    _centre_rows(residues, prime, centred, 4)


@kernel
def uncentre(centred: NDArray[np.float64], prime: int, residues: Residues) -> None:
    """Signed doubles [e, c, t], less than a prime away from zero, as residues in [0, q)."""
    q = np.uint32(prime)
    for element in range(centred.shape[0]):
        for component in range(centred.shape[1]):
            for t in range(centred.shape[2]):
                value = np.uint32(np.int32(centred[element, component, t]))
                # A negative one has wrapped around: with q added it is the smaller of the two.
                residues[element, component, t] = min(value, np.uint32(value + q))


@kernel
def reduce_doubles(values: NDArray[np.float64], prime: int) -> None:
    """Integers of at most 2^53 - q/2 to their centred residues, in place; the multiple of q is exact, too."""
    q = np.float64(prime)
    inverse = 1.0 / q
    flat = values.reshape(-1)
    for i in range(flat.size):
        flat[i] -= q * np.rint(flat[i] * inverse)


@kernel
def shift_and_add(high: NDArray[np.float64], bits: int, low: NDArray[np.float64], prime: int) -> None:
    """Replace `high` by high·2^bits + low modulo the prime; bits <= 21."""
    q = np.float64(prime)
    inverse = 1.0 / q
    factor = np.float64(1 << bits)
    upper, lower = high.reshape(-1), low.reshape(-1)
    for i in range(upper.size):
        value = upper[i] * factor + lower[i]
        upper[i] = value - q * np.rint(value * inverse)


@inlined
def _multiply_doubles(left: Any, right: Any, q: Any, inverse: Any) -> Any:
    """left·right mod q for centred residues, to within q: what the product rounds away is exact (Dekker, 1971)."""
    product = left * right
    rest = fused(left, right, -product)
    return fused(-np.rint(product * inverse), q, product) + rest


@inlined
def multiply_centred(left: Any, right: Any, q: Any, inverse: Any) -> Any:
    """left·right modulo q, centred."""
    product = _multiply_doubles(left, right, q, inverse)
    return product - q * np.rint(product * inverse)


@kernel
def scale_doubles(values: NDArray[np.float64], factor: int, prime: int) -> None:
    """Multiply centred residues by a factor in [0, q), in place."""
    q = np.float64(prime)
    inverse = 1.0 / q
    flat = values.reshape(-1)
    for i in range(flat.size):
        flat[i] = multiply_centred(flat[i], np.float64(factor), q, inverse)


@kernel
def convolve_components(
    left: NDArray[np.float64], right: NDArray[np.float64], prime: int, result: NDArray[np.float64]
) -> None:
    """Add left[e, i]·right[e, j] to result[e, i + j] modulo the prime, position by position."""
    q = np.float64(prime)
    inverse = 1.0 / q
    for element in range(left.shape[0]):
        for i in range(left.shape[1]):
            for j in range(right.shape[1]):
                first, second, target = left[element, i], right[element, j], result[element, i + j]
                for t in range(first.size):
                    total = _multiply_doubles(first[t], second[t], q, inverse) + target[t]
                    target[t] = total - q * np.rint(total * inverse)


@kernel
def add_constants(values: NDArray[np.float64], constants: NDArray[np.float64], prime: int) -> None:
    """Add constants[e] to values[e, 0]: a constant polynomial has the same value in every NTT position."""
    q = np.float64(prime)
    inverse = 1.0 / q
    for element in range(values.shape[0]):
        for t in range(values.shape[2]):
            total = values[element, 0, t] + constants[element]
            values[element, 0, t] = total - q * np.rint(total * inverse)
