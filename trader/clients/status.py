"""What a seller's service tells of itself, from memory: asked in any thread, it reads neither chain nor disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from contracts import ETH
from trader.exchange import Kind
from trader.service.status import OfferedListing, TradeProgress
from trader.trade import Role
from trader.trade.waiting import waits_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trader.clients.shop import Shop
    from trader.jobs import Workers
    from trader.parties.desk import Desk
    from trader.parties.seller import Seller

MOST_TRADES: Final = 1000
STALE_SECONDS: Final = 180.0
"""A loop that has not gone round for so long is not well: a step takes as long as its transaction."""


class SellerStatus:
    """A picture of the seller, taken by its own thread and shown to others (`trader.service.status.Status`)."""

    def __init__(self, desk: Desk, shop: Shop, workers: Workers | None) -> None:
        self._desk = desk
        self._shop = shop
        self._workers = workers
        self._listings: tuple[OfferedListing, ...] = ()
        self._trades: tuple[TradeProgress, ...] = ()
        self._updated = time.monotonic()
        self._shown: dict[int, Seller] | None = None
        self.update()

    def update(self) -> None:
        """Take a new picture."""
        if self._shown is not self._desk.listings:  # another dict with each change of what is served
            self._listings = tuple(self._describe(number) for number in sorted(self._desk.listings))
            self._shown = self._desk.listings
        seen = [trade for trade in self._desk.waiting if trade in self._desk.market.seen]
        self._trades = tuple(map(self._progress, seen[-MOST_TRADES:]))
        self._updated = time.monotonic()

    def listings(self) -> Sequence[OfferedListing]:
        """Return what is offered."""
        return self._listings

    def trades(self) -> Sequence[TradeProgress]:
        """Return the trades under way."""
        return self._trades

    def checks(self) -> Mapping[str, bool]:
        """Return whether chain, loop and workers are there."""
        return {
            "chain": self._desk.search.seconds == 0,
            "loop": time.monotonic() - self._updated < STALE_SECONDS,
            "workers": self._workers is None or self._workers.alive > 0,
        }

    def _describe(self, listing_id: int) -> OfferedListing:
        seller, listing = self._desk.listings[listing_id], self._shop.market.listing(listing_id)
        manifest_hash = listing.terms.manifest_hash
        return OfferedListing(
            listing_id,
            seller.goods.manifest.card.name,
            f"0x{manifest_hash.hex()}",
            seller.actor.label(Kind.PACKAGE, manifest_hash).name,
            listing.terms.price_wei,
            listing.open,
            None if listing.terms.token == ETH else listing.terms.token,
        )

    def _progress(self, trade_id: int) -> TradeProgress:
        position, (listing_id, buyer) = self._desk.market.seen[trade_id], self._desk.market.opened[trade_id]
        words = waits_for(Role.SELLER, position)
        return TradeProgress(trade_id, listing_id, buyer, position.state.name.lower(), position.deadline_seconds, words)
