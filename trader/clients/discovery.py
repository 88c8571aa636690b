"""What is on sale in a market: open listings, where their sellers are reached, what they claim, and their record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from trader.certificates import CertificateError
from trader.clients.purchases import is_followed
from trader.clients.records import SellerRecord, read_records
from trader.exchange import Kind, Label, TransferError, open_mailbox
from trader.parties.claims import read_claims

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts import Terms
    from trader.certificates import Claim
    from trader.clients.connection import Connection

ASKING_SECONDS: Final = 10.0
"""So long all sellers together are asked what they claim: some of them are gone for good."""


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


def discover(
    connection: Connection, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> list[FoundListing]:
    """Find the listings that take new sessions, in the order of their numbers.

    Nothing of what a seller says is believed: endpoints are its word, and what is fetched there is checked. The
    market's events are read into the account's audit log, and found there from then on.

    Args:
        connection: Chain and market.
        progress: Told of blocks read and to read, where they are many.

    Raises:
        SettingsError: No chain is named.
        ChainUnavailableError: The node does not answer.
    """
    market, directory = connection.market, connection.directory
    with connection.audit_log(progress):
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
    connection: Connection,
    listings: Sequence[FoundListing],
    exchange: str | None = None,
    seconds: float = ASKING_SECONDS,
) -> list[FoundListing]:
    """Ask the sellers what they claim to have proven on public data; return the listings with what they answered.

    All are asked at once, each in a thread that is left behind if its seller takes too long. Nothing is believed, and
    on public chains no place that others don't reach is asked, but for the one that the caller names.

    Args:
        connection: Chain and market.
        listings: As `discover` finds them.
        exchange: Where all sellers are asked, as for a purchase; None for where each says that it is reached.
        seconds: When to stop waiting.
    """
    market = connection.market
    answers: dict[int, tuple[Claim, ...]] = {}

    def ask(listing: FoundListing, endpoint: str) -> None:
        label = Label(Kind.CLAIMS, market.chain.chain_id, market.deployment.market, 0, listing.terms.manifest_hash)
        try:
            with open_mailbox(endpoint) as mailbox:
                answers[listing.listing_id] = read_claims(mailbox, label, listing.seller)
        except (TransferError, CertificateError):
            return

    places = [(listing, exchange or listing.endpoint) for listing in listings]
    asked = [
        Thread(target=ask, args=(listing, place), daemon=True)
        for listing, place in places
        if place is not None and (place == exchange or is_followed(place, market.chain.chain_id))
    ]
    for thread in asked:
        thread.start()
    end = monotonic() + seconds
    for thread in asked:
        thread.join(max(0.0, end - monotonic()))
    return [replace(listing, claims=answers.get(listing.listing_id)) for listing in listings]
