"""Pull payments, also to a receiver that calls back."""

from typing import Any

import pytest

from contracts import ETH
from tests.contracts.stage import FEE, FIRST, Stage, StageAt, terms_of


def test_withdrawing_pays_the_whole_balance_once(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    before = stage.web3.eth.get_balance(stage.seller)
    receipt = stage.withdraw(stage.seller)
    gas = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert stage.web3.eth.get_balance(stage.seller) == before + FEE - gas
    withdrawn = stage.event(receipt, "Withdrawn")
    assert withdrawn == {"account": stage.seller, "token": ETH, "amount": FEE}
    with stage.refused("NothingToWithdraw", account=stage.seller.lower(), token=ETH):
        stage.withdraw(stage.seller)


def test_there_is_nothing_in_another_token(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    with stage.refused("NothingToWithdraw", account=stage.seller.lower(), token=stage.stranger.lower()):
        stage.send(stage.market.functions.withdraw(stage.stranger), stage.seller)


def test_the_market_takes_no_stray_ether(stage: Stage) -> None:
    transaction = {"from": stage.stranger, "to": stage.deployment.market, "value": 1, "gas": 100_000}
    receipt = stage.web3.eth.wait_for_transaction_receipt(stage.web3.eth.send_transaction(transaction))
    assert receipt["status"] == 0


@pytest.fixture
def hostile(stage: Stage) -> Any:
    """A seller that is a contract, owed three fees, while the market also holds a third party's."""
    receiver = stage.create("ReenteringReceiver", stage.deployment.market)
    forward(stage, receiver, stage.market.functions.list(terms_of(FIRST).as_abi()))
    for trade, fee in ((1, FEE), (2, 2 * FEE)):
        stage.open_session(listing=2, value=fee)
        forward(stage, receiver, stage.market.functions.respond(trade, stage.trade(trade)["digest"], bytes(32)))
    stage.open_session(listing=1, value=FEE)
    return receiver


def forward(stage: Stage, receiver: Any, function: Any) -> Any:
    return stage.send(receiver.functions.forward(function._encode_transaction_data()), stage.stranger)


@pytest.mark.parametrize("attack", ["withdraw", "expire", "respond"])
def test_a_receiver_that_calls_back_gets_what_it_is_owed_and_no_more(stage: Stage, hostile: Any, attack: str) -> None:
    functions = stage.market.functions
    again = {
        "withdraw": functions.withdraw(ETH),
        "expire": functions.expire(2),
        "respond": functions.respond(1, stage.trade()["digest"], bytes(32)),
    }
    stage.send(hostile.functions.setAttack(again[attack]._encode_transaction_data()), stage.stranger)
    forward(stage, hostile, functions.withdraw(ETH))
    assert not hostile.functions.succeeded().call()
    assert hostile.functions.result().call() != b""
    assert stage.web3.eth.get_balance(hostile.address) == 3 * FEE
    assert stage.credit(hostile.address) == 0
    assert stage.web3.eth.get_balance(stage.deployment.market) == FEE


def test_a_receiver_that_refuses_keeps_its_balance(stage: Stage, hostile: Any) -> None:
    stage.send(hostile.functions.setRefusing(True), stage.stranger)
    with stage.refused("TransferFailed", account=hostile.address.lower(), amount=3 * FEE):
        forward(stage, hostile, stage.market.functions.withdraw(ETH))
    assert stage.credit(hostile.address) == 3 * FEE
