"""Two features per ciphertext, as real and imaginary parts."""

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer
from tests.simulators.he_models import check_errors, exact_outputs, model_of, plan_for, random_inputs, random_network
from trader.he import ClientSession, PlanError, evaluate, parse_plan
from trader.he.evaluation.privacy import Protection
from trader.he.program.build import build_program
from trader.he.program.steps import JoinedLinear
from trader.he.ring import residues
from trader.model import INPUT, Add, Graph, Linear, Multiply, ParameterSpec, Square


@pytest.mark.parametrize(("features", "samples"), [(300, 300), (301, 4096), (301, 129)])
def test_they_are_as_exact_as_others_at_half_the_size(features, samples):
    model = random_network(features, 20, 3)
    inputs = random_inputs(model, samples)
    plan = plan_for(model, inputs[:256])
    # As many as fit a packed plan would be tested under that one.
    plan = plan.model_copy(update={"few_samples": None, "few_samples_limit": 0})
    assert plan.for_samples(samples).joined_features
    assert plan.request_ciphertexts(samples) == (features + 1) // 2
    session = ClientSession(plan)
    steps = []
    request = session.encrypt(inputs)
    response = evaluate(plan, model, request, samples, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1] == len(steps)
    errors = np.abs(session.decrypt(response) - exact_outputs(model, inputs))
    check_errors(errors, plan)
    assert errors.max() > plan.expected_error / 20


def _bilinear(features):
    """y = A(h·g + k) + b with h, g and k linear in the input."""
    names = ("h", "g", "k")
    nodes = (
        *(Linear(name, (INPUT,), (4,), index) for index, name in enumerate(names)),
        Multiply("p", ("h", "g"), (4,)),
        Add("a", ("p", "k"), (4,)),
        Linear("y", ("a",), (3,), 3),
    )
    specs = tuple(ParameterSpec(name, features, 4, 2) for name in names)
    return Graph((features,), nodes, "y", (*specs, ParameterSpec("A", 4, 3, 2)))


def test_products_and_sums_of_several_layers_are_as_exact():
    model = model_of(_bilinear(201), seed=3)
    inputs = random_inputs(model, 200, seed=4)
    plan = plan_for(model, inputs).model_copy(update={"few_samples": None, "few_samples_limit": 0})
    assert plan.joined_features
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), len(inputs)))
    check_errors(np.abs(outputs - exact_outputs(model, inputs)), plan)


def test_only_dense_layers_of_all_features_take_them_apart():
    graph = random_network(10, 4, 2).graph
    program = build_program(graph, {}, staged=False, joined_features=True)
    assert isinstance(program.steps[0], JoinedLinear)
    assert program.conjugate == {step.name for step in program.steps}
    assert not program.shared
    assert program.response_components == 2
    with pytest.raises(PlanError, match="features of a linear model are not joined"):
        build_program(random_network(10, 4).graph, {}, staged=False, joined_features=True)
    squared = Graph((3,), (Square("s", (INPUT,), (3,)),), "s", ())
    with pytest.raises(PlanError, match="'s' is no dense layer of all features"):
        build_program(squared, {}, staged=False, joined_features=True)
    positions = Graph(
        (8,), (Linear("c", (INPUT,), (4,), 0), Square("s", ("c",), (4,))), "s", (ParameterSpec("p", 4, 2, 1),)
    )
    with pytest.raises(PlanError, match="'c' is no dense layer of all features"):
        build_program(positions, {}, staged=False, joined_features=True)


@pytest.mark.parametrize("change", [{"components": 3}, {"dropped_primes": [1]}, {"joined_features": 1}])
def test_plans_that_contradict_it_are_refused(change):
    model = random_network(300, 8, 2)
    stated = plan_for(model, random_inputs(model, 64)).model_dump(mode="json")
    assert parse_plan(stated).joined_features
    with pytest.raises(PlanError):
        parse_plan(stated | change)


def test_few_features_are_not_worth_their_keys():
    model = random_network(40, 10, 10)
    assert not plan_for(model, random_inputs(model, 64)).joined_features


def test_joining_is_what_it_says_to_the_residue():
    """Against integers: u + ū + (v - v̄)/J."""
    prime, count, unit = 2147352577, 8, pow(5, -1, 2147352577)
    values = np.random.default_rng(5).integers(-(prime // 2), prime // 2, (6, 2, count)).astype(np.float64)
    u, v = (part.astype(np.int64).astype(object) for part in np.split(values, 2))
    factors = np.array([-unit] * (count // 2) + [unit] * (count // 2), dtype=object)
    found = residues.join_parts(values, unit, prime)
    assert np.abs(found).max() <= prime // 2 + residues.CENTRE_SLACK
    first = u[:, 0] + u[:, 0, ::-1] + (v[:, 0] - v[:, 0, ::-1]) * factors
    second = u[:, 1] + v[:, 1] * factors
    for component, expected in enumerate((first, second)):
        assert ((found[:, component].astype(np.int64).astype(object) - expected) % prime == 0).all()


@pytest.mark.parametrize("protected", [True, False])
def test_other_samples_in_other_slots_stay_unanswered(monkeypatch, protected):
    """300 samples of which 100 are paid for; without hiding the other 156 of a period of 256 would be answered."""
    if not protected:
        hidden = lambda self, _: np.zeros((len(self._primes), 8192), dtype=np.uint32)  # noqa: E731
        monkeypatch.setattr(Protection, "_hiding", hidden)
    model = random_network(300, 20, 1)
    inputs = random_inputs(model, 256)
    whole = plan_for(model, inputs).model_copy(update={"few_samples": None, "few_samples_limit": 0})
    buyer = CuriousBuyer(whole, 100)
    assert buyer.plan.joined_features
    messages = buyer.plan.pack(np.ldexp(inputs, -model.scale_bits))
    found = buyer.slots(buyer.ask(model, messages))[0].real
    close = np.abs(found[128:256] - exact_outputs(model, inputs)[128:, 0]) < 1e-2
    assert close.all() != protected
    assert close.any() != protected
