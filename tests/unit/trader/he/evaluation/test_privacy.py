"""Attacks of a buyer who holds the secret key and wants more of the model than the outputs it paid for.

Each attack is run twice: against a seller who leaves the protection out, where it must succeed (so that the test can
fail), and against `evaluate` as it is, where it must not. Attacks with other messages than samples are those of
`tests/adversarial/test_hidden_coefficients.py`.
"""

from fractions import Fraction

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer, centred_integers
from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he.evaluation.privacy import Randomisation, _uniform_integers
from trader.he.layouts.visible import Visible
from trader.he.planning.plan import HePlan
from trader.he.request import RequestParts
from trader.he.ring.arithmetic import BLOCK
from trader.he.ring.embedding import embed, embedding_tables
from trader.he.ring.expansion import BUFFER_WORDS
from trader.he.ring.transform import prime_tables
from trader.he.seal import PublicKey, Seeded
from trader.he.wire.key_proof import Statement
from trader.model import evaluate_exact
from trader.model.graph import output_scale_bits


@pytest.fixture(params=[False, True], ids=["unprotected", "protected"])
def protected(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(Randomisation, "apply", lambda *_: None)
    return request.param


def _buyer(plan: HePlan, samples: int = 4) -> CuriousBuyer:
    return CuriousBuyer(plan.batched, samples)


def _halves(buyer, prime_index=0):
    """The known second halves [F, N] of what was asked last."""
    return buyer.inputs.expand()[:, 1, prime_index]


def _solve(matrix, values, prime):
    """x with matrix·x = values modulo the prime, by elimination; matrix [n, n] is regular with high probability."""
    rows = [[*map(int, row), int(value)] for row, value in zip(matrix, values, strict=True)]
    for column in range(len(rows)):
        pivot = next(index for index in range(column, len(rows)) if rows[index][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], -1, prime)
        rows[column] = [value * inverse % prime for value in rows[column]]
        for index, row in enumerate(rows):
            if index != column and row[column]:
                rows[index] = [(a - row[column] * b) % prime for a, b in zip(row, rows[column], strict=True)]
    solution = [row[-1] for row in rows]
    return [value - prime if value > prime // 2 else value for value in solution]


def test_extra_samples_stay_unanswered(protected):
    """900 different samples in the slots of a test of 10, which would be ten that repeat."""
    model = random_network(8, 5, 2)
    inputs = random_inputs(model, 900)
    buyer = _buyer(plan_for(model, inputs), 10)
    slots = np.ldexp(inputs.T, -buyer.plan.scale_bits)
    part = buyer.ask(model, np.pad(slots, ((0, 0), (0, buyer.plan.slots - 900))))
    found = buyer.slots(part)[0].real[:900]
    expected = exact_outputs(model, inputs)[:, 0]
    if protected:
        assert abs(np.corrcoef(found, expected)[0, 1]) < 0.2  # six deviations of what unrelated ones do
        assert found.std() > 2**10 * expected.std()
        # Each of the 16 numbers that are shown is an average over all slots of its residue class.
        offset = exact_outputs(model, np.zeros((1, 8), dtype=np.int64))[0, 0]
        means = np.pad(expected, (0, buyer.plan.slots - 900), constant_values=offset).reshape(-1, 16).mean(axis=0)
        assert np.abs(buyer.read(part)[:, 0] - means[:10]).max() < buyer.plan.expected_error
    else:
        assert np.abs(found - expected).max() < buyer.plan.expected_error


def test_second_component_of_a_linear_model_gives_its_weights_away(protected):
    """c1 = Σ W·a with a that the buyer knows: F positions determine W, modulo one prime."""
    model = random_network(6, 1)
    inputs = random_inputs(model, 4)
    buyer = _buyer(plan_for(model, inputs))
    component = buyer.ask(model, buyer.honest(inputs))[0, 1, 0, :6]
    found = _solve(_halves(buyer)[:, :6].T, component, buyer.parameters.primes[0])
    assert (found == model.weights(0)[:, 0].tolist()) != protected


@pytest.mark.parametrize("chosen", [True, False])
def test_a_public_key_of_the_buyers_choice_would_hide_nothing(chosen, monkeypatch):
    """With p1 = 0 encryptions of zero are (e0, e1): c1 is the weights' combination but for a small e1."""
    if chosen:
        monkeypatch.setattr(Statement, "verify", lambda *_: None)  # the proof would be refused
        expanded = RequestParts.read_public_key
        monkeypatch.setattr(
            RequestParts,
            "read_public_key",
            lambda self: expanded(self) * np.array([1, 0], dtype=np.uint32)[:, None, None],
        )
    model = random_network(6, 1)
    buyer = _buyer(plan_for(model, random_inputs(model, 4)))
    component = buyer.ask(model, buyer.honest(random_inputs(model, 4)))[0, 1, 0]
    prime = buyer.parameters.primes[0]
    combined = model.weights(0)[:, 0].astype(object) @ _halves(buyer).astype(object)
    rest = ((component - combined) % prime).astype(np.uint32)
    prime_tables(buyer.plan.ring_degree, prime).inverse(rest)
    error = np.abs(np.where(rest > prime // 2, rest.astype(np.int64) - prime, rest.astype(np.int64)))
    assert (error.max() < 64) == chosen
    assert (error.mean() > prime / 5) != chosen


class _Repeating(CuriousBuyer):
    """All of its ciphertexts, and its public key, have the same second component."""

    def _encrypt(self, message):
        second = Seeded(np.zeros_like(self._first.residues[:-1]), self._first.seed).expand(self.parameters.primes)[1]
        encrypted = super()._encrypt(message)
        own = encrypted.expand(self.parameters.primes)[1]
        # Under another c1 the same message and error: c0 = phase - c1·s, so that only c1·s has to be exchanged.
        first = self.key.phase(np.stack([encrypted.residues, own])).astype(np.int64)
        times_key = self.key.phase(np.stack([np.zeros_like(second), second]))
        columns = np.array(self.parameters.primes)[:, np.newaxis]
        return Seeded(((first - times_key) % columns).astype(np.uint32), self._first.seed)

    def _write_keys(self, request):
        self._first = self.key.public_key()
        request.write_public_key(self._first)


def test_seeds_that_collide_tell_no_combination_of_weights(protected):
    """With one a for all features c1 is (Σ W)·a; under a public key with the same a besides, (Σ W + u)·a + e."""
    model = random_network(6, 1)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, inputs).batched
    buyer = _Repeating(plan, 4)
    part = buyer.ask(model, buyer.honest(inputs))
    limit = buyer.plan.expected_error if protected else 1e-3
    assert np.abs(buyer.read(part) - exact_outputs(model, inputs)).max() < limit
    prime, second = buyer.parameters.primes[0], _halves(buyer)[0]
    inverses = np.array([pow(int(value), -1, prime) if value else 0 for value in second[:50]], dtype=object)
    quotients = set(_centred((part[0, 1, 0, :50].astype(object) * inverses).tolist(), prime))
    assert (quotients == {int(model.weights(0).astype(int).sum())}) != protected
    # Two of fifty residues are the same once in a million runs.
    assert len(quotients) >= 49 if protected else len(quotients) == 1


def _quadratic_form(buyer, component):
    """Coefficients of Σ_{i<=j} g_ij·a_i·a_j = c2, from as many positions as there are unknowns."""
    prime = buyer.parameters.primes[0]
    halves = _halves(buyer).astype(object)
    pairs = [(i, j) for i in range(len(halves)) for j in range(i, len(halves))]
    matrix = [[halves[i, t] * halves[j, t] % prime for i, j in pairs] for t in range(len(pairs))]
    return _solve(matrix, component[: len(pairs)], prime)


def _true_form(model):
    first, second = (model.weights(index).astype(object) for index in (0, 1))
    form = (first * second[:, 0]) @ first.T
    size = len(form)
    return [int(form[i, j] if i == j else 2 * form[i, j]) for i in range(size) for j in range(i, size)]


def _centred(values, prime):
    return [(value + prime // 2) % prime - prime // 2 for value in values]


def test_third_component_of_a_network_gives_its_quadratic_form_away(protected):
    model = random_network(3, 2, 1)
    inputs = random_inputs(model, 4)
    buyer = _buyer(plan_for(model, inputs))
    component = buyer.ask(model, buyer.honest(inputs))[0, 2, 0]
    found = _quadratic_form(buyer, component)
    assert (found == _centred(_true_form(model), buyer.parameters.primes[0])) != protected


def test_encryptions_of_zero_with_two_components_would_not_be_enough(monkeypatch):
    """Why a second one is added, times the key: the usual ones leave the third component as it is."""
    whole = PublicKey.encrypt_zero

    def two_components(self, components):
        zero = whole(self, 2)
        return np.concatenate([zero, np.zeros((components - 2, *zero.shape[1:]), dtype=np.uint32)])

    monkeypatch.setattr(PublicKey, "encrypt_zero", two_components)
    model = random_network(3, 2, 1)
    inputs = random_inputs(model, 4)
    buyer = _buyer(plan_for(model, inputs))
    found = _quadratic_form(buyer, buyer.ask(model, buyer.honest(inputs))[0, 2, 0])
    assert found == _centred(_true_form(model), buyer.parameters.primes[0])


def _polynomial(slots, degree, scale):
    """Slots of extended precision [2, N/2], real and imaginary parts, at a scale as a polynomial of integers."""
    limbs, total = np.empty((2, degree)), np.zeros(degree, dtype=object)
    first = slots.astype(np.float64)
    for part in (first, (slots - first).astype(np.float64)):
        embed(part[0] + 1j * part[1], 2.0**80, 40, embedding_tables(degree), limbs)
        total += np.array([int(low) + (int(high) << 40) for low, high in limbs.T], dtype=object)
    return [round(scale * int(value) / 2**80) for value in total]


def _noise(buyer, model, inputs, part):
    """What the visible coefficients of the first ciphertext hold beside two outputs, exactly; in units of the noise."""
    scale = 1 << output_scale_bits(model.graph, model.scale_bits)
    exact = np.array([list(row) for row in evaluate_exact(model, inputs)]).astype(np.longdouble) / scale
    slots = np.tile(exact[:, :2].T, buyer.plan.slots // len(inputs))
    visible, degree = buyer.visible[0], buyer.plan.ring_degree
    assert visible.joined
    outputs = _polynomial(slots, degree, Fraction(buyer.plan.output_scale))[:: visible.gap(degree)]
    found = centred_integers(buyer.coefficients(part[0]), buyer.primes)[:: visible.gap(degree)]
    differences = [value - output for value, output in zip(found, outputs, strict=True)]
    return np.array(differences, dtype=object) / 2 ** buyer.plan.visible_flooding_bits(visible)


@pytest.mark.parametrize("samples", [64, 2048])
@pytest.mark.parametrize("widths", [(30, 16, 2), (100, 3)])
def test_flooding_hides_the_noise_by_the_stated_bits(widths, samples, monkeypatch):
    """Of whole batches by as many as the plan states; of few samples by more, as there are fewer coefficients."""
    model = random_network(*widths)
    inputs = random_inputs(model, samples)
    plan = plan_for(model, inputs).batched
    more = plan.visible_flooding_bits(plan.visible(samples)[0][0]) - plan.flooding_bits
    assert plan.statistical_bits >= 40
    flooded, shown = _buyer(plan, samples), []
    while sum(map(len, shown)) < 512:
        shown.append(_noise(flooded, model, inputs, flooded.ask(model, flooded.honest(inputs))).astype(float))
    noise = np.concatenate(shown)
    # The deviation of n uniform numbers deviates by √(0.2/n) of itself.
    assert abs(noise.std() / 3**-0.5 - 1) < 6 * (0.2 / noise.size) ** 0.5
    monkeypatch.setattr(Randomisation, "apply", lambda *_: None)
    bare = _buyer(plan, samples)
    hidden = _noise(bare, model, inputs, bare.ask(model, bare.honest(inputs))).astype(float)
    assert 0 < hidden.std() < 3**-0.5 * 2.0 ** -(plan.statistical_bits + more)


def test_responses_to_the_same_request_differ_everywhere():
    model = random_network(3, 2, 1)
    inputs = random_inputs(model, 4)
    buyer = _buyer(plan_for(model, inputs))
    first, second = (buyer.ask(model, buyer.honest(inputs)) for _ in range(2))
    assert (first != second).mean(axis=(0, 2, 3)).min() > 0.99


@pytest.mark.parametrize("bits", [5, 59, 60, 70, 125])
def test_flooding_noise_is_uniform_over_its_range(bits):
    limbs = _uniform_integers(1 << 16, bits)
    values = sum((limb.astype(object) << position for limb, position in limbs), start=0)
    assert max(values) < 2**bits
    assert min(values) >= -(2**bits)
    scaled = np.array([float(value) for value in values]) / 2.0**bits
    assert abs(scaled.mean()) < 0.05
    assert abs(scaled.std() - 3**-0.5) < 0.02
    if bits > 5:
        assert abs(np.mean([value & 1 for value in values]) - 0.5) < 0.05


@pytest.mark.parametrize("period", [1, 2, 64, 2048])
def test_flooding_of_few_coefficients_moves_outputs_as_much(period):
    """Half a bit more for every halving of the visible coefficients, rounded down."""
    plan = plan_for(random_network(3, 1), random_inputs(random_network(3, 1), 4)).batched
    assert plan.ring_degree == 4096
    bits = plan.visible_flooding_bits(Visible(period, joined=False)) - plan.flooding_bits
    assert bits == {1: 5, 2: 5, 64: 2, 2048: 0}[period]


def test_tiles_divide_every_ring():
    assert 1024 % BLOCK == 0
    assert BLOCK % BUFFER_WORDS == 0
