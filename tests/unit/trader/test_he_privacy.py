"""Attacks of a buyer who holds the secret key and wants more of the model than the outputs it paid for.

Each attack is run twice: against a seller who leaves the protection out, where it must succeed (so that the test can
fail), and against `evaluate` as it is, where it must not.
"""

import numpy as np
import pytest

from tests.unit.trader.he_models import exact_outputs, finish_request, plan_for, random_inputs, random_network
from trader.he import evaluate
from trader.he.arithmetic import BLOCK
from trader.he.expansion import BUFFER_WORDS
from trader.he.key_proof import Statement
from trader.he.packing import MapLayout, Packing
from trader.he.plan import HePlan
from trader.he.planner import mask_deviation
from trader.he.privacy import Cover, Protection
from trader.he.request import RequestParts
from trader.he.ring import prime_tables
from trader.he.seal import PublicKey, SecretKey
from trader.he.session import plan_parameters
from trader.he.wire import ContainerWriter, read_container


@pytest.fixture(params=[False, True], ids=["unprotected", "protected"])
def protected(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(Cover, "apply", lambda *_: None)
    return request.param


class CuriousBuyer:
    """Encrypts whatever it likes under a request that claims `claimed` samples, and looks at raw components."""

    def __init__(self, plan: HePlan) -> None:
        self.plan = plan.batched
        self.parameters = plan_parameters(self.plan)
        self.key = SecretKey(self.parameters)
        self.second_halves = None

    def ask(self, model, inputs, claimed):
        primes = self.parameters.primes
        layout = self.plan.request_layout(claimed, self.parameters.all_primes)
        writer = ContainerWriter("request", self.plan.digest, claimed, layout)
        request = RequestParts(self.plan, claimed, self.parameters, writer.parts)
        values, scale = np.ldexp(inputs, -self.plan.scale_bits), 2.0**self.plan.input_scale_bits
        for index, column in enumerate(values.T):
            request.write_ciphertext(0, index, self.key.encrypt(column, scale))
        self.second_halves = request.read_ciphertexts(0).expand()[:, 1]
        response = evaluate(self.plan, model, finish_request(writer, request, self.key), claimed)
        layout = self.plan.response_layout(claimed, primes)
        return read_container(response, "response", self.plan.digest, claimed, layout).parts[0]

    def slots(self, part, protected):
        scale = self.plan.output_scale_bits - (0 if protected else self.plan.mask_scale_bits)
        return self.plan.separate(np.stack([self.key.decrypt(ciphertext, 2.0**scale) for ciphertext in part])).T

    def uniform_halves(self, prime_index):
        """The known second halves [F, N] of what was asked last."""
        return self.second_halves[:, prime_index]


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


def _remainder(plan, values):
    """What the mask leaves of values in unused slots."""
    return np.abs(values).max() * mask_deviation(plan.ring_degree) * 2.0**-plan.mask_scale_bits


def test_extra_samples_in_unused_slots_stay_unanswered(protected):
    model = random_network(8, 5, 2)
    inputs = random_inputs(model, 600)
    buyer = CuriousBuyer(plan_for(model, inputs))
    outputs = buyer.slots(buyer.ask(model, inputs, claimed=10), protected)
    expected = exact_outputs(model, inputs)
    assert np.abs(outputs[:10] - expected[:10]).max() < buyer.plan.expected_error
    extra = np.corrcoef(outputs[10:600, 0], expected[10:, 0])[0, 1]
    if protected:
        assert abs(extra) < 0.2
        assert outputs[10:].std() > 2**10 * _remainder(buyer.plan, expected)
    else:
        assert extra > 0.999


def test_bias_does_not_show_in_unused_slots(protected):
    model = random_network(8, 2)
    inputs = random_inputs(model, 4)
    buyer = CuriousBuyer(plan_for(model, inputs))
    unused = buyer.slots(buyer.ask(model, inputs, claimed=4), protected)[4:]
    bias = model.bias(0) / 2**model.scale_bits
    spread = unused.std(axis=0)
    assert (np.abs(unused.mean(axis=0) - bias) < 1e-3).all() != protected
    if protected:
        assert spread.min() > 2**10 * _remainder(buyer.plan, bias)


def test_scaling_samples_up_does_not_bring_them_back(protected):
    """The mask is no exact zero: a linear model's answers could be scaled up until the remainder is readable."""
    model = random_network(8, 1)
    inputs = random_inputs(model, 600)
    scaled = inputs.copy()
    scaled[10:] <<= 12
    buyer = CuriousBuyer(plan_for(model, inputs))
    outputs = buyer.slots(buyer.ask(model, scaled, claimed=10), protected)[10:600, 0]
    expected = exact_outputs(model, inputs)[10:, 0]
    correlation = np.corrcoef(outputs, expected)[0, 1]
    assert abs(correlation) < 0.2 if protected else correlation > 0.99


def test_second_component_of_a_linear_model_gives_its_weights_away(protected):
    """c1 = Σ W·a with a that the buyer knows: F positions determine W, modulo one prime."""
    model = random_network(6, 1)
    inputs = random_inputs(model, 4)
    buyer = CuriousBuyer(plan_for(model, inputs))
    component = buyer.ask(model, inputs, claimed=4)[0, 1, 0, :6]
    found = _solve(buyer.uniform_halves(0)[:, :6].T, component, buyer.parameters.primes[0])
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
    buyer = CuriousBuyer(plan_for(model, random_inputs(model, 4)))
    component = buyer.ask(model, random_inputs(model, buyer.plan.slots), claimed=buyer.plan.slots)[0, 1, 0]
    prime = buyer.parameters.primes[0]
    combined = model.weights(0)[:, 0].astype(object) @ buyer.uniform_halves(0).astype(object)
    rest = ((component - (combined << buyer.plan.mask_scale_bits)) % prime).astype(np.uint32)
    prime_tables(buyer.plan.ring_degree, prime).inverse(rest)
    error = np.abs(np.where(rest > prime // 2, rest.astype(np.int64) - prime, rest.astype(np.int64)))
    assert (error.max() < 64) == chosen
    assert (error.mean() > prime / 5) != chosen


def _quadratic_form(buyer, component):
    """Coefficients of Σ_{i<=j} g_ij·a_i·a_j = c2, from as many positions as there are unknowns."""
    prime = buyer.parameters.primes[0]
    halves = buyer.uniform_halves(0).astype(object)
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
    buyer = CuriousBuyer(plan_for(model, inputs))
    component = buyer.ask(model, inputs, claimed=4)[0, 2, 0]
    found = _quadratic_form(buyer, component)
    assert (found == _centred(_true_form(model), buyer.parameters.primes[0])) != protected


def test_encryptions_of_zero_with_two_components_would_not_be_enough(monkeypatch):
    """Why a second one is added, times the key: the usual ones leave the third component as it is."""
    whole = PublicKey.encrypt_zero

    def two_components(self, components):
        zero = whole(self, 2)
        return np.concatenate([zero, np.zeros((components - 2, *zero.shape[1:]), dtype=np.uint32)])

    def without_mask(self, used):
        return self._transform([(np.eye(1, self.plan.ring_degree, dtype=np.int64)[0], 0)])

    monkeypatch.setattr(PublicKey, "encrypt_zero", two_components)
    monkeypatch.setattr(Protection, "_mask", without_mask)
    model = random_network(3, 2, 1)
    inputs = random_inputs(model, 4)
    buyer = CuriousBuyer(plan_for(model, inputs))
    found = _quadratic_form(buyer, buyer.ask(model, inputs, claimed=4)[0, 2, 0])
    assert found == _centred(_true_form(model), buyer.parameters.primes[0])


def test_flooding_hides_the_noise_by_the_stated_bits(monkeypatch):
    model = random_network(30, 16, 2)
    inputs = random_inputs(model, 4096)
    plan = plan_for(model, inputs)
    expected = exact_outputs(model, inputs)
    flooded = CuriousBuyer(plan)
    noise = flooded.slots(flooded.ask(model, inputs, claimed=4096), protected=True) - expected
    monkeypatch.setattr(Cover, "apply", lambda *_: None)
    bare = CuriousBuyer(plan)
    hidden = bare.slots(bare.ask(model, inputs, claimed=4096), protected=False) - expected
    assert np.log2(noise.std() / hidden.std()) > plan.statistical_bits


def test_responses_to_the_same_request_differ_everywhere():
    model = random_network(3, 2, 1)
    inputs = random_inputs(model, 4)
    buyer = CuriousBuyer(plan_for(model, inputs))
    first, second = (buyer.ask(model, inputs, claimed=4) for _ in range(2))
    assert (first != second).mean(axis=(0, 2, 3)).min() > 0.99


def test_flooding_noise_is_uniform_over_its_range():
    plan = plan_for(random_network(3, 1), random_inputs(random_network(3, 1), 4))
    for bits in (5, 59, 60, 70, 125):
        protection = Protection(plan.model_copy(update={"flooding_bits": bits}), plan_parameters(plan), None)
        limbs = protection._flooding()
        values = sum((limb.astype(object) << position for limb, position in limbs), start=0)
        assert max(values) < 2**bits
        assert min(values) >= -(2**bits)
        scaled = np.array([float(value) for value in values]) / 2.0**bits
        assert abs(scaled.mean()) < 0.05
        assert abs(scaled.std() - 3**-0.5) < 0.02
        if bits > 5:
            assert abs(np.mean([value & 1 for value in values]) - 0.5) < 0.05


def test_mask_is_rounded_at_random():
    model = random_network(3, 1)
    plan = plan_for(model, random_inputs(model, 4))
    parameters = plan_parameters(plan)
    protection = Protection(plan, parameters, None)
    masks = [protection._mask(np.arange(plan.samples_per_batch) < 5)[0] for _ in range(2)]
    for mask in masks:
        prime_tables(plan.ring_degree, parameters.primes[0]).inverse(mask)
    difference = (masks[0].astype(np.int64) - masks[1]) % parameters.primes[0]
    assert set(difference.tolist()) <= {0, 1, parameters.primes[0] - 1}
    assert np.count_nonzero(difference) > plan.ring_degree // 4


def test_tiles_divide_every_ring():
    assert 1024 % BLOCK == 0
    assert BLOCK % BUFFER_WORDS == 0


class CuriousPackingBuyer:
    """Fills the slots of a packed request with more samples than it claims, and looks at all slots of the response."""

    CLAIMED, SENT = 5, 8

    def __init__(self, plan: HePlan) -> None:
        assert plan.few_samples is not None
        self.plan = plan.few_samples
        self.whole = plan
        self.parameters = plan_parameters(self.plan)
        self.key = SecretKey(self.parameters)

    def ask(self, model, inputs):
        writer = ContainerWriter(
            "request",
            self.plan.digest,
            self.CLAIMED,
            self.plan.request_layout(self.CLAIMED, self.parameters.all_primes),
        )
        request = RequestParts(self.plan, self.CLAIMED, self.parameters, writer.parts)
        elements = self.plan.galois_elements(self.CLAIMED)
        for index, key in enumerate([self.key.relinearisation_keys(), *self.key.galois_keys(elements)]):
            request.write_key(index, key)
        values = np.ldexp(inputs, -self.plan.scale_bits)
        for index, slots in enumerate(self.plan.map_layouts(self.SENT)[0].pack(values)):
            request.write_ciphertext(0, index, self.key.encrypt(slots, 2.0**self.plan.input_scale_bits))
        response = evaluate(self.whole, model, finish_request(writer, request, self.key), self.CLAIMED)
        layout = self.plan.response_layout(self.CLAIMED, self.parameters.primes)
        part = read_container(response, "response", self.plan.digest, self.CLAIMED, layout).parts[0]
        return np.stack([self.key.decrypt(ciphertext, self.plan.output_scale).real for ciphertext in part])


@pytest.fixture(params=[False, True], ids=["unmasked", "masked"])
def masked(request, monkeypatch):
    """Without masks, weights and offsets are encoded for all samples, and no noise is added."""
    if not request.param:
        whole = MapLayout.slots
        monkeypatch.setattr(MapLayout, "slots", lambda self, blocks, masked: whole(self, blocks, masked=False))
        monkeypatch.setattr(Cover, "apply", lambda *_: None)
    return request.param


def test_extra_samples_of_a_packed_request_stay_unanswered(masked):
    model = random_network(200, 20, 20)
    inputs = random_inputs(model, 8)
    buyer = CuriousPackingBuyer(plan_for(model, inputs))
    slots = buyer.ask(model, inputs)
    found = Packing.tight(buyer.plan.ring_degree, buyer.SENT).unpack(slots, 20)
    expected = exact_outputs(model, inputs)
    assert np.abs(found[:5] - expected[:5]).max() < buyer.plan.expected_error
    if masked:
        assert abs(np.corrcoef(found[5:].ravel(), expected[5:].ravel())[0, 1]) < 0.4
        assert found[5:].std() > 2**10 * np.abs(expected).max() * 2.0**-buyer.plan.weight_scale_bits
    else:
        assert np.abs(found[5:] - expected[5:]).max() < buyer.plan.expected_error


def test_slots_without_outputs_of_a_packed_response_hold_noise(masked):
    """What rotations leave in other slots are other combinations of weights: here offsets of the output layer."""
    model = random_network(200, 20, 20)
    inputs = random_inputs(model, 8)
    buyer = CuriousPackingBuyer(plan_for(model, inputs))
    slots = buyer.ask(model, inputs)
    unused = slots[~buyer.plan.packing(buyer.CLAIMED).used(20)]
    honest = np.abs(exact_outputs(model, inputs)).max()
    assert (unused.std() > 20 * honest and abs(unused.mean()) < unused.std() / 10) == masked
