"""The writer's side of the audit log: open it, append to it, ask for its head.

    with AuditLog.open(path) as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, actor=buyer, role=Role.BUYER, trade_id=7, …))
        log.head()

What `append` returned is durable: on disk before it returns, whatever happens to the process or the power. Seller and
buyer may append to the same file from two processes; entries are never changed or deleted. Each contract event is
logged once, however often it is reported (see `ledger.indexer`). Reading is in `ledger.queries`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, select

from ledger.checkpoint import EMPTY_HEAD, Checkpoint, Head
from ledger.entries import ChainPosition, Entry, Record, encode_entry, hash_entry
from ledger.merkle import Frontier, Node, cover, hash_leaf
from ledger.store import ENTRIES, Store, insert_entries, insert_nodes, select_entries, select_nodes


class AuditLog:
    """An append-only log of one market's trades in one SQLite file. Use it from any number of threads and processes."""

    def __init__(self, store: Store):
        self._store = store
        self._kept = (EMPTY_HEAD, Frontier())

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Opens the log at `path`, and makes an empty one where there is no file (mode 0600).

        Raises:
            NotALedgerError: The file is no audit log of the schema that this version reads.
            LedgerUnavailableError: The file can't be opened or locked.
        """
        return cls(Store(Path(path)))

    @property
    def path(self) -> Path:
        """The database file."""
        return self._store.path

    def append(self, record: Record) -> Entry:
        """Appends one record durably and returns its entry; for what is logged at its position on the chain, that one.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        with self._store.writing() as connection:
            appended = self._append(connection, [record])
            return appended[0] if record.chain is None or appended else _newest_at(connection, record.chain)

    def append_all(self, records: Iterable[Record]) -> list[Entry]:
        """Appends records in order, all or none, in one durable transaction; returns those that were not there yet.

        Raises:
            LedgerUnavailableError: The file can't be locked or written; nothing was appended.
        """
        records = list(records)
        with self._store.writing() as connection:
            return self._append(connection, records)

    def head(self) -> Head:
        """The current head of the hash chain."""
        with self._store.reading() as connection:
            return read_head(connection)

    def checkpoint(self) -> Checkpoint:
        """Size and root of the Merkle tree over the entries, which proofs lead to (`ledger.proofs`)."""
        with self._store.reading() as connection:
            entries = read_head(connection).entries
            return Checkpoint(entries, read_frontier(connection, entries).root())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state of the log, for `ledger.store.select_entries`."""
        with self._store.reading() as connection:
            yield connection

    def close(self) -> None:
        """Releases the file. Closing twice does nothing."""
        self._store.close()

    def _append(self, connection: Connection, records: Sequence[Record]) -> list[Entry]:
        """Chains `records` to the head, leaving out those that are logged; the caller holds the write lock."""
        head = read_head(connection)
        # The frontier follows from the head, so one that was kept is right whenever its head is the current one.
        kept_head, frontier = self._kept
        if kept_head != head:
            frontier = read_frontier(connection, head.entries)
        entries: list[Entry] = []
        nodes: dict[Node, bytes] = {}
        for record in _drop_logged(connection, records):
            encoded = encode_entry(head.entries, record)
            entries.append(Entry(sequence=head.entries, record=record, entry_hash=hash_entry(head.entry_hash, encoded)))
            head = Head(head.entries + 1, entries[-1].entry_hash)
            frontier, completed = frontier.append(hash_leaf(encoded))
            nodes.update(completed)
        insert_entries(connection, entries)
        insert_nodes(connection, nodes)
        self._kept = (head, frontier)
        return entries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drop_logged(connection: Connection, records: Sequence[Record]) -> Iterator[Record]:
    """Leaves out each record that repeats the newest entry at its position on the chain.

    The entries at one position alternate between what happened and `Reorganised`: a dropped block may come back.
    """
    newest = _newest_kinds(connection, [record.chain for record in records if record.chain is not None])
    for record in records:
        if record.chain is not None:
            if newest.get(record.chain.key) == record.kind:
                continue
            newest[record.chain.key] = record.kind
        yield record


def _newest_kinds(connection: Connection, positions: Sequence[ChainPosition]) -> dict[object, str]:
    """The kind of the newest entry at each logged position in the blocks of `positions`, in one query."""
    if not positions:
        return {}
    numbers = [position.block_number for position in positions]
    key = (ENTRIES.c.block_hash, ENTRIES.c.transaction_hash, ENTRIES.c.log_index)
    query = select(ENTRIES.c.kind, *key).where(ENTRIES.c.block_number.between(min(numbers), max(numbers)))
    return {tuple(row[1:]): row.kind for row in connection.execute(query.order_by(ENTRIES.c.sequence))}


def _newest_at(connection: Connection, position: ChainPosition) -> Entry:
    """The newest entry at a position on the chain where there is one."""
    entries = select_entries(connection, ENTRIES.c.block_number == position.block_number, newest_first=True)
    return next(entry for entry in entries if entry.record.chain is not None and entry.record.chain.key == position.key)


def read_head(connection: Connection) -> Head:
    """The current head; nothing is *checked*: that is `ledger.fsck`'s."""
    newest = select_entries(connection, newest_first=True, limit=1)
    return Head(newest[0].sequence + 1, newest[0].entry_hash) if newest else EMPTY_HEAD


def read_frontier(connection: Connection, entries: int) -> Frontier:
    """The frontier of the tree over the first `entries` entries.

    Raises:
        TreeError: A node is missing.
    """
    nodes = cover(range(entries))
    hashes = select_nodes(connection, nodes)
    return Frontier(entries, tuple(hashes[node] for node in nodes))
