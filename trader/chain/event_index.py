"""A party's own index of its market: the events in its audit log, kept up with the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eth_utils.hexadecimal import decode_hex

from ledger import Indexer, LedgerError, Source
from ledger.indexing.decoding import read_arguments
from ledger.indexing.indexer import require_only_market
from ledger.indexing.standing import StandingEvents
from trader.chain.receipts import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from web3.contract import Contract

    from ledger import AuditLog, Record
    from trader.chain.node import Block, Chain
    from trader.chain.searching import EventSearch

LONG_BLOCKS: Final = 10_000
"""Reading more blocks than so many takes long enough to be told of."""


class EventIndex:
    """The confirmed events of a market, found in a log instead of by searching the chain.

    The log is read up to the newest block, and takes back what leaves the chain (`ledger.indexing`); what is found here
    stands in confirmed blocks, as what a search of the chain finds.

    Attributes:
        log: Where the events are.
    """

    def __init__(
        self,
        chain: Chain,
        contract: Contract,
        log: AuditLog,
        first_block: int,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Nothing is read yet.

        Args:
            chain: Where the market lives.
            contract: The market.
            log: It may hold the events of one market only, as its steps off the chain don't say in which they were.
            first_block: The block of the market's deployment, or an earlier one.
            progress: Told of blocks read and to read, where they are many.
        """
        self.log = log
        self._chain = chain
        self._contract = contract
        self._source = Source(contract, first_block)
        self._progress = progress
        self._confirmed: Block | None = None
        self._failure: LedgerError | None = None
        self._found: dict[EventSearch, tuple[StandingEvents, tuple[LogEvent, ...], Block | None]] = {}

    def catch_up(self) -> None:
        """Read what is new on the chain into the log.

        Raises:
            WrongMarketError: The log holds the events of another market.
            IndexingError: The node can't be read, or contradicts itself.
            LedgerUnavailableError: The log can't be written.
        """
        require_only_market(self.log, self._source.market)
        Indexer(self.log, [self._source], on_progress=self._tell).catch_up()

    def find(self, wanted: EventSearch) -> tuple[LogEvent, ...]:
        """Return the confirmed events that are looked for, in the chain's order.

        The log is brought up to date first, if there is a new block; what fails then is tried again with the next one.

        Raises:
            ChainUnavailableError: The node does not answer.
            LedgerError: As `catch_up`.
        """
        confirmed = self._chain.confirmed_block()
        if confirmed != self._confirmed:
            self._confirmed, self._failure = confirmed, None
            try:
                self.catch_up()
            except LedgerError as error:
                self._failure = error
        if self._failure is not None:
            raise self._failure
        if wanted not in self._found:
            events = StandingEvents(self.log, self._source.market, wanted.keys(self._source.market))
            self._found[wanted] = events, (), None
        events, found, as_of = self._found[wanted]
        if as_of != confirmed:
            read = map(self._to_event, events.read())
            found = tuple(
                one for one in read if one.block_number <= confirmed.number and wanted.meets(one.name, one.arguments)
            )
            self._found[wanted] = events, found, confirmed
        return found

    def _to_event(self, record: Record) -> LogEvent:
        position: Any = record.chain
        return LogEvent(
            record.kind.value,
            read_arguments(self._contract, record),
            position.block_number,
            decode_hex(position.block_hash),
            position.transaction_hash,
        )

    def _tell(self, done: int, total: int) -> None:
        if total > LONG_BLOCKS:
            self._progress(done, total)
