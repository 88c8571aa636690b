"""Entries that were appended and are not in the tables yet: as they were hashed, many in a row.

A row of `entries` costs its columns, eight indexes and two nodes of the tree; a segment costs next to nothing for each
of its entries. So a log takes in what comes at once as fast as it can be hashed and synced, and pays for the rest when
somebody reads (`ledger.settling`), as a log-structured merge tree does. Segments continue the table: the first begins
where it ends, each further one where the one before ends.

    sequence   of the first entry
    hashes     the entries' hashes, one after the other; 32 bytes each
    content    the entries' canonical bytes, a line each: there is no newline in them
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, select

from ledger.encoding import GENESIS_HASH, HASH_BYTES
from ledger.errors import MalformedEntryError
from ledger.storage.bulk import insert_rows
from ledger.storage.tables import ENTRIES, SEGMENTS

SEGMENT_BYTES: Final = 1 << 20
"""A segment is closed when it has so many bytes; it never has more than these and one entry."""
_FIRST_SEGMENT: Final = select(func.min(SEGMENTS.c.sequence))
_NEWEST_SEGMENT: Final = (
    select(
        _FIRST_SEGMENT.scalar_subquery(),
        SEGMENTS.c.sequence,
        func.length(SEGMENTS.c.hashes),
        func.substr(SEGMENTS.c.hashes, func.length(SEGMENTS.c.hashes) - HASH_BYTES + 1, HASH_BYTES),
    )
    .order_by(SEGMENTS.c.sequence.desc())
    .limit(1)
)
_NEWEST_ENTRY: Final = select(ENTRIES.c.sequence, ENTRIES.c.entry_hash).order_by(ENTRIES.c.sequence.desc()).limit(1)


@dataclass(frozen=True)
class End:
    """Where a log ends.

    Attributes:
        settled: Entries in the tables.
        entries: Entries in all.
        entry_hash: Hash of the last one.
    """

    settled: int
    entries: int
    entry_hash: bytes


def has_segments(connection: Connection) -> bool:
    """Return whether there are entries that are not in the tables."""
    return connection.execute(_FIRST_SEGMENT).scalar() is not None


def read_settled_end(connection: Connection) -> End:
    """Return where the tables end."""
    row = connection.execute(_NEWEST_ENTRY).first()
    return End(0, 0, GENESIS_HASH) if row is None else End(row[0] + 1, row[0] + 1, bytes(row[1]))


def read_end(connection: Connection) -> End:
    """Return where the log ends, segments included."""
    row = connection.execute(_NEWEST_SEGMENT).first()
    return read_settled_end(connection) if row is None else End(row[0], row[1] + row[2] // HASH_BYTES, bytes(row[3]))


def insert_segments(connection: Connection, first: int, encoded: Sequence[bytes], hashes: Sequence[bytes]) -> None:
    """Append entries, of which `first` is the first; that they continue the log is *not* checked."""
    start, size, rows = 0, 0, []
    for end, line in enumerate(encoded, 1):
        size += len(line)
        if size >= SEGMENT_BYTES or end == len(encoded):
            rows.append((first + start, b"".join(hashes[start:end]), b"\n".join(encoded[start:end])))
            start, size = end, 0
    insert_rows(connection, SEGMENTS, rows)


def read_segments(connection: Connection) -> Iterator[tuple[int, list[bytes], list[bytes]]]:
    """Return number of the first entry, canonical bytes and hashes of each segment, in log order.

    Raises:
        MalformedEntryError: A segment can't be read. Whether hashes fit is *not* checked.
    """
    for sequence in connection.scalars(select(SEGMENTS.c.sequence).order_by(SEGMENTS.c.sequence)).all():
        query = select(SEGMENTS.c.hashes, SEGMENTS.c.content).where(SEGMENTS.c.sequence == sequence)
        hashes, content = connection.execute(query).one()
        yield sequence, *split_segment(sequence, hashes, content)


def split_segment(sequence: int, hashes: bytes, content: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return canonical bytes and hashes of the entries in a segment.

    Raises:
        MalformedEntryError: It has not as many of the one as of the other.
    """
    lines = bytes(content).split(b"\n")
    if len(hashes) != HASH_BYTES * len(lines):
        message = f"entry {sequence} and those after it can't be read: the log was damaged or changed"
        raise MalformedEntryError(message, sequence=sequence)
    hashes = bytes(hashes)
    return lines, [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]


def delete_segments(connection: Connection) -> None:
    """Remove all segments; their entries are in the tables."""
    connection.execute(delete(SEGMENTS))
