"""What the service tells about its seller: callbacks into whatever runs the trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class OfferedListing:
    """A listing, as buyers are told of it. Nothing of it is to be believed: the chain and the package say what holds.

    Attributes:
        listing_id: Its number in the market.
        name: What the seller calls the model.
        manifest_hash: 0x-hex; anchor of the package.
        package: Name of the package's message.
        price_wei: What the model costs.
        open: Whether new sessions are taken.
        token: What the price is in; None for ether.
    """

    listing_id: int
    name: str
    manifest_hash: str
    package: str
    price_wei: int
    open: bool
    token: str | None = None


@dataclass(frozen=True, slots=True)
class TradeProgress:
    """A trade, as auditors see it.

    Attributes:
        trade_id: Its number in the market.
        listing_id: What is traded.
        buyer: Address of its buyer.
        state: Name of its state, in lower case.
        deadline_seconds: Unix time of the next deadline; 0 where nothing is waited for.
        waiting_for: What is done or waited for, in a few words.
    """

    trade_id: int
    listing_id: int
    buyer: str
    state: str
    deadline_seconds: int
    waiting_for: str


class Status(Protocol):
    """What is asked of whatever runs the seller's trades. Each answer comes from memory, at once, in any thread."""

    def listings(self) -> Sequence[OfferedListing]:
        """Return what is offered."""

    def trades(self) -> Sequence[TradeProgress]:
        """Return the trades under way, and those that have ended of late."""

    def checks(self) -> Mapping[str, bool]:
        """Return whether each thing that the seller's work needs is there, by a short name (`chain`, `loop`)."""
