"""Keeps the catalogue's tables in step with the entries.

    with up_to_date(log) as connection: …         # for questions
    with log.writing() as connection:
        root = carry_map(connection)              # root of the index over all entries, for a commitment

Work is for what is new alone: each new entry is put under its keys, the keys' trees are carried on, and the trades and
listings that the entries are about are folded again. What is asked is brought up to date by the one who asks, so that
appending does not wait for it. The map above the keys is carried on when the log commits itself to it, and not in
between: so answers can be proven for a checkpoint that was signed, however many entries came since.
"""

from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, bindparam, delete, func, insert, select, update

from ledger.catalogue.index import hash_key, hash_value
from ledger.catalogue.keys import AUTHENTICATED, Key, KeyKind, Parties, keys_of
from ledger.catalogue.merkle_map import path_of, root_of, update_map
from ledger.catalogue.trades import TradeRow, fold_listing, fold_trade, token_of
from ledger.encoding import HASH_BYTES
from ledger.entries import Entry, EntryKind, Record
from ledger.errors import TreeError
from ledger.log import AuditLog
from ledger.merkle import Frontier
from ledger.storage.bulk import Listed, Values, insert_rows, select_listed
from ledger.storage.rows import select_entries
from ledger.storage.tables import (
    CATALOGUED,
    CHANGED_KEYS,
    ENTRIES,
    KEYS,
    LISTINGS,
    MAP_NODES,
    NODES,
    POSTINGS,
    TRADES,
)

BATCH: Final = 10_000
AT_ONCE: Final = 10 * BATCH
"""Entries that are taken in by one transaction while somebody waits for an answer."""
_CHUNK: Final = 500  # values in one question: well below what any database takes
_KEYS_AT_ONCE: Final = 5000
_DEEPER: Final = 8
"""So much longer than log₂ of the keys is the path of hardly any key."""
_ABOUT_LISTINGS: Final = (EntryKind.LISTED, EntryKind.DELISTED, EntryKind.REORGANISED)
_CATALOGUE: Final = (CATALOGUED, KEYS, CHANGED_KEYS, POSTINGS, MAP_NODES, LISTINGS, TRADES)
_ENTRIES_IN, _ENTRIES_IN_MAP = 0, 1
"""The rows of `CATALOGUED`."""


@contextmanager
def up_to_date(log: AuditLog) -> Iterator[Connection]:
    """Yield one state of the log in which all entries that it has now are in the catalogue.

    After a large import that is many transactions, so that none grows with the import, and writers come between.

    Raises:
        LedgerUnavailableError: The log can't be locked for bringing the catalogue up to date.
    """
    with log.reading() as connection:
        missing = count_missing(connection)
        if not missing:
            yield connection
            return
        wanted = read_size(connection) + missing
    while missing:
        with log.writing() as connection:
            missing = max(0, wanted - bring_up_to_date(connection, AT_ONCE))
    with log.reading() as connection:  # what was appended since then is left for the next question
        yield connection


def count_missing(connection: Connection) -> int:
    """Return how many entries are not in the catalogue yet."""
    newest = connection.execute(select(func.max(ENTRIES.c.sequence))).scalar()
    return (0 if newest is None else newest + 1) - read_size(connection)


def bring_up_to_date(connection: Connection, at_most: int | None = None) -> int:
    """Take new entries into the catalogue, and return how many it has; the caller holds the write lock.

    Args:
        connection: The transaction.
        at_most: Entries that are taken in, a multiple of `BATCH`; None for all.
    """
    first = read_size(connection)
    while True:
        entries, keys, market = _read_progress(connection)
        if at_most is not None and entries - first >= at_most:
            return entries
        batch = select_entries(connection, ENTRIES.c.sequence.between(entries, entries + BATCH - 1))
        if not batch:
            return entries
        keys, market = _take_in(connection, batch, keys, market)
        _note_progress(connection, _ENTRIES_IN, batch[-1].sequence + 1, keys, market)


def carry_map(connection: Connection) -> bytes:
    """Carry the map on to all entries, and return its root; the caller holds the write lock."""
    entries = bring_up_to_date(connection)
    nodes = StoredNodes(connection)
    query = select(KEYS).join(CHANGED_KEYS, CHANGED_KEYS.c.key_id == KEYS.c.key_id)
    values = {}
    for _, kind, value, count, frontier in connection.execute(query):
        tree = Frontier(count, _split(bytes(frontier)))
        values[hash_key(Key(KeyKind(kind), value))] = hash_value(count, tree.root())
    root = root_of(nodes)
    ordered = sorted(values)  # so that those of a part share their paths' beginnings
    for part in _chunks(ordered, _KEYS_AT_ONCE):
        nodes.load(part)
        root = update_map(nodes, {key_hash: values[key_hash] for key_hash in part})
        nodes.save()
    connection.execute(delete(CHANGED_KEYS))
    _note_progress(connection, _ENTRIES_IN_MAP, entries, 0, "")
    return root


