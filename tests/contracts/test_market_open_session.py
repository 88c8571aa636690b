from dataclasses import fields, replace

from eth_utils.crypto import keccak

from contracts import Terms, offer_digest
from tests.contracts.stage import ANSWER_FEE, FEE, FIRST, WINDOWS, Stage, terms_of


def test_a_session_locks_its_fee(stage: Stage) -> None:
    receipt = stage.open_session(samples=16)
    opened = stage.event(receipt, "SessionOpened")
    assert opened == {
        "tradeId": 1,
        "listingId": 1,
        "buyer": stage.buyer,
        "samples": 16,
        "requestDigest": keccak(b"request"),
        "fee": FEE,
        "deadline": stage.now + WINDOWS.answer_seconds,
    }
    trade = stage.trade()
    assert (trade["buyer"], trade["listing_id"], trade["fee"], trade["samples"]) == (stage.buyer, 1, FEE, 16)
    assert (stage.state(), trade["deadline"]) == ("Testing", opened["deadline"])
    assert stage.web3.eth.get_balance(stage.deployment.market) == FEE


def test_the_fee_grows_with_each_session_of_a_buyer(stage: Stage) -> None:
    for n in (1, 2, 3):
        assert stage.session_fee() == n * FEE
        opened = stage.event(stage.open_session(value=n * FEE), "SessionOpened")
        assert (opened["tradeId"], opened["listingId"], opened["fee"]) == (n, 1, n * FEE)
    assert stage.session_fee(account=stage.stranger) == FEE


def test_the_fee_grows_with_the_answers(stage: Stage) -> None:
    """Or a listing's quota could be bought up for a few small sessions' fees."""
    for samples in (1, 2, 64):
        assert stage.session_fee(samples=samples) == samples * ANSWER_FEE
    with stage.refused("UnexpectedPayment", paid=FEE, due=4 * FEE):
        stage.open_session(samples=64, value=FEE)


def test_the_fee_must_be_exact(stage: Stage) -> None:
    for paid in (0, FEE - 1, FEE + 1):
        with stage.refused("UnexpectedPayment", paid=paid, due=FEE):
            stage.open_session(value=paid)


def answers_left(stage: Stage, account: str, listing: int = 1) -> int:
    return int(stage.market.functions.answersLeft(listing, account).call())


def test_a_session_takes_its_samples_and_those_of_the_audit_once_it_is_answered(stage: Stage) -> None:
    """The quota is 96 per buyer, an audit has 8 samples."""
    stage.open_session(samples=64)
    assert answers_left(stage, stage.buyer) == 96
    stage.respond()
    assert answers_left(stage, stage.buyer) == 24
    with stage.refused("QuotaExceeded", listingId=1, answers=40, answersLeft=24):
        stage.open_session(samples=32)
    stage.open_session(samples=16)
    stage.respond(2)
    with stage.refused("QuotaExceeded", listingId=1, answers=9, answersLeft=0):
        stage.open_session(samples=1)


def test_all_buyers_together_cannot_exceed_the_listing_quota(stage: Stage) -> None:
    """160 in all."""
    stage.open_session(samples=64)
    stage.respond(1)
    stage.open_session(samples=64, sender=stage.stranger)
    stage.respond(2)
    with stage.refused("QuotaExceeded", listingId=1, answers=24, answersLeft=16):
        stage.open_session(samples=16, sender=stage.stranger)
    stage.open_session(samples=8, sender=stage.stranger)


def test_sessions_that_wait_take_nothing_from_anybody(stage: Stage) -> None:
    """Opened by strangers that never send a request, they would else block a listing for nothing."""
    for account in stage.web3.eth.accounts[4:8]:
        stage.open_session(samples=64, sender=account)
    stage.open_session(samples=64)
    stage.respond(5)
    stage.respond(1)
    # The work is granted in the order in which it is done.
    with stage.refused("QuotaExceeded", listingId=1, answers=72, answersLeft=16):
        stage.respond(2)


def test_quotas_are_kept_per_listing(stage: Stage) -> None:
    stage.open_session(samples=64)
    stage.respond()
    stage.offer(terms_of(FIRST))
    stage.open_session(listing=2, samples=64)


def test_a_session_is_opened_on_the_offer_that_the_buyer_saw(stage: Stage) -> None:
    """A reorganisation may give the listing's number to another seller, or to other terms."""
    seen = terms_of(FIRST)
    offer = offer_digest(stage.seller, seen)
    assert offer == stage.offered(1)
    for other in (
        offer_digest(stage.stranger, seen),
        *(offer_digest(stage.seller, terms) for terms in _changed(seen)),
    ):
        with stage.refused("UnexpectedOffer", offer=other, expected=offer):
            stage.open_session(offer=other)


def _changed(terms: Terms) -> list[Terms]:
    """The terms with one field changed, for each."""
    changed = []
    for field in fields(terms):
        value = getattr(terms, field.name)
        if isinstance(value, bytes):
            changed.append(replace(terms, **{field.name: keccak(value)}))
        elif isinstance(value, int):
            changed.append(replace(terms, **{field.name: value + 1}))
        elif isinstance(value, str):
            changed.append(replace(terms, **{field.name: "0x" + "11" * 20}))
    windows = [replace(terms.windows, **{field.name: 1}) for field in fields(terms.windows)]
    return [*changed, *(replace(terms, windows=window) for window in windows)]


def test_a_session_is_charged_as_a_power_of_two(stage: Stage) -> None:
    """A response shows as many answers as the power of two at or above the number of samples."""
    stage.offer(terms_of(FIRST, buyer_quota=2**32 - 1, listing_quota=2**32 - 1, fee_wei=0))
    for samples in (0, 3, 5, 6, 7, 63, 65, 142, 2**31 - 1, 2**31 + 1, 2**32 - 1):
        with stage.refused("SamplesNotPowerOfTwo", samples=samples):
            stage.open_session(listing=2, samples=samples, value=0)
    for samples in (1, 2, 4, 64, 2**20, 2**31):
        stage.open_session(listing=2, samples=samples, value=0)


def test_an_unknown_listing_has_no_sessions(stage: Stage) -> None:
    for listing in (0, 2):
        with stage.refused("ListingNotOpen", listingId=listing):
            stage.open_session(listing=listing, offer=bytes(32))


def test_the_largest_fee_and_none_at_all(stage: Stage) -> None:
    """What a session costs has 96 bits; a dearer one can't be opened, as nobody has so much."""
    stage.offer(terms_of(FIRST, fee_wei=2**96 - 1, buyer_quota=2**32 - 1, listing_quota=2**32 - 1))
    assert stage.session_fee(2, samples=2**31) == 2**31 * (2**96 - 1)
    with stage.refused("SafeCastOverflowedUintDowncast", bits=96, value=2 * (2**96 - 1)):
        stage.open_session(listing=2, samples=2, value=0)
    with stage.refused("UnexpectedPayment", paid=0, due=2**96 - 1):
        stage.open_session(listing=2, samples=1, value=0)
    stage.offer(terms_of(FIRST, fee_wei=0))
    stage.open_session(listing=3, value=0)
    stage.open_session(listing=3, value=0)
