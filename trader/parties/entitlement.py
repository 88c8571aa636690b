"""What a buyer shows to a listing's policy, and the price that follows: an offer, an admission, an earlier purchase.

The published policy alone is known here (`trader.chain.offers`); to another one that a buyer accepts nothing is shown,
and the listing's price is named. An offer that the buyer was given counts: once it is no good, no other price takes its
place unseen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contracts.policy import upgrade_evidence
from trader.chain.admissions import read_document
from trader.chain.offers import ListingRules
from trader.errors import CallerError, OfferError
from trader.parties.filenames import ADMISSION, AGREEMENT, OFFER
from trader.trade import State

if TYPE_CHECKING:
    from contracts import Terms
    from trader.chain.admissions import Document
    from trader.parties.actor import Actor
    from trader.parties.vault import Vault


@dataclass(frozen=True, slots=True)
class Asking:
    """What a model costs one buyer.

    Attributes:
        price: In wei, or the smallest unit of the listing's token.
        evidence: What the buyer shows for it in `purchase`.
        reason: Why it is not the listing's price; empty if it is.
    """

    price: int
    evidence: bytes = field(default=b"", repr=False)
    reason: str = ""


class Entitlement:
    """What one buyer holds for one listing."""

    def __init__(self, listing_id: int, actor: Actor, vault: Vault) -> None:
        """Take the buyer's folder, in which offers and admissions are kept."""
        self._listing_id = listing_id
        self._actor = actor
        self._vault = vault
        self._rules = ListingRules(actor.market)

    def keep(self, document: Document) -> None:
        """Keep what the seller has given, for this and later moves; a newer offer takes the place of an older one.

        Raises:
            OfferError: The market would not take it from this buyer, for this listing.
            CallerError: The listing has no policy that reads it.
        """
        if not self._is_read(self._actor.market.listing(self._listing_id).terms):
            raise CallerError(
                f"listing {self._listing_id} has not the published policy: it reads no offers and admissions, and "
                "every buyer pays its price"
            )
        document.check(self._actor.market, self._listing_id, self._actor.address)
        self._vault.write(OFFER if document.price_wei is not None else ADMISSION, document.to_bytes())

    def to_session(self, terms: Terms) -> bytes:
        """Return what the buyer shows to open a session.

        Raises:
            OfferError: What it holds is no good any more, or the listing admits named buyers, and it holds nothing.
        """
        if not self._is_read(terms):
            return b""
        rules = self._rules.of(self._listing_id)
        if not (rules.is_restricted or self._vault.has(OFFER)):
            return b""
        for name in (OFFER, ADMISSION):
            if self._vault.has(name):
                return self._checked(name).evidence
        raise OfferError(
            f"the seller of listing {self._listing_id} admits named buyers to a test: ask it for an admission or an "
            f"offer for your account {self._actor.address}, and give it with --offer"
        )

    def to_purchase(self, terms: Terms) -> Asking:
        """Return what the model costs the buyer now: the listing's price, an offer, or an owner's price.

        Raises:
            OfferError: The offer that it holds is no good any more.
        """
        listed = Asking(terms.price_wei)
        if not self._is_read(terms):
            return listed
        found = [listed]
        if self._vault.has(OFFER):
            offer = self._checked(OFFER)
            if offer.price_wei is not None:
                found = [Asking(offer.price_wei, offer.evidence, "the seller's offer")]
        upgrade = self._upgrade(terms)
        return min(found if upgrade is None else [*found, upgrade], key=lambda asking: asking.price)

    def price(self, terms: Terms) -> int:
        """Return what the buyer has agreed to pay, or else what it would be asked; whether an offer holds is left open.

        So a listing can be checked again at any time: what was paid for must not depend on an offer's expiry.
        """
        if self._vault.has(AGREEMENT):
            kept = json.loads(self._vault.read(AGREEMENT))
            if kept["token"] == terms.token:
                return min(int(kept["price"]), terms.price_wei)
        offered = read_document(self._vault.read(OFFER)).price_wei if self._vault.has(OFFER) else None
        if not self._is_read(terms) or offered is None:
            upgrade = self._upgrade(terms) if self._is_read(terms) else None
            return terms.price_wei if upgrade is None else upgrade.price
        return min(offered, terms.price_wei)

    def _upgrade(self, terms: Terms) -> Asking | None:
        """Return the price for an owner of the superseded listing's model, if the buyer is one and it is lower."""
        if not terms.supersedes:
            return None
        discount = self._rules.of(self._listing_id).upgrade_discount_wei
        market = self._actor.market
        for trade_id in market.find_trades_of(self._actor.address) if discount else ():
            if market.opened[trade_id][0] != terms.supersedes:
                continue
            if market.trade(trade_id).position.state is State.SETTLED:
                price = terms.price_wei - min(discount, terms.price_wei)
                return Asking(price, upgrade_evidence(trade_id), f"you own listing {terms.supersedes}'s model")
        return None

    def _is_read(self, terms: Terms) -> bool:
        return terms.policy == self._rules.address

    def _checked(self, name: str) -> Document:
        document = read_document(self._vault.read(name))
        document.check(self._actor.market, self._listing_id, self._actor.address)
        return document
