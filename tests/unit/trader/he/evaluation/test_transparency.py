"""Weights that are zero, and requests that cancel: transparent ciphertexts, which SEAL refuses, are like any others."""

import dataclasses
import itertools
import json
from functools import lru_cache

import numpy as np
import pytest
import rfc8785

from tests.simulators.he_models import exact_outputs, paired_plan, plan_for, random_inputs, random_network
from trader.he import ClientSession, evaluate, parse_plan, seal
from trader.he.evaluation.switching import Automorphisms, Refresher
from trader.he.request import RequestParts
from trader.he.ring.arithmetic import CPU
from trader.he.ring.sampling import random_residues
from trader.he.ring.transform import prime_tables

DEGREE, BITS = 4096, (30, 30, 20)
ZEROS = {
    "a hidden unit": lambda rows: [(0, np.s_[: rows[0], 0])],
    "a hidden unit and its bias": lambda rows: [(0, np.s_[: rows[0] + 1, 0])],
    "an output": lambda rows: [(-1, np.s_[: rows[-1] + 1, 1])],
    "weights of the first layer": lambda rows: [(0, np.s_[: rows[0]])],
    "the first layer": lambda rows: [(0, np.s_[: rows[0] + 1])],
    "weights of the last layer": lambda rows: [(-1, np.s_[: rows[-1]])],
    "everything": lambda rows: [(layer, np.s_[: count + 1]) for layer, count in enumerate(rows)],
    "all biases": lambda rows: [(layer, np.s_[count]) for layer, count in enumerate(rows)],
    "a diagonal": lambda rows: [(0, (np.arange(2), np.arange(2)))],
}


def with_zeros(model, places):
    tensors = [tensor.copy() for tensor in model.tensors]
    for layer, place in places:
        tensors[layer][place] = 0
    return dataclasses.replace(model, tensors=tuple(tensors))


NETWORKS = [(2, 2, 2, 2, 2), (32, 4, 2), (20, 3)]
"""Refreshed, which takes a large ring; paired; packed and paired."""
CASES = [
    *itertools.product(NETWORKS[:1], ["a hidden unit", "everything"]),
    *itertools.product(NETWORKS[1:2], [zero for zero in ZEROS if zero not in ("all biases", "a diagonal")]),
    *itertools.product(NETWORKS[2:], ["an output", "everything", "all biases", "a diagonal"]),
]


@pytest.mark.parametrize(("widths", "zero"), CASES)
def test_weights_of_zero_are_evaluated_in_every_layout(widths, zero):
    model, plan = random_network(*widths), planned(*widths)
    degenerate = with_zeros(model, ZEROS[zero]([spec.inputs for spec in model.graph.parameters]))
    for layout in plan.layouts:
        layout = layout.batched
        inputs = random_inputs(model, 4)
        buyer = ClientSession(layout)
        outputs = buyer.decrypt(evaluate(layout, degenerate, buyer.encrypt(inputs), len(inputs)))
        assert np.abs(outputs - exact_outputs(degenerate, inputs)).max() <= layout.expected_error


def test_the_networks_have_every_layout():
    """Else the test above shows less than it says."""
    layouts = [plan for widths in NETWORKS for plan in planned(*widths).layouts]
    assert any(plan.packed for plan in layouts)
    assert any(plan.paired for plan in layouts)
    assert any(plan.joined for plan in layouts)
    assert any(plan.refreshes for plan in layouts)


@lru_cache
def planned(*widths):
    model = random_network(*widths)
    return plan_for(model, random_inputs(model, 300, seed=5))


def test_constant_models_have_plans_that_survive_the_manifest():
    """No noise at all to hide, and scales of more than 53 bits that canonical JSON refuses as numbers."""
    for widths in [(6, 1), (6, 4, 2)]:
        model = random_network(*widths)
        degenerate = with_zeros(
            model, [(layer, np.s_[: spec.inputs]) for layer, spec in enumerate(model.graph.parameters)]
        )
        plan = plan_for(degenerate, random_inputs(model, 100))
        assert parse_plan(json.loads(rfc8785.dumps(plan.model_dump(mode="json")))) == plan


# ------------------------------------------------------------------------------------------ transparent ciphertexts


@pytest.fixture(scope="module")
def parameters():
    return seal.parameters(DEGREE, BITS)


@pytest.fixture(scope="module")
def key(parameters):
    return seal.SecretKey(parameters)


def transparent(parameters, components):
    ciphertext = np.zeros((components, len(parameters.primes), DEGREE), dtype=np.uint32)
    for row, prime in zip(ciphertext[0], parameters.primes, strict=True):
        row[:] = random_residues(DEGREE, prime)
    return ciphertext


def expanded(parameters, keys):
    return np.stack([key.expand(parameters.all_primes) for key in keys])


def coefficients(parameters, component):
    rows = component.copy()
    for row, prime in zip(rows, parameters.primes, strict=False):
        prime_tables(DEGREE, prime).inverse(row)
    return rows


