"""Listings with a policy: it admits buyers and names prices, and can do nothing else."""

from typing import Any

import pytest
from eth_abi.abi import encode

from tests.contracts.stage import BOND, FEE, FIRST, PRICE, PROOF_FEE, Stage, terms_of

LESS = PRICE // 4


@pytest.fixture
def policy(stage: Stage) -> Any:
    """Of listing 2: admits, and asks for a quarter."""
    policy = stage.create("TestPolicy")
    stage.offer(terms_of(FIRST, policy=policy.address))
    answer(stage, policy)
    return policy


def answer(stage: Stage, policy: Any, *, admits: bool = True, price: int = LESS, reverts: bool = False) -> None:
    stage.send(policy.functions.answer(admits, price, reverts), stage.stranger)


def test_a_buyer_pays_what_the_policy_asks(stage: Stage, policy: Any) -> None:
    stage.open_session(2)
    stage.respond()
    assert stage.trade()["price"] == 0
    assert stage.event(stage.purchase(value=LESS), "Purchased")["price"] == LESS
    assert stage.trade()["price"] == LESS
    stage.prove()
    stage.reveal(acceptance=stage.acceptance())
    assert stage.event(stage.confirm(), "Settled")["amount"] == LESS + BOND
    assert stage.credit(stage.seller) == FEE + LESS + BOND == stage.held()


def test_the_price_of_a_trade_is_the_one_that_was_paid(stage: Stage, policy: Any) -> None:
    """Whatever the policy says later."""
    stage.open_session(2)
    stage.respond()
    stage.purchase(value=LESS)
    answer(stage, policy, price=PRICE, reverts=True)
    with stage.restored():
        stage.at(stage.deadline())
        stage.expire()
        assert stage.credit(stage.buyer) == LESS
    stage.prove()
    stage.at(stage.deadline())
    stage.expire()
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (LESS - PROOF_FEE, FEE + BOND + PROOF_FEE)


def test_a_proof_fee_is_no_more_than_the_price_that_was_paid(stage: Stage, policy: Any) -> None:
    answer(stage, policy, price=PROOF_FEE // 2)
    stage.open_session(2)
    stage.respond()
    stage.purchase(value=PROOF_FEE // 2)
    stage.prove()
    stage.at(stage.deadline())
    stage.expire()
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (0, FEE + BOND + PROOF_FEE // 2)


def test_a_model_can_be_given_away(stage: Stage, policy: Any) -> None:
    answer(stage, policy, price=0)
    stage.open_session(2)
    stage.respond()
    stage.purchase(value=0)
    stage.prove()
    stage.reveal(acceptance=stage.acceptance())
    stage.confirm()
    assert stage.credit(stage.seller) == FEE + BOND


@pytest.mark.parametrize("price", [0, LESS - 1, LESS + 1, PRICE])
def test_a_buyer_that_names_another_price_pays_nothing(stage: Stage, policy: Any, price: int) -> None:
    stage.open_session(2)
    stage.respond()
    with stage.refused("UnexpectedPrice", price=price, expected=LESS):
        stage.purchase(value=price)


def test_a_policy_that_asks_for_more_than_the_listing_says_is_refused(stage: Stage, policy: Any) -> None:
    stage.open_session(2)
    stage.respond()
    for price in (PRICE + 1, 2**96 + LESS, 2**256 - 1):
        answer(stage, policy, price=price)
        with stage.refused("AbovePrice", amount=price, price=PRICE):
            stage.purchase(value=LESS)
    answer(stage, policy, price=PRICE)
    stage.purchase(value=PRICE)


def test_who_is_not_admitted_opens_no_session(stage: Stage, policy: Any) -> None:
    answer(stage, policy, admits=False)
    with stage.refused("NotAdmitted", policy=policy.address.lower(), buyer=stage.buyer.lower()):
        stage.open_session(2)


def test_a_policy_sees_what_the_buyer_shows(stage: Stage, policy: Any) -> None:
    stage.send(policy.functions.ask(b"invitation"), stage.stranger)
    with stage.refused("NotAdmitted"):
        stage.open_session(2)
    stage.open_session(2, data=b"invitation")
    stage.respond()
    stage.purchase(value=LESS, data=b"invitation")


def test_a_policy_that_reverts_keeps_buyers_away_and_no_money(stage: Stage, policy: Any) -> None:
    stage.open_session(2)
    stage.respond()
    answer(stage, policy, reverts=True)
    with stage.refused("NotToday"):
        stage.open_session(2)
    with stage.refused("NotToday"):
        stage.purchase(value=LESS)
    stage.at(stage.deadline())
    stage.expire()
    assert stage.state() == "Expired"


def test_a_policy_without_code_sells_nothing(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, policy=stage.stranger))
    with stage.refused("Unknown"):
        stage.open_session(2)


def test_a_policy_changes_nothing(stage: Stage) -> None:
    """It calls the market back as the seller of its own listing would; a static call makes that fail."""
    policy = stage.create("WritingPolicy")
    stage.offer(terms_of(FIRST, policy=policy.address))
    with stage.refused("Error", message="not done"):
        stage.open_session(2, data=encode(["bytes32"], [stage.offered(2)]))
