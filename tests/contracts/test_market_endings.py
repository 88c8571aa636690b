"""`settle` and `expire`: at each second exactly one of a party's move and the ending is valid, and money is safe."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.stage import BOND, FEE, FIRST, PRICE, PROOF_FEE, STATES, Stage, StageAt, terms_of

MOVES: dict[str, Callable[[Stage], Any]] = {
    "Testing": Stage.respond,
    "Answered": Stage.purchase,
    "Purchased": Stage.prove,
    "Proven": Stage.accept,
    "Accepted": Stage.reveal,
    "Revealed": Stage.confirm,
}
# What buyer and seller are owed once the deadline has passed: the fee is the seller's when it has answered, and
# whoever lets a proof go to waste pays for it.
OWED = {
    "Testing": (FEE, 0),
    "Answered": (0, FEE),
    "Purchased": (PRICE, FEE),
    "Proven": (PRICE - PROOF_FEE, FEE + BOND + PROOF_FEE),
    "Accepted": (PRICE + PROOF_FEE, FEE + BOND - PROOF_FEE),
    "Revealed": (0, FEE + PRICE + BOND),
}


def end(stage: Stage, state: str) -> Any:
    return stage.settle() if state == "Revealed" else stage.expire()


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_exactly_one_of_move_and_ending_is_valid(stage_at: StageAt, state: str, seconds: int) -> None:
    stage = stage_at(state)
    deadline = stage.deadline()
    move_is_valid = seconds < 0
    with stage.restored():
        stage.at(deadline + seconds)
        if move_is_valid:
            MOVES[state](stage)
        else:
            with stage.refused("DeadlinePassed", tradeId=1, deadline=deadline):
                MOVES[state](stage)
    stage.at(deadline + seconds)
    if move_is_valid:
        with stage.refused("DeadlineNotReached", tradeId=1, deadline=deadline):
            end(stage, state)
    else:
        end(stage, state)
        assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == OWED[state]
        assert sum(OWED[state]) == stage.web3.eth.get_balance(stage.deployment.market)


@pytest.mark.parametrize("state", [state for state in MOVES if state != "Revealed"])
def test_expiry_says_which_state_ended_and_who_gets_what(stage_at: StageAt, state: str) -> None:
    stage = stage_at(state)
    credited = (stage.credit(stage.buyer), stage.credit(stage.seller))
    stage.at(stage.deadline())
    expired = stage.event(stage.expire(), "Expired")
    to_buyer, to_seller = (after - before for after, before in zip(OWED[state], credited, strict=True))
    ended = STATES.index(state)
    assert expired == {"tradeId": 1, "ended": ended, "toBuyer": to_buyer, "toSeller": to_seller}
    assert stage.state() == "Expired"


def test_a_session_that_was_never_answered_does_not_count(stage: Stage) -> None:
    stage.open_session(samples=64)
    stage.at(stage.deadline())
    stage.expire()
    assert stage.session_fee() == FEE
    assert stage.market.functions.answersLeft(1, stage.buyer).call() == 96
    assert stage.market.functions.answersLeft(1, stage.stranger).call() == 96


def test_an_answered_session_counts_even_if_nothing_is_bought(stage: Stage) -> None:
    stage.open_session(samples=64)
    stage.respond()
    stage.at(stage.deadline())
    stage.expire()
    assert stage.session_fee() == 2 * FEE
    assert stage.market.functions.answersLeft(1, stage.buyer).call() == 32


@pytest.mark.parametrize(
    ("state", "left", "proof_fee"),
    [("Answered", 80, 1), ("Purchased", 80, 1), ("Proven", 72, 2), ("Accepted", 72, 1)],
)
def test_an_audit_counts_once_it_was_proven(stage_at: StageAt, state: str, left: int, proof_fee: int) -> None:
    """A seller that does not prove gives nothing away; a proof that a buyer does not accept is given and counted."""
    stage = stage_at(state)
    stage.at(stage.deadline())
    stage.expire()
    assert stage.market.functions.answersLeft(1, stage.buyer).call() == left
    *_, answers, _unaccepted, _offer, _terms = stage.market.functions.listing(1).call()
    assert answers == 96 - left  # of all buyers together: there is no other
    assert stage.market.functions.proofFee(1).call() == proof_fee * PROOF_FEE


def test_a_seller_loses_no_more_than_its_bond_for_a_key_that_it_does_not_reveal(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, bond_wei=PROOF_FEE // 2))
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase()
    stage.prove(value=PROOF_FEE // 2)
    stage.accept()
    stage.at(stage.deadline())
    stage.expire()
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (PRICE + PROOF_FEE // 2, FEE)


def test_a_buyer_loses_no_more_than_the_price_for_a_proof_that_it_does_not_accept(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, proof_fee_wei=2**96 - 1))
    assert stage.market.functions.proofFee(2).call() == PRICE
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase()
    stage.prove()
    stage.at(stage.deadline())
    stage.expire()
    assert (stage.credit(stage.buyer), stage.credit(stage.seller)) == (0, FEE + BOND + PRICE)