def read_size(connection: Connection) -> int:
    """Return how many entries are in the catalogue."""
    return _read_progress(connection)[0]


def read_map_size(connection: Connection) -> int:
    """Return for how many entries the map is."""
    return connection.execute(select(CATALOGUED.c.entries).where(CATALOGUED.c.part == _ENTRIES_IN_MAP)).scalar() or 0


def rebuild(log: AuditLog) -> bytes:
    """Make the catalogue anew from the entries, and return the root of the index."""
    with log.writing() as connection:
        for table in _CATALOGUE:
            connection.execute(delete(table))
        return carry_map(connection)


def read_index_root(connection: Connection) -> bytes:
    """Return the root of the map, over the first `read_map_size` entries."""
    return root_of(StoredNodes(connection))


def _read_progress(connection: Connection) -> tuple[int, int, str]:
    row = connection.execute(select(CATALOGUED).where(CATALOGUED.c.part == _ENTRIES_IN)).first()
    return (0, 0, "") if row is None else (row[1], row[2], row[3])


def _note_progress(connection: Connection, part: int, entries: int, keys: int, market: str) -> None:
    connection.execute(delete(CATALOGUED).where(CATALOGUED.c.part == part))
    row = {"part": part, "entries": entries, "keys": keys, "market": market}
    connection.execute(insert(CATALOGUED), row)


def _take_in(connection: Connection, batch: Sequence[Entry], keys: int, market: str) -> tuple[int, str]:
    """Put a batch under its keys, and return how many keys there are then, and the last market named."""
    known = _read_parties(connection, batch)
    parties = Parties(lambda *wanted: known.get(wanted), market)
    places: dict[Key, list[int]] = {}
    for entry in batch:
        parties.note(entry.record)
        for key in keys_of(entry.record, parties):
            places.setdefault(key, []).append(entry.sequence)
    keys = _post(connection, places, _read_leaves(connection, batch), keys)
    _fold(connection, places, parties, {entry.sequence: entry for entry in batch})
    return keys, parties.market


def _read_parties(connection: Connection, batch: Sequence[Entry]) -> dict[tuple[EntryKind, str, int], Record]:
    """Return what was said, before a batch, of the listings and trades that it is about; the newest of each."""
    before = batch[0].sequence
    trades = {entry.record.trade_id for entry in batch}
    opened = _read_newest(connection, EntryKind.SESSION_OPENED, ENTRIES.c.trade_id, trades, before)
    listings = {record.listing_id for record in (*opened.values(), *(entry.record for entry in batch))}
    return opened | _read_newest(connection, EntryKind.LISTED, ENTRIES.c.listing_id, listings, before)


def _read_newest(
    connection: Connection, kind: EntryKind, column: Column[Any], numbers: Collection[int | None], before: int
) -> dict[tuple[EntryKind, str, int], Record]:
    """Return the newest entry of a kind for each market and number, of those before a place in the log."""
    found = {}
    for part in _chunks(sorted(str(number) for number in numbers if number is not None)):
        criteria = column.in_(part), ENTRIES.c.kind == kind.value, ENTRIES.c.sequence < before
        for entry in select_entries(connection, *criteria):
            number = entry.record.trade_id if kind is EntryKind.SESSION_OPENED else entry.record.listing_id
            if number is not None:
                found[kind, entry.record.market_name, number] = entry.record
    return found


def _read_leaves(connection: Connection, batch: Sequence[Entry]) -> dict[int, bytes]:
    first, last = batch[0].sequence, batch[-1].sequence
    query = select(NODES.c.position, NODES.c.hash).where(NODES.c.level == 0, NODES.c.position.between(first, last))
    leaves = {position: bytes(leaf) for position, leaf in connection.execute(query)}
    if len(leaves) != len(batch):
        raise TreeError(f"the tree lacks {len(batch) - len(leaves)} leaves: the log was damaged or changed")
    return leaves


