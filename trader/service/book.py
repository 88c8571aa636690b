"""What the service must know of the chain: whose session a request is for, whose trade is which, what may be how long.

`TradeBook` is what the service asks; `ChainTradeBook` answers from the events of the seller's own listings.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from contracts.agreements import SIGNATURE_BYTES
from trader.errors import ChainUnavailableError
from trader.exchange import Kind
from trader.parties.messages import order_limit_bytes, request_limit_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trader.chain.market import Market
    from trader.chain.receipts import LogEvent
    from trader.he import HePlan
    from zk import AuditCircuit

REFRESH_SECONDS: Final = 2.0
"""So often at most the node is asked for new sessions, whoever asks the service for what."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was opened for one of the seller's listings.

    Attributes:
        trade_id: Its trade.
        listing_id: What is tested.
        buyer: Address of the account that opened it, in lower case.
        samples: Answers that it was charged for.
        request_digest: Of the request that was paid for.
    """

    trade_id: int
    listing_id: int
    buyer: str
    samples: int
    request_digest: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """From what the sizes of a listing's messages follow.

    Attributes:
        plan: How encrypted tests are computed.
        circuit: What is proven.
    """

    plan: HePlan
    circuit: AuditCircuit


class TradeBook(Protocol):
    """The chain's facts, from memory: whatever a stranger asks, the node isn't asked for it."""

    def knows(self, account: str) -> bool:
        """Return whether the account has opened any session.

        Raises:
            ChainUnavailableError: The node has never answered.
        """

    def session_of(self, account: str, request_digest: bytes) -> OpenedSession | None:
        """Return the newest session that the account opened with this request, if it did.

        Raises:
            ChainUnavailableError: The node has never answered.
        """

    def session_of_trade(self, trade_id: int) -> OpenedSession | None:
        """Return the session of a trade of the seller's; its buyer is the trade's.

        Raises:
            ChainUnavailableError: The node has never answered.
        """

    def limit_bytes(self, kind: Kind, session: OpenedSession) -> int:
        """Return the most bytes that the buyer's message of this kind may have in this session."""


class ChainTradeBook:
    """The trades of a seller's listings, from the market's events at confirmed depth.

    The market object must be the book's own: it is read from several threads, one at a time.
    """

    def __init__(
        self,
        market: Market,
        listings: Callable[[], Mapping[int, Limits]],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with an empty book, which is filled when it is first asked.

        Args:
            market: Where the listings are.
            listings: Gives the seller's listings by number, with what limits their messages.
            refresh_seconds: How old an answer may be that says no.
            clock: Seconds that only grow.
        """
        self._market = market
        self._listings = listings
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._next_look = float("-inf")
        self._by_trade: dict[int, OpenedSession] = {}
        self._by_request: dict[tuple[str, bytes], OpenedSession] = {}
        self._buyers: frozenset[str] = frozenset()
        self._filled = False

    def knows(self, account: str) -> bool:
        """Return whether the account has opened any session."""
        self._refresh()
        return account.lower() in self._buyers

    def session_of(self, account: str, request_digest: bytes) -> OpenedSession | None:
        """Return the newest session that the account opened with this request, if it did."""
        self._refresh()
        return self._by_request.get((account.lower(), request_digest))

    def session_of_trade(self, trade_id: int) -> OpenedSession | None:
        """Return the session of a trade of the seller's; its buyer is the trade's."""
        self._refresh()
        return self._by_trade.get(trade_id)

    def limit_bytes(self, kind: Kind, session: OpenedSession) -> int:
        """Return the most bytes that the buyer's message of this kind may have in this session; 0 for none."""
        limits = self._listings().get(session.listing_id)
        if limits is None:
            return 0
        if kind is Kind.REQUEST:
            return request_limit_bytes(limits.plan, session.samples)
        if kind is Kind.ACCEPTANCE:
            return SIGNATURE_BYTES
        return order_limit_bytes(limits.circuit) if kind is Kind.AUDIT_INPUTS else 0

    def _refresh(self) -> None:
        """Read new events, if that was not done just now. While the node is away, what is known stays.

        Raises:
            ChainUnavailableError: Nothing is known yet.
        """
        with self._lock:
            if self._clock() < self._next_look:
                if not self._filled:
                    raise ChainUnavailableError("the node has not answered yet; it is asked again in a moment")
                return
            try:
                logs = [log for listing_id in self._listings() for log in self._market.find_sessions(listing_id)]
            except ChainUnavailableError:
                if not self._filled:
                    raise
                return
            finally:
                self._next_look = self._clock() + self._refresh_seconds
            # Replaced, not added to: a reorganisation takes sessions back.
            found = sorted((_session(log) for log in logs), key=lambda session: session.trade_id)
            self._by_trade = {session.trade_id: session for session in found}
            self._by_request = {(session.buyer, session.request_digest): session for session in found}
            self._buyers = frozenset(session.buyer for session in found)
            self._filled = True


def _session(log: LogEvent) -> OpenedSession:
    trade_id, listing_id, buyer, samples, digest = (
        log.arguments[name] for name in ("tradeId", "listingId", "buyer", "samples", "requestDigest")
    )
    return OpenedSession(trade_id, listing_id, buyer.lower(), samples, bytes(digest))
