from dataclasses import replace

import pytest

from contracts import ETH, Terms, Windows, offer_digest
from tests.contracts.stage import FIRST, WINDOWS, Stage, terms_of


def test_the_listing_holds_the_terms_as_they_were_given(stage: Stage) -> None:
    stage.offer(terms_of(FIRST))
    terms = terms_of(
        FIRST,
        price_wei=2**96 - 1,
        fee_wei=7,
        tolerance=2**128 - 1,
        listing_quota=2**32 - 1,
        supersedes=2,
        token=stage.stranger,
        policy=stage.buyer,
        windows=Windows(1, 2, 3, 4, 5, 2**24 - 1),
    )
    listed = stage.event(stage.offer(terms), "Listed")
    assert (listed["listingId"], listed["seller"]) == (3, stage.seller)
    assert listed["manifestHash"] == terms.manifest_hash
    seller, *facts, answers, unaccepted, offer, stored = stage.market.functions.listing(3).call()
    assert (seller, facts, answers, unaccepted) == (stage.seller, [True, False, True], 0, 0)
    assert (Terms.from_abi(stored), offer) == (terms, offer_digest(stage.seller, terms))
    assert stage.market.functions.listingCount().call() == 3


def test_a_listing_supersedes_one_of_its_own_seller(stage: Stage) -> None:
    with stage.refused("NotSeller", caller=stage.buyer.lower(), seller=stage.seller.lower()):
        stage.offer(terms_of(FIRST, supersedes=1), sender=stage.buyer)
    with stage.refused("NotSeller", caller=stage.seller.lower(), seller=ETH):
        stage.offer(terms_of(FIRST, supersedes=2))
    stage.offer(terms_of(FIRST, supersedes=1))


@pytest.mark.parametrize("window", WINDOWS.__dataclass_fields__)
def test_no_window_may_be_empty(stage: Stage, window: str) -> None:
    with stage.refused("EmptyWindow"):
        stage.offer(terms_of(FIRST, windows=replace(WINDOWS, **{window: 0})))


def test_a_window_of_a_second_is_one(stage: Stage) -> None:
    stage.offer(terms_of(FIRST, windows=Windows(*[1] * len(WINDOWS.__dataclass_fields__))))


def test_delisting_stops_new_sessions_but_not_open_trades(stage: Stage) -> None:
    stage.open_session()
    receipt = stage.send(stage.market.functions.delist(1, stage.offered()), stage.seller)
    assert stage.event(receipt, "Delisted") == {"listingId": 1}
    with stage.refused("ListingNotOpen", listingId=1):
        stage.open_session(value=2 * 10**15)
    stage.respond()
    stage.purchase()
    stage.prove()
    assert stage.state() == "Proven"


def test_only_the_seller_delists_and_only_once(stage: Stage) -> None:
    with stage.refused("NotSeller", caller=stage.buyer.lower(), seller=stage.seller.lower()):
        stage.send(stage.market.functions.delist(1, stage.offered()), stage.buyer)
    stage.send(stage.market.functions.delist(1, stage.offered()), stage.seller)
    with stage.refused("ListingNotOpen", listingId=1):
        stage.send(stage.market.functions.delist(1, stage.offered()), stage.seller)


def test_an_unknown_listing_cannot_be_delisted(stage: Stage) -> None:
    with stage.refused("ListingNotOpen", listingId=2):
        stage.send(stage.market.functions.delist(2, bytes(32)), stage.seller)
