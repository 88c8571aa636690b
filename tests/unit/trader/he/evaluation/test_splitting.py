"""Two samples per slot: tests that fill more than one batch."""

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer
from tests.simulators.he_models import (
    check_errors,
    exact_outputs,
    model_of,
    paired_plan,
    plan_for,
    random_inputs,
    random_network,
)
from trader.he import ClientSession, PlanError, evaluate, seal
from trader.he.evaluation.privacy import Protection
from trader.he.evaluation.splitting import with_images
from trader.he.evaluation.switching import Folder
from trader.he.layouts.visible import centre
from trader.he.planning.propagation import switching_noise
from trader.he.program.build import build_program
from trader.he.program.steps import FOLDED_SWITCHINGS
from trader.he.ring import residues
from trader.he.ring.arithmetic import CPU
from trader.he.ring.transform import prime_tables, transform
from trader.model import (
    INPUT,
    Add,
    Graph,
    Linear,
    Multiply,
    ParameterSpec,
    Square,
)


def _wide(*hidden, seed=0):
    """200 features, few hidden units: pairing pays."""
    return random_network(200, *hidden, seed=seed)


@pytest.mark.parametrize("samples", [4097, 5000, 8192, 8193])
def test_paired_tests_are_as_exact_as_others(samples):
    model = _wide(20, 3)
    inputs = random_inputs(model, samples)
    plan = plan_for(model, inputs[:256])
    paired = plan.for_samples(samples)
    assert paired.paired
    assert plan.for_samples(4096) == plan
    assert paired.batches(samples) == 1 + (samples > 8192)
    assert paired.request_ciphertexts(samples) == 200
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), samples))
    check_errors(np.abs(outputs - exact_outputs(model, inputs)), paired)


@pytest.mark.slow
def test_deeper_programs_are_split_once_and_refreshed_after():
    model = _wide(12, 8, 8, 3)
    inputs = random_inputs(model, 20000, seed=2)
    plan = plan_for(model, inputs[:256])
    samples = plan.samples_per_batch + 5
    paired = plan.for_samples(samples)
    assert paired.paired
    assert paired.refreshes
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs[:samples]), samples))
    expected = exact_outputs(model, inputs[samples - 40 : samples])
    assert np.abs(outputs[-40:] - expected).max() < paired.expected_error


def _residual():
    """y = h² + g with h and g both linear in the input: g is split for the sum."""
    nodes = (
        Linear("h", (INPUT,), (4,), 0),
        Linear("g", (INPUT,), (4,), 1),
        Square("s", ("h",), (4,)),
        Add("y", ("s", "g"), (4,)),
    )
    return Graph((6,), nodes, "y", (ParameterSpec("p", 6, 4, 2), ParameterSpec("q", 6, 4, 2)))


@pytest.mark.parametrize("switched", [False, True])
def test_what_meets_split_values_is_split_too(switched):
    program = build_program(_residual(), {}, staged=False, paired=True, switched=switched)
    assert {step.inputs[0] for step in program.splits} == {"h", "g"}
    assert program.levels["y"] == switched
    assert program.shared == {INPUT, "h", "g"}
    assert program.conjugate == (set() if switched else {"h%", "g%", "s", "y"})
    assert program.response_components == (3 if switched else 2)


@pytest.mark.parametrize("switched", [False, True])
def test_products_and_sums_of_split_values_are_as_exact(switched):
    """Of two layers, and of one that is added besides; both halves of the last batch, and a batch of one half."""
    model = model_of(_bilinear(), seed=3)
    samples = 8192 + 40
    inputs = random_inputs(model, samples, seed=4)
    plan = plan_for(model, inputs[:256])
    paired = paired_plan(model, plan.ring_degree, switched=switched)
    assert paired.splits_by_keys is switched
    outputs = _answers(plan.model_copy(update={"many_samples": paired}), model, inputs)
    errors = np.abs(outputs - exact_outputs(model, inputs))
    check_errors(errors, paired)
    # The bound is no idle one: with far smaller noise it would hold of nothing.
    assert errors.max() > paired.expected_error / 20


