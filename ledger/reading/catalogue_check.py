"""Is the catalogue what the entries make of it? Questions are answered from it.

Everything is made anew in memory, entry by entry, without the writer's way of doing it a part at a time, and compared:
number, keys and trees of the index, which entries stand under which key, and the rows of trades and listings.
"""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from ledger.catalogue.index import Index
from ledger.catalogue.keys import AUTHENTICATED, Key, KeyKind, Parties, keys_of
from ledger.catalogue.trades import fold_listing
from ledger.catalogue.upkeep import fold_trade_of, read_index_root, read_map_size, read_size, up_to_date
from ledger.encoding import encode_entry
from ledger.entries import Entry
from ledger.errors import IndexRootError
from ledger.log import AuditLog
from ledger.merkle import hash_leaf
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES, KEYS, LISTINGS, POSTINGS, TRADES

_BATCH = 5000


def verify_catalogue(log: AuditLog) -> int:
    """Compare the catalogue with the entries, and return how many keys it has.

    Raises:
        IndexRootError: The first difference: queries could miss entries, or show others. `audit catalogue --rebuild`
            makes it anew.
    """
    with up_to_date(log) as connection:
        count = read_size(connection)
        index, parties, places = Index(), Parties(), dict[Key, list[Entry]]()
        size, root = read_map_size(connection), read_index_root(connection)
        for entry in _read(connection, count):
            if entry.sequence == size:
                _compare("the root of the index", index.root(), root)
            index.append(entry.record, hash_leaf(encode_entry(entry.sequence, entry.record)))
            parties.note(entry.record)
            for key in keys_of(entry.record, parties):
                places.setdefault(key, []).append(entry)
        if size == count:
            _compare("the root of the index", index.root(), root)
        _check_keys(connection, index, places)
        _check_rows(connection, places, parties)
    return len(places)


def _read(connection: Connection, count: int) -> Iterator[Entry]:
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count) - 1
        yield from select_entries(connection, ENTRIES.c.sequence.between(first, last))


def _check_keys(connection: Connection, index: Index, places: Mapping[Key, list[Entry]]) -> None:
    numbers = {}
    for key_id, kind, value, entries, frontier in connection.execute(select(KEYS)):
        key = Key(KeyKind(kind), value)
        numbers[key_id] = key
        _compare(f"the number of entries of {key}", len(places.get(key, ())), entries)
        if key.kind in AUTHENTICATED:
            _compare(f"the tree of {key}", b"".join(index.tree(key).roots), bytes(frontier))
    _compare("the number of keys", len(places), len(numbers))
    expected = {(key, entry.sequence) for key, entries in places.items() for entry in entries}
    for key_id, sequence in connection.execute(select(POSTINGS)):
        key = numbers.get(key_id, Key(KeyKind.EVENT, f"number {key_id}"))
        _compare(f"entry {sequence} under {key}", (key, sequence) in expected, True)
    total = connection.execute(select(func.count()).select_from(POSTINGS)).scalar_one()
    _compare("the number of entries under keys", len(expected), total)


def _check_rows(connection: Connection, places: Mapping[Key, list[Entry]], parties: Parties) -> None:
    trades, listings = {}, {}
    for key, entries in places.items():
        market, _, number = key.value.rpartition("/")
        if key.kind is KeyKind.TRADE:
            trades[market, number] = fold_trade_of(market, int(number), entries, parties).to_columns()
        elif key.kind is KeyKind.LISTING:
            row = fold_listing(market, int(number), entries)
            if row is not None:
                listings[market, number] = row.to_columns()
    for name, table, expected in (("trade", TRADES, trades), ("listing", LISTINGS, listings)):
        stored = {(row[0], row[1]): dict(row._mapping) for row in connection.execute(select(table))}
        for place in expected.keys() | stored.keys():
            _compare(f"what {name} {'/'.join(place)} has come to", expected.get(place), stored.get(place))


def _compare(name: str, expected: object, actual: object) -> None:
    if expected != actual:
        raise IndexRootError(
            f"{name} does not follow from the entries: queries could miss some or show others; `modelseal audit"
            " catalogue --rebuild` makes it anew",
            expected=expected,
            actual=actual,
        )
