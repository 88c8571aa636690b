import numpy as np
import pytest
from tenseal import sealapi

from trader.he import seal
from trader.he.encoding import coefficients
from trader.he.ring import prime_tables

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


@pytest.mark.parametrize("count", [1, 3, 512])
def test_slots_that_are_not_given_hold_zero(count):
    polynomial = coefficients(np.ones((1, count)), 1024)[0]
    powers = np.array([pow(3, j, 2048) for j in range(512)])
    slots = np.exp(1j * np.pi * powers[:, np.newaxis] * np.arange(1024) / 1024) @ polynomial
    assert np.allclose(slots[:count], 1)
    assert np.allclose(slots[count:], 0)
