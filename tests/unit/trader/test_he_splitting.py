"""Two samples per slot: tests that fill more than one batch."""

import numpy as np
import pytest

from tests.unit.trader.he_models import exact_outputs, finish_request, plan_for, random_inputs, random_network
from trader.he import ClientSession, PlanError, evaluate
from trader.he.program import Split, build_program
from trader.he.request import RequestParts
from trader.he.seal import SecretKey, conjugation_element
from trader.he.session import plan_parameters
from trader.he.wire import ContainerWriter, read_container
from trader.model import INPUT, Add, Graph, Linear, ParameterSpec, Square


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
    assert paired.request_bytes(samples) < 0.6 * plan.request_bytes(samples) or samples > 8192
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), samples))
    assert np.abs(outputs - exact_outputs(model, inputs)).max() < paired.expected_error


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


def test_what_meets_split_values_is_split_too():
    program = build_program(_residual(), {}, staged=False, paired=True)
    assert {step.inputs[0] for step in program.steps if isinstance(step, Split)} == {"h", "g"}
    assert program.levels["y"] == 1


def test_linear_models_and_squared_inputs_are_not_paired():
    with pytest.raises(PlanError, match="never need to be split"):
        build_program(random_network(3, 2).graph, {}, staged=False, paired=True)
    squared = Graph((3,), (Square("s", (INPUT,), (3,)),), "s", ())
    with pytest.raises(PlanError, match="every input would have to be split"):
        build_program(squared, {}, staged=False, paired=True)


def test_a_layer_as_wide_as_the_input_is_not_worth_it():
    model = random_network(40, 40, 3)
    assert plan_for(model, random_inputs(model, 64)).many_samples is None


def _answer(plan, model, inputs, claimed):
    """Raw slots of the response to a request with more samples than it claims."""
    paired = plan.for_samples(claimed)
    parameters = plan_parameters(paired)
    key = SecretKey(parameters)
    layout = paired.request_layout(claimed, parameters.all_primes)
    writer = ContainerWriter("request", paired.digest, claimed, layout)
    request = RequestParts(paired, claimed, parameters, writer.parts)
    (switching,) = key.galois_keys([conjugation_element(paired.ring_degree)])
    request.write_key(0, switching)
    for index, slots in enumerate(paired.pack(np.ldexp(inputs, -paired.scale_bits))):
        request.write_ciphertext(0, index, key.encrypt(slots, 2.0**paired.input_scale_bits))
    response = evaluate(plan, model, finish_request(writer, request, key), claimed)
    layout = paired.response_layout(claimed, parameters.primes)
    part = read_container(response, "response", paired.digest, claimed, layout).parts[0]
    return np.stack([key.decrypt(ciphertext, paired.output_scale).real for ciphertext in part])


def test_extra_samples_in_imaginary_parts_stay_unanswered():
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 600)
    slots = _answer(plan_for(model, inputs[:256]), model, inputs, claimed=4096 + 10)
    expected = exact_outputs(model, inputs[4096:])[:, 0]
    assert np.abs(slots[1, :10] - expected[:10]).max() < 1e-3
    assert abs(np.corrcoef(slots[1, 10:600], expected[10:])[0, 1]) < 0.2
    assert slots[1, 10:].std() > 10 * np.abs(expected).max()


def test_a_split_without_conjugation_would_mix_samples(monkeypatch):
    """The test above can fail: products of unsplit samples are mixtures."""
    monkeypatch.setattr("trader.he.seal.Automorphisms.conjugate", lambda _, residues: residues.copy())
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 600)
    slots = _answer(plan_for(model, inputs[:256]), model, inputs, claimed=4096 + 10)
    assert np.abs(slots[1, :10] - exact_outputs(model, inputs[4096:4106])[:, 0]).max() > 0.1
