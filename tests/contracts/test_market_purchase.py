from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.contracts.stage import FEE, FIRST, PRICE, PROOF_FEE, WINDOWS, StageAt


def test_a_purchase_locks_the_price_and_keeps_a_digest_of_what_the_buyer_saw(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    before = stage.web3.eth.get_balance(stage.deployment.market)
    purchased = stage.event(stage.purchase(), "Purchased")
    deadline = stage.now + WINDOWS.proof_seconds
    assert purchased == {
        "tradeId": 1,
        "inputCommitment": FIRST.input_commitment,
        "outputs": list(FIRST.outputs),
        "price": PRICE,
        "proofFee": PROOF_FEE,
        "deadline": deadline,
    }
    assert (stage.state(), stage.deadline()) == ("Purchased", deadline)
    digest = keccak(encode(["bytes32", "int64[]"], [FIRST.input_commitment, FIRST.outputs]))
    assert stage.trade()["digest"] == digest
    assert stage.web3.eth.get_balance(stage.deployment.market) == before + PRICE


def test_the_price_must_be_exact(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    for paid in (0, PRICE - 1, PRICE + 1):
        with stage.refused("UnexpectedPayment", paid=paid, due=PRICE):
            stage.purchase(value=paid)


def test_a_purchase_follows_the_response_that_was_seen(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    other = keccak(b"another response")
    with stage.refused("UnexpectedDigest", digest=other, expected=keccak(b"response")):
        stage.purchase(response=other)


def test_a_proof_that_is_not_accepted_costs_more_the_more_were_purchased(stage_at: StageAt) -> None:
    """So that nobody burns the proofs of a listing for nothing; the buyer says how much it risks at most."""
    stage = stage_at("Purchased")
    assert stage.market.functions.proofFee(1).call() == 2 * PROOF_FEE
    stage.open_session(value=2 * FEE)
    stage.respond(2)
    with stage.refused("ProofFeeTooHigh", proofFee=2 * PROOF_FEE, highest=2 * PROOF_FEE - 1):
        stage.purchase(2, highest_proof_fee=2 * PROOF_FEE - 1)
    stage.purchase(2, highest_proof_fee=2 * PROOF_FEE)
    assert stage.trade(2)["stake"] == 2 * PROOF_FEE


def test_only_the_buyer_purchases(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower(), buyer=stage.buyer.lower()):
            stage.purchase(sender=caller)
