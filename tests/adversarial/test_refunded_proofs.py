"""A buyer has inputs of its choice proven, and takes its price back: it pays, more each time, and its quota ends it.

Against the market itself, which neither driver can bypass. Each test has a twin whose listing asks for nothing.
"""

from __future__ import annotations

import pytest

from tests.contracts.stage import ANSWER_FEE, FIRST, PRICE, PROOF_FEE, Stage, terms_of

BURNT = 4
"""Proofs that are let go to waste."""


@pytest.fixture
def stage() -> Stage:
    return Stage()


def burn(stage: Stage, listing: int, trade: int) -> None:
    """Open a session, have it answered, purchase, have inputs proven, and never accept."""
    stage.open_session(listing, samples=1)
    stage.respond(trade)
    stage.purchase(trade)
    stage.prove(trade)
    stage.at(stage.deadline(trade))
    stage.expire(trade)
    assert stage.state(trade) == "Expired"


def burn_all(stage: Stage, listing: int) -> tuple[int, int]:
    """What buyer and seller gain by it, in wei, the session fees left out."""
    for trade in range(1, BURNT + 1):
        burn(stage, listing, trade)
    bonds = BURNT * 2 * 10**17
    fees = ANSWER_FEE * BURNT * (BURNT + 1) // 2
    return stage.credit(stage.buyer) - BURNT * PRICE, stage.credit(stage.seller) - bonds - fees


def test_refunded_proofs_cost_more_each_time(stage: Stage) -> None:
    lost = PROOF_FEE * BURNT * (BURNT + 1) // 2
    assert burn_all(stage, 1) == (-lost, lost)


def test_without_a_proof_fee_they_cost_nothing(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, proof_fee_wei=0))
    assert burn_all(stage, 2) == (0, 0)


def test_exact_outputs_count_as_answers(stage: Stage) -> None:
    """Each session of one sample takes 1 + k = 9 of the buyer's 96 answers: ten proofs, and no eleventh."""
    for trade in range(1, 11):
        burn(stage, 1, trade)
    assert stage.market.functions.answersLeft(1, stage.buyer).call() == 96 - 10 * 9
    with stage.refused("QuotaExceeded", listingId=1, answers=9, answersLeft=6):
        burn(stage, 1, 11)


def test_where_the_quota_is_wide_nothing_ends_it(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, proof_fee_wei=0, buyer_quota=2**20, listing_quota=2**20))
    for trade in range(1, 12):
        burn(stage, 2, trade)
