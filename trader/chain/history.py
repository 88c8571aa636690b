"""What has happened in a market, by the events that its contract emitted.

A market that was told of an audit log (`History.read_through`) finds its events there: the log is kept up with the
chain, and each search costs what it finds. Without one, and while the log can't be kept up, the chain is searched; each
search is kept (`trader.chain.scan.LogScan`): asked again, it reads the new blocks alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from contracts import Deployment, MarketEvent, bind_market
from ledger import LedgerError, TamperedError
from trader.chain.event_index import EventIndex
from trader.chain.scan import LogScan
from trader.chain.searching import EventSearch
from trader.errors import CallerError
from trader.trade import (
    Accepted,
    Answered,
    Confirmed,
    Event,
    Expired,
    Proven,
    Purchased,
    Refunded,
    Revealed,
    SessionOpened,
    Settled,
    Slashed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from web3.contract import Contract

    from ledger import AuditLog
    from trader.chain.node import Chain
    from trader.chain.receipts import LogEvent

E = TypeVar("E", bound=Event)


class History:
    """The events of one market.

    Attributes:
        chain: Where the market lives.
        deployment: Its addresses.
        contract: The bound contract, for the audit log's indexer.
        first_block: Where events are looked for from, unless it is known better.
        opened: Listing and buyer of each trade that was found.
        index: Where events are found, if there is a log.
    """

    def __init__(self, chain: Chain, deployment: Deployment, first_block: int = 0) -> None:
        self.chain = chain
        self.deployment = deployment
        self.first_block = first_block
        self.contract: Contract = bind_market(chain.web3, deployment.market)
        self.index: EventIndex | None = None
        self._scans: dict[tuple[EventSearch, int], LogScan] = {}
        self.opened: dict[int, tuple[int, str]] = {}
        self._session_blocks: dict[int, int] = {}

    @property
    def place(self) -> str:
        """Which market it is, as a part of file names: trades of different ones have the same numbers."""
        return f"{self.chain.chain_id}-{self.deployment.market.lower()}"

    def read_through(
        self, log: AuditLog, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> EventIndex:
        """Find events in a log from now on, which is kept up with the chain; the first search may have all to read.

        Args:
            log: It must hold no other market's events, and stay open.
            progress: Told of blocks read and to read, where they are many.
        """
        if self.index is None or self.index.log is not log:
            self.index = EventIndex(self.chain, self.contract, log, self.first_block, progress)
        return self.index

    def events(self, trade_id: int) -> tuple[Event, ...]:
        """Return what has happened to a trade, in order, without the `Settled` of a `Confirmed` or `Refunded`."""
        logs = self.trade_logs(trade_id)
        told = any(log.name in (MarketEvent.CONFIRMED, MarketEvent.REFUNDED) for log in logs)
        kept = [log for log in logs if not (told and log.name == MarketEvent.SETTLED)]
        return tuple(_EVENTS[log.name](self.chain.time_of_block(log.block_number), log.arguments) for log in kept)

    def event(self, trade_id: int, kind: type[E]) -> E:
        """Return the event of a kind in a trade.

        Raises:
            CallerError: It has not happened.
        """
        for found in self.events(trade_id):
            if isinstance(found, kind):
                return found
        raise CallerError(f"trade {trade_id} is not {kind.__name__}")

    def was_answered(self, trade_id: int) -> bool:
        """Return whether a trade's test was ever answered, as far as confirmed blocks say."""
        return any(isinstance(event, Answered) for event in self.events(trade_id))

    def newly_answered(self) -> set[int]:
        """Return the trades, of all sellers, whose answers stand in blocks that may still be replaced."""
        if self.chain.confirmations <= 1:
            return set()
        found = self.chain.unconfirmed_logs(self.contract, [self._topic(MarketEvent.ANSWERED)])
        return {int(log.arguments["tradeId"]) for log in found}

    def find_listings(self, seller: str, manifest_hash: bytes) -> tuple[int, ...]:
        """Find the listings of a seller's manifest, open or not, oldest first."""
        wanted = EventSearch(MarketEvent.LISTED, seller=seller, manifest_hash=manifest_hash)
        return tuple(int(log.arguments["listingId"]) for log in self._find(wanted))

    def listed(self) -> dict[int, str]:
        """Return the seller of every listing, open or not, by its number."""
        return {
            int(log.arguments["listingId"]): str(log.arguments["seller"]) for log in self.all_events(MarketEvent.LISTED)
        }

    def listings_of(self, seller: str) -> tuple[int, ...]:
        """Find the listings of a seller, open or not, oldest first."""
        wanted = EventSearch(MarketEvent.LISTED, seller=seller)
        return tuple(int(log.arguments["listingId"]) for log in self._find(wanted))

    def find_session(self, buyer: str, request_digest: bytes) -> int | None:
        """Find the trade that a buyer opened with a request, if there is one.

        Args:
            buyer: Its account.
            request_digest: Digest of the request.
        """
        found = self._find(EventSearch(MarketEvent.SESSION_OPENED, buyer=buyer, request_digest=request_digest))
        return self._opened_trade(found[0]) if found else None

    def find_trades(self, listing_id: int) -> tuple[int, ...]:
        """Find all trades of a listing, oldest first."""
        return tuple(self._opened_trade(log) for log in self.find_sessions(listing_id))

    def find_sessions(self, listing_id: int) -> Sequence[LogEvent]:
        """Return the events that opened the sessions of a listing, oldest first."""
        return self._find(EventSearch(MarketEvent.SESSION_OPENED, listing_id=listing_id))

    def find_trades_of(self, buyer: str) -> tuple[int, ...]:
        """Find all trades that an account has opened, oldest first."""
        return tuple(
            self._opened_trade(log) for log in self._find(EventSearch(MarketEvent.SESSION_OPENED, buyer=buyer))
        )

    def find_trades_about(self, seller: str, manifest_hash: bytes) -> set[int]:
        """Find all trades of a seller's manifest, of all its listings."""
        listings = self.find_listings(seller, manifest_hash)
        return {trade for listing in listings for trade in self.find_trades(listing)}

    def find_proven(self, seller: str, manifest_hash: bytes) -> dict[int, bytes]:
        """Find the input commitments of all proofs about a seller's manifest, by trade; of all its listings."""
        trades = self.find_trades_about(seller, manifest_hash)
        proven = trades & {int(log.arguments["tradeId"]) for log in self.all_events(MarketEvent.PROVEN)}
        purchased = self.all_events(MarketEvent.PURCHASED) if proven else ()
        commitments = {int(log.arguments["tradeId"]): log.arguments["inputCommitment"] for log in purchased}
        return {trade: commitments[trade] for trade in sorted(proven)}

    def trade_logs(self, trade_id: int) -> Sequence[LogEvent]:
        """Return all events of a trade; the chain is searched from its session on, where that is known and stands."""
        wanted = EventSearch(trade_id=trade_id)
        for first_block in (self._session_blocks.get(trade_id, self.first_block), self.first_block):
            logs = self._find(wanted, first_block)
            if logs and logs[0].name == MarketEvent.SESSION_OPENED:
                break
        return logs

    def listed_in(self, listing_id: int) -> LogEvent:
        """Return the event by which a listing was made.

        Raises:
            CallerError: There is no such listing.
        """
        logs = self._find(EventSearch(MarketEvent.LISTED, listing_id=listing_id))
        if not logs:
            raise CallerError(f"there is no listing {listing_id} in the market at {self.deployment.market}")
        return logs[0]

    def _opened_trade(self, log: LogEvent) -> int:
        """Return the number of an opened trade; remembers where it was opened."""
        trade_id = int(log.arguments["tradeId"])
        self._session_blocks[trade_id] = log.block_number
        self.opened[trade_id] = int(log.arguments["listingId"]), str(log.arguments["buyer"])
        return trade_id

    def all_events(self, kind: MarketEvent) -> Sequence[LogEvent]:
        """Return all events of a kind, of the whole market."""
        return self._find(EventSearch(kind))

    def _find(self, wanted: EventSearch, first_block: int | None = None) -> Sequence[LogEvent]:
        """Return the confirmed events that are looked for, in order.

        Args:
            wanted: What is looked for.
            first_block: Where a search of the chain begins; what is known of the market if None.
        """
        if self.index is not None:
            try:
                return self.index.find(wanted)
            except TamperedError:
                raise
            except LedgerError:
                pass  # its keeper says so; a trade goes on all the same
        start = self.first_block if first_block is None else first_block
        if (wanted, start) not in self._scans:
            self._scans[wanted, start] = LogScan(self.chain, self.contract, wanted.topics(self.contract), start)
        return [log for log in self._scans[wanted, start].read() if wanted.meets(log.name, log.arguments)]

    def _topic(self, kind: MarketEvent) -> str:
        return str(self.contract.events[kind.value]().topic)


