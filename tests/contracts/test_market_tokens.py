"""Trades in ERC-20 tokens, honest and hostile ones: they meet the market in `deposit` and `withdraw` alone."""

from typing import Any

import pytest

from contracts import ETH
from tests.contracts.stage import BOND, FEE, FIRST, PRICE, PROOF_FEE, Stage, StageAt, terms_of

PLAIN, KEEPS_A_FEE, RETURNS_FALSE, RETURNS_NOTHING, REVERTS, REENTERS, LIES = range(7)
SUM = 10 * PRICE


@pytest.fixture
def token(stage: Stage) -> Any:
    token = stage.create("TestToken")
    for account in (stage.buyer, stage.seller):
        stage.send(token.functions.mint(account, SUM), stage.stranger)
        stage.send(token.functions.approve(stage.market.address, SUM), account)
    return token


def behave(stage: Stage, token: Any, manner: int, attack: Any = None) -> None:
    call = b"" if attack is None else attack._encode_transaction_data()
    stage.send(token.functions.behave(manner, stage.market.address, call), stage.stranger)


def deposit(stage: Stage, token: Any, amount: int, account: str | None = None, sender: str | None = None) -> Any:
    sender = sender or stage.buyer
    return stage.send(stage.market.functions.deposit(token.address, account or sender, amount), sender)


def test_what_is_deposited_is_credited_and_can_be_taken_out(stage: Stage, token: Any) -> None:
    deposited = {"account": stage.stranger, "token": token.address, "amount": 1}
    receipt = deposit(stage, token, 1, account=stage.stranger)
    assert stage.event(receipt, "Deposited") == deposited
    assert (stage.credit(stage.stranger, token.address), stage.held(token.address)) == (1, 1)
    withdrawn = stage.withdraw(stage.stranger, token.address)
    assert stage.event(withdrawn, "Withdrawn") == deposited
    assert (stage.credit(stage.stranger, token.address), stage.held(token.address)) == (0, 0)
    assert token.functions.balanceOf(stage.stranger).call() == 1


def test_ether_is_not_deposited(stage: Stage) -> None:
    with stage.refused("NotAToken", token=ETH):
        stage.send(stage.market.functions.deposit(ETH, stage.buyer, 1), stage.buyer)


def test_a_trade_in_a_token_pays_as_one_in_ether(stage: Stage, token: Any) -> None:
    stage.offer(terms_of(FIRST, token=token.address))
    with stage.refused("InsufficientBalance", account=stage.buyer.lower(), balance=0, due=FEE):
        stage.open_session(2, value=0)
    deposit(stage, token, FEE + PRICE)
    deposit(stage, token, BOND, sender=stage.seller)
    with stage.refused("UnexpectedPayment", paid=FEE, due=0):
        stage.open_session(2, value=FEE)
    stage.open_session(2, value=0)
    stage.respond()
    with stage.refused("UnexpectedPayment", paid=1, due=0):
        stage.purchase(value=1, price=PRICE)
    stage.purchase(value=0, price=PRICE)
    assert stage.credit(stage.buyer, token.address) == 0
    stage.prove(value=0)
    stage.reveal(acceptance=stage.acceptance())
    stage.confirm()
    assert stage.credit(stage.seller, token.address) == FEE + PRICE + BOND == stage.held(token.address)
    assert stage.held() == stage.credit(stage.seller) == 0
    stage.withdraw(stage.seller, token.address)
    assert token.functions.balanceOf(stage.seller).call() == SUM + FEE + PRICE


def test_a_token_trade_that_expires_gives_tokens_back(stage: Stage, token: Any) -> None:
    stage.offer(terms_of(FIRST, token=token.address))
    deposit(stage, token, FEE + PRICE)
    deposit(stage, token, BOND, sender=stage.seller)
    stage.open_session(2, value=0)
    stage.respond()
    stage.purchase(value=0, price=PRICE)
    stage.prove(value=0)
    stage.at(stage.deadline())
    stage.expire()
    owed = stage.credit(stage.buyer, token.address), stage.credit(stage.seller, token.address)
    assert owed == (PRICE - PROOF_FEE, FEE + BOND + PROOF_FEE)
    assert stage.held(token.address) == sum(owed)


