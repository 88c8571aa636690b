"""What is on sale in a market: open listings, where their sellers are reached, what they claim, and their record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from contracts import MarketEvent
from trader.certificates import CertificateError
from trader.chain.development import DEVELOPMENT_CHAINS
from trader.clients.purchases import is_reachable_by_all
from trader.exchange import Kind, Label, TransferError, open_mailbox
from trader.parties.claims import read_claims
from trader.trade import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts import Terms
    from trader.certificates import Claim
    from trader.clients.connection import Connection

ASKING_SECONDS: Final = 10.0
"""So long all sellers together are asked what they claim: some of them are gone for good."""


@dataclass(frozen=True, slots=True)
class SellerRecord:
    """How the trades of a seller's listings have ended, as the chain has it.

    Attributes:
        sold: Settled: the buyer has the model.
        cheated: Slashed: a delivery was not what was listed.
        kept_key: Ended with the ciphertext accepted and no key.
        not_proven: Ended with the price paid and no proof.
        refused: Ended with a proof that the buyer did not accept, whoever was at fault.
        not_bought: Ended with a test that the buyer did not like, or had no use for.
        not_answered: Ended with a test that was never answered.
        open: Under way.
    """

    sold: int = 0
    cheated: int = 0
    kept_key: int = 0
    not_proven: int = 0
    refused: int = 0
    not_bought: int = 0
    not_answered: int = 0
    open: int = 0

    @property
    def words(self) -> str:
        """The record in a few words, the worst first."""
        named = (
            (self.cheated, "delivered something else"),
            (self.kept_key, "kept the key"),
            (self.not_proven, "not proven"),
            (self.not_answered, "not answered"),
            (self.refused, "proof not accepted"),
            (self.sold, "sold"),
        )
        return ", ".join(f"{count} {what}" for count, what in named if count) or "no trades yet"


@dataclass(frozen=True, slots=True)
class FoundListing:
    """A listing that takes new sessions.

    Attributes:
        listing_id: Its number in the market.
        seller: Address of its seller.
        endpoint: Where its seller says that it is reached; None where it says nothing.
        terms: As on the chain.
        record: How the seller's trades have ended.
        claims: What the seller claims to have proven on public data, to be verified; None where it was not asked, or
            does not answer.
    """

    listing_id: int
    seller: str
    endpoint: str | None
    terms: Terms
    record: SellerRecord
    claims: tuple[Claim, ...] | None = None


_ENDINGS = {
    State.TESTING: "not_answered",
    State.ANSWERED: "not_bought",
    State.PURCHASED: "not_proven",
    State.PROVEN: "refused",
    State.ACCEPTED: "kept_key",
}


def discover(connection: Connection) -> list[FoundListing]:
    """Find the listings that take new sessions, in the order of their numbers.

    Nothing of what a seller says is believed: endpoints are its word, and what is fetched there is checked.

    Raises:
        SettingsError: No chain is named.
        ChainUnavailableError: The node does not answer.
    """
    market, directory = connection.market, connection.directory
    sellers = market.listed()
    records = read_records(connection, sellers)
    found = []
    for listing_id, seller in sellers.items():
        listing = market.listing(listing_id)
        if listing.open:
            endpoint = directory.endpoint(listing_id, seller)
            found.append(FoundListing(listing_id, seller, endpoint, listing.terms, records[seller]))
    return found


def ask_claims(
    connection: Connection, listings: Sequence[FoundListing], seconds: float = ASKING_SECONDS
) -> list[FoundListing]:
    """Ask the sellers what they claim to have proven on public data; return the listings with what they answered.

    All are asked at once, each in a thread that is left behind if its seller takes too long. Nothing is believed, and
    on public chains no place that others don't reach is asked.

    Args:
        connection: Chain and market.
        listings: As `discover` finds them.
        seconds: When to stop waiting.
    """
    market = connection.market
    local = market.chain.chain_id in DEVELOPMENT_CHAINS
    answers: SimpleQueue[tuple[int, tuple[Claim, ...]]] = SimpleQueue()

    def ask(listing: FoundListing, endpoint: str) -> None:
        label = Label(Kind.CLAIMS, market.chain.chain_id, market.deployment.market, 0, listing.terms.manifest_hash)
        try:
            answers.put((listing.listing_id, read_claims(open_mailbox(endpoint), label, listing.seller)))
        except (TransferError, CertificateError):
            return

    asked = [
        Thread(target=ask, args=(listing, listing.endpoint), daemon=True)
        for listing in listings
        if listing.endpoint is not None and (local or is_reachable_by_all(listing.endpoint))
    ]
    for thread in asked:
        thread.start()
    end = monotonic() + seconds
    for thread in asked:
        thread.join(max(0.0, end - monotonic()))
    found: dict[int, tuple[Claim, ...]] = {}
    try:
        while True:
            listing_id, claims = answers.get_nowait()
            found[listing_id] = claims
    except Empty:
        return [replace(listing, claims=found.get(listing.listing_id)) for listing in listings]


def read_records(connection: Connection, sellers: dict[int, str]) -> dict[str, SellerRecord]:
    """Return the records of sellers, given that of each listing."""
    market = connection.market
    counts: dict[str, Counter[str]] = {seller: Counter() for seller in sellers.values()}
    seller_of = {
        int(log.arguments["tradeId"]): sellers.get(int(log.arguments["listingId"]), "")
        for log in market.all_events(MarketEvent.SESSION_OPENED)
    }
    over: set[int] = set()
    for kind, name in ((MarketEvent.SETTLED, "sold"), (MarketEvent.SLASHED, "cheated"), (MarketEvent.EXPIRED, None)):
        for log in market.all_events(kind):
            trade_id = int(log.arguments["tradeId"])
            seller = seller_of.get(trade_id, "")
            over.add(trade_id)
            if seller in counts:
                counts[seller][name or _ENDINGS[State(log.arguments["ended"])]] += 1
    for trade_id, seller in seller_of.items():
        if trade_id not in over and seller in counts:
            counts[seller]["open"] += 1
    return {seller: SellerRecord(**count) for seller, count in counts.items()}
