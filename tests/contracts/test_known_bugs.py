"""Bugs of earlier fair-exchange contracts, each tried against this one.

Where they come from, as published: FairSwap (Dziembowski, Eckey, Faust 2018; `FairFileSale.sol`), FDE (Tas et al. 2023;
early `FDE.sol`), zkPoD (`zkPoDExchange.sol`), ZKaggle (`Bounty.sol`), FairDEx. Two named ones have no single source.
"""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import ETH
from tests.contracts.stage import (
    BOND,
    FEE,
    FIRST,
    KEY,
    PRICE,
    PROOF_FEE,
    Audit,
    Delivery,
    Stage,
    StageAt,
    model_of,
    terms_of,
)


@pytest.mark.parametrize("kind", ["disputeWeightsChunk", "disputeSumChunk"])
def test_index_free_sibling(honest: Delivery, kind: str) -> None:
    """FairSwap took any two nodes for parent and child; FairDEx hashed every node as a left one.

    Then two honest chunks, of different places, convict.
    """
    for index in range(5):
        one = honest.chunk_evidence(kind, index)
        for other in (honest.chunk_evidence(kind, j) for j in range(5) if j != index):
            for mixed in (
                replace(one, leaf=other.leaf, path=other.path),
                replace(one, ciphertext=other.ciphertext, ciphertext_path=other.ciphertext_path),
                replace(one, index=other.index),
            ):
                with honest.stage.refused("NotInTree"):
                    honest.stage.dispute(kind, mixed)


@pytest.mark.parametrize("party", ["buyer", "stranger"])
def test_unauthenticated_abort_of_a_listing(stage: Stage, party: str) -> None:
    """zkPoD's `unPublish` did not ask who calls: anyone took any seller off the market."""
    sender = getattr(stage, party)
    with stage.refused("NotSeller", caller=sender.lower()):
        stage.send(stage.market.functions.delist(1, stage.offered()), sender)


@pytest.mark.parametrize("state", ["Testing", "Answered", "Purchased", "Proven", "Accepted"])
@pytest.mark.parametrize("party", ["buyer", "seller", "stranger"])
def test_unauthenticated_abort_of_a_trade(stage_at: StageAt, state: str, party: str) -> None:
    """Nobody ends a trade while the one whose turn it is may still move."""
    stage = stage_at(state)
    with stage.refused("DeadlineNotReached"):
        stage.expire(sender=getattr(stage, party))


@pytest.mark.parametrize("state", ["Accepted", "Revealed"])
def test_inverted_timeout(stage_at: StageAt, state: str) -> None:
    """A comparison the wrong way round pays out before the deadline, and never after it.

    FairSwap's two strict ones (moves before, refunds after) leave a second in which neither is allowed.
    """
    stage = stage_at(state)
    end = Stage.settle if state == "Revealed" else Stage.expire
    stage.at(stage.deadline() - 1)
    with stage.refused("DeadlineNotReached"):
        end(stage)
    stage.at(stage.deadline())
    end(stage)
    assert stage.state() == ("Settled" if state == "Revealed" else "Expired")


def test_pledge_withdrawn_twice(stage_at: StageAt) -> None:
    """zkPoD's `withdrawA` set the pledge to zero in a copy, and compared the new state instead of storing it."""
    stage = stage_at("Proven")
    stage.at(stage.deadline())
    stage.expire()
    with stage.refused("NothingToExpire"):
        stage.expire()
    assert stage.credit(stage.seller) == FEE + BOND + PROOF_FEE
    stage.withdraw(stage.seller)
    with stage.refused("NothingToWithdraw"):
        stage.withdraw(stage.seller)
    assert stage.web3.eth.get_balance(stage.deployment.market) == stage.credit(stage.buyer) == PRICE - PROOF_FEE


def test_pledge_shared_by_trades(stage: Stage) -> None:
    """zkPoD kept one deposit per pair of accounts: a claim in one trade took what secured the others."""
    chunk = bytearray(model_of(FIRST, [list(range(-16, 16))]).chunk(0))
    chunk[700] ^= 1
    delivery = stage.reveal_model(model_of(FIRST, [list(range(-16, 16))]), chunks=[bytes(chunk)])
    stage.bring_to("Proven", trade=2)
    stage.dispute("disputeWeightsChunk", delivery.chunk_evidence("disputeWeightsChunk", 0))
    assert (stage.state(1), stage.credit(stage.buyer)) == ("Slashed", PRICE + BOND)
    stage.withdraw(stage.buyer)
    stage.withdraw(stage.seller)
    assert stage.web3.eth.get_balance(stage.deployment.market) == PRICE + BOND
    stage.at(stage.deadline(2))
    stage.expire(2)
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (PRICE - PROOF_FEE, BOND + PROOF_FEE)


