"""Writes the log as JSON Lines, which `ledger.reading.fsck.verify_export` checks without a database; reads it back.

The first line says what the file is, which head it ends in, and what the log's keeper signed; each further line holds
one entry, its hash, and the personal details that have not been removed (`ledger.redaction`). Every line is canonical
JSON (RFC 8785), so that an export of the same entries is the same file, byte for byte.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy import Connection

from ledger.checkpoint import Head
from ledger.encoding import from_fields, to_fields
from ledger.entries import ClearValue, Entry
from ledger.errors import HeadError, LedgerUnavailableError, NotALedgerError
from ledger.files import writing_whole
from ledger.log import AuditLog
from ledger.reading.fsck import EXPORT_FORMAT, EXPORT_VERSION, parse_clear, verify_export
from ledger.redaction import check_clear
from ledger.settling import read_head
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES

_BATCH = 5000


def export_log(log: AuditLog, path: Path | str, *, note: str | None = None) -> Head:
    """Write all entries to `path`, atomically and with mode 0600, and return the head that they end in.

    Args:
        log: The log.
        path: The file.
        note: What the log's keeper signed (`ledger.publishing.signing`): with it, a public key is enough to check the
            export. That it is this log's is *not* checked.

    Raises:
        LedgerUnavailableError: `path` can't be written; what was there before is unchanged.
        MalformedEntryError: The log holds an entry that can't be read.
    """
    path = Path(path)
    try:
        with log.reading() as connection, writing_whole(path) as file:
            head = read_head(connection)
            for line in _lines(connection, head, note):
                file.write(rfc8785.dumps(line) + b"\n")
    except OSError as error:
        raise LedgerUnavailableError(f"{path} can't be written: {error.strerror or error}") from error
    return head


def import_log(path: Path | str, target: Path | str) -> Head:
    """Make a log of an export, with the same entries and hashes; return its head.

    Args:
        path: The export; it is checked first.
        target: A file that is not there, or the URL of an empty database.

    Raises:
        TamperedError: The export is not what was written; nothing was made of it.
        NotALedgerError: There is a log already; or `path` is no export.
        LedgerUnavailableError: A file can't be read or written.
    """
    head = verify_export(path)
    with AuditLog.open(target) as log:
        if log.head().entries:
            raise NotALedgerError(f"{log.name} has entries: an export becomes a log of its own; choose another name")
        log.restore(_read_entries(Path(path)))
        if log.head() != head:  # the file was changed meanwhile
            raise HeadError(f"{log.name} ends in {log.head()}, the export in {head}", expected=head, actual=log.head())
    return head


def _read_entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        file.readline()
        for line in file:
            content: dict[str, Any] = json.loads(line)
            sequence, record = from_fields(content["entry"])
            fields = content.get("clear", {}).items()
            clear = tuple(ClearValue(*parse_clear(sequence, *item)) for item in sorted(fields))
            check_clear(sequence, dict(record.details), clear)
            yield Entry(sequence, record, bytes.fromhex(content["hash"].removeprefix("0x")), clear)


def _lines(connection: Connection, head: Head, note: str | None) -> Iterator[dict[str, Any]]:
    signed = {} if note is None else {"checkpoint": note}
    yield {"format": EXPORT_FORMAT, "version": EXPORT_VERSION, "head": str(head), **signed}
    for entry in _entries(connection, head):
        line: dict[str, Any] = {"entry": to_fields(entry.sequence, entry.record), "hash": f"0x{entry.entry_hash.hex()}"}
        if entry.clear:
            line["clear"] = {one.name: {"salt": f"0x{one.salt.hex()}", "value": one.value} for one in entry.clear}
        yield line


def _entries(connection: Connection, head: Head) -> Iterator[Entry]:
    """Return all entries in order, a batch at a time, so that a long log needs no more memory than a short one."""
    for first in range(0, head.entries, _BATCH):
        yield from select_entries(connection, ENTRIES.c.sequence.between(first, first + _BATCH - 1))