_EVENTS: dict[str, Callable[[int, dict[str, Any]], Event]] = {
    MarketEvent.SESSION_OPENED: lambda at, a: SessionOpened(
        at, a["listingId"], a["samples"], a["requestDigest"], a["fee"]
    ),
    MarketEvent.ANSWERED: lambda at, a: Answered(at, a["responseDigest"]),
    MarketEvent.PURCHASED: lambda at, a: Purchased(
        at, a["inputCommitment"], a["outputsDigest"], a["price"], a["highestProofFees"]
    ),
    MarketEvent.PROVEN: lambda at, a: Proven(at, a["ciphertextRoot"], a["keyHash"], a["bond"], a["proofFees"]),
    MarketEvent.ACCEPTED: lambda at, _: Accepted(at),
    MarketEvent.REVEALED: lambda at, a: Revealed(at, a["key"]),
    MarketEvent.CONFIRMED: lambda at, _: Confirmed(at),
    MarketEvent.REFUNDED: lambda at, a: Refunded(at, a["amount"]),
    MarketEvent.SLASHED: lambda at, _: Slashed(at),
    MarketEvent.SETTLED: lambda at, _: Settled(at),
    MarketEvent.EXPIRED: lambda at, _: Expired(at),
}
"""The contract's events as the trade's, given the block's time and the event's arguments."""
