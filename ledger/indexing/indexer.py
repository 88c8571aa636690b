"""Reads the events of any number of markets, on any number of chains, into one log; and goes on where it was.

    indexer = Indexer(log, [Source(contract, first_block)])
    indexer.catch_up()                              # everything up to the newest blocks
    indexer.follow(heads, stop)                     # and on, as blocks come

For each market, in ranges of blocks that grow while they are quick and shrink when they are slow or refused:

(1) the newest block is asked of the node that gives the logs, so that no range ends where its index does not reach;
(2) if the block up to which was read has left the chain, the entries above the fork are retracted, newest first, in the
    transaction that also sets the place back;
(3) the logs of the range are read, and compared with what else is known (`ledger.indexing.checking`): where something
    is missing, they are read again, from the gap on where it lies further back;
(4) the last block of the range must be the one that it was before, else the range is read again;
(5) events and the new place (`SCANS`: block, hash, how far the chain is final) are written in one transaction, if the
    place is still where this run found it: whatever crashes, the next run goes on from there, and of several that read
    one market into one log at the same time, none writes what another has found undone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import ColumnElement, Connection, delete, insert, select
from web3.exceptions import BlockNotFound, TransactionNotFound, Web3Exception

from contracts import read_logs
from ledger.catalogue.upkeep import bring_up_to_date
from ledger.details import as_reason
from ledger.entries import Entry, MarketId
from ledger.errors import ChainMovedError, IncompleteLogsError, IndexingError, WrongMarketError
from ledger.indexing.batches import Batches
from ledger.indexing.checking import check_logs, check_with, find_gap
from ledger.indexing.events import EventReader
from ledger.indexing.reorganisations import canonical_hash_of, find_undone, newest_logged_block, undo
from ledger.log import AuditLog
from ledger.reading.queries import read_blocks
from ledger.storage.tables import SCANS

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract

ATTEMPTS: Final = 8
FIRST_RANGE_BLOCKS: Final = 2_000
LARGEST_RANGE_BLOCKS: Final = 1_000_000
QUICK_SECONDS, SLOW_SECONDS = 2.0, 10.0
_UNREADABLE: Final = (Web3Exception, OSError, JSONDecodeError)
"""What a node that is away, or answers no JSON, makes of a question."""
LAG_SECONDS: Final = 0.5
"""How long a node that is behind what was read is waited for, before the chain is taken for a shorter one."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """A market to read.

    Attributes:
        contract: It, bound to a node (`contracts.bind_market`).
        first_block: Block of its deployment, or before.
        whole: Whether that is so; else it isn't found out from gaps that the node leaves events out.
        second: Another node of the chain, to compare with.
    """

    contract: "Contract"
    first_block: int = 0
    whole: bool = True
    second: "Web3 | None" = None

    @cached_property
    def market(self) -> MarketId:
        """Which market it is."""
        return MarketId(chain_id=self.contract.w3.eth.chain_id, contract=self.contract.address)

    @cached_property
    def batches(self) -> Batches:
        """How its node takes many questions at once."""
        return Batches(self.contract.w3)


@dataclass(frozen=True)
class Scan:
    """How far a market has been read.

    Attributes:
        block_number: The last block that was read.
        block_hash: Its hash then.
        final_block: The last block that the chain called final then, None if it has no word for it.
    """

    block_number: int
    block_hash: str
    final_block: int | None


class Heads(Protocol):
    """Tells when a chain may have a new block; see `ledger.indexing.heads`."""

    def wait(self, seconds: float) -> None:
        """Return when there may be one, and after `seconds` at the latest."""


class Indexer:
    """Reads markets into a log."""

    def __init__(self, log: AuditLog, sources: Sequence[Source], *, on_progress: Progress | None = None):
        """Nothing is read yet.

        Args:
            log: The log.
            sources: The markets.
            on_progress: Told after each range how many of the blocks to read now have been read.
        """
        self._log = log
        self._sources = sources
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._range_blocks = FIRST_RANGE_BLOCKS

    def catch_up(self) -> list[Entry]:
        """Read all markets up to their newest blocks, and return what was appended.

        Raises:
            ChainMovedError: A chain was reorganised during each of several attempts.
            IncompleteLogsError: A node, or two of them, contradict themselves again and again.
            IndexingError: A node can't be read, or a market emits what this version doesn't know.
        """
        return [entry for source in self._sources for entry in self._catch_up(source)]

    def follow(self, heads: Heads, stop: Callable[[], bool], seconds: float = 12.0) -> None:
        """Catch up again and again until `stop` says so; what a node can't do now is tried again at the next block.

        Args:
            heads: Tells when there may be a new block.
            stop: Asked after each time.
            seconds: Longest wait for a block.

        Raises:
            IndexingError: A node could not be read, or contradicted itself, several times on end.
        """
        failures = 0
        while True:
            try:
                self.catch_up()
                failures = 0
            except IndexingError:
                failures += 1
                if failures >= ATTEMPTS:
                    raise
            if stop():
                return
            heads.wait(seconds)

    def _catch_up(self, source: Source) -> list[Entry]:
        added: list[Entry] = []
        failure: IndexingError | None = None
        attempts = 0
        while attempts < ATTEMPTS:
            before = len(added)
            try:
                self._read_to_head(source, added)
                return added
            except _OvertakenError:
                failure = ChainMovedError(f"others read the market into {self._log.name} all the time: try again")
            except IncompleteLogsError as error:
                failure = error
            except (BlockNotFound, TransactionNotFound, _MovedError):
                failure = ChainMovedError(
                    f"the chain was reorganised during each of {ATTEMPTS} attempts: wait, and try again"
                )
            except _UNREADABLE as error:
                failure = _unreadable(error)
                failure.__cause__ = error
            self._range_blocks = max(1, self._range_blocks // 2)
            attempts = 1 if len(added) > before else attempts + 1  # whoever gets on has not failed for good
        assert failure is not None  # noqa: S101 - each attempt that did not return has set it
        raise failure

    def _read_to_head(self, source: Source, added: list[Entry]) -> None:
        try:
            newest = self._newest_block(source)  # (1)
        except _UNREADABLE as error:  # nobody there: the caller waits, if it wants to
            raise _unreadable(error) from error
        start, scan = self._take_back(source, newest, added)  # (2)
        first = start
        while start <= newest["number"]:
            stop = min(start + self._range_blocks - 1, newest["number"])
            begin = time.monotonic()
            taken = self._take(source, range(start, stop + 1), scan, added)
            while isinstance(taken, int):
                taken = self._take(source, range(min(taken, start), stop + 1), scan, added)  # from further back
            scan = taken
            self._adapt(time.monotonic() - begin)
            start = stop + 1
            self._on_progress(start - first, newest["number"] + 1 - first)

    def _newest_block(self, source: Source) -> Any:
        """Return the newest block; a node that is behind what was read before is waited for a little."""
        eth, scan = source.contract.w3.eth, read_scan(self._log, source.market)
        newest = eth.get_block("latest")
        for _ in range(ATTEMPTS // 2):
            if scan is None or newest["number"] >= scan.block_number:
                break
            time.sleep(LAG_SECONDS)
            newest = eth.get_block("latest")
        return newest

    def _take_back(self, source: Source, newest: Any, added: list[Entry]) -> tuple[int, Scan | None]:
        """Retract what has left the chain; return the block from which on to read, and the place before it."""
        scan = read_scan(self._log, source.market)
        if scan is None and newest_logged_block(self._log, source.market) is None:
            return source.first_block, None
        if scan is not None and canonical_hash_of(source.contract, scan.block_number) == scan.block_hash:
            return scan.block_number + 1, scan
        undone, standing = find_undone(self._log, source.contract, source.market)
        start = source.first_block if standing is None or scan is None else standing
        place = max(0, min(start - 1, newest["number"]))
        place_hash = canonical_hash_of(source.contract, place)
        if place_hash is None:
            raise _MovedError
        moved = Scan(place, place_hash, None if scan is None else scan.final_block)
        with self._log.writing() as connection:
            records = [undo(entry, newest["timestamp"]) for entry in undone]
            added += self._log.append_within(connection, records)
            _write_scan(connection, source, scan, moved)
        return start, moved

    def _take(self, source: Source, blocks: range, before: Scan | None, added: list[Entry]) -> Scan | int:
        """Read a range into the log.

        Returns:
            The new place; the block of a gap further back, of which nothing was written then.
        """
        contract, eth = source.contract, source.contract.w3.eth
        start, stop = blocks[0], blocks[-1]
        last = eth.get_block(stop)
        reader = EventReader(self._log, contract, source.batches)
        logs = list(read_logs(contract.w3, {"address": contract.address}, start, stop))  # (3)
        reader.prefetch(logs)
        check_logs(contract, reader, logs, blocks)
        if source.second is not None:
            check_with(source.second, contract, logs, blocks)
        records = list(reader.to_records(logs))
        if eth.get_block(stop)["hash"] != last["hash"]:  # (4)
            raise _MovedError
        scan = Scan(stop, last["hash"].to_0x_hex(), _final_block(source))
        try:
            with self._log.writing() as connection:  # (5)
                found = self._log.append_within(connection, records)
                _write_scan(connection, source, before, scan)
                bring_up_to_date(connection)
                gap = find_gap(connection, found) if source.whole else None
                if gap is not None:
                    raise _GapError(gap)
        except _GapError as error:
            if error.block < start:
                return error.block
            raise IncompleteLogsError(
                f"the node leaves events out: what it tells of blocks {error.block} to {stop} can't follow on what is"
                " logged"
            ) from None
        added += found
        return scan

    def _adapt(self, seconds: float) -> None:
        if seconds < QUICK_SECONDS:
            self._range_blocks = min(2 * self._range_blocks, LARGEST_RANGE_BLOCKS)
        elif seconds > SLOW_SECONDS:
            self._range_blocks = max(1, self._range_blocks // 2)


def require_only_market(log: AuditLog, market: MarketId) -> None:
    """Check that a log whose steps name no market holds no other one's events.

    Raises:
        WrongMarketError: It does.
    """
    newest = newest_logged_block(log)
    for entry in [] if newest is None else read_blocks(log, newest, newest):
        if entry.record.chain is not None and entry.record.market_name != str(market):
            raise WrongMarketError(
                f"{log.name} holds the market {entry.record.market_name}, not {market}: use another file for it"
            )


def read_scan(log: AuditLog, market: MarketId) -> Scan | None:
    """Return how far a market has been read, None if never."""
    with log.reading() as connection:
        return _select_scan(connection, market)


def _select_scan(connection: Connection, market: MarketId) -> Scan | None:
    row = connection.execute(
        select(SCANS.c.block_number, SCANS.c.block_hash, SCANS.c.final_block).where(*_place_of(market))
    ).first()
    return None if row is None else Scan(*row)


def _write_scan(connection: Connection, source: Source, before: Scan | None, scan: Scan) -> None:
    """Set the place of a market, if it is where the caller has found it."""
    market = source.market
    if _select_scan(connection, market) != before:
        raise _OvertakenError
    connection.execute(delete(SCANS).where(*_place_of(market)))
    row = {"chain_id": market.chain_id, "contract": market.contract, "first_block": source.first_block}
    connection.execute(insert(SCANS), row | vars(scan))


def _place_of(market: MarketId) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return SCANS.c.chain_id == market.chain_id, SCANS.c.contract == market.contract


def _final_block(source: Source) -> int | None:
    try:
        return int(source.contract.w3.eth.get_block("finalized")["number"])
    except (BlockNotFound, Web3Exception, ValueError, NotImplementedError):
        return None


def _unreadable(error: Exception) -> IndexingError:
    return IndexingError(f"the chain can't be read ({as_reason(error)}): check that the node runs")


class _MovedError(Exception):
    """Blocks were replaced while they were read."""


class _OvertakenError(Exception):
    """Another process or thread has read the market meanwhile; nothing is written."""


class _GapError(Exception):
    """Something that must have happened before is not in the log; nothing is written."""

    def __init__(self, block: int):
        super().__init__(block)
        self.block = block
