from eth_utils.crypto import keccak

from tests.contracts.stage import BOND, FEE, PRICE, StageAt


def test_confirming_pays_the_seller_at_once(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    receipt = stage.confirm()
    settled = {"tradeId": 1, "seller": stage.seller, "amount": PRICE + BOND, "protocolFee": 0}
    assert stage.events(receipt) == [("Confirmed", {"tradeId": 1}), ("Settled", settled)]
    assert (stage.state(), stage.credit(stage.seller)) == ("Settled", FEE + PRICE + BOND)


def test_a_delivery_is_confirmed_by_what_it_is(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    other = keccak(b"another delivery")
    with stage.refused("UnexpectedDigest", digest=other, expected=stage.trade()["digest"]):
        stage.confirm(delivery=other)


def test_only_the_buyer_confirms(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower()):
            stage.confirm(sender=caller)