def _post(connection: Connection, places: Mapping[Key, Sequence[int]], leaves: Mapping[int, bytes], keys: int) -> int:
    """Put entries under their keys, and return how many keys there are then."""
    known = read_keys(connection, places)
    rows: list[dict[str, Any]] = []
    postings: list[Values] = []
    changed: set[int] = set()
    for key, sequences in places.items():
        key_id, frontier = known.get(key, (keys, Frontier()))
        keys += key not in known
        if key.kind in AUTHENTICATED:
            frontier = frontier.grow([leaves[sequence] for sequence in sequences])
            changed.add(key_id)
        else:
            frontier = Frontier(frontier.leaves + len(sequences))
        rows.append(
            {
                "key_id": key_id,
                "kind": key.kind.value,
                "value": key.value,
                "entries": frontier.leaves,
                "frontier": b"".join(frontier.roots),
            }
        )
        postings += ((key_id, sequence) for sequence in sequences)
    _put_rows(connection, KEYS, rows, {key_id for key_id, _ in known.values()})
    insert_rows(connection, POSTINGS, postings)
    noted = set(connection.execute(select(CHANGED_KEYS.c.key_id)).scalars())
    if changed - noted:
        insert_rows(connection, CHANGED_KEYS, [(key_id,) for key_id in sorted(changed - noted)])
    return keys


def read_keys(connection: Connection, keys: Collection[Key]) -> dict[Key, tuple[int, Frontier]]:
    """Return number and tree of those `keys` that entries stand under; of digests' trees the length alone."""
    if not keys:
        return {}
    kinds, values = zip(*keys, strict=True)
    rows = select_listed(connection, _KEYS_LISTED, [list(kinds), list(values)])
    return {
        Key(_KINDS[kind], value): (key_id, Frontier(entries, _split(bytes(frontier))))
        for key_id, kind, value, entries, frontier in rows
    }


def _fold(
    connection: Connection, places: Mapping[Key, Sequence[int]], parties: Parties, batch: Mapping[int, Entry]
) -> None:
    """Fold again the trades and listings that new entries, which are in `batch`, are about."""
    trades = [key for key in places if key.kind is KeyKind.TRADE]
    telling = {sequence for sequence, entry in batch.items() if entry.record.kind in _ABOUT_LISTINGS}
    listings = [key for key, some in places.items() if key.kind is KeyKind.LISTING and not telling.isdisjoint(some)]
    rows = []
    for key, entries in _read_postings(connection, trades, batch):
        market, trade_id = _parse(key)
        rows.append(fold_trade_of(market, trade_id, entries, parties).to_columns())
    _replace_rows(connection, TRADES, rows, trades)
    listed = []
    for key in listings:
        market, listing_id = _parse(key)
        criteria = ENTRIES.c.listing_id == str(listing_id), ENTRIES.c.kind.in_([kind.value for kind in _ABOUT_LISTINGS])
        told = [entry for entry in select_entries(connection, *criteria) if entry.record.market_name == market]
        row = fold_listing(market, listing_id, told)
        if row is not None:
            listed.append(row.to_columns())
    _replace_rows(connection, LISTINGS, listed, listings)


def fold_trade_of(market: str, trade_id: int, entries: Sequence[Entry], parties: Parties) -> TradeRow:
    """Return what a trade has come to, with what its listing says."""
    listing_id, _ = parties.opening(market, trade_id)
    listing_id = entries[0].record.listing_id if listing_id is None else listing_id
    listed = None if listing_id is None else parties.listed(market, listing_id)
    seller = None if listing_id is None else parties.seller(market, listing_id)
    return fold_trade(market, trade_id, entries, seller, None if listed is None else token_of(listed))


def _read_postings(
    connection: Connection, keys: Sequence[Key], batch: Mapping[int, Entry]
) -> Iterator[tuple[Key, list[Entry]]]:
    """Return the entries of each key; those of `batch` are not read again."""
    numbers = {key_id: key for key, (key_id, _) in read_keys(connection, keys).items()}
    for part in _chunks(list(numbers)):
        query = select(POSTINGS).where(POSTINGS.c.key_id.in_(part))
        sequences: dict[int, list[int]] = {}
        for key_id, sequence in connection.execute(query):
            sequences.setdefault(key_id, []).append(sequence)
        older = [sequence for some in sequences.values() for sequence in some if sequence not in batch]
        entries = {**batch, **read_entries(connection, older)}
        for key_id, some in sequences.items():
            yield numbers[key_id], [entries[sequence] for sequence in sorted(some)]


