import json
import mmap
import random

import numpy as np
import pytest
from eth_utils.crypto import keccak

from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he import ClientSession, WireError, digest, evaluate
from trader.he.wire.header import MAGIC, MAX_HEADER_BYTES

SAMPLES = 4
HEADER_START = len(MAGIC) + 4


@pytest.fixture(scope="module")
def trade():
    model = random_network(3, 2)
    inputs = random_inputs(model, SAMPLES)
    plan = plan_for(model, inputs).batched
    session = ClientSession(plan)
    request = bytes(session.encrypt(inputs))
    return model, plan, session, request, bytes(evaluate(plan, model, request, SAMPLES))


def _header(container):
    return json.loads(container[HEADER_START : _content_start(container)])


def _content_start(container):
    return HEADER_START + int.from_bytes(container[len(MAGIC) : HEADER_START], "little")


def _with_header(container, header):
    return _with_content(container, json.dumps(header, separators=(",", ":"), sort_keys=True).encode())


def _with_content(container, content):
    return MAGIC + len(content).to_bytes(4, "little") + content + container[_content_start(container) :]


def _with_field(container, **fields):
    return _with_header(container, _header(container) | fields)


def _with_residue(container, value):
    """Another first residue in the last part, digests made to match."""
    import hashlib

    header = _header(container)
    size = header["parts"][-1]["bytes"]
    part = value.to_bytes(4, "little") + container[-size + 4 :]
    header["parts"][-1]["sha256"] = "0x" + hashlib.sha256(part).hexdigest()
    return _with_header(container[:-size] + part, header)


def test_digest_is_the_keccak_of_the_header(trade):
    request = trade[3]
    assert digest(request) == keccak(request[: _content_start(request)])
    assert digest(memoryview(request)) == digest(bytearray(request))


def test_digest_covers_every_part(trade):
    request = trade[3]
    flipped = _with_residue(request, 1)
    assert digest(flipped) != digest(request)


def test_sizes_are_those_that_the_plan_states(trade):
    _, plan, _, request, response = trade
    assert len(request) - _content_start(request) == plan.request_bytes(SAMPLES)
    assert len(response) - _content_start(response) == plan.response_bytes(SAMPLES)


HOSTILE = {
    "empty": (lambda c: b"", "not a container"),
    "magic": (lambda c: b"MSHE0002" + c[8:], "not a container"),
    "magic alone": (lambda c: c[:8], "not a container"),
    "truncated header": (lambda c: c[: HEADER_START + 20], "header claims"),
    "truncated part": (lambda c: c[:-1], "length of the container"),
    "trailing byte": (lambda c: c + b"\0", "length of the container"),
    "header without end": (lambda c: c[:8] + b"\xff\xff\xff\xff" + c[12:], "header claims"),
    "longest header": (lambda c: c[:8] + MAX_HEADER_BYTES.to_bytes(4, "little") + c[12:], "header"),
    "not JSON": (lambda c: c[:HEADER_START] + b"x" + c[HEADER_START + 1 :], "not valid"),
    "not canonical": (lambda c: _with_content(c, b" " + c[HEADER_START : _content_start(c)]), "not in canonical form"),
    "other plan": (lambda c: _with_field(c, plan="0x" + "00" * 32), "plan is"),
    "other samples": (lambda c: _with_field(c, samples=SAMPLES + 1), "number of samples is 5, expected 4"),
    "no samples": (lambda c: _with_field(c, samples=0), "not valid"),
    "unknown field": (lambda c: _with_field(c, secret_key="0x00"), "not valid"),
    "no parts": (lambda c: _with_field(c, parts=[]), "number of parts"),
    "part too many": (
        lambda c: _with_field(c, parts=[*_header(c)["parts"], _header(c)["parts"][0]]),
        "number of parts",
    ),
    "allocation bomb": (
        lambda c: _with_field(c, parts=[p | {"bytes": 2**39} for p in _header(c)["parts"]]),
        "length of part 0",
    ),
    "negative length": (lambda c: _with_field(c, parts=[p | {"bytes": -1} for p in _header(c)["parts"]]), "not valid"),
    "flipped bit": (lambda c: c[:-1] + bytes([c[-1] ^ 1]), "SHA-256"),
    "residue too large": (lambda c: _with_residue(c, 2**32 - 1), "residue"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_refused(trade, name):
    model, plan, _, request, _ = trade
    forge, message = HOSTILE[name]
    with pytest.raises(WireError, match=message):
        evaluate(plan, model, forge(request), SAMPLES)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_responses_are_refused(trade, name):
    _, _, session, _, response = trade
    forge, message = HOSTILE[name]
    with pytest.raises(WireError, match=message):
        session.decrypt(forge(response))


def test_residue_equal_to_its_prime_is_refused(trade):
    from trader.he.planning.parameters import plan_parameters

    model, plan, _, request, _ = trade
    prime = plan_parameters(plan).primes[-1]
    with pytest.raises(WireError, match="residue"):
        evaluate(plan, model, _with_residue(request, prime), SAMPLES)
    evaluate(plan, model, _with_residue(request, prime - 1), SAMPLES)


def test_request_is_no_response_and_the_other_way_round(trade):
    model, plan, session, request, response = trade
    with pytest.raises(WireError, match="kind of container is response"):
        evaluate(plan, model, response, SAMPLES)
    with pytest.raises(WireError, match="kind of container is request"):
        session.decrypt(request)


def test_response_to_another_request_is_refused(trade):
    model, plan, session, _, _ = trade
    other = ClientSession(plan).encrypt(random_inputs(model, SAMPLES))
    with pytest.raises(WireError, match="digest of the answered request"):
        session.decrypt(evaluate(plan, model, other, SAMPLES))


def test_more_samples_than_were_paid_for_are_refused(trade):
    model, plan, _, request, _ = trade
    with pytest.raises(WireError, match="number of samples is 4, expected 2"):
        evaluate(plan, model, request, SAMPLES // 2)
    with pytest.raises(WireError, match="number of samples is 4, expected 8"):
        evaluate(plan, model, request, 2 * SAMPLES)


def test_samples_that_are_charged_alike_are_answered(trade):
    model, plan, _, _, _ = trade
    inputs, session = random_inputs(model, 5), ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), 8))
    assert np.abs(outputs - exact_outputs(model, inputs)).max() < plan.expected_error


