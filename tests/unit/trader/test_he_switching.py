import os

import numpy as np
import pytest

from trader.he import seal
from trader.he.encoding import coefficients, round_to_integers
from trader.he.encryption import PublicKey, public_mask, to_residues, write_public_key
from trader.he.sampling import SecretSampler
from trader.he.switching import (
    Switcher,
    expand_switching_key,
    rotated,
    square_of,
    write_switching_key,
)

DEGREE = 2048
SCALE = 2.0**30


@pytest.fixture(scope="module")
def parameters():
    return seal.parameters(DEGREE, (31, 30, 29, 31))


@pytest.fixture(scope="module")
def key(parameters):
    return seal.SecretKey(parameters)


@pytest.fixture(scope="module")
def public(parameters, key):
    seed = os.urandom(32)
    first = np.empty((len(parameters.primes), DEGREE), dtype=np.uint32)
    write_public_key(parameters, key.residues, seed, first)
    return PublicKey(first, public_mask(parameters, seed))


def _encrypt(parameters, public, slots):
    ciphertext = public.encrypt_zero(parameters, SecretSampler())
    message = round_to_integers(coefficients(slots[np.newaxis], DEGREE) * SCALE)
    encoded = np.empty((1, DEGREE), dtype=np.uint32)
    for index, prime in enumerate(parameters.primes):
        to_residues(message, DEGREE, prime, encoded)
        ciphertext[0, index] = (ciphertext[0, index].astype(np.uint64) + encoded[0]) % prime
    return ciphertext


def _switching_key(parameters, key, target):
    seed = os.urandom(32)
    count = len(parameters.primes)
    first = np.zeros((count, count + 1, DEGREE), dtype=np.uint32)
    write_switching_key(parameters, key.residues, target, seed, 3, first)
    return expand_switching_key(parameters, seed, 3, first)


def _multiply(parameters, left, right):
    product = np.zeros((3, *left.shape[1:]), dtype=object)
    for i in range(2):
        for j in range(2):
            product[i + j] += left[i].astype(object) * right[j]
    primes = np.array(parameters.primes[: left.shape[1]], dtype=object)[:, np.newaxis]
    return (product % primes).astype(np.uint32)


def test_seal_decrypts_relinearised_products(parameters, key, public):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, DEGREE // 2))
    product = _multiply(parameters, _encrypt(parameters, public, x), _encrypt(parameters, public, y))
    switcher = Switcher(parameters)
    relinearised = switcher.relinearise(product, _switching_key(parameters, key, square_of(parameters, key.residues)))
    assert relinearised.shape[0] == 2
    assert np.abs(key.decrypt(relinearised, SCALE**2) - x * y).max() < 1e-4


@pytest.mark.parametrize("steps", [1, 7, 512, -1])
def test_rotation_moves_slots(parameters, key, public, steps):
    slots = np.random.default_rng(1).normal(size=DEGREE // 2)
    image = rotated(key.residues[: len(parameters.primes)], steps)
    turned = Switcher(parameters).rotate(
        _encrypt(parameters, public, slots), steps, _switching_key(parameters, key, image)
    )
    assert np.abs(key.decrypt(turned, SCALE) - np.roll(slots, -steps)).max() < 1e-4


def test_a_key_for_other_steps_gives_noise(parameters, key, public):
    slots = np.random.default_rng(1).normal(size=DEGREE // 2)
    wrong = _switching_key(parameters, key, rotated(key.residues[: len(parameters.primes)], 2))
    turned = Switcher(parameters).rotate(_encrypt(parameters, public, slots), 1, wrong)
    assert np.abs(key.decrypt(turned, SCALE)).max() > 1e6


def test_rescaling_divides_by_the_last_primes(parameters, key, public):
    slots = np.random.default_rng(2).normal(size=DEGREE // 2)
    ciphertext = _encrypt(parameters, public, slots * 2**20)
    rescaled = Switcher(parameters).rescale(ciphertext, 1)
    assert rescaled.shape == (2, 2, DEGREE)
    scale = SCALE * 2**20 / parameters.primes[2]
    assert np.abs(key.decrypt(rescaled, scale) - slots).max() < 16 * DEGREE / 6 / scale
