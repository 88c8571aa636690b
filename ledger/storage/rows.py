"""Rows to entries and back, the same for every store. Nothing here knows of hash chain and tree."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from ledger.details import encode_details
from ledger.encoding import CHAIN_FIELDS, from_fields, parse_object
from ledger.entries import ClearValue, Entry
from ledger.errors import MalformedEntryError, TreeError
from ledger.merkle import Node
from ledger.redaction import SUFFIX
from ledger.storage.bulk import Listed, Values, insert_rows, select_listed
from ledger.storage.tables import CLEAR_VALUES, ENTRIES, NODES, SETTINGS

_READ_CHAIN: Final = attrgetter(*CHAIN_FIELDS)
_FIELDS: Final = [column.name for column in ENTRIES.columns][:-1]
_OFF_CHAIN: Final = (None,) * len(CHAIN_FIELDS)
_MOST_PARAMETERS: Final = 500
"""Values in one query: databases have a limit."""
_NODES_LISTED: Final = Listed(
    "SELECT nodes.level, nodes.position, hash FROM {} CROSS JOIN nodes"
    " WHERE nodes.level = listed.a AND nodes.position = listed.b",
    ("bigint", "bigint"),
)
_IDENTITIES_LISTED: Final = Listed("SELECT sequence FROM {} CROSS JOIN entries WHERE identity = listed.a", ("text",))


def insert_entries(connection: Connection, entries: Iterable[Entry]) -> None:
    """Insert entries into their table; that they continue the chain is *not* checked."""
    insert_rows(connection, ENTRIES, [_to_row(entry) for entry in entries])


def insert_encoded(connection: Connection, encoded: Iterable[bytes], hashes: Iterable[bytes]) -> None:
    """Insert entries into their table by their canonical bytes and hashes.

    Raises:
        MalformedEntryError: What is no JSON object, or has no details. Whether it is an entry is *not* checked.
    """
    insert_rows(connection, ENTRIES, [_parse_row(*one) for one in zip(encoded, hashes, strict=True)])


def insert_clear_values(connection: Connection, entries: Iterable[Entry]) -> None:
    """Insert the personal details of entries."""
    rows = [(entry.sequence, clear.name, clear.salt, clear.value) for entry in entries for clear in entry.clear]
    insert_rows(connection, CLEAR_VALUES, rows)


def insert_nodes(connection: Connection, nodes: Sequence[tuple[int, int, bytes]]) -> None:
    """Insert level, position and hash of nodes of the tree; that they follow from the entries is *not* checked."""
    insert_rows(connection, NODES, nodes)


def select_nodes(connection: Connection, nodes: Collection[Node]) -> dict[Node, bytes]:
    """Return the hashes of `nodes`; that they follow from the entries is *not* checked (`ledger.reading.fsck` does).

    Raises:
        TreeError: One is missing.
    """
    if not nodes:
        return {}
    levels, positions = zip(*nodes, strict=True)
    rows = select_listed(connection, _NODES_LISTED, [list(levels), list(positions)])
    found = {(level, position): bytes(node_hash) for level, position, node_hash in rows}
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
    query = select(ENTRIES).where(*criteria).order_by(order).limit(limit)
    return _with_clear_values(connection, [to_entry(row) for row in connection.execute(query)])


def select_identified(connection: Connection, identities: Collection[str]) -> dict[str, Entry]:
    """Return the entries that have one of these identities, by identity."""
    if not identities:
        return {}
    found = [row[0] for row in select_listed(connection, _IDENTITIES_LISTED, [sorted(identities)])]
    entries = [entry for some in _parts(found) for entry in select_entries(connection, ENTRIES.c.sequence.in_(some))]
    return {str(entry.record.identity): entry for entry in entries}


def delete_clear_values(connection: Connection, sequences: Collection[int]) -> int:
    """Remove the personal details of some entries, and return how many there were."""
    return sum(
        connection.execute(delete(CLEAR_VALUES).where(CLEAR_VALUES.c.sequence.in_(some))).rowcount
        for some in _parts(list(sequences))
    )


def read_setting(connection: Connection, name: str) -> str | None:
    """Return a setting of the log, None if it was never made."""
    found: str | None = connection.scalar(select(SETTINGS.c.value).where(SETTINGS.c.name == name))
    return found


def insert_setting(connection: Connection, name: str, value: str) -> None:
    """Make a setting that was not made before."""
    connection.execute(insert(SETTINGS), {"name": name, "value": value})


def _with_clear_values(connection: Connection, entries: list[Entry]) -> list[Entry]:
    """Return the entries with the personal details that have not been removed."""
    hashed = [entry.sequence for entry in entries if any(name.endswith(SUFFIX) for name in entry.record.details)]
    clear: dict[int, list[ClearValue]] = {}
    for some in _parts(hashed):
        query = select(CLEAR_VALUES).where(CLEAR_VALUES.c.sequence.in_(some)).order_by(CLEAR_VALUES.c.name)
        for sequence, name, salt, value in connection.execute(query):
            clear.setdefault(sequence, []).append(ClearValue(name, bytes(salt), value))
    if not clear:
        return entries
    return [replace(one, clear=tuple(clear[one.sequence])) if one.sequence in clear else one for one in entries]


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(values), _MOST_PARAMETERS):
        yield values[first : first + _MOST_PARAMETERS]


def to_entry(row: Row[Any]) -> Entry:
    """Return the entry in a row of `ENTRIES`; raises as `select_entries` says."""
    fields: dict[str, Any] = dict(zip(_FIELDS, row, strict=False))
    entry_hash = row[-1]
    fields["details"] = parse_object(fields["details"])
    sequence, record = from_fields(fields)
    return Entry(sequence=sequence, record=record, entry_hash=entry_hash)


def _to_row(entry: Entry) -> Values:
    """Return the columns of `ENTRIES`, as `ledger.encoding.to_fields` has them; a test compares the two."""
    record = entry.record
    if record.chain is not None:
        chain = _READ_CHAIN(record.chain)
    else:
        market = record.market
        chain = _OFF_CHAIN if market is None else (market.chain_id, market.contract, *_OFF_CHAIN[2:])
    return (
        entry.sequence,
        str(record.kind),
        None if record.listing_id is None else str(record.listing_id),
        None if record.trade_id is None else str(record.trade_id),
        record.actor,
        str(record.role),
        record.occurred_at_seconds,
        *chain,
        encode_details(record.details),
        record.identity,
        entry.entry_hash,
    )


def _parse_row(encoded: bytes, entry_hash: bytes) -> Values:
    """Return the columns of `ENTRIES` of an entry's canonical bytes."""
    fields = parse_object(encoded.decode(errors="replace"))
    try:
        fields["details"] = encode_details(fields["details"])
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedEntryError(f"an entry can't be read: {error!r}; the log was damaged or changed") from error
    return *map(fields.get, _FIELDS), entry_hash
