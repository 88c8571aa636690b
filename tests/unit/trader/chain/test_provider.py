"""Calls that a network loses are made again; those that can't change are made once."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from web3 import Web3

from trader.chain import provider
from trader.chain.provider import ATTEMPTS, NodeProvider


class Network:
    """Answers what it is told to, one after the other; then what a node of chain 31337 says."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers = list(answers)
        self.methods: list[str] = []

    def make_post_request(self, _url: str, data: bytes, **_options: Any) -> bytes:
        calls = json.loads(data)
        (call, *_) = calls if isinstance(calls, list) else [calls]
        self.methods.append(call["method"])
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        result = {"eth_chainId": "0x7a69"}.get(call["method"], "0x1")
        return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}).encode()


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider.time, "sleep", lambda _: None)


def web3_over(network: Network) -> Web3:
    node = NodeProvider("http://127.0.0.1:1", 1.0)
    node._request_session_manager = network  # type: ignore[assignment]
    return Web3(node)


def test_the_chains_id_is_asked_for_once() -> None:
    network = Network()
    web3 = web3_over(network)
    for _ in range(3):
        web3.eth.call({"to": "0x" + "11" * 20})
    assert network.methods.count("eth_chainId") == 1
    assert network.methods.count("eth_call") == 3


@pytest.mark.parametrize("lost", [b"<html>502", b'{"jsonrpc": "2.0", "id": 0, "res', b"", requests.ConnectionError()])
def test_what_is_no_whole_answer_is_asked_for_again(lost: bytes | OSError) -> None:
    network = Network(*[lost] * (ATTEMPTS - 1))
    assert web3_over(network).eth.block_number == 1
    assert len(network.methods) == ATTEMPTS


@pytest.mark.parametrize("lost", [b"<html>", requests.ConnectionError()])
def test_not_for_ever_and_half_an_answer_is_a_network_that_fails(lost: bytes | OSError) -> None:
    network = Network(*[lost] * ATTEMPTS)
    with pytest.raises(OSError, match="no JSON" if isinstance(lost, bytes) else None):
        _ = web3_over(network).eth.block_number
    assert len(network.methods) == ATTEMPTS


@pytest.mark.parametrize("lost", [b"<html>502", b'[{"jsonrpc": "2.0", "id": 0, "res', requests.ConnectionError()])
def test_a_batch_is_asked_for_again_and_its_answers_are_put_in_order(lost: bytes | OSError) -> None:
    answers = [{"jsonrpc": "2.0", "id": number, "result": hex(100 + number)} for number in (2, 0, 1)]
    network = Network(*[lost] * (ATTEMPTS - 1), json.dumps(answers).encode())
    web3 = web3_over(network)
    with web3.batch_requests() as batch:
        for _ in answers:
            batch.add(web3.eth.get_balance("0x" + "11" * 20))
        assert batch.execute() == [100, 101, 102]
    assert len(network.methods) == ATTEMPTS


def test_what_may_take_effect_twice_is_sent_once() -> None:
    network = Network(requests.ConnectionError())
    with pytest.raises(requests.ConnectionError):
        web3_over(network).provider.make_request("anvil_mine", [])  # type: ignore[arg-type]
    assert network.methods == ["anvil_mine"]