def read_entries(connection: Connection, sequences: Sequence[int]) -> dict[int, Entry]:
    """Return entries by their place in the log."""
    found: dict[int, Entry] = {}
    for part in _chunks(sequences):
        found |= {entry.sequence: entry for entry in select_entries(connection, ENTRIES.c.sequence.in_(part))}
    return found


def _parse(key: Key) -> tuple[str, int]:
    market, _, number = key.value.rpartition("/")
    return market, int(number)


def _put_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], known: Collection[Any]) -> None:
    """Insert rows, or set all columns of those whose key is known."""
    (key,) = table.primary_key.columns
    new = [row for row in rows if row[key.name] not in known]
    old = [{f"b_{name}": value for name, value in row.items()} for row in rows if row[key.name] in known]
    insert_rows(connection, table, [tuple(row[column.name] for column in table.columns) for row in new])
    if old:
        names = [column.name for column in table.columns if column is not key]
        others: dict[str, Any] = {name: bindparam(f"b_{name}") for name in names}
        connection.execute(update(table).where(key == bindparam(f"b_{key.name}")).values(others), old)


def _replace_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Collection[Key]
) -> None:
    """Let exactly `rows` stand for the trades or listings of `keys`."""
    market, number = table.primary_key.columns
    if keys:
        old = [dict(zip(("b_market", "b_number"), key.value.rpartition("/")[::2], strict=True)) for key in keys]
        connection.execute(delete(table).where(market == bindparam("b_market"), number == bindparam("b_number")), old)
    insert_rows(connection, table, [tuple(row[column.name] for column in table.columns) for row in rows])


class StoredNodes(MutableMapping[str, bytes]):
    """The nodes of the map as the database has them; what is set is written by `save`."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._read: dict[str, bytes | None] = {}
        self._known: set[str] = set()
        self._changed: set[str] = set()

    def load(self, key_hashes: Sequence[bytes]) -> None:
        """Read what leads to keys at once, as deep as most of them are, and nothing of other keys is remembered."""
        keys = self._connection.execute(_COUNT_KEYS).scalar() or 0
        deep = range(keys.bit_length() + _DEEPER)
        paths = sorted({path[:length] for path in map(path_of, key_hashes) for length in deep})
        self._read = dict.fromkeys(paths)
        for path, node in select_listed(self._connection, _NODES_LISTED, [paths]):
            self._read[path] = bytes(node)
        self._known = {path for path, node in self._read.items() if node is not None}

    def __getitem__(self, path: str) -> bytes:
        if path not in self._read:
            node = self._connection.execute(_SELECT_NODE, {"path": path}).scalar()
            self._read[path] = None if node is None else bytes(node)
            if node is not None:
                self._known.add(path)
        found = self._read[path]
        if found is None:
            raise KeyError(path)
        return found

    def __setitem__(self, path: str, node: bytes) -> None:
        self._read[path] = node
        self._changed.add(path)

    def save(self) -> None:
        """Write what was set."""
        rows = [{"path": path, "hash": self._read[path]} for path in self._changed]
        _put_rows(self._connection, MAP_NODES, rows, self._known)
        self._known |= self._changed
        self._changed.clear()

    def __delitem__(self, path: str) -> None:
        raise TypeError("keys never leave the index")

    def __iter__(self) -> Iterator[str]:
        return iter(self._connection.execute(select(MAP_NODES.c.path)).scalars())

    def __len__(self) -> int:
        return int(self._connection.execute(select(func.count()).select_from(MAP_NODES)).scalar_one())


_KINDS: Final = {kind.value: kind for kind in KeyKind}
_KEYS_LISTED: Final = Listed(
    "SELECT key_id, kind, value, entries, frontier FROM {} CROSS JOIN keys WHERE kind = listed.a AND value = listed.b",
    ("text", "text"),
)
_COUNT_KEYS: Final = select(CATALOGUED.c["keys"]).where(CATALOGUED.c.part == _ENTRIES_IN)
_NODES_LISTED: Final = Listed("SELECT path, hash FROM {} CROSS JOIN map_nodes WHERE path = listed.a", ("text",))
_SELECT_NODE: Final = select(MAP_NODES.c.hash).where(MAP_NODES.c.path == bindparam("path"))


def _split(roots: bytes) -> tuple[bytes, ...]:
    return tuple(roots[start : start + HASH_BYTES] for start in range(0, len(roots), HASH_BYTES))


def _chunks(values: Sequence[Any], size: int = _CHUNK) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
