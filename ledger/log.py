"""The writer's side of the audit log: open it, append to it, ask for its head.

    with AuditLog.open(path) as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, actor=buyer, role=Role.BUYER, trade_id=7, …))
        log.head()

What `append` returned is durable: on disk before it returns, whatever happens to the process or the power. Seller and
buyer may append to the same file from two processes; entries are never changed or deleted. Each contract event is
logged once, however often it is reported (see `ledger.indexing.indexer`), and so is a step off the chain to which its
writer gave an identity: after a crash it is appended again, whether or not it was. Personal details are kept apart from
what is hashed (`ledger.redaction`). Reading is in `ledger.reading.queries`.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection

from ledger.checkpoint import CHECKPOINT_ORIGIN, EMPTY_HEAD, Checkpoint, Head
from ledger.entries import (
    ChainPosition,
    ClearValue,
    Entry,
    PositionKey,
    Record,
    encode_details,
    encode_entry,
    hash_entry,
)
from ledger.errors import EntryHashError, InvalidRecordError, RepeatedIdentityError, SequenceError
from ledger.merkle import Frontier, Node, cover, hash_leaf
from ledger.notes.names import check_key_name
from ledger.redaction import conceal, repeats
from ledger.storage.rows import (
    delete_clear_values,
    insert_entries,
    insert_nodes,
    insert_setting,
    read_setting,
    select_entries,
    select_identified,
    select_nodes,
)
from ledger.storage.store import Store, open_store
from ledger.storage.tables import ENTRIES

_ORIGIN: Final = "origin"
_WRITTEN_AT_ONCE: Final = 5000


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
        """Append one record durably and return its entry; for what is logged already, the entry that it has.

        Logged already is what happened at the same position on the chain, and a step with the same identity. Threads
        that append at the same time share one commit, so that the disk is waited for once.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
            RepeatedIdentityError: Another record has the identity; this one was not appended.
        """
        waiting = _Waiting(record)
        self._queue.append(waiting)
        # Whoever finds nobody committing does it for all; it looks again after it is done, so nobody is forgotten.
        while self._queue and self._committing.acquire(blocking=False):
            try:
                self._commit_queue()
            finally:
                self._committing.release()
        entry = waiting.entry.result()
        _check_repeats(entry, record)
        return entry

    def append_all(self, records: Iterable[Record]) -> list[Entry]:
        """Append records in order, all or none, in one durable transaction; return those that were not there yet.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
            RepeatedIdentityError: Another record has the identity of one of them; nothing was appended.
        """
        records = list(records)
        with self._store.writing() as connection:
            entries, added = self._append(connection, records)
            for entry, record in zip(entries, records, strict=True):
                _check_repeats(entry, record)
        return added

    def restore(self, entries: Iterable[Entry]) -> None:
        """Append entries of another log as they are, all or none; they must be checked before (`ledger.reading.fsck`).

        Raises:
            SequenceError: They don't begin where this log ends.
            EntryHashError: They don't follow from it.
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        with self._store.writing() as connection:
            ending = _Ending(connection, self._kept)
            for entry in entries:
                if entry.sequence != ending.head.entries:
                    message = f"entry {ending.head.entries} should be next, got entry {entry.sequence}"
                    raise SequenceError(message, sequence=ending.head.entries)
                if ending.add(entry.record, entry.clear) != entry:
                    raise EntryHashError(f"entry {entry.sequence} does not follow", sequence=entry.sequence)
                if ending.head.entries % _WRITTEN_AT_ONCE == 0:
                    ending.write(connection)
            self._kept = ending.write(connection)

    def redact(self, sequences: Collection[int]) -> int:
        """Remove the personal details of some entries from the database, and return how many there were.

        Entries, hashes and proofs stay as they are. Copies elsewhere, exports and backups, are *not* changed.
        """
        with self._store.writing() as connection:
            removed = delete_clear_values(connection, sequences)
        self._store.erase()
        return removed

    def origin(self) -> str:
        """Return the name that the log was given, which its checkpoints begin with."""
        with self._store.reading() as connection:
            return read_setting(connection, _ORIGIN) or CHECKPOINT_ORIGIN

    def give_origin(self, origin: str) -> None:
        """Give the log its name, once and for all; like a URL without a scheme, such as `example.com/trades`.

        Raises:
            NoteError: It can't be a name.
            InvalidRecordError: The log has another.
        """
        check_key_name(origin)
        with self._store.writing() as connection:
            given = read_setting(connection, _ORIGIN)
            if given is None:
                insert_setting(connection, _ORIGIN, origin)
            elif given != origin:
                raise InvalidRecordError(f"{self.name} is the log {given}, it can't become {origin}: use its own keys")

    def head(self) -> Head:
        """Return the current head of the hash chain."""
        with self._store.reading() as connection:
            return read_head(connection)

    def checkpoint(self) -> Checkpoint:
        """Return size and root of the Merkle tree over the entries; `ledger.reading.merkle_proofs` lead to it."""
        with self._store.reading() as connection:
            entries = read_head(connection).entries
            origin = read_setting(connection, _ORIGIN) or CHECKPOINT_ORIGIN
            return Checkpoint(entries, read_frontier(connection, entries).root(), origin)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state of the log, for `ledger.storage.rows.select_entries`."""
        with self._store.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares, for `append_within` and for tables beside the entries."""
        with self._store.writing() as connection:
            yield connection

    def append_within(self, connection: Connection, records: Iterable[Record]) -> list[Entry]:
        """Append records as `append_all` does, as part of a transaction of `writing`."""
        return self._append(connection, list(records))[1]

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

        A record is logged if it repeats the newest entry at its position on the chain, or has the identity of an
        entry; that it says the same is *not* checked. The entries at one position alternate between what happened and
        `Reorganised`: a dropped block may come back.

        Returns:
            The entry of each record, and those of them that are new.
        """
        ending = _Ending(connection, self._kept)
        newest = _read_newest(connection, [record.chain for record in records if record.chain is not None])
        identified = select_identified(connection, {one.identity for one in records if one.identity is not None})
        entries: list[Entry] = []
        added: list[Entry] = []
        for record in records:
            entry = newest.get(record.chain.key) if record.chain is not None else identified.get(record.identity or "")
            if entry is None or (record.chain is not None and entry.record.kind is not record.kind):
                entry = ending.add(*conceal(record))
                added.append(entry)
                if record.chain is not None:
                    newest[record.chain.key] = entry
                elif record.identity is not None:
                    identified[record.identity] = entry
            entries.append(entry)
        self._kept = ending.write(connection)
        return entries, added

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Ending:
    """Where the hash chain and the tree end, while entries are added to them."""

    def __init__(self, connection: Connection, kept: tuple[Head, Frontier]):
        self.head = read_head(connection)
        kept_head, frontier = kept
        if kept_head != self.head:  # somebody else has appended; else the kept one fits, as it follows from its head
            frontier = read_frontier(connection, self.head.entries)
        self._frontier = frontier
        self._added: list[Entry] = []
        self._details: list[str] = []
        self._nodes: dict[Node, bytes] = {}

    def add(self, record: Record, clear: tuple[ClearValue, ...]) -> Entry:
        """Return the next entry."""
        details = encode_details(record)
        encoded = encode_entry(self.head.entries, record, details)
        entry = Entry(self.head.entries, record, hash_entry(self.head.entry_hash, encoded), clear)
        self.head = Head(entry.sequence + 1, entry.entry_hash)
        self._frontier, completed = self._frontier.append(hash_leaf(encoded))
        self._nodes.update(completed)
        self._added.append(entry)
        self._details.append(details)
        return entry

    def write(self, connection: Connection) -> tuple[Head, Frontier]:
        """Write what was added, and return where it ends."""
        insert_entries(connection, self._added, self._details)
        insert_nodes(connection, self._nodes)
        self._added, self._details, self._nodes = [], [], {}
        return self.head, self._frontier


def _check_repeats(entry: Entry, record: Record) -> None:
    if record.identity is not None and entry.record is not record and not repeats(entry, record):
        raise RepeatedIdentityError(
            f"entry {entry.sequence} has the identity {record.identity!r} and says something else: two steps can't"
            " share one"
        )


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
