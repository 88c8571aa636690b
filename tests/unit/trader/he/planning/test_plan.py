import json
import math
import time

import pytest
import rfc8785
from tenseal import sealapi

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he import (
    ClientSession,
    PlanError,
    PlanningProblem,
    SecurityError,
    SecurityPolicy,
    candidates,
    evaluate,
    forecast,
    parse_plan,
    plan_encryption,
)
from trader.he.parallel import worker_count
from trader.he.planning import forecast as forecasting
from trader.he.planning import search
from trader.he.planning.guidelines import MAXIMUM_MODULUS_BITS, security_level
from trader.he.planning.policy import check_flooding
from trader.he.program.activations import Polynomial
from trader.he.program.build import build_program
from trader.he.wire.key_proof import Form
from trader.model import INPUT, Graph, measured_bounds
from trader.model.nodes import Activation, ActivationKind

SEAL_LEVELS = {128: "TC128", 192: "TC192", 256: "TC256"}


@pytest.fixture(scope="module")
def model():
    return random_network(30, 16, 2)


@pytest.fixture(scope="module")
def plan(model):
    return plan_for(model, random_inputs(model, 64))


@pytest.mark.parametrize("security_bits", SEAL_LEVELS)
def test_the_table_is_never_laxer_than_seals(security_bits):
    level = getattr(sealapi.SEC_LEVEL_TYPE, SEAL_LEVELS[security_bits])
    for degree, bits in MAXIMUM_MODULUS_BITS[security_bits].items():
        assert bits <= sealapi.CoeffModulus.MaxBitCount(degree, level)


@pytest.mark.parametrize(
    ("degree", "bits", "level"),
    [(8192, 214, 128), (8192, 215, 0), (8192, 147, 192), (8192, 148, 128), (4096, 106, 128), (4096, 107, 0)],
)
def test_levels_are_those_of_the_newer_guidelines(degree, bits, level):
    """What the 2018 table still allowed (218 and 109 bits, 152 for 192) is refused or counts for less."""
    assert security_level(degree, bits) == level


def test_plan_is_secure_and_small(plan):
    assert plan.security_bits >= 128
    assert plan.ring_degree == 8192
    assert plan.statistical_bits >= 20
    assert plan.expected_error < 2**-12


def test_linear_model_takes_a_smaller_ring():
    model = random_network(30, 2)
    assert plan_for(model, random_inputs(model, 64)).ring_degree == 4096


def test_deeper_networks_take_larger_rings():
    model = random_network(8, 6, 5, 2)
    assert plan_for(model, random_inputs(model, 64)).ring_degree == 16384


def test_too_deep_a_network_is_refused():
    model = random_network(*[4] * 16, gain=0.3)
    with pytest.raises(PlanError, match=r"takes a modulus of \d+ bits"):
        plan_for(model, random_inputs(model, 64))


def test_stricter_policy_gives_a_stricter_plan(model):
    bounds = measured_bounds(model, random_inputs(model, 64))
    strict = plan_encryption(
        PlanningProblem(model, bounds, input_magnitude=1.0, policy=SecurityPolicy(security_bits=192))
    )
    assert strict.security_bits >= 192
    assert strict.ring_degree == 16384


def test_more_flooding_takes_more_modulus(model, plan):
    bounds = measured_bounds(model, random_inputs(model, 64))
    flooded = plan_encryption(PlanningProblem(model, bounds, input_magnitude=1.0, statistical_bits=41))
    assert flooded.statistical_bits >= 41
    assert sum(flooded.modulus_bits) > sum(plan.modulus_bits)


def test_a_policy_asks_for_flooding_too(model):
    bounds = measured_bounds(model, random_inputs(model, 64))
    policy = SecurityPolicy(statistical_bits=41)
    policy.check(plan_encryption(PlanningProblem(model, bounds, input_magnitude=1.0, policy=policy)))


def test_flooding_takes_what_the_ring_has_room_for():
    """At least 20 bits, up to 40, and no larger ring for it; the plan says how many it came to."""
    for widths in [(30, 16, 2), (200, 20, 20), (8, 6, 5, 2), (100, 3)]:
        model = random_network(*widths)
        for layout in plan_for(model, random_inputs(model, 64)).layouts:
            assert layout.statistical_bits >= 20
            unused = MAXIMUM_MODULUS_BITS[128][layout.ring_degree] - sum(layout.modulus_bits)
            # One more bit of flooding takes several of modulus where values are multiplied.
            assert layout.statistical_bits >= 40 or unused < 20 or layout.input_scale_bits >= 69