def test_key_accepted_after_the_refund(stage_at: StageAt) -> None:
    """FDE's `sellerSendsSecKey` credited the price once more after `withdrawPaymentAfterTimout` had given it back."""
    stage = stage_at("Accepted")
    stage.at(stage.deadline())
    stage.expire()
    credited = stage.credit(stage.seller)
    with stage.refused("UnexpectedState", current="Expired"):
        stage.reveal()
    assert stage.credit(stage.seller) == credited == FEE + BOND - PROOF_FEE


def test_payment_locked_twice(stage_at: StageAt) -> None:
    """FDE's first `buyerLockPayment` took the price as often as it was sent, and gave it back once."""
    stage = stage_at("Purchased")
    answer = stage.answer()
    with stage.refused("UnexpectedState", current="Purchased"):
        stage.purchase(answer=answer)


def test_event_with_zeroed_amount(stage_at: StageAt) -> None:
    """An event after the write reads the balance that was just set to zero: books kept from events are wrong."""
    stage = stage_at("Revealed")
    settled = stage.event(stage.confirm(), "Settled")
    assert settled == {"tradeId": 1, "seller": stage.seller, "amount": PRICE + BOND, "protocolFee": 0}
    withdrawn = stage.event(stage.withdraw(stage.seller), "Withdrawn")
    assert withdrawn == {"account": stage.seller, "token": ETH, "amount": FEE + PRICE + BOND}


@pytest.mark.parametrize("state", ["Testing", "Purchased", "Proven", "Accepted"])
def test_event_of_a_refund_with_zeroed_amount(stage_at: StageAt, state: str) -> None:
    stage = stage_at(state)
    before = (stage.credit(stage.buyer), stage.credit(stage.seller))
    stage.at(stage.deadline())
    expired = stage.event(stage.expire(), "Expired")
    moved = (stage.credit(stage.buyer) - before[0], stage.credit(stage.seller) - before[1])
    assert (expired["toBuyer"], expired["toSeller"]) == moved
    assert sum(moved) > 0


def test_verifier_chosen_by_the_prover(stage: Stage) -> None:
    """ZKaggle's `submitBounty` called the verifier that the hunter named.

    Here anyone may register a circuit with a trapdoor, and prove in it; a listing's proof is of the listed one.
    """
    foreign = Audit.of("foreign_srs", "foreign_vka")
    accepted, digest = stage.verifier.functions.verifyProof(foreign.proof, list(foreign.instances), foreign.vka).call()
    assert (accepted, digest) == (True, foreign.circuit_digest)
    listed = replace(foreign, circuit=FIRST.circuit_digest)
    stage.offer(terms_of(listed))
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase(audit=listed)
    with stage.refused("UnexpectedCircuit", circuitDigest=foreign.circuit_digest, expected=FIRST.circuit_digest):
        stage.prove(audit=listed)


def test_public_shared_key(stage: Stage) -> None:
    """ZKaggle's `claimBounty` took the key that encrypts the model as a public input, before it paid.

    Here nothing shows the key before both sides are bound, and what it opens isn't on the chain.
    """
    receipts = [stage.open_session(), stage.respond(), stage.purchase(), stage.prove(), stage.accept()]
    shown = [stage.web3.eth.get_transaction(receipt["transactionHash"])["input"] for receipt in receipts]
    assert all(KEY not in bytes(data) for data in shown)
    assert all(KEY not in bytes(log["data"]) for receipt in receipts for log in receipt["logs"])
    revealed = stage.event(stage.reveal(), "Revealed")
    assert revealed["key"] == KEY
    assert stage.state() == "Revealed"  # the price can only go to the seller now, unless a dispute convicts


def test_another_key_than_the_committed_one(stage_at: StageAt) -> None:
    """A key that opens nothing would be paid for if any were taken."""
    stage = stage_at("Accepted")
    for key in (bytes(32), keccak(KEY), KEY[::-1]):
        with stage.refused("UnexpectedDigest"):
            stage.reveal(key=key)
