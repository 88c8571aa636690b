"""Key switching by digits of several primes, and tests under plans that have them."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from trader.he import ClientSession, PlanningProblem, evaluate, plan_encryption, seal
from trader.he.evaluation.switching import Automorphisms, Refresher
from trader.he.planning import search
from trader.he.ring.conversion import conversion, join_values, split_values
from trader.he.ring.transform import prime_tables, transform
from trader.model import evaluate_values, measured_bounds
from trader.rehearsal.networks import random_network

DEGREE, SIZES, SPECIAL = 1024, (31, 31, 30, 29, 31, 31), 2


def centred(residues, primes):
    """Integers of residues [primes, n]."""
    product = math.prod(primes)
    found = []
    for column in residues.T.astype(object):
        total = (
            sum(int(x) * (product // q) * pow(product // q, -1, q) for x, q in zip(column, primes, strict=True))
            % product
        )
        found.append(total - product if total > product // 2 else total)
    return found


def coefficients(form, primes):
    rows = form.copy()
    for row, prime in zip(rows, primes, strict=True):
        prime_tables(DEGREE, prime).inverse(row)
    return rows


@pytest.mark.parametrize("count", [1, 2, 4])
def test_residues_modulo_other_primes_are_of_the_number_nearest_to_zero(count):
    primes = seal.parameters(DEGREE, (31, 31, 30, 29, 28, 31)).all_primes
    basis, targets = primes[:count], primes[count:]
    half = math.prod(basis) // 2
    edge, draw = half - (half >> 40), random.Random(count)
    numbers = [0, 1, -1, edge, -edge, *(draw.randint(-edge, edge) for _ in range(200))]
    residues = np.array([[x % q for x in numbers] for q in basis], dtype=np.uint32)
    tables = conversion(basis, targets)
    parts = np.empty((len(residues) + 1, len(numbers)), dtype=np.uint32)
    split_values(residues, tables, parts)
    for place, target in enumerate(targets):
        result = np.empty(len(numbers), dtype=np.uint32)
        join_values(parts, tables, place, result)
        assert result.tolist() == [x % target for x in numbers]


@pytest.fixture(scope="module")
def ring():
    return seal.parameters(DEGREE, SIZES, SPECIAL)


def test_digits_are_no_larger_than_the_special_primes_together(ring):
    assert len(ring.primes) == 4
    assert ring.digits == (range(2), range(2, 4))
    for places in ring.digits:
        assert math.prod(ring.primes[place] for place in places) <= ring.special_prime
    assert seal.digit_places((31, 31, 31), (31,)) == (range(1), range(1, 2), range(2, 3))
    assert seal.digit_places((25,) * 5, (31, 31, 31)) == (range(3), range(3, 5))


@pytest.mark.parametrize("level", [4, 3, 2, 1])
def test_a_switched_ciphertext_says_what_it_said_but_for_little_noise(ring, level):
    """At every level, for relinearisation and for a rotation, of random polynomials."""
    secret = seal.SecretKey(ring)
    element = seal.rotation_element(3, DEGREE)
    relinearisation, rotation = (
        np.stack([digit.expand(ring.all_primes) for digit in key])
        for key in secret.switching_keys([seal.RELINEARISATION, (element,)])
    )
    primes = ring.primes[:level]
    rng = np.random.default_rng(level)
    ciphertext = np.stack([[rng.integers(0, q, DEGREE, dtype=np.uint32) for q in primes] for _ in range(3)])

    def noise(before, after):
        difference = (coefficients(after, primes).astype(np.int64) - coefficients(before, primes)) % np.array(
            primes, dtype=np.int64
        )[:, np.newaxis]
        return max(map(abs, centred(difference, primes)))

    switched = Refresher(ring, relinearisation).refresh(ciphertext, 0)
    assert 0 < noise(secret.phase(ciphertext), secret.phase(switched)) < 2**20
    rotations = Automorphisms(ring, {(element,): rotation}).rotations(ciphertext[:2], (3,))
    moved = [next(rotations), next(rotations)][1]
    plain = transform(
        np.array(rotated(centred(coefficients(secret.phase(ciphertext[:2]), primes), primes), element, primes)),
        (0, 40, 80, 120),
        primes,
    )[0]
    assert 0 < noise(plain, secret.phase(moved)) < 2**20


def rotated(numbers, element, primes):
    """Limbs [1, 4, N] of a polynomial under X → X^element."""
    moved = [0] * DEGREE
    for place, number in enumerate(numbers):
        to = place * element % (2 * DEGREE)
        moved[to % DEGREE] = (number if to < DEGREE else -number) % math.prod(primes)
    return [[[number >> position & ((1 << 40) - 1) for number in moved] for position in (0, 40, 80, 120)]]


@pytest.mark.parametrize("samples", [1, 5])
def test_a_test_under_a_plan_with_few_large_digits_gives_the_model_s_answers(samples):
    model = random_network(12, 8, 2)
    inputs = np.random.default_rng(2).integers(0, 1 << 13, (200, 12))
    problem = PlanningProblem(model, measured_bounds(model, inputs), input_magnitude=1.0)
    plan = plan_encryption(problem).batched
    way = replace(search._packed_way(problem, plan), special_primes=2, key_spacing=3)
    few = search._consider(way, 16384).plan
    assert (few.special_primes, few.key_spacing) == (2, 3)
    assert few.digits < few.primes
    plan = plan.model_copy(update={"few_samples": few, "few_samples_limit": samples})
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs[:samples]), samples))
    expected = evaluate_values(model, inputs[:samples])[model.graph.output]
    assert np.abs(outputs - expected).max() <= few.expected_error
