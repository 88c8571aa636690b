from eth_utils.crypto import keccak

from tests.contracts.stage import FEE, FIRST, WINDOWS, Stage, terms_of


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
        assert stage.market.functions.sessionFee(1, stage.buyer).call() == n * FEE
        stage.open_session(value=n * FEE)
    assert stage.market.functions.sessionFee(1, stage.stranger).call() == FEE


def test_the_fee_must_be_exact(stage: Stage) -> None:
    for paid in (0, FEE - 1, FEE + 1):
        with stage.refused("UnexpectedPayment", paid=paid, due=FEE):
            stage.open_session(value=paid)


def test_a_buyer_cannot_exceed_its_quota(stage: Stage) -> None:
    stage.open_session(samples=64)
    assert stage.market.functions.samplesLeft(1, stage.buyer).call() == 32
    with stage.refused("QuotaExceeded", listingId=1, samples=64, samplesLeft=32):
        stage.open_session(samples=64, value=2 * FEE)
    stage.open_session(samples=32, value=2 * FEE)
    with stage.refused("QuotaExceeded", listingId=1, samples=1, samplesLeft=0):
        stage.open_session(samples=1, value=3 * FEE)


def test_all_buyers_together_cannot_exceed_the_listing_quota(stage: Stage) -> None:
    stage.open_session(samples=64)
    stage.open_session(samples=32, value=2 * FEE)
    stage.open_session(samples=32, sender=stage.stranger)
    with stage.refused("QuotaExceeded", listingId=1, samples=64, samplesLeft=32):
        stage.open_session(samples=64, value=2 * FEE, sender=stage.stranger)
    stage.open_session(samples=32, value=2 * FEE, sender=stage.stranger)


def test_quotas_are_kept_per_listing(stage: Stage) -> None:
    stage.open_session(samples=64)
    stage.offer(terms_of(FIRST))
    stage.open_session(listing=2, samples=64)


def test_a_session_is_charged_as_a_power_of_two(stage: Stage) -> None:
    """A response shows as many answers as the power of two at or above the number of samples."""
    stage.offer(terms_of(FIRST, buyer_quota_samples=2**32 - 1, listing_quota_samples=2**32 - 1, fee_wei=0))
    for samples in (0, 3, 5, 6, 7, 63, 65, 142, 2**31 - 1, 2**31 + 1, 2**32 - 1):
        with stage.refused("SamplesNotPowerOfTwo", samples=samples):
            stage.open_session(listing=2, samples=samples, value=0)
    for samples in (1, 2, 4, 64, 2**20, 2**31):
        stage.open_session(listing=2, samples=samples, value=0)


def test_an_unknown_listing_has_no_sessions(stage: Stage) -> None:
    for listing in (0, 2):
        with stage.refused("ListingNotOpen", listingId=listing):
            stage.open_session(listing=listing)


def test_the_largest_fee_and_none_at_all(stage: Stage) -> None:
    """A fee has 96 bits and a buyer's sessions 32, so that every fee fits the 128 bits of a trade's."""
    stage.offer(terms_of(FIRST, fee_wei=2**96 - 1))
    assert stage.market.functions.sessionFee(2, stage.buyer).call() == 2**96 - 1
    stage.offer(terms_of(FIRST, fee_wei=0))
    stage.open_session(listing=3, value=0)
    stage.open_session(listing=3, value=0)
