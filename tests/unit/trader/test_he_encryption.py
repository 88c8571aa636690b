import os

import numpy as np
import pytest
from tenseal import sealapi

from trader.he import seal
from trader.he.encryption import PublicKey, public_mask, subtract_masks, to_residues, write_public_key
from trader.he.ring import prime_tables
from trader.he.sampling import BLOCK, ERROR_DEVIATION, Position, SecretSampler, UniformExpander, expand_uniform

DEGREE = 2048
PRIME_INDICES = range(2)


@pytest.fixture(scope="module")
def parameters():
    return seal.parameters(DEGREE, (27, 26, 14))


@pytest.fixture(scope="module")
def key(parameters):
    return seal.SecretKey(parameters)


def _phase(parameters, key, ciphertext):
    """c0 + c1·s in centred coefficients modulo the first prime."""
    prime = parameters.primes[0]
    product = ciphertext[1, 0].astype(np.uint64) * key.residues[0] + ciphertext[0, 0]
    values = (product % prime).astype(np.uint32)
    prime_tables(DEGREE, prime).inverse(values)
    return np.where(values > prime // 2, values.astype(np.int64) - prime, values.astype(np.int64))


def _public_key(parameters, key):
    seed = os.urandom(32)
    first = np.empty((len(parameters.primes), DEGREE), dtype=np.uint32)
    write_public_key(parameters, key.residues, seed, first)
    return PublicKey(first, public_mask(parameters, seed))


def test_seal_decrypts_what_we_encrypt(parameters, key):
    seed = os.urandom(32)
    message = np.zeros((1, DEGREE), dtype=np.int64)
    message[0, 0] = 3 << 20
    noisy = message + SecretSampler().errors(message.shape)
    ciphertext = np.empty((2, 2, DEGREE), dtype=np.uint32)
    for index in PRIME_INDICES:
        row = ciphertext[0, index : index + 1]
        to_residues(noisy, DEGREE, parameters.primes[index], row)
        for block in range(DEGREE // BLOCK):
            position = Position(0, index, block)
            subtract_masks(row, key.residues[index], UniformExpander(seed, 1), position, parameters.primes[index])
            columns = slice(block * BLOCK, (block + 1) * BLOCK)
            ciphertext[1, index, columns] = expand_uniform(seed, position, parameters.primes[index], 1)
    assert np.allclose(key.decrypt(ciphertext, 2.0**20), 3, atol=1e-3)


def test_secret_keys_are_seals_and_ternary(parameters, key):
    values = key.residues[0].copy()
    prime = parameters.primes[0]
    prime_tables(DEGREE, prime).inverse(values)
    assert set(values.tolist()) == {0, 1, prime - 1}
    assert min(np.count_nonzero(values == digit) for digit in (0, 1, prime - 1)) > DEGREE // 4


def test_keys_are_fresh(parameters, key):
    assert (seal.SecretKey(parameters).residues != key.residues).any()


def test_public_key_encrypts_zero_with_small_noise(parameters, key):
    public = _public_key(parameters, key)
    errors = np.stack([_phase(parameters, key, public.encrypt_zero(parameters, SecretSampler())) for _ in range(8)])
    predicted = ERROR_DEVIATION * (4 / 3 * DEGREE + 1) ** 0.5
    assert 0.8 * predicted < errors.std() < 1.2 * predicted


def test_encryptions_of_zero_differ_in_every_component(parameters, key):
    public = _public_key(parameters, key)
    first, second = (public.encrypt_zero(parameters, SecretSampler()) for _ in range(2))
    assert (first != second).mean(axis=(1, 2)).min() > 0.99


def test_seal_encrypts_what_our_key_arithmetic_opens(parameters, key):
    """The residues that we read from SEAL's key are the key: c0 + c1·s of SEAL's own ciphertext is small."""
    generator = sealapi.KeyGenerator(parameters.context)
    secret = generator.secret_key()
    zero = sealapi.Ciphertext()
    sealapi.Encryptor(parameters.context, secret).encrypt_zero_symmetric(zero)
    stored = np.array(
        [
            [[zero.dyn_array().at((c * 2 + p) * DEGREE + t) for t in range(DEGREE)] for p in PRIME_INDICES]
            for c in range(2)
        ],
        dtype=np.uint32,
    )

    class _Key:
        residues = np.array(
            [[secret.data().dyn_array().at(p * DEGREE + t) for t in range(DEGREE)] for p in PRIME_INDICES],
            dtype=np.uint32,
        )

    noise = _phase(parameters, _Key, stored)
    assert 0.8 * ERROR_DEVIATION < noise.std() < 1.2 * ERROR_DEVIATION


def test_errors_have_the_deviation_of_seals(parameters):
    errors = SecretSampler().errors((64, DEGREE))
    assert abs(errors.mean()) < 0.1
    assert abs(errors.std() - ERROR_DEVIATION) < 0.05
    assert np.abs(errors).max() <= 21


def test_expansion_is_uniform_deterministic_and_positioned():
    prime = 40961  # a third of the words of its length are rejected
    blocks = [
        expand_uniform(b"s" * 32, Position(*place), prime, 40) for place in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    ]
    assert (blocks[0] == expand_uniform(b"s" * 32, Position(0, 0, 0), prime, 40)).all()
    for other in blocks[1:]:
        assert (blocks[0] != other).mean() > 0.99
    values = np.concatenate(blocks).astype(np.float64)
    assert values.max() < prime
    assert abs(values.mean() / prime - 0.5) < 0.01
    histogram = np.histogram(values, bins=16, range=(0, prime))[0]
    assert np.ptp(histogram) < 0.1 * histogram.mean()


def test_a_shorter_expansion_is_a_prefix():
    long, short = (expand_uniform(b"s" * 32, Position(0, 0, 0), 12289, rows) for rows in (9, 2))
    assert (long[:2] == short).all()
