"""Attacks of a buyer with honest keys that sends something else than the samples it paid for.

Each is run twice: against a seller who re-randomises and floods, but hides no coefficients, where it must succeed (so
that the test can fail), and against `evaluate` as it is, where it must not.
"""

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer, centred_integers
from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he.evaluation.privacy import Protection
from trader.he.layouts.visible import centre

SIGNS = np.tile([1, -1], 1 << 14)
"""What `trader.he.ring.encoding` takes for an imaginary part stands at X^(N/2), whose slots are i and -i by turns."""


@pytest.fixture(params=[False, True], ids=["unprotected", "protected"])
def protected(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(Protection, "_hiding", hide_nothing)
    return request.param


def hide_nothing(protection, _visible):
    return np.zeros((len(protection._primes), protection.plan.ring_degree), dtype=np.uint32)


def _related(left, right):
    """Whether two series correlate by more than six standard deviations of what unrelated ones do: 2e-9."""
    return abs(np.corrcoef(np.ravel(left), np.ravel(right))[0, 1]) * np.size(left) ** 0.5 > 6


def _packed_buyer(widths, samples, seed=0):
    model = random_network(*widths, seed=seed)
    buyer = CuriousBuyer(plan_for(model, random_inputs(model, 256)), samples)
    assert buyer.plan.packed
    return model, buyer


@pytest.mark.parametrize("widths", [(100, 16, 2), (100, 1), (30, 4), (100, 8, 1)])
@pytest.mark.parametrize("samples", [1, 3])
def test_packed_copies(protected, widths, samples):
    """Other samples in the copies of the first: every region of blocks would answer its own."""
    model, buyer = _packed_buyer(widths, samples)
    layouts = buyer.plan.map_layouts(samples)
    first, last = layouts[0], layouts[-1]
    packing, half = first.packing, first.packing.period(widths[0]) * first.copies
    # A region is twice as wide as a sample, so that no rotation brings its neighbour into its first half.
    regions = packing.blocks // (2 * half)
    assert regions > 1
    inputs = random_inputs(model, regions * packing.stride)
    blocks = np.arange(packing.blocks)
    values = inputs.reshape(regions, packing.stride, -1)[blocks // (2 * half)]
    rotated = first.packing.elements(widths[0], first.copies, first.diagonals)[0] % widths[0]
    slots = np.take_along_axis(values, rotated[:, np.newaxis, np.newaxis], axis=2)[:, :, 0].reshape(1, -1)
    part = buyer.ask(model, np.ldexp(slots, -buyer.plan.scale_bits))
    # What is not folded is added up by the buyer itself.
    found = buyer.slots(part)[0].real.reshape(regions, 2 * half, packing.stride)[:, :half]
    width, summed = packing.period(widths[-1]), 1 << (last.folded_bits * last.unfolded)
    found = found[:, : width * summed].reshape(regions, summed, width, packing.stride).mean(axis=1)
    expected = exact_outputs(model, inputs).reshape(regions, packing.stride, -1).swapaxes(1, 2)
    found = found[:, : widths[-1]]
    if protected:
        assert np.abs(found).max() > 100 * np.abs(expected).max()
        assert not _related(found, expected)
    else:
        assert np.abs(found - expected).max() < 2**-8


def _equations(layout, values):
    """Rows of y = A·w: for each block of the only target, which input meets which weight."""
    labels = np.arange(layout.inputs * layout.outputs).reshape(layout.inputs, layout.outputs) + 1.0
    total = np.zeros((layout.packing.blocks, labels.size))
    for giant in reversed(range(layout.giant_steps)):
        total = np.roll(total, -layout.giant_rotation, axis=0)
        for baby in range(layout.baby_steps):
            label = layout.giant_step(labels, 0, giant)[0, baby].astype(int)
            held = np.flatnonzero(label)
            total[held, label[held] - 1] += np.roll(values, -baby)[held]
    return total * 2.0**layout.folded_bits


@pytest.mark.parametrize("imaginary", [True, False])
@pytest.mark.parametrize("widths", [(100, 1), (100, 2), (100, 3)])
def test_packed_linear(protected, widths, imaginary):
    """All weights of a linear model from one paid sample: every block is an equation, in real and imaginary parts."""
    model, buyer = _packed_buyer(widths, 1)
    (layout,) = buyer.plan.map_layouts(1)
    assert layout.unfolded
    random = np.random.default_rng(0).uniform(-1, 1, layout.packing.blocks)
    honest = buyer.honest(random_inputs(model, 1))[0]
    part = buyer.ask(model, [honest + 1j * SIGNS[: random.size] * random if imaginary else random])
    slots = buyer.slots(part)[0]
    shown = slots.imag if imaginary else slots.real
    offsets = np.eye(widths[1])[layout.rows(0)] * (not imaginary)
    found, *_ = np.linalg.lstsq(np.concatenate([_equations(layout, random), offsets], axis=1), shown, rcond=None)
    weights = np.ldexp(model.weights(0).ravel().astype(float), -model.scale_bits)
    error = np.linalg.norm(found[: weights.size] - weights) / np.linalg.norm(weights)
    assert error > 10 if protected else error < 0.01
    if imaginary:
        expected = exact_outputs(model, random_inputs(model, 1))
        assert np.abs(buyer.read(part) - expected).max() < buyer.plan.expected_error


@pytest.mark.parametrize(
    ("widths", "samples", "ciphertext"),
    [((100, 1), 1100, 0), ((30, 16, 1), 50, 0), ((30, 16, 3), 5, 1), ((30, 16, 3), 4096, 1)],
    ids=["linear", "three components", "odd last output", "full batch"],
)
def test_imaginary_parts(protected, widths, samples, ciphertext):
    """Second samples in the imaginary parts, where no output is joined to another.

    Of a linear model they would be answered right there; (a + ib)² = a² - b² + 2iab mixes the two, and tells both.
    """
    model = random_network(*widths)
    buyer = CuriousBuyer(plan_for(model, random_inputs(model, 256)), samples)
    assert not buyer.plan.packed
    assert not buyer.visible[ciphertext].joined
    period = buyer.visible[ciphertext].period
    first, second = (random_inputs(model, period, seed=seed) for seed in (1, 2))
    part = buyer.ask(model, buyer.honest(first) + 1j * SIGNS[: buyer.plan.slots] * buyer.honest(second))
    expected = _complex_outputs(model, first, second)[:, 2 * ciphertext]
    # What was paid for is there in any case.
    paid = buyer.read(part)[:, 2 * ciphertext]
    assert np.abs(paid - expected.real[:samples]).max() < 2 * buyer.plan.expected_error
    found = buyer.slots(part)[ciphertext].imag[:period]
    if protected:
        assert np.abs(found).max() > 100 * np.abs(expected).max()
        assert not _related(found, expected.imag)
    else:
        assert np.abs(found - expected.imag).max() < 2 * buyer.plan.expected_error


def _complex_outputs(model, first, second):
    values = (first + 1j * second) / 2**model.scale_bits
    for index in range(len(model.tensors)):
        values = values**2 if index else values
        weights, bias = (x / 2**model.scale_bits for x in (model.weights(index), model.bias(index)))
        values = values @ weights + bias
    return values


@pytest.mark.parametrize("widths", [(6, 1), (6, 2), (30, 3)])
@pytest.mark.parametrize("samples", [1, 5])
def test_plaintexts_beyond_their_range_of_a_linear_model(protected, widths, samples):
    """Feature i is A·X^(i + 1), far beyond what an input may be: coefficient i + 1 of an output would be W_i·A."""
    model = random_network(*widths)
    buyer = CuriousBuyer(plan_for(model, random_inputs(model, 64)).batched, samples)
    amplitude = 1 << (sum(buyer.plan.modulus_bits[:-1]) - model.scale_bits - 6)
    messages = [buyer.monomial(feature + 1, amplitude) for feature in range(widths[0])]
    part = buyer.ask(model, messages)
    coefficients = centred_integers(buyer.coefficients(part[0]), buyer.primes)
    found = [round(coefficients[feature + 1] / amplitude) for feature in range(widths[0])]
    assert (found == model.weights(0)[:, 0].tolist()) != protected


def test_plaintexts_beyond_their_range_of_a_network(protected):
    """Feature i is A·X^e_i with sums of exponents that all differ: the output would list the model's quadratic form."""
    model = random_network(4, 3, 1)
    buyer = CuriousBuyer(plan_for(model, random_inputs(model, 64)).batched, 1)
    assert buyer.plan.components == 3
    exponents = [1, 3, 9, 27]
    amplitude = 1 << (sum(buyer.plan.modulus_bits[:-1]) // 2 - 2 * model.scale_bits)
    part = buyer.ask(model, [buyer.monomial(exponent, amplitude) for exponent in exponents])
    coefficients = centred_integers(buyer.coefficients(part[0]), buyer.primes)
    first, second = (model.weights(index).astype(object) for index in (0, 1))
    form = (first * second[:, 0]) @ first.T
    found = [[round(coefficients[a + b] / amplitude**2) / (1 if a == b else 2) for a in exponents] for b in exponents]
    assert (np.array(found) == form).all() != protected


LAYOUTS = {
    "joined and single, three components": ((30, 16, 3), 50),
    "single, linear": ((100, 1), 1100),
    "several batches": ((30, 16, 3), 4096 + 50),
    "paired": ((200, 10, 3), 4096 + 50),
    "joined features": ((200, 10, 3), 300),
    "packed": ((200, 10, 3), 3),
    "packed and unfolded": ((100, 3), 5),
    "refreshed": ((20, 8, 8, 2), 50),
}
MESSAGES = {
    "honest samples": lambda random, honest: honest,
    "nothing": lambda random, honest: np.zeros_like(honest),
    "other samples": lambda random, honest: random.uniform(-1, 1, honest.shape),
    "imaginary parts": lambda random, honest: honest + 1j * random.uniform(-1, 1, honest.shape),
    "beyond the range": lambda random, honest: honest * 2.0 ** random.integers(8, 30) * (1 + 1j),
    "any residues": None,
}


def _uniformity(values, bins=64):
    """χ² of values in [0, 1), as a deviation from its mean in standard deviations."""
    found = np.histogram(values, bins, (0, 1))[0]
    expected = len(values) / bins
    return (((found - expected) ** 2 / expected).sum() - (bins - 1)) / (2 * (bins - 1)) ** 0.5


@pytest.fixture(scope="module", params=LAYOUTS)
def trade(request):
    widths, samples = LAYOUTS[request.param]
    model = random_network(*widths)
    return model, plan_for(model, random_inputs(model, 256)), samples


def _hidden_uniformity(trade, name, *, forges_keys=False):
    """Largest deviation of what a response hides from being uniform modulo Q, over its ciphertexts.

    Of numbers modulo Q, as residues modulo one prime look uniform whatever is sent.
    """
    model, plan, samples = trade
    buyer, random = CuriousBuyer(plan, samples, forges_keys=forges_keys), np.random.default_rng(7)
    honest = buyer.honest(random_inputs(model, min(samples, buyer.plan.samples_per_batch)))
    if MESSAGES[name] is None:
        columns = np.array(buyer.parameters.primes)[:, np.newaxis]
        shape = (len(columns), buyer.plan.ring_degree)
        messages = [random.integers(0, columns, shape, dtype=np.uint32) for _ in honest]
    else:
        messages = MESSAGES[name](random, honest)
    part = buyer.ask(model, messages)
    found, modulus = [], float(np.prod([float(prime) for prime in buyer.primes]))
    for ciphertext, visible in zip(part, buyer.visible, strict=True):
        gap, fractions = visible.gap(buyer.plan.ring_degree), buyer.coefficients(ciphertext)
        hidden = np.ones(buyer.plan.ring_degree, dtype=bool)
        hidden[::gap] = False
        groups = [fractions[:, hidden]] if hidden.any() else []
        if not visible.joined and visible.period > 500:
            groups.append(fractions[:, gap : buyer.plan.slots : gap])
        found += [_uniformity(centre(group, buyer.primes) / modulus % 1.0) for group in groups]
    return max(found, default=0.0)


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_hidden_is_uniform_whatever_was_sent(trade, name):
    assert abs(_hidden_uniformity(trade, name)) < 8


def test_what_is_hidden_is_uniform_whatever_keys_were_sent(trade):
    assert abs(_hidden_uniformity(trade, "other samples", forges_keys=True)) < 8


def test_without_hiding_it_would_not_be(trade, monkeypatch):
    """The tests above can fail, be it by honest samples."""
    monkeypatch.setattr(Protection, "_hiding", hide_nothing)
    assert _hidden_uniformity(trade, "other samples") > 50
    assert _hidden_uniformity(trade, "honest samples") > 50


def test_two_sessions_with_the_same_samples_hide_as_much_as_one():
    """Differences of what two responses hide are uniform too: nothing of it is the same in both.

    What is visible is answered twice, each time with noise of its own; a session counts in quotas like any other.
    """
    model = random_network(30, 16, 3)
    plan, inputs = plan_for(model, random_inputs(model, 256)), random_inputs(model, 50)
    first, second = CuriousBuyer(plan, 50), CuriousBuyer(plan, 50)
    second.key = first.key
    parts = [buyer.ask(model, first.honest(inputs)) for buyer in (first, second)]
    for ciphertexts, visible in zip(zip(*parts, strict=True), first.visible, strict=True):
        pair = [first.coefficients(ciphertext).astype(np.int64) for ciphertext in ciphertexts]
        difference = (pair[0] - pair[1]) % np.array(first.primes)[:, np.newaxis]
        hidden = np.ones(plan.ring_degree, dtype=bool)
        hidden[:: visible.gap(plan.ring_degree)] = False
        modulus = float(np.prod([float(prime) for prime in first.primes]))
        assert abs(_uniformity(centre(difference[:, hidden], first.primes) / modulus % 1.0)) < 8
    outputs = [first.read(part) for part in parts]
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 2 * plan.expected_error
