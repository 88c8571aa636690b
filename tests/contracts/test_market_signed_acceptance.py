"""The buyer's signature in the place of its `accept`: good once, for one delivery, whatever the buyer does next."""

from typing import Any

from eth_utils.crypto import keccak
from hexbytes import HexBytes

from contracts import Refund
from tests.contracts.stage import FEE, FIRST, KEY, PRICE, PROOF_FEE, REQUEST, SAMPLES, WINDOWS, StageAt

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of the group of secp256k1."""


def test_the_buyers_signature_stands_for_its_acceptance(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    receipt = stage.reveal(acceptance=stage.acceptance())
    revealed = {"tradeId": 1, "key": KEY, "deadline": stage.now + WINDOWS.dispute_seconds}
    assert stage.events(receipt) == [("Revealed", revealed)]
    assert stage.state() == "Revealed"


def test_without_a_signature_a_key_waits_for_the_acceptance(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    with stage.refused("UnexpectedState", current="Proven", expected="Accepted"):
        stage.reveal()


def test_a_signature_is_good_for_this_delivery_of_this_trade_here_and_by_its_buyer_alone(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    delivery = stage.trade()["digest"]
    for other in (
        stage.acceptance(account=stage.seller),
        stage.acceptance(account=stage.stranger),
        stage.acceptance(2, delivery),
        stage.acceptance(delivery=keccak(b"another delivery")),
        stage.acceptance(chain_id=1),
        stage.acceptance(market=stage.stranger),
        stage.sign(Refund(1, delivery, 0)),
        b"\0",
        bytes(65),
        stage.acceptance()[:64],
        stage.acceptance() + b"\0",
    ):
        with stage.refused("NotSignedBy", account=stage.buyer.lower()):
            stage.reveal(acceptance=other)


def test_the_other_form_of_a_signature_is_none(stage_at: StageAt) -> None:
    """It would be harmless: a trade takes one acceptance, once. Sellers read signatures the same way."""
    stage = stage_at("Proven")
    signature = stage.acceptance()
    s = ORDER - int.from_bytes(signature[32:64], "big")
    mirrored = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    with stage.refused("NotSignedBy"):
        stage.reveal(acceptance=mirrored)


def test_a_buyer_that_accepts_meanwhile_does_not_make_a_key_public_for_nothing(stage_at: StageAt) -> None:
    """The seller's transaction is on its way; whatever it carries, the acceptance on the chain counts."""
    stage = stage_at("Proven")
    for acceptance in (stage.acceptance(), b"anything"):
        with stage.restored():
            stage.accept()
            stage.reveal(acceptance=acceptance)
            assert stage.state() == "Revealed"


def test_a_buyers_code_can_not_take_its_signature_back(stage_at: StageAt) -> None:
    """An account may get code (EIP-7702) while the key is on its way: its code is not asked, its key has signed."""
    stage = stage_at("Proven")
    acceptance = stage.acceptance()
    wallet = stage.create("FickleWallet")
    stage.send(wallet.functions.setAgrees(False), stage.stranger)
    stage.set_code(stage.buyer, b"\xef\x01\x00" + bytes(HexBytes(wallet.address)))
    stage.reveal(acceptance=acceptance)


def test_a_signature_is_as_late_as_an_acceptance(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    acceptance = stage.acceptance()
    stage.at(stage.deadline())
    with stage.refused("DeadlinePassed"):
        stage.reveal(acceptance=acceptance)


def test_a_seller_that_sits_on_the_signature_earns_nothing_by_it(stage_at: StageAt) -> None:
    """The buyer accepts by a transaction, and who then doesn't reveal pays."""
    stage = stage_at("Proven")
    stage.acceptance()
    stage.accept()
    stage.at(stage.deadline())
    stage.expire()
    assert stage.credit(stage.buyer) == PRICE + PROOF_FEE


def test_a_contract_accepts_by_a_transaction(stage_at: StageAt) -> None:
    """Its signatures (ERC-1271) are answers that it may change in the block of the key."""
    stage = stage_at("None")
    wallet = stage.create("FickleWallet")

    def forward(function: Any, value: int = 0) -> None:
        call = function._encode_transaction_data()
        stage.send(wallet.functions.forward(stage.market.address, call), stage.stranger, value)

    functions = stage.market.functions
    forward(functions.openSession(1, stage.offered(), SAMPLES, REQUEST, b""), FEE)
    stage.respond()
    committed = stage.trade()["digest"], FIRST.input_commitment, FIRST.outputs_digest
    forward(functions.purchase(1, *committed, PRICE, 1, b""), PRICE)
    stage.prove()
    with stage.refused("NotSignedBy", account=wallet.address.lower()):
        stage.reveal(acceptance=bytes(65))
    forward(functions.accept(1, stage.trade()["digest"]))
    stage.reveal()
    assert stage.state() == "Revealed"
