"""Makes a log anew from the raw entries of a database whose tree, indexes or catalogue were damaged."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ledger.checkpoint import Head
from ledger.entries import Entry
from ledger.errors import LedgerUnavailableError, NotALedgerError
from ledger.log import AuditLog
from ledger.reading.fsck import read_raw


def rebuild_log(path: Path, target: Path) -> Head:
    """Read nothing but the entries and what stands beside them, check their hash chain, and write a new log of them.

    Args:
        path: The damaged database file; it is not changed.
        target: A file that is not there.

    Raises:
        TamperedError: An entry itself was changed, or is missing: a copy of the log is needed.
        NotALedgerError: There is a file already; or `path` has no entries.
        LedgerUnavailableError: A file can't be read or written.
    """
    if target.exists():
        raise NotALedgerError(f"{target} is there already: choose another name")
    try:
        source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        with closing(source) as connection, AuditLog.open(target) as log:
            log.restore(_entries(connection))
            return log.head()
    except sqlite3.OperationalError as error:
        raise LedgerUnavailableError(f"{path} can't be read: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise NotALedgerError(f"{path} is no audit log, or damaged beyond its entries: {error}") from error


def _entries(connection: sqlite3.Connection) -> Iterator[Entry]:
    for sequence, record, entry_hash, clear in read_raw(connection):
        yield Entry(sequence, record, entry_hash, clear)
