"""Offers for one buyer as files: what a buyer finds out before it pays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from contracts import offer_digest
from contracts.policy import Admission, AdmittedBuyers, Offer, Rules, upgrade_evidence
from tests.unit.trader.chain.test_node import TERMS
from trader.chain import Chain
from trader.chain.market import Market
from trader.chain.offers import MAX_FILE_BYTES, ListingRules, SignedOffer
from trader.errors import CallerError, OfferError

BUYER = Account.create().address


@dataclass(frozen=True)
class Listed:
    """Listing 1 of the seller's."""

    market: Market
    seller: LocalAccount

    @property
    def offer(self) -> Offer:
        named = self.market.deployment.market, offer_digest(self.seller.address, TERMS), BUYER
        return Offer(*named, price=7, expiry=self.market.chain.time().latest + 100, nonce=3)

    @property
    def admission(self) -> Admission:
        offer = self.offer
        return Admission(offer.market, offer.listing, offer.buyer, offer.expiry, offer.nonce)

    def signed(
        self, document: Any = None, signer: LocalAccount | None = None, chain_id: int | None = None
    ) -> SignedOffer:
        chain_id = self.market.chain.chain_id if chain_id is None else chain_id
        return SignedOffer.sign(signer or self.seller, chain_id, document or self.offer)


@cache
def listed() -> Listed:
    chain, seller = Chain.embedded(), Account.create()
    chain.fund(seller.address, 10**18)
    market = Market(chain, chain.deploy(seller))
    market.list(seller, TERMS)
    return Listed(market, seller)


def test_a_file_comes_back_as_it_was() -> None:
    for document in (listed().offer, listed().admission):
        signed = listed().signed(document)
        assert SignedOffer.from_bytes(signed.to_bytes()) == signed
        assert signed.evidence == document.evidence(signed.signature)
    assert listed().signed().price_wei == 7
    assert listed().signed(listed().admission).price_wei is None


def test_an_offer_of_the_sellers_holds() -> None:
    listed().signed().check(listed().market, 1, BUYER)


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (lambda here: here.signed(chain_id=1), "for the chain 1"),
        (lambda here: here.signed(replace(here.offer, market=BUYER)), "for the market"),
        (lambda here: here.signed(replace(here.offer, buyer=here.seller.address)), "for the buyer"),
        (lambda here: here.signed(replace(here.offer, listing=bytes(32))), "other terms"),
        (lambda here: here.signed(signer=Account.create()), "signed it, not"),
        (lambda here: replace(here.signed(signer=Account.create()), signer=here.seller.address), "signature"),
        (lambda here: replace(here.signed(), document=replace(here.offer, price=6)), "signature"),
        (lambda here: replace(here.signed(), signature=b"\0"), "signature"),
        (lambda here: here.signed(replace(here.offer, expiry=here.market.chain.time().latest)), "expired"),
    ],
)
def test_what_does_not_hold_is_said_before_anything_is_paid(forged: Callable[[Listed], SignedOffer], why: str) -> None:
    with pytest.raises(OfferError, match=why):
        forged(listed()).check(listed().market, 1, BUYER)


def test_an_admission_is_the_admitters() -> None:
    market, seller, admitter = listed().market, listed().seller, Account.create()
    rules = ListingRules(market)
    admission = listed().signed(listed().admission, signer=admitter)
    with pytest.raises(OfferError, match="signed it, not"):
        admission.check(market, 1, BUYER)
    expected = Rules(AdmittedBuyers.of([BUYER]).root, admitter.address, 5)
    rules.set(seller, listed().offer.listing, expected)
    assert rules.of(1) == expected
    admission.check(market, 1, BUYER)


def test_a_cancelled_offer_does_not_hold() -> None:
    signed = listed().signed(replace(listed().offer, nonce=9))
    signed.check(listed().market, 1, BUYER)
    ListingRules(listed().market).cancel(listed().seller, 9)
    with pytest.raises(OfferError, match="cancelled"):
        signed.check(listed().market, 1, BUYER)
    with pytest.raises(CallerError, match="no nonce"):
        ListingRules(listed().market).cancel(listed().seller, -1)


def test_where_nobody_deployed_the_policy_there_are_no_rules(chain: Chain) -> None:
    seller = Account.create()
    chain.fund(seller.address, 10**18)
    market = Market(chain, chain.deploy(seller))
    market.list(seller, TERMS)
    assert ListingRules(market).of(1) == Rules()
    assert not ListingRules(market).is_cancelled(seller.address, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-3],
        lambda data: data.replace(b'"price": 7', b'"price": -1'),
        lambda data: data.replace(b'"price": 7', b'"price": "7"'),
        lambda data: data.replace(b'"price": 7,', b""),
        lambda data: data.replace(b'"offer"', b'"admission"'),
        lambda data: data.replace(b'"nonce"', b'"once"'),
        lambda data: data.replace(b"0x", b"", 1),
        lambda data: b"[]",
        lambda data: b"\xff" + data,
        lambda data: data + b" " * MAX_FILE_BYTES,
    ],
)
def test_other_files_are_refused(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(OfferError, match="this is no offer"):
        SignedOffer.from_bytes(spoil(listed().signed().to_bytes()))


def test_evidence_begins_with_what_it_is() -> None:
    assert AdmittedBuyers.of([BUYER]).evidence(BUYER)[0] == 1
    assert listed().admission.evidence(b"")[0] == 2
    assert listed().offer.evidence(b"")[0] == 3
    assert upgrade_evidence(7) == b"\x04" + (7).to_bytes(32, "big")
    with pytest.raises(ValueError, match="at least one"):
        AdmittedBuyers.of([])
