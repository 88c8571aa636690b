"""Kernels on the residues at which estimated quotients are most wrong, against Python's integers."""

import numpy as np
import pytest

from trader.he.ring import kernels
from trader.he.ring.residues import CENTRE_SLACK, heaviest_column, multiply_values, scale_values

PRIMES = [12289, (1 << 28) - 57, 1073692673, 2147352577]


def _residues(prime):
    """Every pair of residues around 0, q/2, q and powers of two, and some between."""
    edges = {0, 1, 2, prime // 2 - 1, prime // 2, prime // 2 + 1, prime - 2, prime - 1}
    edges |= {value for bits in range(31) for value in ((1 << bits) - 1, 1 << bits) if value < prime}
    edges |= set(np.random.default_rng(0).integers(0, prime, 40).tolist())
    values = np.array(sorted(edges), dtype=np.uint32)
    left, right = np.meshgrid(values, values)
    return np.ascontiguousarray(left.reshape(-1)), np.ascontiguousarray(right.reshape(-1))


def _centred(residues, prime):
    values = residues.astype(np.int64)
    return np.where(values > prime // 2, values - prime, values)


@pytest.mark.parametrize("prime", PRIMES)
def test_products_of_residues_are_exact(prime):
    left, right = _residues(prime)
    expected = (left.astype(object) * right.astype(object) + right.astype(object)) % prime
    found = np.empty_like(left)
    kernels.multiply_accumulate(left, right, right, prime, found)
    assert (found == expected).all()


@pytest.mark.parametrize("prime", PRIMES)
def test_products_of_centred_residues_are_exact_and_reduced(prime):
    left, right = (_centred(residues, prime) for residues in _residues(prime))
    product = multiply_values(*(values.astype(np.float64).reshape(1, 1, -1) for values in (left, right)), prime)
    assert (product.reshape(-1).astype(object) % prime == left.astype(object) * right.astype(object) % prime).all()
    assert np.abs(product).max() <= prime // 2 + 1


@pytest.mark.parametrize("prime", PRIMES)
def test_scaled_residues_are_exact_and_reduced(prime):
    values = _centred(_residues(prime)[0], prime)
    for factor in (2, prime // 2, prime - 1):
        scaled = scale_values(values.astype(np.float64), factor, prime)
        assert (scaled.astype(object) % prime == values.astype(object) * factor % prime).all()
        assert np.abs(scaled).max() <= prime // 2 + 1


@pytest.mark.parametrize("prime", PRIMES)
def test_centred_residues_come_back(prime):
    residues = _residues(prime)[0].reshape(1, -1)
    centred = np.empty(residues.shape)
    kernels.centre(residues, prime, centred)
    assert (centred == _centred(residues, prime)).all()
    integers = np.empty(residues.shape, dtype=np.int32)
    kernels.centre_integers(residues, prime, integers)
    assert (integers == centred).all()
    back = np.empty((1, 1, residues.size), dtype=np.uint32)
    kernels.uncentre(centred.reshape(1, 1, -1), prime, back)
    assert (back.reshape(1, -1) == residues).all()


@pytest.mark.parametrize("prime", PRIMES)
def test_words_are_reduced_exactly(prime):
    generator = np.random.default_rng(1)
    words = generator.integers(0, 2**64, 1000, dtype=np.uint64, endpoint=False)
    multiples = [factor * prime + rest for factor in (1, 2**31, 2**32, (2**64 - 2) // prime) for rest in (-1, 0, 1)]
    words = np.concatenate([words, np.array([*multiples, 0, 2**32 - 1, 2**32, 2**64 - 1], dtype=np.uint64)])
    found = np.empty(words.size, dtype=np.uint32)
    kernels.reduce_words(words, prime, found)
    assert found.tolist() == [int(word) % prime for word in words]


@pytest.mark.parametrize("prime", PRIMES)
@pytest.mark.parametrize("count", [1, 7, 8, 1003])
def test_products_with_a_constant_are_exact(prime, count):
    generator = np.random.default_rng(count)
    values = generator.integers(0, 2**32, count, dtype=np.uint32)
    values[:4] = np.array([2**32 - 1, 0, prime, prime - 1])[:count]
    added = generator.integers(0, prime, count, dtype=np.uint32)
    for factor in (0, 1, prime // 2, prime - 1, 12345 % prime):
        constants = np.uint32(factor), np.uint32((factor << 32) // prime)
        found, total = np.empty_like(values), added.copy()
        kernels.scale(values, *constants, prime, found)
        assert (found == values.astype(object) * factor % prime).all()
        kernels.add_multiple(values, *constants, prime, total)
        assert (total == (added.astype(object) + values.astype(object) * factor) % prime).all()


def test_primes_for_which_quotients_could_be_wrong_are_refused():
    with pytest.raises(ValueError, match="such small primes"):
        kernels.reduce_words(np.zeros(8, dtype=np.uint64), 12277, np.empty(8, dtype=np.uint32))


def test_vectors_are_not_read_across_gaps():
    values = np.zeros((8, 16), dtype=np.uint32)
    with pytest.raises(TypeError, match="contiguous by their type"):
        kernels.scale(values[:, 0], np.uint32(1), np.uint32(0), PRIMES[-1], np.empty(8, dtype=np.uint32))


def test_residues_with_gaps_are_not_centred():
    residues, centred = np.zeros((4, 16), dtype=np.uint32), np.zeros((4, 8))
    with pytest.raises(ValueError, match="not contiguous"):
        kernels.centre(residues[:, ::2], PRIMES[-1], centred)


@pytest.mark.parametrize("prime", [*PRIMES, 114689])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_as_large_as_they_may_be_are_reduced_exactly(prime, sign):
    """The multiple of q that is taken off is exact as well."""
    limit = (1 << 53) - prime // 2 - 1
    sums = np.unique([limit - abs(step) for k in range(4) for step in range(k * prime // 2 - 3, k * prime // 2 + 4)])
    reduced = sign * sums.astype(np.float64)
    kernels.reduce_doubles(reduced, prime)
    assert ((sign * sums - reduced.astype(np.int64)) % prime == 0).all()
    assert np.abs(reduced).max() <= prime // 2 + CENTRE_SLACK
    heaviest = heaviest_column(prime)
    assert heaviest * (prime // 2 + CENTRE_SLACK) <= limit


def test_larger_sums_would_be_reduced_wrongly():
    reduced = np.array([9007199254708063.0])  # 2^53 - 32,929
    kernels.reduce_doubles(reduced, 114689)
    assert int(reduced[0]) % 114689 != 9007199254708063 % 114689


@pytest.mark.parametrize("bits", [1, 8, 17, 24, 25, 31, 32])
def test_words_of_bytes_are_read_modulo_2_to_the_32(bits):
    width, offset = (bits + 7) // 8, (1 << bits - 1) - 1
    content = np.random.default_rng(bits).integers(0, 256, 600 * width, dtype=np.uint8)
    content[: 2 * width] = np.repeat([0, 255], width)
    found = np.empty(600, dtype=np.int32)
    kernels.join_bytes(content, bits, offset, found)
    words = [int.from_bytes(bytes(content[width * i :][:width]), "little") & ((1 << bits) - 1) for i in range(600)]
    assert [(int(value) + offset - word) % 2**32 for value, word in zip(found, words, strict=True)] == [0] * 600
    if bits % 8 == 0:
        written = np.empty_like(content)
        kernels.split_bytes(found, bits, offset, written)
        assert (written == content).all()
