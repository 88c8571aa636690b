"""What `ledger.reading.fsck` reads of entries that are not in the tables yet: the rows that they will be.

On its own, and not by what settles them, so that a fault there is not repeated here.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import rfc8785

from ledger.encoding import HASH_BYTES, parse_object
from ledger.errors import MalformedEntryError

LARGEST_SEGMENT_BYTES: Final = 2 * 1024 * 1024
SELECT_SEGMENTS: Final = "SELECT sequence, hashes, content FROM segments ORDER BY sequence"
SELECT_SETTLED: Final = "SELECT min(sequence) FROM segments"


def read_segment_rows(segments: Iterable[tuple[Any, Any, Any]]) -> Iterator[dict[str, Any]]:
    """Return fields and hash of each entry in segments, as the table of entries would have them.

    Raises:
        MalformedEntryError: A segment or an entry in it is not in exactly the form in which it is written.
    """
    for first, hashes, content in segments:
        if not isinstance(hashes, bytes) or not isinstance(content, bytes):
            raise MalformedEntryError(f"the segment from entry {first} on can't be read", sequence=first)
        lines = content.split(b"\n")
        if len(hashes) != HASH_BYTES * len(lines):
            message = f"the segment from entry {first} on has {len(lines)} entries and other hashes"
            raise MalformedEntryError(message, sequence=first)
        for place, line in enumerate(lines):
            yield _read_line(first + place, line, hashes[HASH_BYTES * place : HASH_BYTES * (place + 1)])


def _read_line(sequence: int, line: bytes, entry_hash: bytes) -> dict[str, Any]:
    try:
        fields = parse_object(line.decode())
        canonical = rfc8785.dumps(fields)
        details = rfc8785.dumps(fields["details"]).decode()
    except (ValueError, KeyError, RecursionError) as error:
        raise MalformedEntryError(f"entry {sequence} can't be read: {error}", sequence=sequence) from error
    if canonical != line or fields.get("sequence") != sequence:
        raise MalformedEntryError(f"entry {sequence} is not in canonical form or its place", sequence=sequence)
    return {**fields, "details": details, "entry_hash": entry_hash}