def test_a_transparent_ciphertext_is_conjugated_exactly(parameters, key):
    element = seal.conjugation_element(DEGREE)
    (keys,) = key.galois_keys([element])
    automorphisms = Automorphisms(parameters, {(element,): expanded(parameters, keys)})
    ciphertext = transparent(parameters, 2)
    result = automorphisms.conjugate(ciphertext)
    assert not result[1].any()
    before, after = coefficients(parameters, ciphertext[0]), coefficients(parameters, result[0])
    for old, new, prime in zip(before, after, parameters.primes, strict=True):
        np.testing.assert_array_equal(new[0], old[0])
        np.testing.assert_array_equal(new[1:], (prime - old[:0:-1].astype(np.int64)) % prime)


def test_a_transparent_ciphertext_is_rotated_as_often_as_it_takes(parameters, key):
    element = seal.rotation_element(1, DEGREE)
    (keys,) = key.galois_keys([element])
    automorphisms = Automorphisms(parameters, {(element,): expanded(parameters, keys)})
    ciphertext = transparent(parameters, 2)
    rotations = automorphisms.rotations(ciphertext, [1])
    found = [next(rotations) for _ in range(3)]
    assert not np.stack(found)[:, 1].any()
    powers = np.arange(DEGREE) * element
    for old, new in itertools.pairwise(found):
        before, after = coefficients(parameters, old[0]), coefficients(parameters, new[0])
        for row, moved, prime in zip(before, after, parameters.primes, strict=True):
            signs = np.where(powers // DEGREE % 2, -1, 1)
            expected = np.empty(DEGREE, dtype=np.int64)
            expected[powers % DEGREE] = signs * row.astype(np.int64) % prime
            np.testing.assert_array_equal(moved, expected)


def test_a_transparent_ciphertext_is_rescaled_exactly(parameters, key):
    refresher = Refresher(parameters, expanded(parameters, key.relinearisation_keys()))
    ciphertext = transparent(parameters, 3)
    result = refresher.refresh(ciphertext, 1)
    assert not result[1].any()
    (kept, last), (prime, dropped) = coefficients(parameters, ciphertext[0]).astype(np.int64), parameters.primes
    nearest = (last + dropped // 2) % dropped - dropped // 2
    expected = [
        (int(value) - int(rest)) * pow(dropped, -1, prime) % prime for value, rest in zip(kept, nearest, strict=True)
    ]
    np.testing.assert_array_equal(coefficients(parameters, result[0])[0], expected)


def test_what_cancels_under_foreign_keys_is_evaluated(parameters, key):
    """Parts whose second components cancel, as equal seeds give where a layer subtracts them."""
    element = seal.rotation_element(1, DEGREE)
    (keys,) = key.galois_keys([element])
    automorphisms = Automorphisms(parameters, {(element,): expanded(parameters, keys)})
    part = transparent(parameters, 2)
    part[1] = part[0]
    rotation = automorphisms.rotations(part, [1])
    next(rotation)
    minus = next(rotation)
    for component in minus:
        for row, prime in zip(component, parameters.primes, strict=True):
            row[:] = (prime - row.astype(np.int64)) % prime
    parts = np.stack([minus, part])  # part 1 is rotated once: the sum is zero
    assert not automorphisms.rotated_sum(parts, [1], []).any()


@pytest.mark.parametrize("switched", [False, True])
def test_seeds_that_cancel_tell_nothing_of_weights(monkeypatch, switched):
    """All ciphertexts with one seed: an error told a buyer which units have weights that add up to zero."""
    model = random_network(32, 4, 2)
    plan = paired_plan(model, 8192, switched=switched)
    tensor = model.tensors[0].copy()
    tensor[0, 1] -= tensor[:32, 1].sum()
    model = dataclasses.replace(model, tensors=(tensor, *model.tensors[1:]))
    write, conjugate, split = RequestParts.write_ciphertext, Automorphisms.conjugate, CPU.split_halves
    transparent = []

    def with_one_seed(parts, batch, index, ciphertext):
        write(parts, batch, index, seal.Seeded(ciphertext.residues, b"\7" * 64))

    def noted(automorphisms, residues):
        if not residues[1].any():
            transparent.append(residues)
        return conjugate(automorphisms, residues)

    monkeypatch.setattr(RequestParts, "write_ciphertext", with_one_seed)

    def noted_on_tiles(values, unit, prime):
        transparent.extend(unit for unit, value in enumerate(values) if not value[1].any())
        return split(values, unit, prime)

    monkeypatch.setattr(Automorphisms, "conjugate", noted)
    monkeypatch.setattr(CPU, "split_halves", noted_on_tiles, raising=False)
    request = ClientSession(plan).encrypt(random_inputs(model, 4))
    assert len(evaluate(plan, model, request, 4)) > 0
    # On tiles it is one unit, as often as there are tiles.
    assert len(transparent) == 1 or set(transparent) == {1}, "nothing cancelled: the test shows nothing"