def test_huge_inputs_are_refused(model):
    bounds = measured_bounds(model, random_inputs(model, 64))
    with pytest.raises(PlanError, match=r"inputs up to 1e\+09 at a scale of 2\^\d+"):
        plan_encryption(PlanningProblem(model, bounds, input_magnitude=1e9))


def test_plan_survives_the_manifest(plan):
    assert parse_plan(json.loads(rfc8785.dumps(plan.model_dump(mode="json")))) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"ring_degree": 8191},
        {"ring_degree": "8192"},
        {"modulus_bits": [28]},
        {"modulus_bits": [40, 40, 17]},
        {"flooding_bits": 900},
        {"output_scale": 2.0**190},
        {"expected_error": "nan"},
        {"input_magnitude": float("nan")},
        {"unknown": 1},
        {"parameters_id": "0x00"},
    ],
)
def test_malformed_plans_are_refused(plan, change):
    with pytest.raises(PlanError):
        parse_plan(plan.model_dump(mode="json") | change)


@pytest.mark.parametrize("spelling", ["{} ", "0x1.8p1000", "1e5", "0x3p5", "inf", "nan", "-0x1.0000000000000p+3"])
def test_a_scale_has_one_spelling(plan, spelling):
    """Else plans of several digests would say the same."""
    stated = plan.model_dump(mode="json")
    parse_plan(stated)
    with pytest.raises(PlanError):
        parse_plan(stated | {"output_scale": spelling.format(stated["output_scale"])})


@pytest.mark.parametrize("data", [None, [], "plan", {}])
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(PlanError):
        parse_plan(data)


@pytest.mark.parametrize("coefficients", [[1.0], [0.0, 0.0, 0.0]])
def test_a_constant_polynomial_is_none(coefficients):
    graph = Graph((2,), (Activation("a", (INPUT,), (2,), ActivationKind.TANH),), "a", ())
    with pytest.raises(PlanError, match="polynomial for 'a' is constant"):
        build_program(graph, {"a": Polynomial(tuple(coefficients), 1.0)}, staged=False)


def test_a_weak_plan_is_refused_before_any_key_is_made(plan, monkeypatch):
    weak = plan.model_copy(update={"ring_degree": 4096})
    assert security_level(4096, sum(weak.modulus_bits)) == 0
    monkeypatch.setattr("trader.he.seal.keys.SecretKey.__init__", lambda *_: pytest.fail("a key was made"))
    with pytest.raises(SecurityError, match="less than 128 bits of security, 128 are asked for"):
        ClientSession(weak)


def test_a_plan_that_floods_too_little_is_refused(plan):
    with pytest.raises(SecurityError, match="statistical bits"):
        SecurityPolicy(statistical_bits=60).check(plan)


def test_parameters_are_compared_by_hash(plan):
    with pytest.raises(PlanError, match="the plan's parameters hash to"):
        ClientSession(plan.model_copy(update={"parameters_id": "0x" + "ab" * 32}))


def test_alternatives_are_listed_with_reasons(model, plan):
    found = list(
        candidates(PlanningProblem(model, measured_bounds(model, random_inputs(model, 64)), input_magnitude=1.0))
    )
    assert [candidate.ring_degree for candidate in found] == [1024, 2048, 4096, 8192, 16384, 32768]
    assert all("takes a modulus" in candidate.rejected for candidate in found[:3])
    assert found[3].plan == plan.batched
    assert found[4].plan.ring_degree == 16384


@pytest.mark.parametrize("samples", [1, 4096, 5000])
def test_forecast_of_bytes_is_exact(model, plan, samples):
    inputs = random_inputs(model, samples)
    session = ClientSession(plan)
    request = session.encrypt(inputs)
    predicted = forecast(plan, model.graph, samples)
    assert len(request) - predicted.request_bytes in range(200, 4000)  # the header
    assert len(evaluate(plan, model, request, samples)) - predicted.response_bytes in range(200, 4000)


@pytest.mark.slow
def test_forecast_of_seconds_is_of_the_right_size():
    """In processor time, so that other work on the machine doesn't count."""
    model = random_network(400, 32, 10)
    inputs = random_inputs(model, 500)
    plan = plan_for(model, inputs)
    predicted = forecast(plan, model.graph, 500).evaluate_seconds
    session = ClientSession(plan)
    request = session.encrypt(inputs)
    evaluate(plan, model, request, 500)
    started = time.process_time()
    evaluate(plan, model, request, 500)
    seconds = (time.process_time() - started) / worker_count()
    assert predicted / 5 < seconds < predicted * 5


def test_forecast_grows_with_the_samples(model, plan):
    few, many = (forecast(plan, model.graph, samples) for samples in (10, 10_000))
    assert many.evaluate_seconds > few.evaluate_seconds
    assert many.peak_bytes > few.peak_bytes