def _bilinear():
    """y = A(h·g + k) + b with h, g and k linear in the input."""
    names = ("h", "g", "k")
    nodes = (
        *(Linear(name, (INPUT,), (4,), index) for index, name in enumerate(names)),
        Multiply("p", ("h", "g"), (4,)),
        Add("a", ("p", "k"), (4,)),
        Linear("y", ("a",), (3,), 3),
    )
    specs = tuple(ParameterSpec(name, 20, 4, 2) for name in names)
    return Graph((20,), nodes, "y", (*specs, ParameterSpec("A", 4, 3, 2)))


def _answers(plan, model, inputs):
    session = ClientSession(plan)
    return session.decrypt(evaluate(plan, model, session.encrypt(inputs), len(inputs)))


def test_conjugate_form_is_what_it_says_to_the_residue():
    """Against integers: halves of x are x + x̄ and (x - x̄)/J, and a product has the components of 1, s, s² and s·s̄."""
    prime, count = 2147352577, 8
    random = np.random.default_rng(5)
    x, y = (random.integers(-(prime // 2), prime // 2, (2, 2, count)).astype(np.float64) for _ in range(2))
    unit = pow(5, -1, prime)
    halves = residues.split_halves(x, unit, prime)
    factors = np.array([-unit] * (count // 2) + [unit] * (count // 2), dtype=object)
    first, second = x[:, 0].astype(np.int64).astype(object), x[:, 1].astype(np.int64).astype(object)
    _assert_congruent(halves[:, 0, :count], first + first[:, ::-1], prime)
    _assert_congruent(halves[:, 1, :count], second, prime)
    _assert_congruent(halves[:, 0, count:], (first - first[:, ::-1]) * factors, prime)
    _assert_congruent(halves[:, 1, count:], second * factors, prime)
    other = residues.split_halves(y, unit, prime)
    for left, right in ((halves, other), (halves, halves)):
        l0, l1, r0, r1 = (
            part[:, component].reshape(-1, 2, count).astype(np.int64).astype(object)
            for part in (left, right)
            for component in range(2)
        )
        expected = (l0 * r0, l0 * r1 + l1 * r0, l1 * r1, l1 * r1[..., ::-1] + l1[..., ::-1] * r1)
        product = residues.multiply_conjugates(left, right, 2, prime)
        assert np.abs(product).max() <= prime // 2 + residues.CENTRE_SLACK
        for component, values in enumerate(expected):
            _assert_congruent(product[:, component], values.reshape(-1, 2 * count), prime)


def _assert_congruent(found, expected, prime):
    assert ((found.astype(np.int64).astype(object) - expected) % prime == 0).all()


@pytest.mark.parametrize("special_bits", [31, 17])
def test_folding_says_what_the_product_says_but_for_the_noise_that_plans_count_with(special_bits):
    """Under the true s and s̄: the phase of a random product in conjugate form, and that of what it is switched to."""
    parameters = seal.parameters(4096, (31, 31, special_bits))
    secret, conjugation = seal.SecretKey(parameters), seal.conjugation_element(4096)
    foreign = (seal.RELINEARISATION, (conjugation,), (conjugation, conjugation), (1, conjugation))
    keys = [np.stack([digit.expand(parameters.all_primes) for digit in key]) for key in secret.switching_keys(foreign)]
    random = np.random.default_rng(6)
    product = np.stack(
        [[random.integers(0, prime, 4096, dtype=np.uint32) for prime in parameters.primes] for _ in range(4)]
    )
    folded = Folder(parameters, keys).fold(with_images(product[np.newaxis])[0])
    assert folded.shape == (2, 2, 4096)
    s = transform(secret.coefficients()[np.newaxis, np.newaxis], (0,), parameters.primes)[0].astype(object)
    mirrored, primes = s[:, ::-1], np.array(parameters.primes, dtype=object)[:, np.newaxis]
    d0, d1, d2, d3 = product.astype(object)
    expected = d0 + d1 * s + d1[:, ::-1] * mirrored + d2 * s**2 + d2[:, ::-1] * mirrored**2 + d3 * s * mirrored
    difference = ((secret.phase(folded).astype(object) - expected) % primes).astype(np.uint32)
    for row, prime in zip(difference, parameters.primes, strict=True):
        prime_tables(4096, prime).inverse(row)
    deviation = centre(difference, parameters.primes).std() * (4096 / 2) ** 0.5
    planned = FOLDED_SWITCHINGS**0.5 * 2 ** (31 - special_bits) * switching_noise(4096, 2)
    assert planned / 8 < deviation < planned


def test_products_of_products_are_split_by_keys():
    squared = Graph(
        (6,),
        (Linear("h", (INPUT,), (4,), 0), Square("s", ("h",), (4,)), Square("t", ("s",), (4,))),
        "t",
        (ParameterSpec("p", 6, 4, 1),),
    )
    with pytest.raises(PlanError, match="a product of products would have to be split"):
        build_program(squared, {}, staged=False, paired=True)
    assert build_program(squared, {}, staged=False, paired=True, switched=True).components["t"] == 5


def test_linear_models_and_squared_inputs_are_not_paired():
    with pytest.raises(PlanError, match="never need to be split"):
        build_program(random_network(3, 2).graph, {}, staged=False, paired=True)
    squared = Graph((3,), (Square("s", (INPUT,), (3,)),), "s", ())
    with pytest.raises(PlanError, match="every input would have to be split"):
        build_program(squared, {}, staged=False, paired=True)


def test_a_network_of_as_many_outputs_as_inputs_is_not_worth_it():
    """Four switchings for each output; how wide a hidden layer is doesn't matter."""
    model = random_network(40, 10, 10)
    assert plan_for(model, random_inputs(model, 64)).many_samples is None
    model = random_network(41, 90, 10)
    assert plan_for(model, random_inputs(model, 64)).many_samples is not None


def test_extra_samples_in_imaginary_parts_stay_unanswered():
    """10 more samples than a batch, paid as 16 more; 900 in the imaginary parts, where a response shows 16 numbers."""
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 900)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    assert [visible.period for visible in buyer.visible] == [4096, 16]
    part = buyer.ask(model, buyer.honest(inputs))
    expected = exact_outputs(model, inputs[4096:])[:, 0]
    found = buyer.slots(part)[1].real[:900]
    assert abs(np.corrcoef(found, expected)[0, 1]) < 0.2  # six deviations of what unrelated ones do
    assert found.std() > 2**10 * expected.std()
    check_errors(np.abs(buyer.read(part)[:4096] - exact_outputs(model, inputs[:4096])), buyer.plan)


def test_without_hiding_they_would_be_answered(monkeypatch):
    """The test above can fail."""
    monkeypatch.setattr(Protection, "_hiding", lambda self, _: np.zeros((len(self._primes), 8192), dtype=np.uint32))
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 900)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    found = buyer.slots(buyer.ask(model, buyer.honest(inputs)))[1].real[:900]
    assert np.abs(found - exact_outputs(model, inputs[4096:])[:, 0]).max() < 1e-3


def test_a_split_without_conjugation_would_mix_samples(monkeypatch):
    """Products of unsplit samples are mixtures."""

    def unsplit(values, _unit, _prime):
        return np.concatenate([values, values], axis=2)

    monkeypatch.setattr(CPU, "split_halves", unsplit, raising=False)
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 10)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    outputs = buyer.read(buyer.ask(model, buyer.honest(inputs)))
    assert np.abs(outputs - exact_outputs(model, inputs))[4096:].max() > 0.1
