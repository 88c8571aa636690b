import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.he.ring.residues import multiply_values, multiply_weights, prepare_weights

PRIMES = [12289, (1 << 28) - 57, 2147352577]


def _centred(generator, shape, prime):
    return generator.integers(-(prime // 2), prime // 2, shape, endpoint=True).astype(np.float64)


def _modular(values, prime):
    return values.astype(np.int64) % prime


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 300),
    outputs=st.integers(1, 9),
    bits=st.integers(1, 24),
    prime=st.sampled_from(PRIMES),
)
def test_products_with_weights_are_exact(seed, inputs, outputs, bits, prime):
    generator = np.random.default_rng(seed)
    weights = generator.integers(-(2**bits) + 1, 2**bits, (inputs, outputs)).astype(np.int32)
    values = _centred(generator, (inputs, 2, 5), prime)
    expected = np.einsum("ab,act->bct", weights.astype(object), values.astype(np.int64).astype(object)) % prime
    product = multiply_weights(prepare_weights(weights, prime), values, prime)
    assert (_modular(product, prime) == expected).all()


def test_extreme_weights_and_residues_are_exact():
    prime, inputs = PRIMES[-1], 4096
    weights = np.full((inputs, 1), 2**24 - 1, dtype=np.int32)
    values = np.full((inputs, 1, 3), prime // 2, dtype=np.float64)
    prepared = prepare_weights(weights, prime)
    assert prepared.limbs.shape[0] > 1
    expected = inputs * (2**24 - 1) * (prime // 2) % prime
    assert (_modular(multiply_weights(prepared, values, prime), prime) == expected).all()


def test_one_product_without_limbs_would_be_wrong():
    prime, inputs = PRIMES[-1], 4096
    weights = np.full((inputs, 1), 2**24 - 1, dtype=np.float64)
    values = np.full((inputs, 1), prime // 2 - 1, dtype=np.float64)
    assert int((weights.T @ values)[0, 0]) != inputs * (2**24 - 1) * (prime // 2 - 1)


def test_ordinary_weights_need_a_single_product():
    weights = np.random.default_rng(0).integers(-900, 900, (784, 64)).astype(np.int32)
    assert prepare_weights(weights, PRIMES[-1]).limbs.shape == (64, 784)


def test_zero_weights_give_zero():
    values = _centred(np.random.default_rng(0), (4, 2, 5), PRIMES[0])
    product = multiply_weights(prepare_weights(np.zeros((4, 3), dtype=np.int32), PRIMES[0]), values, PRIMES[0])
    assert not product.any()


@pytest.mark.parametrize("prime", PRIMES)
@pytest.mark.parametrize(("left", "right"), [(2, 2), (3, 2), (3, 3)])
def test_products_of_ciphertexts_convolve_components(prime, left, right):
    generator = np.random.default_rng(left * right)
    x, y = _centred(generator, (6, left, 7), prime), _centred(generator, (6, right, 7), prime)
    expected = np.zeros((6, left + right - 1, 7), dtype=object)
    for i in range(left):
        for j in range(right):
            expected[:, i + j] += x[:, i].astype(np.int64).astype(object) * y[:, j].astype(np.int64).astype(object)
    product = multiply_values(x, y, prime)
    assert (_modular(product, prime) == expected % prime).all()
    assert np.abs(product).max() <= prime / 2 + 1
