"""Verifiers that are none: the market calls the code that it was deployed for, and believes no other answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3.utils.address import get_create_address

from contracts import ETH, MarketRevertedError, bind_market
from contracts.published import read_artifacts
from tests.contracts.stage import FIRST, Stage, terms_of

COPY_REST = bytes.fromhex("600d380380600d6000396000f3")
"""Init code that returns whatever follows it as the contract's code."""
REFUSING = b"\x7f" + FIRST.circuit_digest + bytes.fromhex("60205260406000f3")
"""Returns (false, digest of the listed circuit) to whatever it is asked; ezkl's verifier reverts instead."""


def market_code(verifier: str, codehash: bytes) -> bytes:
    """Init code of a market with this verifier."""
    arguments = encode(["address", "bytes32", "uint256", "address"], [verifier, codehash, 0, ETH])
    return read_artifacts().contracts["ModelMarket"].bytecode + arguments


def put(stage: Stage, code: bytes) -> str:
    transaction: Any = {"from": stage.stranger, "data": code, "gas": 30_000_000}
    receipt = stage.web3.eth.wait_for_transaction_receipt(stage.web3.eth.send_transaction(transaction))
    assert receipt["status"] == 1
    return str(receipt["contractAddress"])


@contextmanager
def trading_at(stage: Stage, market: str) -> Iterator[None]:
    """The stage's moves go to another market, where a trade has been purchased."""
    published, stage.market = stage.market, bind_market(stage.web3, market)
    try:
        stage.offer(terms_of(FIRST))
        stage.bring_to("Purchased")
        yield
    finally:
        stage.market = published


def test_a_verifier_that_says_no_is_believed(stage: Stage) -> None:
    verifier = put(stage, COPY_REST + REFUSING)
    market = put(stage, market_code(verifier, keccak(REFUSING)))
    with trading_at(stage, market), stage.refused("ProofRejected"):
        stage.prove()


def test_a_verifier_that_was_being_constructed_with_the_market_is_not_called(stage: Stage) -> None:
    """A contract has no code while its constructor runs, and no code has a hash too; what it gets then has another."""
    verifier = get_create_address(stage.stranger, stage.web3.eth.get_transaction_count(stage.stranger))
    market = market_code(verifier, keccak(b""))
    assert put(stage, deploying(market)) == verifier
    with trading_at(stage, get_create_address(verifier, 1)), stage.refused("UnexpectedVerifier", expected=keccak(b"")):
        stage.prove()


def deploying(code: bytes) -> bytes:
    """Init code of a contract whose constructor makes another one, and whose own code is one byte, STOP."""
    size = b"\x62" + len(code).to_bytes(3, "big")
    copy, make, stop = (
        size + bytes.fromhex("60175f39"),
        size + bytes.fromhex("5f5ff050"),
        bytes.fromhex("5f5f5360015ff3"),
    )
    constructor = copy + make + stop
    assert len(constructor) == 0x17  # where CODECOPY finds the other one's code
    return constructor + code


def test_a_market_for_other_code_cannot_be_deployed(stage: Stage) -> None:
    with pytest.raises((MarketRevertedError, AssertionError)):
        put(stage, market_code(stage.stranger, keccak(REFUSING)))