def test_balances_of_one_currency_pay_for_nothing_in_another(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    token, other = stage.create("TestToken"), stage.create("TestToken")
    stage.send(token.functions.mint(stage.buyer, SUM), stage.stranger)
    stage.send(token.functions.approve(stage.market.address, SUM), stage.buyer)
    deposit(stage, token, SUM)
    with stage.refused("UnexpectedPayment", paid=0, due=PRICE):
        stage.purchase(value=0, price=PRICE)
    stage.offer(terms_of(FIRST, token=other.address))
    with stage.refused("InsufficientBalance", balance=0):
        stage.open_session(2, value=0)


# ------------------------------------------------------------------------------------------------- hostile tokens


def test_a_token_that_keeps_a_fee_is_credited_as_it_arrives(stage: Stage, token: Any) -> None:
    behave(stage, token, KEEPS_A_FEE)
    assert stage.event(deposit(stage, token, 1000), "Deposited")["amount"] == 990
    assert stage.credit(stage.buyer, token.address) == stage.held(token.address) == 990
    stage.withdraw(stage.buyer, token.address)
    assert stage.held(token.address) == 0


def test_the_shortfall_of_a_fee_is_the_payers(stage: Stage, token: Any) -> None:
    """It deposits what it owes and is short of it: nothing is locked that the market has not got."""
    behave(stage, token, KEEPS_A_FEE)
    stage.offer(terms_of(FIRST, token=token.address))
    deposit(stage, token, FEE)
    with stage.refused("InsufficientBalance", balance=FEE - FEE // 100, due=FEE):
        stage.open_session(2, value=0)


@pytest.mark.parametrize(("manner", "error"), [(RETURNS_FALSE, "SafeERC20FailedOperation"), (REVERTS, "Error")])
def test_a_token_that_moves_nothing_credits_nothing(stage: Stage, token: Any, manner: int, error: str) -> None:
    deposit(stage, token, 10)
    behave(stage, token, manner)
    with stage.refused(error):
        deposit(stage, token, 10)
    with stage.refused(error):
        stage.withdraw(stage.buyer, token.address)
    assert stage.credit(stage.buyer, token.address) == stage.held(token.address) == 10


def test_a_token_that_says_nothing_is_believed_by_its_balances(stage: Stage, token: Any) -> None:
    behave(stage, token, RETURNS_NOTHING)
    deposit(stage, token, 10)
    assert stage.credit(stage.buyer, token.address) == 10
    stage.withdraw(stage.buyer, token.address)
    assert stage.held(token.address) == 0


def test_a_token_that_lies_credits_nothing(stage: Stage, token: Any) -> None:
    behave(stage, token, LIES)
    assert stage.event(deposit(stage, token, 10), "Deposited")["amount"] == 0
    assert stage.credit(stage.buyer, token.address) == 0


def test_what_is_no_token_is_refused(stage: Stage) -> None:
    with stage.refused("Unknown"):
        stage.send(stage.market.functions.deposit(stage.seller, stage.buyer, 1), stage.buyer)


@pytest.mark.parametrize("move", ["deposit", "withdraw"])
@pytest.mark.parametrize("again", ["deposit", "withdraw"])
def test_a_token_that_calls_back_finds_the_doors_shut(stage: Stage, token: Any, move: str, again: str) -> None:
    stage.send(token.functions.depositOwn(stage.market.address, 7), stage.stranger)
    deposit(stage, token, 10)
    functions = stage.market.functions
    attack = (
        functions.withdraw(token.address) if again == "withdraw" else functions.deposit(token.address, stage.buyer, 1)
    )
    behave(stage, token, REENTERS, attack)
    if move == "deposit":
        deposit(stage, token, 10)
    else:
        stage.withdraw(stage.buyer, token.address)
    assert not token.functions.succeeded().call()
    owed = stage.credit(stage.buyer, token.address) + stage.credit(token.address, token.address)
    assert owed == stage.held(token.address)


def test_a_token_that_is_taken_back_hurts_its_own_creditors_alone(stage: Stage, token: Any) -> None:
    """A rebase downwards can't be seen: the last to take out find nothing left, of this token."""
    other = stage.create("TestToken")
    stage.send(other.functions.mint(stage.buyer, 10), stage.stranger)
    stage.send(other.functions.approve(stage.market.address, 10), stage.buyer)
    deposit(stage, token, 10)
    deposit(stage, token, 10, sender=stage.seller)
    deposit(stage, other, 10)
    stage.send(token.functions.burn(stage.market.address, 10), stage.stranger)
    stage.withdraw(stage.buyer, token.address)
    with stage.refused("ERC20InsufficientBalance"):
        stage.withdraw(stage.seller, token.address)
    assert stage.credit(stage.seller, token.address) == 10
    stage.withdraw(stage.buyer, other.address)
    assert other.functions.balanceOf(stage.buyer).call() == 10
