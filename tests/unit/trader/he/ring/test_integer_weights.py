"""Products in 16-bit integers are those in doubles and in Python's integers, also at the edges of what fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding.targets import FeatureMap

from trader.he.ring import integer_weights
from trader.he.ring.arithmetic import CPU
from trader.he.ring.integer_weights import LARGEST_SUM, LARGEST_WEIGHT, OUTPUTS, IntegerWeights
from trader.he.ring.residues import ExactWeights, multiply_weights, prepare_weights

PRIMES = [12289, 114689, (1 << 28) - 57, 2147352577]

pytestmark = pytest.mark.skipif(not integer_weights.available(), reason="the processor has no AVX2")


@pytest.fixture
def asked_anew():
    """Numba is asked again in this test, and in the next ones."""
    integer_weights.available.cache_clear()
    yield
    integer_weights.available.cache_clear()


def _expected(weights, values, prime):
    """Σ_a W[a, b]·x_a modulo the prime, in integers of any size."""
    return np.einsum("ab,...act->...bct", weights.astype(object), values.astype(np.int64).astype(object)) % prime


def _prepared(weights, prime):
    prepared = IntegerWeights.of(weights, prime)
    assert prepared is not None
    return prepared


def _check(weights, values, prime):
    product = _prepared(weights, prime).multiply(values, prime)
    assert product.dtype == np.float64
    assert (product.astype(np.int64) % prime == _expected(weights, values, prime)).all()
    assert np.abs(product).max() <= prime // 2 + 1


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 300),
    outputs=st.integers(OUTPUTS, 21),
    bits=st.integers(1, 15),
    shape=st.sampled_from([(1, 1), (2, 5), (2, 64), (4, 33)]),
    positions=st.integers(1, 3),
    kind=st.sampled_from([np.float64, np.int32]),
    prime=st.sampled_from(PRIMES),
)
def test_products_are_exact(seed, inputs, outputs, bits, shape, positions, kind, prime):
    generator = np.random.default_rng(seed)
    weights = generator.integers(-(2**bits) + 1, 2**bits, (inputs, outputs)).astype(np.int32)
    values = generator.integers(-(prime // 2), prime // 2, (positions, inputs, *shape), endpoint=True).astype(kind)
    prepared = CPU.prepare_weights(weights, prime)
    product = CPU.multiply_weights(prepared, values, prime)
    assert (product.astype(np.int64) % prime == _expected(weights, values, prime)).all()
    doubles = multiply_weights(prepare_weights(weights, prime), values.astype(np.float64), prime)
    assert (product == doubles).all()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("residue", ["largest", "smallest", "largest low limb", "smallest low limb"])
@pytest.mark.parametrize("weight", [1, 2, 1023, 1024])
def test_sums_reach_their_limits_exactly(sign, residue, weight):
    """Chunks whose weights add up to as much as they may, times limbs that are as large as they can be."""
    prime = PRIMES[-1]
    limits = {
        "largest": prime // 2,
        "smallest": -(prime // 2),
        "largest low limb": (1 << 15) - 1,
        "smallest low limb": -(1 << 15),
    }
    inputs = 2 * (LARGEST_SUM // weight)
    weights = np.full((inputs, 8), sign * weight, dtype=np.int32)
    weights[0, 0] = sign * (LARGEST_SUM - weight * (LARGEST_SUM // weight) + weight)
    values = np.full((inputs, 1, 8), limits[residue], dtype=np.int32)
    prepared = _prepared(weights, prime)
    magnitudes = np.abs(weights.astype(np.int64))
    sums = [
        magnitudes[2 * a : 2 * b].sum(axis=0).max() for a, b in zip(prepared.chunks, prepared.chunks[1:], strict=False)
    ]
    assert max(sums) <= LARGEST_SUM
    assert max(sums) > LARGEST_SUM - 2 * weight
    _check(weights, values, prime)


def test_a_chunk_of_more_would_be_wrong(monkeypatch):
    prime, weights = PRIMES[-1], np.full((64, 4), 2048, dtype=np.int32)
    values = np.full((64, 1, 8), -(1 << 15), dtype=np.int32)
    monkeypatch.setattr(integer_weights, "LARGEST_SUM", 2 * LARGEST_SUM + 2)
    product = _prepared(weights, prime).multiply(values, prime)
    assert (product.astype(np.int64) % prime != _expected(weights, values, prime)).all()


def test_the_largest_weights_and_residues_side_by_side():
    prime = PRIMES[-1]
    weights = np.zeros((48, 4), dtype=np.int32)
    weights[:2] = [[-LARGEST_WEIGHT] * 4, [LARGEST_WEIGHT] * 4]
    for first in (-(1 << 15), (1 << 15) - 1, prime // 2, -(prime // 2)):
        for second in (-(1 << 15), (1 << 15) - 1, prime // 2, -(prime // 2)):
            values = np.zeros((48, 1, 8), dtype=np.int32)
            values[:2, 0] = [[first], [second]]
            _check(weights, values, prime)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.full((4, 4), LARGEST_WEIGHT + 1), "beyond 16 bits"),
        (np.full((4, 4), -LARGEST_WEIGHT - 1), "whose products with -2^15, two of them, are beyond 32 bits"),
        (np.full((16384, 4), 1024), "whose sums are beyond 53 bits"),
        (np.full((64, 4), LARGEST_WEIGHT), "of which two are a chunk"),
        (np.ones((64, OUTPUTS - 1)), "for fewer outputs than are computed at a time"),
        (np.ones((7, 8)), "for few inputs"),
        (np.ones((31, 5)), "for few inputs, with three of eight outputs for nothing"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else None,
)
def test_other_weights_are_taken_in_doubles(weights, reason):
    assert IntegerWeights.of(weights.astype(np.int32), PRIMES[-1]) is None, reason
    assert isinstance(CPU.prepare_weights(weights.astype(np.int32), PRIMES[-1]), ExactWeights)


@pytest.mark.parametrize(
    ("setting", "value"), [("CPU_NAME", "generic"), ("CPU_FEATURES", "+sse2"), ("ENABLE_AVX", False)]
)
def test_kernels_for_another_processor_are_not_asked_for(asked_anew, monkeypatch, setting, value):
    monkeypatch.setattr(integer_weights.config, setting, value)
    assert not integer_weights.available()
    assert IntegerWeights.of(np.ones((64, 8), dtype=np.int32), PRIMES[-1]) is None


def test_a_processor_without_the_instructions(asked_anew, monkeypatch):
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: FeatureMap({"sse2": True}))
    assert not integer_weights.available()
