"""The writer's side of the audit log: open it, append to it, ask for its head.

    with AuditLog.open(path) as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, actor=buyer, role=Role.BUYER, trade_id=7, …))
        log.head()

What `append` returned is durable: on disk before it returns, whatever happens to the process or the power. Seller and
buyer may append to the same file from two processes; entries are never changed or deleted. Each contract event is
logged once, however often it is reported (see `ledger.indexing.indexer`). Reading is in `ledger.reading.queries`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from ledger.checkpoint import CHECKPOINT_ORIGIN, EMPTY_HEAD, Checkpoint, Head
from ledger.entries import ChainPosition, Entry, PositionKey, Record, encode_entry, hash_entry
from ledger.merkle import Frontier, Node, cover, hash_leaf
from ledger.storage.rows import insert_entries, insert_nodes, select_entries, select_nodes
from ledger.storage.store import Store, open_store
from ledger.storage.tables import ENTRIES


class AuditLog:
    """An append-only log in a SQLite file or a PostgreSQL database. Use it from any number of threads and processes."""

    def __init__(self, store: Store):
        self._store = store
        self._kept = (EMPTY_HEAD, Frontier())
        self._queue: deque[_Waiting] = deque()
        self._committing = Lock()

    @classmethod
    def open(cls, location: Path | str) -> Self:
        """Open the log at a path or a `postgresql://` URL, and make an empty one where there is none (mode 0600).

        Raises:
            NotALedgerError: It is no audit log of the schema that this version reads.
            OldSchemaError: It is one of an older schema: see `ledger.storage.migration`.
            LedgerUnavailableError: It can't be opened or locked.
        """
        return cls(open_store(location))

    @property
    def name(self) -> str:
        """What the log is called in messages: its path, or its URL without a password."""
        return self._store.name

    @property
    def path(self) -> Path:
        """The database file.

        Raises:
            NotALedgerError: The log is on a server.
        """
        return self._store.path

    def append(self, record: Record) -> Entry:
        """Append one record durably and return its entry; for what is logged at its position on the chain, that one.

        Threads that append at the same time share one commit, so that the disk is waited for once.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        waiting = _Waiting(record)
        self._queue.append(waiting)
        # Whoever finds nobody committing does it for all; it looks again after it is done, so nobody is forgotten.
        while self._queue and self._committing.acquire(blocking=False):
            try:
                self._commit_queue()
            finally:
                self._committing.release()
        return waiting.entry.result()

    def append_all(self, records: Iterable[Record]) -> list[Entry]:
        """Append records in order, all or none, in one durable transaction; return those that were not there yet.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        records = list(records)
        with self._store.writing() as connection:
            _, added = self._append(connection, records)
        return added

    def head(self) -> Head:
        """Return the current head of the hash chain."""
        with self._store.reading() as connection:
            return read_head(connection)

    def checkpoint(self, origin: str = CHECKPOINT_ORIGIN) -> Checkpoint:
        """Return size and root of the Merkle tree over the entries; `ledger.reading.merkle_proofs` lead to it."""
        with self._store.reading() as connection:
            entries = read_head(connection).entries
            return Checkpoint(entries, read_frontier(connection, entries).root(), origin)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state of the log, for `ledger.storage.rows.select_entries`."""
        with self._store.reading() as connection:
            yield connection

    def close(self) -> None:
        """Release the file. Closing twice does nothing."""
        self._store.close()

    def _commit_queue(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        try:
            with self._store.writing() as connection:
                entries, _ = self._append(connection, [waiting.record for waiting in batch])
        except BaseException as error:  # whatever it is, no thread may wait for ever
            for waiting in batch:
                waiting.entry.set_exception(error)
            return
        for waiting, entry in zip(batch, entries, strict=True):
            waiting.entry.set_result(entry)

    def _append(self, connection: Connection, records: Sequence[Record]) -> tuple[list[Entry], list[Entry]]:
        """Chain `records` to the head, but for those that are logged; the caller holds the write lock.

        A record is logged if it repeats the newest entry at its position on the chain. The entries at one position
        alternate between what happened and `Reorganised`: a dropped block may come back.

        Returns:
            The entry of each record, and those of them that are new.
        """
        head = read_head(connection)
        kept_head, frontier = self._kept
        if kept_head != head:  # somebody else has appended since; else the kept one fits, as it follows from its head
            frontier = read_frontier(connection, head.entries)
        newest = _read_newest(connection, [record.chain for record in records if record.chain is not None])
        entries: list[Entry] = []
        added: list[Entry] = []
        nodes: dict[Node, bytes] = {}
        for record in records:
            entry = newest.get(record.chain.key) if record.chain is not None else None
            if entry is None or entry.record.kind is not record.kind:
                encoded = encode_entry(head.entries, record)
                entry = Entry(head.entries, record, hash_entry(head.entry_hash, encoded))
                head = Head(head.entries + 1, entry.entry_hash)
                frontier, completed = frontier.append(hash_leaf(encoded))
                nodes.update(completed)
                added.append(entry)
                if record.chain is not None:
                    newest[record.chain.key] = entry
            entries.append(entry)
        insert_entries(connection, added)
        insert_nodes(connection, nodes)
        self._kept = (head, frontier)
        return entries, added

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Waiting:
    """A record that a thread wants appended, and the entry that it will be."""

    record: Record
    entry: "Future[Entry]" = field(default_factory=Future)


def _read_newest(connection: Connection, positions: Sequence[ChainPosition]) -> dict[PositionKey, Entry]:
    """Return the newest entry at each logged position in the blocks of `positions`, in one query."""
    if not positions:
        return {}
    numbers = [position.block_number for position in positions]
    entries = select_entries(connection, ENTRIES.c.block_number.between(min(numbers), max(numbers)))
    return {entry.record.chain.key: entry for entry in entries if entry.record.chain is not None}


def read_head(connection: Connection) -> Head:
    """Return the current head; nothing is *checked*: that is `ledger.reading.fsck`'s."""
    newest = select_entries(connection, newest_first=True, limit=1)
    return Head(newest[0].sequence + 1, newest[0].entry_hash) if newest else EMPTY_HEAD


def read_frontier(connection: Connection, entries: int) -> Frontier:
    """Return the frontier of the tree over the first `entries` entries.

    Raises:
        TreeError: A node is missing.
    """
    nodes = cover(range(entries))
    hashes = select_nodes(connection, nodes)
    return Frontier(entries, tuple(hashes[node] for node in nodes))
