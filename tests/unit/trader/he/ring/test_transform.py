import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from tenseal import sealapi

from trader.he import seal
from trader.he.planning.propagation import fresh_noise, switching_noise
from trader.he.ring.embedding import embed, embedding_tables
from trader.he.ring.encoding import coefficients, encode
from trader.he.ring.transform import bit_reversal, prime_tables

DEGREES = {1024: (27, 14), 4096: (31, 30, 16), 8192: (31, 28, 25, 17), 32768: (31, 29, 17)}


@pytest.fixture(params=DEGREES)
def parameters(request):
    return seal.parameters(request.param, DEGREES[request.param])


def _seal_encoding(parameters, slots, scale):
    """Residues in NTT form [primes, N] as SEAL makes them."""
    plaintext = sealapi.Plaintext()
    encoder = sealapi.CKKSEncoder(parameters.context)
    encoder.encode(slots.tolist(), parameters.context.first_parms_id(), scale, plaintext)
    count = len(parameters.primes) * parameters.degree
    values = np.fromiter(map(plaintext.dyn_array().at, range(count)), dtype=np.uint32, count=count)
    return values.reshape(len(parameters.primes), parameters.degree)


def test_encoding_and_transform_agree_with_seal(parameters):
    slots = np.random.default_rng(0).normal(size=parameters.degree // 2)
    polynomial = coefficients(slots[np.newaxis], parameters.degree)[0] * 2.0**20
    for prime, expected in zip(parameters.primes, _seal_encoding(parameters, slots, 2.0**20), strict=True):
        values = expected.copy()
        prime_tables(parameters.degree, prime).inverse(values)
        centred = np.where(values > prime // 2, values.astype(np.int64) - prime, values.astype(np.int64))
        assert np.abs(centred - polynomial).max() <= 0.5 + 1e-6


def test_transform_is_inverted(parameters):
    generator = np.random.default_rng(1)
    for prime in parameters.primes:
        values = generator.integers(0, prime, parameters.degree, dtype=np.uint32)
        transformed = values.copy()
        tables = prime_tables(parameters.degree, prime)
        tables.forward(transformed)
        assert (transformed != values).any()
        tables.inverse(transformed)
        assert (transformed == values).all()


def test_transform_turns_products_into_products():
    degree, prime = 1024, seal.parameters(1024, (27, 14)).primes[0]
    tables = prime_tables(degree, prime)
    shifted, monomial = np.zeros((2, degree), dtype=np.uint32)
    shifted[degree - 1] = 5
    monomial[2] = 7
    tables.forward(shifted)
    tables.forward(monomial)
    product = (shifted.astype(np.uint64) * monomial % prime).astype(np.uint32)
    tables.inverse(product)
    expected = np.zeros(degree, dtype=np.uint32)
    expected[1] = prime - 35  # X^(N-1) · X^2 = -X
    assert (product == expected).all()


@pytest.mark.parametrize("prime", seal.parameters(4096, (31, 30, 16)).all_primes)
@pytest.mark.parametrize("degree", [16, 32, 64, 512])
def test_transform_is_the_value_at_each_root(degree, prime):
    """By the definition, from the smallest ring, which has the short stages alone; values at both ends of the range."""
    tables = prime_tables(degree, prime)
    values = np.random.default_rng(6).integers(0, prime, degree, dtype=np.uint32)
    values[:4] = prime - 1
    values[4:8] = 0
    root = int(tables.roots[bit_reversal(degree)[1]])
    expected = [
        sum(int(value) * pow(root, (2 * place + 1) * power, prime) for power, value in enumerate(values)) % prime
        for place in bit_reversal(degree).tolist()
    ]
    transformed = values.copy()
    tables.forward(transformed)
    assert transformed.tolist() == expected
    tables.inverse(transformed)
    assert (transformed == values).all()


@pytest.mark.parametrize("count", [1, 3, 512])
def test_slots_that_are_not_given_hold_zero(count):
    polynomial = coefficients(np.ones((1, count)), 1024)[0]
    powers = np.array([pow(3, j, 2048) for j in range(512)])
    slots = np.exp(1j * np.pi * powers[:, np.newaxis] * np.arange(1024) / 1024) @ polynomial
    assert np.allclose(slots[:count], 1)
    assert np.allclose(slots[count:], 0)


def _decoded(residues, primes, slot):
    """A slot of a polynomial in NTT form, by the Chinese remainder theorem and a sum in extended precision."""
    degree, modulus = residues.shape[1], math.prod(primes)
    polynomial = [0] * degree
    for prime, values in zip(primes, residues.copy(), strict=True):
        prime_tables(degree, prime).inverse(values)
        others = modulus // prime
        factor = others * pow(others, -1, prime)
        polynomial = [total + int(value) * factor for total, value in zip(polynomial, values, strict=True)]
    centred = [np.longdouble(str((value + modulus // 2) % modulus - modulus // 2)) for value in polynomial]
    exponents = pow(3, slot, 2 * degree) * np.arange(degree) % (2 * degree)
    return np.dot(centred, np.cos(np.longdouble("3.14159265358979323846264338327950288") * exponents / degree))


@pytest.mark.parametrize("bits", [20, 50, 51, 61, 66, 68])
def test_errors_of_encoding_stay_below_those_of_encryption(bits):
    """Doubles alone, of 53 bits, would be wrong by 2^15 at the largest scale."""
    degree, primes = 1024, seal.parameters(1024, (31, 31, 31, 31, 20)).primes
    slots = np.random.default_rng(4).integers(-(2**13), 2**13, degree // 2) / 2.0**13
    residues = encode(slots, 2.0**bits, degree, primes)
    errors = [abs(_decoded(residues, primes, j) - np.longdouble(slots[j]) * 2.0**bits) for j in (0, 1, 100, 511)]
    assert max(errors) < 3 * fresh_noise(degree)


def test_errors_of_encoding_for_packed_plans_stay_below_those_of_rotations():
    degree, primes = 1024, seal.parameters(1024, (31, 31, 31, 31, 20)).primes
    slots = np.random.default_rng(5).integers(-(2**13), 2**13, degree // 2) / 2.0**13
    residues = encode(slots, 2.0**70, degree, primes)
    error = max(abs(_decoded(residues, primes, j) - np.longdouble(slots[j]) * 2.0**70) for j in (0, 1, 100, 511))
    assert error < switching_noise(degree, len(primes)) / 8


@pytest.mark.parametrize("degree", [1024, 2048])
def test_the_embedding_has_a_hundred_bits(degree):
    """One slot after the other: ζ^-et·v/n and its conjugate's, by the decimals of ζ."""
    bits, length = 88, degree // 2
    limbs = np.empty((2, degree))
    for slot, value in [(0, 1), (1, 1j), (7, 1 - 1j), (length - 1, 0.375 + 1j)]:
        slots = np.zeros(length, dtype=np.complex128)
        slots[slot] = value
        embed(slots, 2.0**bits, 40, embedding_tables(degree), limbs)
        found = [int(low) + (int(high) << 40) for low, high in limbs.T]
        exponent = pow(3, slot, 2 * degree)
        sign = 1 if exponent % 4 == 1 else -1  # of imaginary parts, whose slots are i or -i
        for t in [0, 1, 2, 100, length, degree - 1]:
            cosine, sine = _turn(exponent * t % (2 * degree), degree)
            expected = (cosine * Decimal(value.real) + sine * sign * Decimal(value.imag)) * 2**bits / length
            assert abs(found[t] - expected) < Decimal("0.51")


def _turn(count, degree):
    """(cos, sin) of count/degree times π, 50 digits, by their series."""
    with localcontext(prec=60):
        angle = Decimal("3.14159265358979323846264338327950288419716939937511") * count / degree
        sums, term, power = [Decimal(0), Decimal(0)], Decimal(1), 0
        while abs(term) > Decimal(10) ** -50:
            sums[power % 2] += -term if power % 4 > 1 else term
            power += 1
            term *= angle / power
        return sums


def test_the_embedding_of_many_values_agrees_with_extended_precision():
    degree = 1024
    generator = np.random.default_rng(8)
    slots = generator.normal(size=degree // 2) + 1j * generator.normal(size=degree // 2)
    limbs = np.empty((2, degree))
    embed(slots, 2.0**60, 40, embedding_tables(degree), limbs)
    exponents = np.array([pow(3, j, 2 * degree) for j in range(degree // 2)])
    values = np.where(exponents % 4 == 1, slots, slots.conj()).astype(np.clongdouble)
    pi = np.longdouble("3.14159265358979323846264338327950288")
    for t in (0, 1, 3, 511, 512, 1023):
        turns = np.exp(-1j * (pi * (exponents * t % (2 * degree)) / degree))
        expected = (turns * values).real.sum() * np.longdouble(2.0**60) / (degree // 2)
        assert abs(limbs[0, t] + np.longdouble(limbs[1, t]) * 2**40 - expected) < 2


def _spoilt():
    """Arrays that are no polynomial of 64 residues, and what is said of them."""
    words = np.arange(64, dtype=np.uint32)
    yield np.frombuffer(words.tobytes(), np.uint32), TypeError, "read-only"
    yield words.astype(np.uint64), TypeError, "elements are i64, not i32"
    yield words.astype(np.float64), TypeError, "elements are double, not i32"
    yield words.astype(np.uint8), TypeError, "elements are i8, not i32"
    yield np.arange(128, dtype=np.uint32)[::2], TypeError, "contiguous by their type"
    yield from ((words[:count].copy(), ValueError, "a power of two of coefficients") for count in (0, 1, 8, 24, 40, 63))
    yield np.arange(128, dtype=np.uint32), ValueError, "another ring degree"
    yield words[:32].copy(), ValueError, "another ring degree"


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(("values", "error", "text"), list(_spoilt()))
def test_what_is_no_polynomial_is_refused_and_left_alone(direction, values, error, text):
    """It would be read and written beyond its end, or where nothing may be written."""
    tables, before = prime_tables(64, 12289), values.copy()
    if not values.flags.writeable and direction == "inverse":
        error, text = Exception, "(?i)read-?only"  # Numba's own refusal
    with pytest.raises(error, match=text):
        getattr(tables, direction)(values)
    assert (values == before).all()


@pytest.mark.parametrize("offset", [1, 2, 3, 4, 12])
def test_polynomials_may_begin_at_any_byte(offset):
    tables = prime_tables(64, 12289)
    surrounding = np.full(4 * 64 + 32, 0xA5, dtype=np.uint8)
    values = surrounding[offset : offset + 4 * 64].view(np.uint32)
    values[:] = np.arange(64)
    expected = values.copy()
    tables.forward(values)
    tables.forward(expected)
    assert (values == expected).all()
    tables.inverse(values)
    assert (values == np.arange(64)).all()
    assert (surrounding[:offset] == 0xA5).all()
    assert (surrounding[offset + 4 * 64 :] == 0xA5).all()
