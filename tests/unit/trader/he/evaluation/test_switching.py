"""Key switching gives, residue by residue, what SEAL's evaluator gives."""

import numpy as np
import pytest
from tenseal import sealapi

from trader.he import seal
from trader.he.evaluation.switching import Automorphisms, Refresher
from trader.he.ring.sampling import random_residues
from trader.he.seal import serialization
from trader.he.seal.keys import load_ciphertext
from trader.he.seal.process import saved, scratch_file, with_header

DEGREE = 4096
ROTATIONS = (1, -5, 64)


@pytest.fixture(scope="module", params=[(31, 31, 30, 31), (28, 24, 25, 17), (20, 31, 31, 31)])
def parameters(request):
    """The special prime is the largest, the smallest, and much larger than one of the others."""
    return seal.parameters(DEGREE, request.param)


@pytest.fixture(scope="module")
def keys(parameters):
    """By what they switch from. Of keys that are none, which the arithmetic doesn't mind."""
    secrets = (seal.RELINEARISATION, *((element,) for element in galois_elements()))
    return {secret: random_key(parameters) for secret in secrets}


def galois_elements():
    return (seal.conjugation_element(DEGREE), *(seal.rotation_element(step, DEGREE) for step in ROTATIONS))


def random_key(parameters):
    primes = parameters.all_primes
    draws = [[[random_residues(DEGREE, q) for q in primes] for _ in range(2)] for _ in parameters.primes]
    return np.array(draws, dtype=np.uint32)


def random_ciphertext(parameters, components, level):
    primes = parameters.primes[:level]
    return np.array([[random_residues(DEGREE, q) for q in primes] for _ in range(components)], dtype=np.uint32)


class Reference:
    """SEAL's evaluator, and keys that it has loaded."""

    def __init__(self, parameters, keys):
        self.parameters, self.evaluator = parameters, sealapi.Evaluator(parameters.context)
        self.relinearisation, self.galois = sealapi.RelinKeys(), sealapi.GaloisKeys()
        self._load(self.relinearisation, 1, {0: keys[seal.RELINEARISATION]})
        self._load(self.galois, DEGREE, {(element - 1) // 2: keys[(element,)] for element in galois_elements()})

    def _load(self, target, places, keys):
        identifier = self.parameters.context.key_parms_id()
        pieces = [serialization.KEYS.pack(*identifier, places)]
        for place in range(places):
            found = keys.get(place, ())
            pieces.append(serialization.COUNT.pack(len(found)))
            for key in found:
                pieces += serialization.serialize(identifier, key, 1.0)
        with scratch_file(*with_header(*pieces)) as path:
            target.load(self.parameters.context, path)

    def apply(self, residues, *operations, scale=1.0):
        ciphertext = load_ciphertext(self.parameters, residues, scale)
        for name, *arguments in operations:
            getattr(self.evaluator, name)(ciphertext, *arguments)
        return serialization.read_residues(saved(ciphertext))


@pytest.fixture(scope="module")
def reference(parameters, keys):
    return Reference(parameters, keys)


@pytest.fixture(scope="module")
def automorphisms(parameters, keys):
    return Automorphisms(parameters, keys)


@pytest.mark.parametrize("level", [3, 2, 1])
def test_conjugates_as_seal_does(parameters, automorphisms, reference, level):
    ciphertext = random_ciphertext(parameters, 2, level)
    expected = reference.apply(ciphertext, ("complex_conjugate_inplace", reference.galois))
    np.testing.assert_array_equal(automorphisms.conjugate(ciphertext), expected)


@pytest.mark.parametrize("turns", [(1,), (-5,), (64, 1)])
def test_rotates_as_seal_does(parameters, automorphisms, reference, turns):
    ciphertext = random_ciphertext(parameters, 2, 3)
    rotations = automorphisms.rotations(ciphertext, turns)
    for times in range(3):
        operations = [("rotate_vector_inplace", turn, reference.galois) for turn in turns] * times
        np.testing.assert_array_equal(next(rotations), reference.apply(ciphertext, *operations))


def test_sums_of_rotations_are_seal_s(parameters, automorphisms, reference):
    def rotated(residues, *turns):
        return reference.apply(residues, *[("rotate_vector_inplace", turn, reference.galois) for turn in turns])

    def total(left, right):
        moduli = np.array(parameters.primes, dtype=np.uint64)[:, np.newaxis]
        return ((left.astype(np.uint64) + right) % moduli).astype(np.uint32)

    parts = np.stack([random_ciphertext(parameters, 2, 3) for _ in range(3)])
    given = parts.copy()
    expected = total(parts[0], rotated(total(parts[1], rotated(parts[2], 64, 1)), 64, 1))
    for fold in [(1,), (-5, 64)]:
        expected = total(expected, rotated(expected, *fold))
    np.testing.assert_array_equal(automorphisms.rotated_sum(parts, (64, 1), [(1,), (-5, 64)]), expected)
    np.testing.assert_array_equal(parts, given)


@pytest.mark.parametrize(("components", "level", "dropped"), [(3, 3, 0), (3, 3, 1), (3, 3, 2), (2, 3, 1), (3, 2, 1)])
def test_refreshes_as_seal_does(parameters, keys, reference, components, level, dropped):
    ciphertext = random_ciphertext(parameters, components, level)
    # SEAL keeps a scale of its own, which must stay within the modulus.
    scale = float(np.prod([float(prime) for prime in parameters.primes[level - dropped : level]]))
    operations = [("relinearize_inplace", reference.relinearisation)] * (components - 2)
    operations += [("rescale_to_next_inplace",)] * dropped
    expected = reference.apply(ciphertext, *operations, scale=scale)
    given = ciphertext.copy()
    np.testing.assert_array_equal(
        Refresher(parameters, keys[seal.RELINEARISATION]).refresh(ciphertext, dropped), expected
    )
    np.testing.assert_array_equal(ciphertext, given)


def test_largest_residues_are_switched_as_seal_does(parameters, keys):
    """q - 1 everywhere, in ciphertext and key."""
    row = np.repeat(np.array(parameters.all_primes, dtype=np.uint32)[:, np.newaxis] - np.uint32(1), DEGREE, axis=1)
    largest = np.broadcast_to(row, (len(parameters.primes), 2, *row.shape)).copy()
    given = dict.fromkeys(keys, largest)
    ciphertext = np.stack([row[:-1], row[:-1]])
    reference = Reference(parameters, given)
    expected = reference.apply(ciphertext, ("rotate_vector_inplace", 64, reference.galois))
    rotations = Automorphisms(parameters, given).rotations(ciphertext, (64,))
    next(rotations)
    np.testing.assert_array_equal(next(rotations), expected)
