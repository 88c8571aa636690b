import numpy as np
import pytest

from tests.simulators.he_models import check_errors, exact_outputs, plan_for, random_inputs, random_network
from trader.he import ClientSession, PlanError, SecurityPolicy, SessionError, commit_outputs, evaluate, seal
from trader.he.wire.container import digest
from trader.model import CanonicalModel, Graph, Linear, ParameterSpec


def _encrypted_outputs(model, inputs, plan=None):
    plan = plan or plan_for(model, inputs)
    session = ClientSession(plan)
    return session.decrypt(evaluate(plan, model, session.encrypt(inputs), len(inputs))), plan


@pytest.mark.parametrize(
    ("widths", "samples"),
    [((1, 1), 1), ((30, 2), 5), ((30, 1), 2049), ((30, 16, 2), 171), ((64, 32, 10), 30), ((7, 5, 3, 2), 9)],
)
def test_encrypted_outputs_are_within_the_predicted_error(widths, samples):
    model = random_network(*widths)
    inputs = random_inputs(model, samples)
    outputs, plan = _encrypted_outputs(model, inputs)
    error = np.abs(outputs - exact_outputs(model, inputs))
    assert outputs.shape == (samples, widths[-1])
    check_errors(error, plan.for_samples(samples))
    if error.size >= 50:
        assert error.max() >= plan.expected_error / 20, "the prediction is far too loose"


def test_several_batches_keep_their_order():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4500)
    outputs, plan = _encrypted_outputs(model, inputs)
    assert plan.batches(4500) > 1
    check_errors(np.abs(outputs - exact_outputs(model, inputs)), plan.for_samples(4500))


def test_heavy_weights_are_split_into_limbs_and_stay_exact():
    model = random_network(400, 4, gain=2000.0)
    inputs = random_inputs(model, 8) // 2**10
    outputs, plan = _encrypted_outputs(model, inputs)
    assert np.abs(outputs - exact_outputs(model, inputs)).max() <= plan.expected_error


def test_leading_axes_are_carried_along():
    dense = random_network(3, 2)
    graph = Graph((4, 3), (Linear("y", ("input",), (4, 2), 0),), "y", dense.graph.parameters)
    model = CanonicalModel(graph, dense.tensors, dense.scale_bits)
    inputs = random_inputs(model, 6)
    plan = plan_for(dense, random_inputs(dense, 64)).batched.model_copy(update={"features": 12, "outputs": 8})
    outputs, _ = _encrypted_outputs(model, inputs, plan)
    rows = exact_outputs(dense, inputs.reshape(24, 3)).reshape(6, 8)
    assert np.abs(outputs - rows).max() <= plan.expected_error


def test_salt_rows_don_t_matter():
    model = random_network(5, 3)
    inputs = random_inputs(model, 7)
    salted = [tensor.copy() for tensor in model.tensors]
    salted[0][6:] = 2**24 - 1
    outputs, plan = _encrypted_outputs(CanonicalModel(model.graph, tuple(salted), model.scale_bits), inputs)
    assert np.abs(outputs - exact_outputs(model, inputs)).max() <= plan.expected_error


def test_each_session_has_its_own_key_and_randomness():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, inputs)
    requests = [bytes(ClientSession(plan).encrypt(inputs)) for _ in range(2)]
    assert requests[0] != requests[1]


def test_a_session_encrypts_once():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    session = ClientSession(plan_for(model, inputs))
    session.encrypt(inputs)
    with pytest.raises(SessionError, match="open a new one"):
        session.encrypt(inputs)


def test_progress_ends_at_the_total():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, inputs)
    session, seen = ClientSession(plan), []
    request = session.encrypt(inputs, lambda *step: seen.append(("encrypt", *step)))
    response = evaluate(plan, model, request, 4, lambda *step: seen.append(("evaluate", *step)))
    session.decrypt(response, lambda *step: seen.append(("decrypt", *step)))
    for verb in ("encrypt", "evaluate", "decrypt"):
        steps = [(done, total) for name, done, total in seen if name == verb]
        assert steps[-1][0] == steps[-1][1]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((4, 2), dtype=np.int64),
        np.zeros((0, 3), dtype=np.int64),
        np.zeros(3, dtype=np.int64),
        np.zeros((4, 3)),
        np.full((4, 3), 2**20, dtype=np.int64),
    ],
    ids=["width", "empty", "axes", "type", "magnitude"],
)
def test_bad_inputs_are_refused(inputs):
    model = random_network(3, 2)
    session = ClientSession(plan_for(model, random_inputs(model, 4)))
    with pytest.raises(SessionError):
        session.encrypt(inputs)


