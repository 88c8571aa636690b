from eth_abi.abi import encode
from eth_utils.crypto import keccak

from contracts import MOST_PROOF_FEES, answer_digest, outputs_digest, session_digest
from tests.contracts.stage import (
    FIRST,
    PRICE,
    PROOF_FEE,
    REQUEST,
    RESPONSE,
    SALT,
    SAMPLES,
    WINDOWS,
    Stage,
    StageAt,
)


def test_a_purchase_locks_the_price_and_shows_no_more_than_a_digest_of_what_the_buyer_saw(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    answer = answer_digest(session_digest(stage.buyer, stage.offered(), SAMPLES, REQUEST), RESPONSE)
    assert (stage.trade()["digest"], stage.trade()["price"]) == (answer, PRICE)
    before = stage.web3.eth.get_balance(stage.deployment.market)
    purchased = stage.event(stage.purchase(), "Purchased")
    deadline = stage.now + WINDOWS.proof_seconds
    assert purchased == {
        "tradeId": 1,
        "inputCommitment": FIRST.input_commitment,
        "outputsDigest": outputs_digest(SALT, FIRST.outputs),
        "price": PRICE,
        "highestProofFees": MOST_PROOF_FEES,
        "deadline": deadline,
    }
    assert (stage.state(), stage.deadline()) == ("Purchased", deadline)
    committed = [answer, FIRST.input_commitment, outputs_digest(SALT, FIRST.outputs)]
    assert stage.trade()["digest"] == keccak(encode(["bytes32"] * 3, committed))
    assert stage.web3.eth.get_balance(stage.deployment.market) == before + PRICE


def test_the_price_must_be_exact(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    for paid in (0, PRICE - 1, PRICE + 1):
        with stage.refused("UnexpectedPayment", paid=paid, due=PRICE):
            stage.purchase(value=paid, price=PRICE)


def test_a_buyer_names_the_price_that_it_means_to_pay(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    for price in (0, PRICE - 1, PRICE + 1):
        with stage.refused("UnexpectedPrice", price=price, expected=PRICE):
            stage.purchase(value=PRICE, price=price)


def test_a_purchase_follows_the_response_that_was_seen(stage_at: StageAt) -> None:
    """And the session and the offer in which it was seen."""
    stage = stage_at("Answered")
    answer, session = stage.trade()["digest"], session_digest(stage.buyer, stage.offered(), SAMPLES, REQUEST)
    elsewhere = session_digest(stage.buyer, keccak(b"another offer"), SAMPLES, REQUEST)
    for other in (answer_digest(session, keccak(b"another response")), answer_digest(elsewhere, RESPONSE)):
        with stage.refused("UnexpectedDigest", digest=other, expected=answer):
            stage.purchase(answer=other)


def proof_fee(stage: Stage) -> int:
    return int(stage.market.functions.proofFee(1).call())


def test_a_proof_costs_more_the_more_were_not_accepted(stage_at: StageAt) -> None:
    """So that nobody burns the proofs of a listing for nothing; the buyer says how much it risks at most."""
    stage = stage_at("Purchased")
    assert proof_fee(stage) == PROOF_FEE
    stage.prove()
    assert (proof_fee(stage), stage.trade()["proof_fees"]) == (2 * PROOF_FEE, 1)
    stage.open_session()
    stage.respond(2)
    with stage.refused("ProofFeeTooHigh", proofFees=2, highest=1):
        stage.purchase(2, highest_proof_fees=1)
    stage.purchase(2, highest_proof_fees=2)
    stage.prove(2)
    assert (proof_fee(stage), stage.trade(2)["proof_fees"]) == (3 * PROOF_FEE, 2)


def test_a_proof_that_is_accepted_makes_none_dearer(stage_at: StageAt) -> None:
    stage = stage_at("Proven")
    assert proof_fee(stage) == 2 * PROOF_FEE
    with stage.restored():
        stage.accept()
        assert proof_fee(stage) == PROOF_FEE
    stage.reveal(acceptance=stage.acceptance())
    assert proof_fee(stage) == PROOF_FEE


def test_purchases_that_are_not_proven_make_nothing_dearer(stage_at: StageAt) -> None:
    """They cost a stranger little; many of them at once would keep buyers from a listing."""
    stage = stage_at("Purchased")
    for trade in (2, 3):
        stage.open_session(samples=1)
        stage.respond(trade)
        stage.purchase(trade)
    assert proof_fee(stage) == PROOF_FEE
    stage.at(stage.deadline(3))
    stage.expire(3)
    assert proof_fee(stage) == PROOF_FEE


def test_no_proof_costs_its_buyer_more_than_it_agreed_to(stage_at: StageAt) -> None:
    """Two purchased at the fee of a first proof; the second is not taken until the first was accepted."""
    stage = stage_at("Answered")
    stage.purchase(highest_proof_fees=1)
    stage.open_session()
    stage.respond(2)
    stage.purchase(2, highest_proof_fees=1)
    stage.prove()
    with stage.refused("ProofFeeTooHigh", proofFees=2, highest=1):
        stage.prove(2)
    stage.accept()
    stage.prove(2)
    assert stage.trade(2)["proof_fees"] == 1


def test_only_the_buyer_purchases(stage_at: StageAt) -> None:
    stage = stage_at("Answered")
    for caller in (stage.seller, stage.stranger):
        with stage.refused("NotBuyer", caller=caller.lower(), buyer=stage.buyer.lower()):
            stage.purchase(sender=caller)
