"""One schema for SQLite and PostgreSQL, and the tables of the catalogue; entries and nodes are copied as they are.

The tables are made anew, because a file's schema is compared as text (`ledger.storage.schema`).
"""

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA: Final = {
    "entries": (
        "CREATE TABLE entries ( sequence INTEGER NOT NULL, kind TEXT NOT NULL, listing_id TEXT, trade_id "
        "TEXT, actor TEXT NOT NULL, role TEXT NOT NULL, occurred_at_seconds INTEGER NOT NULL, chain_id "
        "INTEGER, contract TEXT, block_number INTEGER, block_hash TEXT, transaction_hash TEXT, log_index "
        "INTEGER, gas_used INTEGER, details TEXT NOT NULL, identity TEXT, entry_hash BLOB NOT NULL, PRIMARY "
        "KEY (sequence) ) STRICT"
    ),
    "entries_by_actor": "CREATE INDEX entries_by_actor ON entries (actor)",
    "entries_by_block": (
        "CREATE INDEX entries_by_block ON entries (block_number, log_index) WHERE block_number IS NOT NULL"
    ),
    "entries_by_gas": "CREATE INDEX entries_by_gas ON entries (gas_used) WHERE gas_used IS NOT NULL",
    "entries_by_identity": "CREATE UNIQUE INDEX entries_by_identity ON entries (identity) WHERE identity IS NOT NULL",
    "entries_by_kind": "CREATE INDEX entries_by_kind ON entries (kind)",
    "entries_by_listing": "CREATE INDEX entries_by_listing ON entries (listing_id, kind) WHERE listing_id IS NOT NULL",
    "entries_by_time": "CREATE INDEX entries_by_time ON entries (occurred_at_seconds)",
    "entries_by_trade": "CREATE INDEX entries_by_trade ON entries (trade_id, kind) WHERE trade_id IS NOT NULL",
    "nodes": (
        "CREATE TABLE nodes ( level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY "
        "KEY (level, position) ) WITHOUT ROWID, STRICT"
    ),
    "keys": (
        "CREATE TABLE keys ( key_id INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, entries "
        "INTEGER NOT NULL, frontier BLOB NOT NULL, PRIMARY KEY (key_id) ) STRICT"
    ),
    "keys_by_value": "CREATE UNIQUE INDEX keys_by_value ON keys (kind, value)",
    "postings": (
        "CREATE TABLE postings ( key_id INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (key_id, "
        "sequence) ) WITHOUT ROWID, STRICT"
    ),
    "map_nodes": (
        "CREATE TABLE map_nodes ( path TEXT NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (path) ) WITHOUT ROWID, STRICT"
    ),
    "catalogued": (
        "CREATE TABLE catalogued ( part INTEGER NOT NULL, entries INTEGER NOT NULL, keys INTEGER NOT NULL, "
        "market TEXT NOT NULL, PRIMARY KEY (part) ) STRICT"
    ),
    "changed_keys": "CREATE TABLE changed_keys ( key_id INTEGER NOT NULL, PRIMARY KEY (key_id) ) STRICT",
    "listings": (
        "CREATE TABLE listings ( market TEXT NOT NULL, listing_id TEXT NOT NULL, seller TEXT NOT NULL, open "
        "INTEGER NOT NULL, manifest_hash TEXT, price_wei TEXT, token TEXT, listed_at_seconds INTEGER NOT "
        "NULL, PRIMARY KEY (market, listing_id) ) WITHOUT ROWID, STRICT"
    ),
    "listings_by_manifest": (
        "CREATE INDEX listings_by_manifest ON listings (manifest_hash) WHERE manifest_hash IS NOT NULL"
    ),
    "listings_by_seller": "CREATE INDEX listings_by_seller ON listings (seller)",
    "trades": (
        "CREATE TABLE trades ( market TEXT NOT NULL, trade_id TEXT NOT NULL, listing_id TEXT, seller TEXT, "
        "buyer TEXT, state TEXT NOT NULL, ended_from TEXT, price_wei TEXT, refunded_wei TEXT, token TEXT, "
        "samples INTEGER, gas_used INTEGER NOT NULL, gas_of_seller INTEGER NOT NULL, gas_of_buyer INTEGER NOT "
        "NULL, opened_at_seconds INTEGER NOT NULL, changed_at_seconds INTEGER NOT NULL, deadline_seconds "
        "INTEGER, phases TEXT NOT NULL, PRIMARY KEY (market, trade_id) ) WITHOUT ROWID, STRICT"
    ),
    "trades_by_buyer": "CREATE INDEX trades_by_buyer ON trades (buyer) WHERE buyer IS NOT NULL",
    "trades_by_gas": "CREATE INDEX trades_by_gas ON trades (gas_used)",
    "trades_by_listing": "CREATE INDEX trades_by_listing ON trades (listing_id) WHERE listing_id IS NOT NULL",
    "trades_by_opening": "CREATE INDEX trades_by_opening ON trades (opened_at_seconds)",
    "trades_by_price": "CREATE INDEX trades_by_price ON trades (price_wei) WHERE price_wei IS NOT NULL",
    "trades_by_seller": "CREATE INDEX trades_by_seller ON trades (seller) WHERE seller IS NOT NULL",
    "trades_by_state": "CREATE INDEX trades_by_state ON trades (state, deadline_seconds)",
    "clear_values": (
        "CREATE TABLE clear_values ( sequence INTEGER NOT NULL, name TEXT NOT NULL, salt BLOB NOT NULL, value "
        "TEXT NOT NULL, PRIMARY KEY (sequence, name) ) WITHOUT ROWID, STRICT"
    ),
    "settings": (
        "CREATE TABLE settings ( name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name) ) WITHOUT ROWID, STRICT"
    ),
    "manifests": (
        "CREATE TABLE manifests ( manifest_hash TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY "
        "(manifest_hash) ) WITHOUT ROWID, STRICT"
    ),
    "scans": (
        "CREATE TABLE scans ( chain_id INTEGER NOT NULL, contract TEXT NOT NULL, first_block INTEGER NOT "
        "NULL, block_number INTEGER NOT NULL, block_hash TEXT NOT NULL, final_block INTEGER, PRIMARY KEY "
        "(chain_id, contract) ) WITHOUT ROWID, STRICT"
    ),
    "alembic_version": (
        "CREATE TABLE alembic_version ( version_num TEXT NOT NULL, PRIMARY KEY (version_num) ) WITHOUT ROWID, STRICT"
    ),
    "entries_are_never_changed": (
        "CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries "
        "are never changed'); END"
    ),
    "entries_are_never_deleted": (
        "CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries "
        "are never deleted'); END"
    ),
    "nodes_are_never_changed": (
        "CREATE TRIGGER nodes_are_never_changed BEFORE UPDATE ON nodes BEGIN SELECT RAISE(ABORT, 'nodes are "
        "never changed'); END"
    ),
    "nodes_are_never_deleted": (
        "CREATE TRIGGER nodes_are_never_deleted BEFORE DELETE ON nodes BEGIN SELECT RAISE(ABORT, 'nodes are "
        "never deleted'); END"
    ),
}
"""All tables, indexes and triggers of this revision in SQLite, by name; a server's first revision is this one too."""

_COPIED: Final = {
    "entries": "sequence, kind, listing_id, trade_id, actor, role, occurred_at_seconds, chain_id, contract,"
    " block_number, block_hash, transaction_hash, log_index, gas_used, details, entry_hash",
    "nodes": "level, position, hash",
}


def upgrade() -> None:
    """Make the tables of this revision around the rows of the one before."""
    for table in _COPIED:
        for done in ("changed", "deleted"):
            op.execute(f"DROP TRIGGER {table}_are_never_{done}")
    for index in ("trade", "listing", "actor", "kind", "block"):
        op.execute(f"DROP INDEX entries_by_{index}")
    for table, columns in _COPIED.items():
        op.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        op.execute(SCHEMA[table])
        op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table}")  # noqa: S608 - our own names
        op.execute(f"DROP TABLE old_{table}")
    for name, statement in SCHEMA.items():
        if name not in (*_COPIED, "alembic_version"):
            op.execute(statement)
