"""The writer's side of the audit log: open it, append to it, ask for its head.

    with AuditLog.open(path) as log:
        log.append(Record(kind=EntryKind.REQUEST_SENT, actor=buyer, role=Role.BUYER, trade_id=7, …))
        log.head()

What `append` returned is durable: on disk before it returns, whatever happens to the process or the power. Seller and
buyer may append to the same file from two processes; entries are never changed or deleted. Each contract event is
logged once, however often it is reported (see `ledger.indexer`). Reading is in `ledger.queries`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.entries import Entry, Record


@dataclass(frozen=True)
class Head:
    """What pins the whole log: its length and the hash of its last entry (`GENESIS_HASH` for an empty log)."""

    entries: int
    entry_hash: bytes

    def __str__(self) -> str:
        return f"{self.entries}:0x{self.entry_hash.hex()}"


class AuditLog:
    """An append-only log of a market's trades in one SQLite file. Use it from any number of threads and processes."""

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Opens the log at `path`, and makes an empty one where there is no file (mode 0600).

        Raises:
            NotALedgerError: The file is no audit log of the schema that this version reads.
            LedgerUnavailableError: The file can't be opened or locked.
        """
        raise NotImplementedError

    def append(self, record: Record) -> Entry:
        """Appends one record durably and returns its entry; for a contract event that is there already, that one."""
        raise NotImplementedError

    def append_all(self, records: Iterable[Record]) -> Sequence[Entry]:
        """Appends records in order, all or none, in one durable transaction; returns those that were not there yet."""
        raise NotImplementedError

    def head(self) -> Head:
        """The current head."""
        raise NotImplementedError

    def close(self) -> None:
        """Releases the file. Closing twice does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
