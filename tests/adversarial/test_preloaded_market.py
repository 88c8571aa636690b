"""A market whose constructor credits a thief: its runtime code is the published one, and it steals what it holds."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak
from web3.exceptions import Web3Exception

from contracts import ETH, MarketRevertedError, UnexpectedCodeError, bind_market, verify_deployment
from contracts.create2 import DEPLOYER, create2_address
from tests.contracts.stage import FIRST as AUDIT
from tests.contracts.stage import PRICE, Stage, terms_of

BALANCES_SLOT = 2
"""Of `balanceOf` in the market's storage."""


def runtime_code(stage: Stage) -> bytes:
    """The published market's, immutables and all: its own address is one of them, and used nowhere but there."""
    return bytes(stage.web3.eth.get_code(stage.deployment.market))


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def preloading_init_code(runtime: bytes, thief: str, amount_wei: int) -> bytes:
    """Credits the thief, then returns the published code: PUSH32 amount, PUSH32 slot, SSTORE, CODECOPY, RETURN."""
    outer = keccak(bytes.fromhex(thief[2:]).rjust(32, b"\0") + word(BALANCES_SLOT))
    slot = keccak(bytes.fromhex(ETH[2:]).rjust(32, b"\0") + outer)
    size = len(runtime).to_bytes(2, "big")

    def prefix(offset: int) -> bytes:
        copy = b"\x61" + size + b"\x61" + offset.to_bytes(2, "big") + b"\x5f\x39"
        return b"\x7f" + word(amount_wei) + b"\x7f" + slot + b"\x55" + copy + b"\x61" + size + b"\x5f\xf3"

    return prefix(len(prefix(0))) + runtime


def verify_runtime_code(stage: Stage, market: str) -> None:
    """The unprotected twin of `verify_deployment`: compares code, as parties did once."""
    if bytes(stage.web3.eth.get_code(market)) != runtime_code(stage):
        raise UnexpectedCodeError("not the published code")


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def preloaded(stage: Stage) -> str:
    thief = stage.stranger
    code = preloading_init_code(runtime_code(stage), thief, PRICE)
    sent = stage.web3.eth.send_transaction({"from": thief, "data": code, "gas": 12_000_000})
    receipt = stage.web3.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 1
    return receipt["contractAddress"]


def test_whoever_compares_code_alone_loses_the_price(stage: Stage, preloaded: str) -> None:
    thief = stage.stranger
    verify_runtime_code(stage, stage.deployment.market)
    verify_runtime_code(stage, preloaded)
    stage.market = bind_market(stage.web3, preloaded)
    stage.offer(terms_of(AUDIT))
    stage.bring_to("Purchased")
    before = stage.web3.eth.get_balance(thief)
    receipt = stage.withdraw(thief)
    gas_wei = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert stage.web3.eth.get_balance(thief) - before + gas_wei == PRICE

    stage.at(stage.deadline())
    stage.expire()
    assert stage.credit(stage.buyer) == PRICE
    with pytest.raises((MarketRevertedError, Web3Exception)), stage.tried():
        stage.withdraw(stage.buyer)  # the escrow is empty


def test_the_address_gives_a_preloaded_market_away(stage: Stage, preloaded: str) -> None:
    assert verify_deployment(stage.web3, stage.deployment.market) == stage.deployment
    with pytest.raises(UnexpectedCodeError, match=rf"{preloaded} is not the published market.*storage may hold"):
        verify_deployment(stage.web3, preloaded)


def test_a_preloaded_market_made_by_the_deployer_itself_is_elsewhere(stage: Stage) -> None:
    """Nobody else's init code reaches the published address, with any salt that they can try."""
    thief = stage.stranger
    code = preloading_init_code(runtime_code(stage), thief, PRICE)
    transaction = {"from": thief, "to": DEPLOYER, "data": bytes(32) + code, "gas": 12_000_000}
    stage.web3.eth.wait_for_transaction_receipt(stage.web3.eth.send_transaction(transaction))
    forged = create2_address(bytes(32), code)
    verify_runtime_code(stage, forged)
    with pytest.raises(UnexpectedCodeError, match="not the published market"):
        verify_deployment(stage.web3, forged)
