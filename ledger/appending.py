"""What an append does inside its transaction: tells what is logged already, and chains the rest to the end.

A few entries go into the tables at once. Many go into segments (`ledger.storage.segments`) while this process is the
only one that writes segments, since it then knows what identities are in them; where another process has been at work,
or where a record may be in a segment, the segments are settled first (`ledger.settling`), and the tables tell.
"""

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from ledger.encoding import GENESIS_HASH, encode_entry, hash_entry
from ledger.entries import ChainPosition, Entry, PositionKey, Record
from ledger.redaction import conceal
from ledger.settling import insert_settled, settle
from ledger.storage.rows import insert_clear_values, select_entries, select_identified
from ledger.storage.segments import End, insert_segments, read_end
from ledger.storage.tables import ENTRIES

FEWEST_IN_SEGMENTS: Final = 64
"""So many entries, or more, go into segments."""
MOST_IN_SEGMENTS: Final = 250_000
"""More are not left there: whoever reads next waits for them, and their identities are in memory."""

StepKey = str | PositionKey
"""By what a record is known if it comes again: the identity of a step, the position of what is on the chain."""


@dataclass(frozen=True)
class Appended:
    """What an append came to.

    Attributes:
        entries: The entry of each record.
        added: Those of them that are new, in log order.
        entry_hash: Hash of the log's last entry.
        keys: Keys of the records, if they went into segments.
        continued: Whether there were segments before.
    """

    entries: list[Entry]
    added: list[Entry]
    entry_hash: bytes
    keys: Collection[StepKey] = ()
    continued: bool = False


class KnownSegments:
    """What a process knows of the segments: it has written all of them, if the log ends where it thinks it does."""

    def __init__(self) -> None:
        self._entry_hash = GENESIS_HASH
        self._keys: set[StepKey] = set()

    def are_all(self, end: End) -> bool:
        """Return whether no other process has written segments of a log that ends there."""
        return end.entry_hash == self._entry_hash

    def may_have(self, keys: Collection[StepKey]) -> bool:
        """Return whether an entry in the segments may have one of these keys."""
        return not self._keys.isdisjoint(keys)

    def note(self, appended: Appended) -> None:
        """Take in what was appended and committed."""
        if not appended.continued:
            self._keys = set()
        self._keys.update(appended.keys)
        self._entry_hash = appended.entry_hash


def append(connection: Connection, records: Sequence[Record], known: KnownSegments | None) -> Appended:
    """Chain `records` to the log's end, but for those that are logged; the caller holds the write lock.

    A record is logged if it repeats the newest entry at its position on the chain, or has the identity of an entry;
    that it says the same is *not* checked. The entries at one position alternate between what happened and
    `Reorganised`: a dropped block may come back.

    Args:
        connection: The transaction.
        records: What is appended.
        known: What the process knows of the segments; it notes the result after the commit. None if the entries must
            be in the tables at once, however many they are.
    """
    keys = [step_key(record) for record in records]
    named = {key for key in keys if key is not None}
    end = read_end(connection)
    waiting = end.entries - end.settled
    if waiting and (
        known is None or not known.are_all(end) or known.may_have(named) or waiting + len(records) > MOST_IN_SEGMENTS
    ):
        settle(connection)
        end, waiting = read_end(connection), 0
    logged = _find_logged(connection, records) if end.settled else {}
    with _no_collections():
        entries, added, encoded = _chain(records, keys, logged, end)
    last = added[-1].entry_hash if added else end.entry_hash
    if waiting or (known is not None and len(added) >= FEWEST_IN_SEGMENTS):
        insert_clear_values(connection, added)
        insert_segments(connection, end.entries, encoded, [entry.entry_hash for entry in added])
        return Appended(entries, added, last, named, continued=bool(waiting))
    insert_settled(connection, added)
    return Appended(entries, added, last)


def step_key(record: Record) -> StepKey | None:
    """Return by what a record is known if it comes again."""
    return record.identity if record.chain is None else record.chain.key


def _chain(
    records: Sequence[Record], keys: Sequence[StepKey | None], logged: dict[StepKey, Entry], end: End
) -> tuple[list[Entry], list[Entry], list[bytes]]:
    """Return the entry of each record, those of them that are new, and the canonical bytes of these."""
    sequence, previous = end.entries, end.entry_hash
    entries: list[Entry] = []
    added: list[Entry] = []
    encoded: list[bytes] = []
    for record, key in zip(records, keys, strict=True):
        entry = None if key is None else logged.get(key)
        if entry is None or (record.chain is not None and entry.record.kind is not record.kind):
            hashed, clear = conceal(record)
            line = encode_entry(sequence, hashed)
            previous = hash_entry(previous, line)
            entry = Entry(sequence, hashed, previous, clear)
            sequence += 1
            added.append(entry)
            encoded.append(line)
            if key is not None:
                logged[key] = entry
        entries.append(entry)
    return entries, added, encoded


@contextmanager
def _no_collections() -> Iterator[None]:
    """Let Python's collector of cycles rest: entries are in none, and it would look through all new ones each time."""
    works = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if works:
            gc.enable()


def _find_logged(connection: Connection, records: Sequence[Record]) -> dict[StepKey, Entry]:
    """Return the entries in the tables that have the key of one of the records."""
    identities = {record.identity for record in records if record.identity is not None}
    positions = [record.chain for record in records if record.chain is not None]
    newest = _read_newest(connection, positions)
    newest.update(select_identified(connection, identities))
    return newest


def _read_newest(connection: Connection, positions: Collection[ChainPosition]) -> dict[StepKey, Entry]:
    """Return the newest entry at each logged position in the blocks of `positions`, in one query."""
    if not positions:
        return {}
    numbers = [position.block_number for position in positions]
    entries = select_entries(connection, ENTRIES.c.block_number.between(min(numbers), max(numbers)))
    return {entry.record.chain.key: entry for entry in entries if entry.record.chain is not None}
