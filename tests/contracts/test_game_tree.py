"""What the game tree shows: no honest side loses more than its own gas, no cheat gains, and the page says so."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from contracts import MarketRevertedError
from tests.contracts.game_page import PAGE_PATH, honest_path, page
from tests.contracts.game_refusals import REFUSED, Refusal
from tests.contracts.game_tree import (
    BUYER,
    CONVICTING,
    DELIVERIES,
    LISTINGS,
    SELLER,
    UNSEEN,
    Conduct,
    Leaf,
    Position,
    evidence,
    stage_with_listings,
    walk,
)
from tests.contracts.stage import BOND, FEE, PRICE, PROOF_FEE, STATES, Stage, StageAt
from trader.trade import Role


@cache
def leaves() -> list[Leaf]:
    return list(walk(stage_with_listings()))


def against_honest(side: Role) -> list[Leaf]:
    """The paths on which this side was honest, the other one was not, and they agreed on no refund."""
    other = SELLER if side is BUYER else BUYER
    return [leaf for leaf in leaves() if leaf.deviating == {other} and not leaf.agreed]


def answered(leaf: Leaf) -> bool:
    return any(move.after.state == "Answered" for move in leaf.path)


def unseen(leaf: Leaf) -> bool:
    """Whether the seller did what no contract can see, and earned the proof fee with it."""
    return leaf.end.delivery == UNSEEN and leaf.end.state == "Expired" and not leaf.passed("accepts")


def earned_honestly(leaf: Leaf, side: Role) -> int:
    """What a side may have of a path in any case: a seller the fee for an answer that is one."""
    useless = leaf.passed("answers with nothing of use")
    return FEE if side is SELLER and answered(leaf) and not useless else 0


def test_the_tree_has_every_kind_of_path() -> None:
    assert {leaf.end.state for leaf in leaves()} == {"Settled", "Expired", "Slashed"}
    assert honest_path(leaves()).path[-1].name == "confirms"
    assert {leaf.end.listing for leaf in leaves()} == set(LISTINGS)
    assert {leaf.end.delivery for leaf in leaves()} == set(DELIVERIES)
    assert {move.conduct for leaf in leaves() for move in leaf.path} == set(Conduct)
    assert all(any(leaf.passed(f"`{dispute}`") for leaf in leaves()) for dispute in CONVICTING.values())


def test_nothing_is_made_and_nothing_is_lost() -> None:
    assert all(leaf.wei[BUYER] + leaf.wei[SELLER] == 0 for leaf in leaves())


def test_an_honest_buyer_pays_for_what_it_got_and_no_more() -> None:
    """But for what no contract can see, and its policy bounds: the fee of a useless answer, one proof fee."""
    for leaf in against_honest(BUYER):
        due = FEE * answered(leaf) + PRICE * leaf.goods + PROOF_FEE * unseen(leaf)
        assert leaf.wei[BUYER] >= -due, leaf


def test_an_honest_buyer_has_the_listed_compensation() -> None:
    for leaf in against_honest(BUYER):
        if leaf.end.state == "Slashed":
            assert leaf.wei[BUYER] == BOND - FEE
        elif leaf.passed("does not reveal"):
            assert leaf.wei[BUYER] == PROOF_FEE - FEE
        elif leaf.passed("does not answer"):
            assert leaf.wei[BUYER] == 0


def test_an_honest_buyer_never_pays_for_another_model() -> None:
    for leaf in against_honest(BUYER):
        assert leaf.goods or leaf.wei[BUYER] > -PRICE, leaf


def test_an_honest_seller_loses_nothing_and_is_paid_for_its_work() -> None:
    for leaf in against_honest(SELLER):
        work = FEE * answered(leaf) + PROOF_FEE * leaf.passed("does not accept") + PRICE * leaf.revealed
        assert leaf.wei[SELLER] == work, leaf


def test_a_buyer_has_the_model_of_an_honest_seller_only_if_it_paid_the_price() -> None:
    for leaf in against_honest(SELLER):
        assert not leaf.goods or leaf.wei[BUYER] == -PRICE - FEE, leaf


def test_no_cheat_has_a_positive_payoff_but_those_that_no_contract_sees() -> None:
    gaining = {}
    for side in Role:
        for leaf in against_honest(BUYER if side is SELLER else SELLER):
            gain = leaf.wei[side] + PRICE * (leaf.goods and side is BUYER) - earned_honestly(leaf, side)
            if leaf.cheats and gain > 0:
                gaining[leaf.cheats[-1]] = gain
    assert gaining == {
        "answers with nothing of use": FEE,
        f"proves, with {UNSEEN}": PROOF_FEE,
    }


def test_a_refund_gives_back_what_both_have_signed() -> None:
    agreed = [leaf for leaf in leaves() if leaf.agreed]
    assert agreed
    assert all(leaf.wei == {BUYER: -FEE, SELLER: FEE} for leaf in agreed)


def test_an_acceptance_that_is_kept_back_earns_nothing() -> None:
    """A buyer that accepts by itself, then, is where it would be without a signature."""
    kept = [leaf for leaf in against_honest(BUYER) if leaf.passed("keeps the acceptance")]
    assert {leaf.path[-1].name for leaf in kept} == {"does not reveal"}
    assert all(leaf.wei[SELLER] == FEE - PROOF_FEE for leaf in kept)


def test_no_deviation_pays_more_than_honesty() -> None:
    honest = honest_path(leaves())
    for side in Role:
        for leaf in against_honest(BUYER if side is SELLER else SELLER):
            worth = PRICE * (side is BUYER)  # what the model is worth to a buyer that pays its price, at least
            assert leaf.wei[side] + worth * leaf.goods <= honest.wei[side] + worth, leaf


@pytest.mark.published
def test_what_a_side_spends_is_bounded_by_the_honest_path() -> None:
    """Where the other one deviates, a buyer pays for one dispute more at most, a seller for one ending."""
    honest = honest_path(leaves())
    for side in Role:
        assert max(leaf.gas[side] - honest.gas[side] for leaf in against_honest(side)) < 70_000


@pytest.mark.published
def test_the_documentation_shows_the_tree() -> None:
    assert PAGE_PATH.read_text() == page(leaves()), "run `python -m tests.contracts.game_page`"


# ------------------------------------------------------------------------------------------------- moves out of turn


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: f"{refusal.state}: {refusal.name}")
def test_a_refused_cheat_costs_its_sender_gas_alone(stage_at: StageAt, refusal: Refusal) -> None:
    stage = stage_at(refusal.state)
    with stage.restored(), stage.tried(), pytest.raises(MarketRevertedError) as caught:
        refusal.send(stage)
    assert caught.value.name == refusal.error


MOVES: dict[str, Callable[..., Any]] = {
    "respond": Stage.respond,
    "purchase": Stage.purchase,
    "prove": Stage.prove,
    "accept": Stage.accept,
    "reveal": Stage.reveal,
    "confirm": Stage.confirm,
    "reveal, signed": lambda stage, sender: stage.reveal(sender=sender, acceptance=stage.acceptance()),
    "refund": lambda stage, sender: stage.refund(1, sender=sender),
    "settle": Stage.settle,
    "expire": Stage.expire,
}
PARTIES = ("buyer", "seller", "stranger")
EVERYBODY = set(PARTIES)
IN_TIME: dict[str, dict[str, set[str]]] = {
    "Testing": {"respond": {"seller"}},
    "Answered": {"purchase": {"buyer"}},
    "Purchased": {"prove": {"seller"}},
    "Proven": {"accept": {"buyer"}, "reveal, signed": {"seller"}},
    "Accepted": {"reveal": {"seller"}, "reveal, signed": {"seller"}},
    "Revealed": {"confirm": {"buyer"}, "refund": {"buyer"}},
}
"""Who may make which moves before the deadline; at it, anybody may end the trade."""


def allowed(stage: Stage) -> dict[str, set[str]]:
    """The moves that the contract allows in the next block, and to whom."""
    found: dict[str, set[str]] = {}
    for name, move in MOVES.items():
        for party in PARTIES:
            try:
                with stage.tried():
                    move(stage, sender=getattr(stage, party))
            except MarketRevertedError:
                continue
            found.setdefault(name, set()).add(party)
    return found


@pytest.mark.parametrize("state", STATES[1:-1])
def test_nobody_may_make_any_other_move(stage_at: StageAt, state: str) -> None:
    stage = stage_at(state)
    with stage.restored():
        stage.at(stage.deadline() - 1) if state in IN_TIME else None
        assert allowed(stage) == IN_TIME.get(state, {})
    stage.at(max(stage.deadline(), stage.now + 1))
    ending = {"Revealed": "settle"}.get(state, "expire")
    assert allowed(stage) == ({ending: EVERYBODY} if state in IN_TIME else {})


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("dispute", CONVICTING.values())
def test_nobody_convicts_an_honest_seller(stage_at: StageAt, dispute: str, party: str) -> None:
    stage = stage_at("Revealed")
    error = "DisputeUnfounded" if party == "buyer" else "NotBuyer"
    with stage.refused(error):
        stage.dispute(dispute, evidence(Position("Revealed"), dispute), sender=getattr(stage, party))
