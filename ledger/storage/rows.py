"""Rows to entries and back, the same for every store. Nothing here knows of hash chain and tree."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select

from ledger.entries import Entry, encode_details, from_fields, parse_object, to_fields
from ledger.errors import TreeError
from ledger.merkle import Node
from ledger.storage.tables import ENTRIES, NODES

_NO_FIELDS: Final = dict.fromkeys(ENTRIES.columns.keys())


def insert_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert `entries`; that they continue the chain is *not* checked."""
    if entries:
        connection.execute(insert(ENTRIES), [_to_row(entry) for entry in entries])


def insert_nodes(connection: Connection, nodes: Mapping[Node, bytes]) -> None:
    """Insert nodes of the Merkle tree; that they follow from the entries is *not* checked."""
    if nodes:
        rows = [{"level": level, "position": place, "hash": node_hash} for (level, place), node_hash in nodes.items()]
        connection.execute(insert(NODES), rows)


def select_nodes(connection: Connection, nodes: Collection[Node]) -> dict[Node, bytes]:
    """Return the hashes of `nodes`; that they follow from the entries is *not* checked (`ledger.reading.fsck` does).

    Raises:
        TreeError: One is missing.
    """
    if not nodes:
        return {}
    # Not `(level, position) IN (…)`: SQLite reads the whole table for that.
    one_of = [and_(NODES.c.level == level, NODES.c.position == position) for level, position in nodes]
    query = select(NODES).where(or_(*one_of))
    found = {(level, position): node_hash for level, position, node_hash in connection.execute(query)}
    if len(found) != len(set(nodes)):
        raise TreeError(f"the tree lacks {len(set(nodes)) - len(found)} nodes: the log was damaged or changed")
    return found


def select_entries(
    connection: Connection, *criteria: ColumnElement[bool], newest_first: bool = False, limit: int | None = None
) -> list[Entry]:
    """Return the entries that meet all `criteria` on the columns of `ENTRIES`, in log order unless `newest_first`.

    Raises:
        MalformedEntryError: A row that can't be read as an entry. Hashes are *not* checked: that is
            `ledger.reading.fsck`'s.
    """
    order = ENTRIES.c.sequence.desc() if newest_first else ENTRIES.c.sequence
    return [to_entry(row) for row in connection.execute(select(ENTRIES).where(*criteria).order_by(order).limit(limit))]


def to_entry(row: Row[Any]) -> Entry:
    """Return the entry in a row of `ENTRIES`; raises as `select_entries` says."""
    fields = dict(row._mapping)  # public, despite its name: SQLAlchemy documents it
    entry_hash = fields.pop("entry_hash")
    fields["details"] = parse_object(fields["details"])
    sequence, record = from_fields(fields)
    return Entry(sequence=sequence, record=record, entry_hash=entry_hash)


def _to_row(entry: Entry) -> dict[str, Any]:
    fields = to_fields(entry.sequence, entry.record)
    return _NO_FIELDS | fields | {"details": encode_details(entry.record), "entry_hash": entry.entry_hash}
