"""Two samples per slot: tests that fill more than one batch."""

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer
from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he import ClientSession, PlanError, evaluate
from trader.he.evaluation.privacy import Protection
from trader.he.program.steps import Split, build_program
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


def test_extra_samples_in_imaginary_parts_stay_unanswered():
    """10 more samples than a batch, paid as 16 more; 600 in the imaginary parts, where a response shows 16 numbers."""
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 600)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    assert [visible.period for visible in buyer.visible] == [4096, 16]
    part = buyer.ask(model, buyer.honest(inputs))
    expected = exact_outputs(model, inputs[4096:])[:, 0]
    found = buyer.slots(part)[1].real[:600]
    assert abs(np.corrcoef(found, expected)[0, 1]) < 0.2
    assert found.std() > 2**10 * expected.std()
    assert np.abs(buyer.read(part)[:4096] - exact_outputs(model, inputs[:4096])).max() < buyer.plan.expected_error


def test_without_hiding_they_would_be_answered(monkeypatch):
    """The test above can fail."""
    monkeypatch.setattr(Protection, "_hiding", lambda self, _: np.zeros((len(self._primes), 8192), dtype=np.uint32))
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 600)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    found = buyer.slots(buyer.ask(model, buyer.honest(inputs)))[1].real[:600]
    assert np.abs(found - exact_outputs(model, inputs[4096:])[:, 0]).max() < 1e-3


def test_a_split_without_conjugation_would_mix_samples(monkeypatch):
    """Products of unsplit samples are mixtures."""
    monkeypatch.setattr("trader.he.evaluation.switching.Automorphisms.conjugate", lambda _, residues: residues.copy())
    model = _wide(20, 1)
    inputs = random_inputs(model, 4096 + 10)
    buyer = CuriousBuyer(plan_for(model, inputs[:256]), 4096 + 10)
    outputs = buyer.read(buyer.ask(model, buyer.honest(inputs)))
    assert np.abs(outputs - exact_outputs(model, inputs))[4096:].max() > 0.1