SAMPLES = (1, 10, 50, 64, 100, 128, 200, 256, 500, 512, 1000, 1024, 2000, 4000, 4096, 8000)


@pytest.mark.parametrize("widths", [(784, 64, 10), (484, 128, 10), (784, 10), (3000, 20, 2)], ids=str)
def test_more_samples_never_cost_less_time_than_fewer(widths, monkeypatch):
    """At speeds of one machine, measured alone; its plans switch layouts at different numbers of samples."""
    speeds = forecasting._Speeds(
        encrypt=5e-8, transform=3.6e-9, expand=8.8e-9, load=2.3e-10, product=4.1e-11, residue=4.5e-10
    )
    monkeypatch.setattr(forecasting, "_speeds", lambda: speeds)
    monkeypatch.setattr(forecasting, "worker_count", lambda: 2)
    model = random_network(*widths)
    plan = plan_for(model, random_inputs(model, 64))
    costs = [forecast(plan, model.graph, samples) for samples in SAMPLES]
    seconds = [cost.encrypt_seconds + cost.evaluate_seconds + cost.decrypt_seconds for cost in costs]
    assert seconds == sorted(seconds), dict(zip(SAMPLES, seconds, strict=True))
    assert len({type(plan.for_samples(samples)) for samples in SAMPLES}) > 1


@pytest.mark.parametrize(("rows", "degree"), [(256, 8192), (1, 16384)])
def test_digits_of_several_primes_make_smaller_keys_and_take_nothing_from_the_flooding(rows, degree, monkeypatch):
    """Bounds from one row are wide, so that the ring is large, and has room for more special primes."""
    network = random_network(784, 64, 10)
    problem = PlanningProblem(network, measured_bounds(network, random_inputs(network, rows)), input_magnitude=1.0)
    chosen = plan_encryption(problem).few_samples
    monkeypatch.setattr(search, "SPECIAL_PRIMES", ())
    plain = plan_encryption(problem).few_samples
    assert (plain.ring_degree, plain.special_primes) == (degree, 1)
    assert (chosen.ring_degree, chosen.statistical_bits) == (plain.ring_degree, plain.statistical_bits)
    assert chosen.expected_error <= plain.expected_error
    if rows == 1:
        assert chosen.special_primes > 1
        assert chosen.key_rows < plain.key_rows
        assert chosen.request_bytes(1) < plain.request_bytes(1)
    else:
        assert chosen == plain


@pytest.fixture(scope="module")
def layered():
    """A plan with all three layouts."""
    wide = random_network(200, 20, 20)
    return plan_for(wide, random_inputs(wide, 64))


def test_layouts_follow_the_number_of_samples(layered):
    limit = layered.few_samples_limit
    assert limit >= 64
    assert layered.for_samples(1) == layered.for_samples(limit) == layered.few_samples
    assert layered.for_samples(limit + 1) == layered.for_samples(4096) == layered
    assert layered.for_samples(4097) == layered.many_samples
    assert parse_plan(json.loads(rfc8785.dumps(layered.model_dump(mode="json")))) == layered
    assert layered.largest_error == max(layout.expected_error for layout in layered.layouts)


@pytest.mark.parametrize(
    ("layout", "change"),
    [
        ("few_samples", {"features": 201}),
        ("few_samples", {"outputs": 19}),
        ("few_samples", {"scale_bits": 12}),
        ("few_samples", {"input_magnitude": 2.0}),
        ("few_samples", {"maps": []}),
        ("few_samples", {"weight_scale_bits": 0, "maps": []}),
        ("few_samples", {"paired": True}),
        ("many_samples", {"paired": False, "dropped_primes": []}),
        ("many_samples", {"dropped_primes": [1]}),
        ("many_samples", {"components": 3}),
        ("many_samples", {"joined_features": True}),
        ("few_samples", {"joined_features": True}),
        ("many_samples", {"features": 199}),
        ("many_samples", {"unfolded": True}),
        ("many_samples", {"response_primes": 8}),
        ("few_samples", {"response_primes": 5}),
        ("few_samples", {"special_primes": 8}),
        ("few_samples", {"special_primes": 0}),
        ("few_samples", {"key_spacing": 0}),
        ("many_samples", {"special_primes": 2}),
    ],
)
def test_layouts_that_do_not_fit_their_plan_are_refused(layered, layout, change):
    data = layered.model_dump(mode="json")
    with pytest.raises(PlanError):
        parse_plan(data | {layout: data[layout] | change})