def test_nothing_to_decrypt():
    model = random_network(3, 2)
    with pytest.raises(SessionError):
        ClientSession(plan_for(model, random_inputs(model, 4))).decrypt(b"")


def test_a_plan_for_another_model_is_refused():
    model, other = random_network(3, 2), random_network(3, 4)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, inputs)
    request = ClientSession(plan).encrypt(inputs)
    with pytest.raises(PlanError, match="Prepare the model again"):
        evaluate(plan, other, request, 4)


def test_secrets_are_not_shown():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    session = ClientSession(plan_for(model, inputs))
    session.encrypt(inputs)
    assert "SecretKey(...)" in repr(session._keys.secret)
    assert "array" not in repr(vars(session))


def test_committed_outputs_are_dithered_and_unbiased():
    outputs = np.full((4000, 2), [0.3, -1.7]) / 16
    committed = commit_outputs(outputs, 4)
    assert committed.dtype == np.int64
    assert set(committed[:, 0].tolist()) == {0, 1}
    assert set(committed[:, 1].tolist()) == {-2, -1}
    assert np.abs(committed.mean(axis=0) - [0.3, -1.7]).max() < 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60])
def test_outputs_that_are_no_numbers_are_not_committed(value):
    with pytest.raises(SessionError):
        commit_outputs(np.array([[value]]), 12)


def test_parameter_spec_is_respected():
    spec = ParameterSpec("p", 2, 1, 12)
    tensor = np.zeros(spec.shape, dtype=np.int32)
    tensor[:3, 0] = [1 << 13, 2 << 13, 3 << 13]
    model = CanonicalModel(Graph((2,), (Linear("y", ("input",), (1,), 0),), "y", (spec,)), (tensor,), 13)
    inputs = np.array([[1 << 13, 0], [0, 1 << 13]])
    outputs, plan = _encrypted_outputs(model, inputs)
    assert np.abs(outputs - [[4.0], [5.0]]).max() <= plan.expected_error


@pytest.mark.parametrize("widths", [(30, 2), (30, 16, 3)])
def test_a_response_leaves_out_primes_that_no_output_needs(widths):
    """What a modulus holds beyond an output would only serve who sends something else than samples."""
    model = random_network(*widths)
    inputs = random_inputs(model, 20)
    plan = plan_for(model, inputs).batched
    assert plan.response_primes == plan.primes
    *kept, special = plan.modulus_bits
    modulus_bits = (*kept, 25, special)
    identifier = seal.parameters(plan.ring_degree, modulus_bits).parameters_id
    roomy = plan.model_copy(update={"modulus_bits": modulus_bits, "parameters_id": identifier})
    assert roomy.capacity_bits == plan.capacity_bits
    session = ClientSession(roomy, SecurityPolicy(security_bits=0))
    response = evaluate(roomy, model, session.encrypt(inputs), 20)
    assert len(response) < 1.01 * plan.response_bytes(20) + 4000
    assert np.abs(session.decrypt(response) - exact_outputs(model, inputs)).max() <= plan.expected_error


def test_a_session_that_was_resumed_knows_which_response_its_keys_are_for():
    """Decrypted, or only expected when the process ended: no second response, and the same one gives the same bits."""
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, random_inputs(model, 64)).batched
    session = ClientSession(plan)
    request = session.encrypt(inputs)
    unanswered = session.export_secret()
    first, second = (evaluate(plan, model, request, 4) for _ in range(2))
    assert digest(first) != digest(second)

    session.expect_response(digest(first))
    expecting = session.export_secret()
    outputs = session.decrypt(first)
    for kept in (expecting, session.export_secret()):
        resumed = ClientSession(plan, kept=kept)
        with pytest.raises(SessionError, match="for another response"):
            resumed.decrypt(second)
        with pytest.raises(SessionError, match="for another response"):
            resumed.expect_response(digest(second))
        np.testing.assert_array_equal(resumed.decrypt(first), outputs)
    # Control: a session that was kept before it knew of a response takes any, one of them.
    np.testing.assert_allclose(
        ClientSession(plan, kept=unanswered).decrypt(second), outputs, atol=2 * plan.expected_error
    )


def test_a_kept_session_that_was_cut_off_is_refused():
    plan = plan_for(random_network(3, 2), random_inputs(random_network(3, 2), 64)).batched
    with pytest.raises(SessionError, match="cut off"):
        ClientSession(plan, kept=bytes(40))
