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

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection

from ledger.appending import Appended, KnownSegments, append
from ledger.checkpoint import CHECKPOINT_ORIGIN, Checkpoint, Head
from ledger.encoding import encode_entry, hash_entry
from ledger.entries import Entry, Record
from ledger.errors import EntryHashError, InvalidRecordError, RepeatedIdentityError, SequenceError
from ledger.group_commit import GroupCommit
from ledger.notes.names import check_key_name
from ledger.redaction import repeats
from ledger.settling import insert_settled, read_frontier, read_head, settle
from ledger.storage.rows import delete_clear_values, insert_setting, read_setting
from ledger.storage.segments import has_segments, read_end
from ledger.storage.store import Store, open_store

_ORIGIN: Final = "origin"
_WRITTEN_AT_ONCE: Final = 5000


class AuditLog:
    """An append-only log in a SQLite file or a PostgreSQL database. Use it from any number of threads and processes."""

    def __init__(self, store: Store):
        self._store = store
        self._segments = KnownSegments()
        self._appending = Lock()
        self._groups = GroupCommit[Record, Entry](lambda records: self._commit(records).entries)

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
        entry = self._groups.submit(record)
        if entry.record is not record:
            _check_repeats(entry, record)
        return entry

    def append_all(self, records: Iterable[Record]) -> list[Entry]:
        """Append records in order, all or none, in one durable transaction; return those that were not there yet.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
            RepeatedIdentityError: Another record has the identity of one of them; nothing was appended.
        """
        return self._commit(list(records), whole=True).added

    def restore(self, entries: Iterable[Entry]) -> None:
        """Append entries of another log as they are, all or none; they must be checked before (`ledger.reading.fsck`).

        Raises:
            SequenceError: They don't begin where this log ends.
            EntryHashError: They don't follow from it.
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        with self.writing() as connection:
            head, added = read_head(connection), list[Entry]()
            for entry in entries:
                if entry.sequence != head.entries:
                    message = f"entry {head.entries} should be next, got entry {entry.sequence}"
                    raise SequenceError(message, sequence=head.entries)
                if entry.entry_hash != hash_entry(head.entry_hash, encode_entry(entry.sequence, entry.record)):
                    raise EntryHashError(f"entry {entry.sequence} does not follow", sequence=entry.sequence)
                head = Head(entry.sequence + 1, entry.entry_hash)
                added.append(entry)
                if len(added) == _WRITTEN_AT_ONCE:
                    insert_settled(connection, added)
                    added.clear()
            insert_settled(connection, added)

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
            end = read_end(connection)
            return Head(end.entries, end.entry_hash)

    def checkpoint(self) -> Checkpoint:
        """Return size and root of the Merkle tree over the entries; `ledger.reading.merkle_proofs` lead to it."""
        with self.reading() as connection:
            entries = read_head(connection).entries
            origin = read_setting(connection, _ORIGIN) or CHECKPOINT_ORIGIN
            return Checkpoint(entries, read_frontier(connection, entries).root(), origin)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state of the log, for `ledger.storage.rows.select_entries`.

        Every entry that was acknowledged before is in the tables: if one was not, it is moved there first.
        """
        with self._store.reading() as connection:
            if not has_segments(connection):
                yield connection
                return
        with self.writing():
            pass
        with self._store.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that no other writer shares, for `append_within` and for tables beside the entries."""
        with self._store.writing() as connection:
            settle(connection)
            yield connection

    def append_within(self, connection: Connection, records: Iterable[Record]) -> list[Entry]:
        """Append records as `append_all` does, as part of a transaction of `writing`."""
        return append(connection, list(records), None).added

    def close(self) -> None:
        """Release the file. Closing twice does nothing."""
        self._store.close()

    def _commit(self, records: Sequence[Record], *, whole: bool = False) -> Appended:
        """Append records in a transaction of their own; if `whole`, fail if one of them repeats an identity."""
        with self._appending:
            with self._store.writing() as connection:
                appended = append(connection, records, self._segments)
                for entry, record in zip(appended.entries, records, strict=True) if whole else ():
                    if entry.record is not record:
                        _check_repeats(entry, record)
            self._segments.note(appended)
        return appended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_repeats(entry: Entry, record: Record) -> None:
    """Check what got an entry that does not hold it: it was logged before, or has personal details."""
    if record.identity is not None and not repeats(entry, record):
        raise RepeatedIdentityError(
            f"entry {entry.sequence} has the identity {record.identity!r} and says something else: two steps can't"
            " share one"
        )