def test_all_layouts_are_written_with_the_same_fields(layered):
    """So that the form of a listing doesn't depend on the layouts that pay."""
    stated = layered.model_dump(mode="json")
    assert stated.keys() == stated["few_samples"].keys() == stated["many_samples"].keys()
    assert [stated[layout]["weight_scale_bits"] > 0 for layout in ("few_samples", "many_samples")] == [True, False]
    assert [stated[layout]["paired"] for layout in ("few_samples", "many_samples")] == [False, True]


@pytest.mark.parametrize(
    "change",
    [
        {"weight_scale_bits": False},
        {"weight_scale_bits": 20},
        {"special_primes": 2},
        {"special_primes": True},
        {"key_spacing": 2},
        {"maps": [[1, 1]]},
        {"paired": 0},
        {"paired": True},
        {"spread": True},
        {"unfolded": 0},
        {"joined": 1},
    ],
)
def test_what_a_layout_does_not_choose_is_stated_as_it_is(plan, change):
    """Else plans of several digests would say the same, or a plan something that means nothing."""
    with pytest.raises(PlanError):
        parse_plan(plan.model_dump(mode="json") | change)


def test_layouts_in_each_others_place_are_refused(layered):
    data = layered.model_dump(mode="json")
    swapped = {"few_samples": data["many_samples"], "many_samples": data["few_samples"]}
    for change in (swapped, {"few_samples": data}, {"few_samples_limit": 1 << 14}):
        with pytest.raises(PlanError):
            parse_plan(data | change)
    with pytest.raises(PlanError, match="begins with"):
        parse_plan(data["few_samples"])


def test_a_weak_layout_is_refused_before_any_key_is_made(layered, monkeypatch):
    monkeypatch.setattr("trader.he.seal.keys.SecretKey.__init__", lambda *_: pytest.fail("a key was made"))
    for name in ("few_samples", "many_samples"):
        weak = getattr(layered, name).model_copy(update={"ring_degree": 4096})
        with pytest.raises(SecurityError, match="less than 128 bits"):
            ClientSession(layered.model_copy(update={name: weak}))


@pytest.mark.parametrize("widths", [(784, 64, 10), (30, 16, 2), (8, 8, 8, 2), (200, 20, 20)])
def test_plans_keep_to_the_bits_that_they_are_allowed(widths):
    model = random_network(*widths)
    for layout in plan_for(model, random_inputs(model, 64)).layouts:
        assert security_level(layout.ring_degree, sum(layout.modulus_bits)) >= 128


@pytest.mark.parametrize("budget_bits", [-12, 0, 8, 12])
@pytest.mark.parametrize("widths", [(784, 64, 10), (30, 16, 2), (100, 1), (784, 10), (1, 1), (2, 1), (3, 2, 1)])
def test_no_plan_is_made_that_a_seller_refuses_to_answer_under(widths, budget_bits):
    """With a large error budget a smaller ring would serve, and flood too little for what a proven key can do."""
    model = random_network(*widths)
    bounds = measured_bounds(model, random_inputs(model, 64))
    asked = {"input_magnitude": 1.0, "error_budget": 2.0**budget_bits}
    chosen = plan_encryption(PlanningProblem(model, bounds, **asked))
    plans = [candidate.plan for candidate in candidates(PlanningProblem(model, bounds, **asked))]
    for plan in (chosen, *filter(None, plans)):
        check_flooding(plan)
    for layout in chosen.layouts if budget_bits == -12 else ():
        hidden_bits = Form(layout.ring_degree, ()).hidden_noise_bits(layout.components)
        assert layout.flooding_bits >= hidden_bits + math.log2(layout.ring_degree) / 2 + 6  # as decision 0018 says


@pytest.mark.parametrize("widths", [(1, 1), (2, 1)])
def test_rings_whose_flooding_is_too_small_are_passed_over(widths, monkeypatch):
    """Without the planner's demand of its scales, the ring of 2048 would be chosen; its plan is looked at again."""
    model = random_network(*widths)
    bounds = measured_bounds(model, random_inputs(model, 64))
    monkeypatch.setattr("trader.he.planning.scales.least_flooding_bits", lambda *_: 0)
    small, larger, *_ = [
        candidate
        for candidate in candidates(PlanningProblem(model, bounds, input_magnitude=1.0, error_budget=2.0**8))
        if candidate.ring_degree >= 2048
    ]
    assert small.ring_degree == 2048
    assert "proven public key" in small.rejected
    assert larger.plan is not None
    monkeypatch.setattr("trader.he.planning.search.check_flooding", lambda _: None)
    assert plan_encryption(PlanningProblem(model, bounds, input_magnitude=1.0, error_budget=2.0**8)).ring_degree == 2048
