"""Less than the price, by agreement of both sides, while the buyer may still dispute."""

import pytest
from eth_utils.crypto import keccak

from contracts import Acceptance, Refund
from tests.contracts.stage import BOND, FEE, PRICE, StageAt


@pytest.mark.parametrize("amount", [0, 1, PRICE // 3, PRICE])
def test_both_get_what_was_agreed_on_at_once(stage_at: StageAt, amount: int) -> None:
    stage = stage_at("Revealed")
    receipt = stage.refund(amount)
    refunded = {"tradeId": 1, "buyer": stage.buyer, "amount": amount}
    settled = {"tradeId": 1, "seller": stage.seller, "amount": PRICE - amount + BOND, "protocolFee": 0}
    assert stage.events(receipt) == [("Refunded", refunded), ("Settled", settled)]
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (amount, FEE + PRICE - amount + BOND)
    assert (stage.state(), stage.held()) == ("Settled", FEE + PRICE + BOND)


def test_no_more_than_the_price_comes_back(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    with stage.refused("AbovePrice", amount=PRICE + 1, price=PRICE):
        stage.refund(PRICE + 1)


def test_the_seller_must_have_agreed_to_this_amount_of_this_delivery(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    delivery = stage.trade()["digest"]
    for signature in (
        stage.refund_signature(2),
        stage.refund_signature(1, account=stage.buyer),
        stage.refund_signature(1, trade=2),
        stage.sign(Refund(1, keccak(b"another delivery"), 1), stage.seller),
        stage.sign(Refund(1, delivery, 1), stage.seller, chain_id=1),
        stage.sign(Refund(1, delivery, 1), stage.seller, market=stage.stranger),
        stage.sign(Acceptance(1, delivery), stage.seller),
        b"",
    ):
        with stage.refused("NotSignedBy", account=stage.seller.lower()):
            stage.refund(1, signature=signature)


def test_only_the_buyer_takes_it_only_once_and_only_in_time(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    signature = stage.refund_signature(1)
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower()):
            stage.refund(1, sender=caller)
    with stage.restored():
        stage.at(stage.deadline())
        with stage.refused("DeadlinePassed"):
            stage.refund(1, signature=signature)
    stage.refund(1, signature=signature)
    with stage.refused("UnexpectedState", current="Settled", expected="Revealed"):
        stage.refund(1, signature=signature)


def test_nothing_is_refunded_before_the_key_is_known(stage_at: StageAt) -> None:
    stage = stage_at("Accepted")
    with stage.refused("UnexpectedState", current="Accepted", expected="Revealed"):
        stage.refund(1)