def test_fuzzed_headers_are_refused_or_mean_the_same(trade):
    """Any change of the header or its frame: a clear error, never another exception, never another result."""
    model, plan, _, request, _ = trade
    generator = random.Random(0)
    start = _content_start(request)
    for _ in range(300):
        forged = bytearray(request)
        for _ in range(generator.randint(1, 4)):
            forged[generator.randrange(start)] = generator.randrange(256)
        cut = bytes(forged) if generator.random() < 0.8 else bytes(forged[: generator.randrange(len(forged))])
        if cut == request or digest_or_none(cut) is None or _is_a_valid_request_too(cut, request):
            continue
        with pytest.raises(WireError):
            evaluate(plan, model, cut, SAMPLES)


def digest_or_none(container):
    try:
        return digest(container)
    except WireError:
        return None


def _is_a_valid_request_too(forged, request):
    """Another number of samples that is charged alike; another nonce isn't, since the proof of the key names it."""
    try:
        header = _header(forged)
        samples = SAMPLES if header.get("samples") == SAMPLES - 1 else header.get("samples")
        return header | {"samples": samples} == _header(request)
    except ValueError:
        return False


def test_secret_key_never_travels(trade):
    """Neither container holds the key's residues in any part."""
    _, _, session, request, response = trade
    values = session._keys.secret._key.data().dyn_array()
    key = np.array([values.at(index) for index in range(1024)], dtype="<u4").tobytes()
    for container in (request, response):
        assert key not in container


def test_arrays_of_a_checked_container_are_read_only(trade):
    from trader.he.planning.parameters import plan_parameters
    from trader.he.wire.container import read_container

    _, plan, _, request, _ = trade
    layout = plan.request_layout(SAMPLES, plan_parameters(plan).all_primes)
    container = read_container(bytearray(request), "request", plan.digest, SAMPLES, layout)
    with pytest.raises(ValueError, match="read-only"):
        container.parts[0][:] = np.uint32(0)


def test_a_system_without_large_pages_has_small_ones(monkeypatch):
    """As a kernel that was built without them answers."""

    class Plain(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("trader.he.wire.container.mmap.mmap", Plain)
    model = random_network(3, 2)
    inputs = random_inputs(model, SAMPLES)
    plan = plan_for(model, inputs).batched
    session = ClientSession(plan)
    outputs = session.decrypt(evaluate(plan, model, session.encrypt(inputs), SAMPLES))
    assert np.abs(outputs - exact_outputs(model, inputs)).max() < plan.expected_error
