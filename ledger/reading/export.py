"""Writes the log as JSON Lines, which `ledger.reading.fsck.verify_export` checks without the database.

The first line says what the file is and which head it ends in; each further line holds one entry and its hash. Every
line is canonical JSON (RFC 8785), so that an export of the same entries is the same file, byte for byte.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy import Connection

from ledger.checkpoint import Head
from ledger.entries import Entry, to_fields
from ledger.errors import LedgerUnavailableError
from ledger.log import AuditLog, read_head
from ledger.reading.fsck import EXPORT_FORMAT, EXPORT_VERSION
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES

_BATCH = 5000


def export_log(log: AuditLog, path: Path | str) -> Head:
    """Write all entries to `path`, atomically and with mode 0600, and return the head that they end in.

    Raises:
        LedgerUnavailableError: `path` can't be written; what was there before is unchanged.
        MalformedEntryError: The log holds an entry that can't be read.
    """
    path = Path(path)
    try:
        with log.reading() as connection, tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                head = read_head(connection)
                for line in _lines(connection, head):
                    file.write(rfc8785.dumps(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be written: {error.strerror or error}") from error
    return head


def _lines(connection: Connection, head: Head) -> Iterator[dict[str, Any]]:
    yield {"format": EXPORT_FORMAT, "version": EXPORT_VERSION, "head": str(head)}
    for entry in _entries(connection, head):
        yield {"entry": to_fields(entry.sequence, entry.record), "hash": f"0x{entry.entry_hash.hex()}"}


def _entries(connection: Connection, head: Head) -> Iterator[Entry]:
    """Return all entries in order, a batch at a time, so that a long log needs no more memory than a short one."""
    for first in range(0, head.entries, _BATCH):
        yield from select_entries(connection, ENTRIES.c.sequence.between(first, first + _BATCH - 1))
