"""The tables of an audit log, once, for SQLite and PostgreSQL.

*The log* is `entries` and `nodes`: each column of `entries` is a field of the entry (`ledger.encoding.to_fields`), so
that the columns *are* the entry and any of them changed breaks its hash; `nodes` holds the Merkle tree over the entries
(`ledger.merkle`). Neither is ever changed or deleted: triggers refuse it. Many entries that were appended at once lie
in `segments` first, and are moved into the two tables before anybody reads the log (`ledger.storage.segments`).

*The catalogue* follows from the entries and is made of them again at any time (`ledger.catalogue`): which entries stand
under a key (`keys`, `postings`), the authenticated map of the keys (`map_nodes`, as of the log's last commitment), and
what listings and trades have come to (`listings`, `trades`). It is brought up to date when somebody asks, so that
appending doesn't wait for it.

*Beside the log*: `clear_values` holds personal details, of which the entries have salted hashes, and loses them on
request (`ledger.redaction`); `settings` the name that the log was given; `manifests` texts whose digest a listing
names; `scans` how far the indexer has read a market.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

REVISION: Final = "0003"
"""The newest revision in `ledger/storage/migrations/versions`: that of `METADATA`."""
WEI_DIGITS: Final = 78
"""Amounts are decimal strings of this length, so that they sort as numbers in any database."""

METADATA: Final = MetaData()
_INTEGER: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own is 64 bits wide


def _table(name: str, *columns: Column[object]) -> Table:
    primary = [column for column in columns if column.primary_key]
    alone = len(primary) == 1 and primary[0].type is _INTEGER  # SQLite keeps the rows under such a key as it is
    return Table(name, METADATA, *columns, sqlite_strict=True, sqlite_with_rowid=alone)


def _key(name: str) -> Column[object]:
    return Column(name, Text, primary_key=True)


def _number_key(name: str) -> Column[object]:
    return Column(name, _INTEGER, primary_key=True, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, _INTEGER, nullable=nullable)


ENTRIES: Final = _table(
    "entries",
    _number_key("sequence"),
    _text("kind"),
    _text("listing_id", nullable=True),
    _text("trade_id", nullable=True),
    _text("actor"),
    _text("role"),
    _number("occurred_at_seconds"),
    _number("chain_id", nullable=True),
    _text("contract", nullable=True),
    _number("block_number", nullable=True),
    _text("block_hash", nullable=True),
    _text("transaction_hash", nullable=True),
    _number("log_index", nullable=True),
    _number("gas_used", nullable=True),
    _text("details"),
    _text("identity", nullable=True),
    Column("entry_hash", LargeBinary, nullable=False),
)
NODES: Final = _table(
    "nodes", _number_key("level"), _number_key("position"), Column("hash", LargeBinary, nullable=False)
)

SEGMENTS: Final = _table(
    "segments",
    _number_key("sequence"),
    Column("hashes", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

KEYS: Final = _table(
    "keys",
    _number_key("key_id"),
    _text("kind"),
    _text("value"),
    _number("entries"),
    Column("frontier", LargeBinary, nullable=False),
)
POSTINGS: Final = _table("postings", _number_key("key_id"), _number_key("sequence"))
MAP_NODES: Final = _table("map_nodes", _key("path"), Column("hash", LargeBinary, nullable=False))
CATALOGUED: Final = _table("catalogued", _number_key("part"), _number("entries"), _number("keys"), _text("market"))
"""Row 0: how many entries are in the catalogue, how many keys have a number, the last market named. Row 1: how many
entries the map is for."""
CHANGED_KEYS: Final = _table("changed_keys", _number_key("key_id"))
"""Keys that got entries since the map was last carried on."""
LISTINGS: Final = _table(
    "listings",
    _key("market"),
    _key("listing_id"),
    _text("seller"),
    _number("open"),
    _text("manifest_hash", nullable=True),
    _text("price_wei", nullable=True),
    _text("token", nullable=True),
    _number("listed_at_seconds"),
)
TRADES: Final = _table(
    "trades",
    _key("market"),
    _key("trade_id"),
    _text("listing_id", nullable=True),
    _text("seller", nullable=True),
    _text("buyer", nullable=True),
    _text("state"),
    _text("ended_from", nullable=True),
    _text("price_wei", nullable=True),
    _text("refunded_wei", nullable=True),
    _text("token", nullable=True),
    _number("samples", nullable=True),
    _number("gas_used"),
    _number("gas_of_seller"),
    _number("gas_of_buyer"),
    _number("opened_at_seconds"),
    _number("changed_at_seconds"),
    _number("deadline_seconds", nullable=True),
    _text("phases"),
)
CLEAR_VALUES: Final = _table(
    "clear_values",
    _number_key("sequence"),
    _key("name"),
    Column("salt", LargeBinary, nullable=False),
    _text("value"),
)
SETTINGS: Final = _table("settings", _key("name"), _text("value"))
MANIFESTS: Final = _table("manifests", _key("manifest_hash"), _text("content"))
SCANS: Final = _table(
    "scans",
    _number_key("chain_id"),
    _key("contract"),
    _number("first_block"),
    _number("block_number"),
    _text("block_hash"),
    _number("final_block", nullable=True),
)
VERSION: Final = Table(
    "alembic_version",
    METADATA,
    Column("version_num", Text, primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Alembic's own table; made here so that SQLite has no index beside it."""


def _index(name: str, *columns: Column[object], unique: bool = False, where: Column[object] | None = None) -> None:
    condition = None if where is None else where.is_not(None)
    Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


_index("entries_by_trade", ENTRIES.c.trade_id, ENTRIES.c.kind, where=ENTRIES.c.trade_id)
_index("entries_by_listing", ENTRIES.c.listing_id, ENTRIES.c.kind, where=ENTRIES.c.listing_id)
_index("entries_by_actor", ENTRIES.c.actor)
_index("entries_by_kind", ENTRIES.c.kind)
_index("entries_by_block", ENTRIES.c.block_number, ENTRIES.c.log_index, where=ENTRIES.c.block_number)
_index("entries_by_time", ENTRIES.c.occurred_at_seconds)
_index("entries_by_gas", ENTRIES.c.gas_used, where=ENTRIES.c.gas_used)
_index("entries_by_identity", ENTRIES.c.identity, unique=True, where=ENTRIES.c.identity)
_index("keys_by_value", KEYS.c.kind, KEYS.c.value, unique=True)
_index("listings_by_seller", LISTINGS.c.seller)
_index("listings_by_manifest", LISTINGS.c.manifest_hash, where=LISTINGS.c.manifest_hash)
_index("trades_by_seller", TRADES.c.seller, where=TRADES.c.seller)
_index("trades_by_buyer", TRADES.c.buyer, where=TRADES.c.buyer)
_index("trades_by_listing", TRADES.c.listing_id, where=TRADES.c.listing_id)
_index("trades_by_state", TRADES.c.state, TRADES.c.deadline_seconds)
_index("trades_by_state_and_opening", TRADES.c.state, TRADES.c.opened_at_seconds)
_index("trades_by_price", TRADES.c.price_wei, where=TRADES.c.price_wei)
_index("trades_by_opening", TRADES.c.opened_at_seconds)
_index("trades_by_gas", TRADES.c.gas_used)
