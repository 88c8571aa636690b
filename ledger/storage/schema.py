"""What the SQLite file of an audit log looks like, as text: a file with any other schema is not opened.

Each column of `entries` is a field of the entry (`ledger.entries.to_fields`), so that the columns *are* the entry and
any of them changed breaks its hash. `nodes` holds the Merkle tree over the entries (`ledger.merkle`): it follows from
them, and is there so that proofs need not read the whole log.
"""

from typing import Final

APPLICATION_ID: Final = 0x4D534C31  # "MSL1", in the file's header
SCHEMA_VERSION: Final = 1

ENTRY_COLUMNS: Final = {
    "sequence": "INTEGER PRIMARY KEY",
    "kind": "TEXT NOT NULL",
    "listing_id": "TEXT",
    "trade_id": "TEXT",
    "actor": "TEXT NOT NULL",
    "role": "TEXT NOT NULL",
    "occurred_at_seconds": "INTEGER NOT NULL",
    "chain_id": "INTEGER",
    "contract": "TEXT",
    "block_number": "INTEGER",
    "block_hash": "TEXT",
    "transaction_hash": "TEXT",
    "log_index": "INTEGER",
    "gas_used": "INTEGER",
    "details": "TEXT NOT NULL",
    "entry_hash": "BLOB NOT NULL",
}
_ENTRIES: Final = ", ".join(f"{name} {kind}" for name, kind in ENTRY_COLUMNS.items())
_NODES: Final = "level INTEGER, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, position)"

SCHEMA: Final = {
    "entries": f"CREATE TABLE entries ({_ENTRIES}) STRICT",
    "entries_by_trade": "CREATE INDEX entries_by_trade ON entries (trade_id, kind) WHERE trade_id IS NOT NULL",
    "entries_by_listing": "CREATE INDEX entries_by_listing ON entries (listing_id, kind) WHERE listing_id IS NOT NULL",
    "entries_by_actor": "CREATE INDEX entries_by_actor ON entries (actor)",
    "entries_by_kind": "CREATE INDEX entries_by_kind ON entries (kind)",
    "entries_by_block": "CREATE INDEX entries_by_block ON entries (block_number, log_index)"
    " WHERE block_number IS NOT NULL",
    "nodes": f"CREATE TABLE nodes ({_NODES}) STRICT, WITHOUT ROWID",
}
for _table in ("entries", "nodes"):
    for _verb, _done in (("UPDATE", "changed"), ("DELETE", "deleted")):
        SCHEMA[f"{_table}_are_never_{_done}"] = (
            f"CREATE TRIGGER {_table}_are_never_{_done} BEFORE {_verb} ON {_table}"
            f" BEGIN SELECT RAISE(ABORT, '{_table} are never {_done}'); END"
        )
"""Name of each table, index and trigger, and the statement that makes it."""

SELECT_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
"""All rows, those with SQLite's own names too: an audit log has none, and SQLite reads indexes and statistics there."""


def schema_rows() -> list[tuple[str, str, str, str]]:
    """Return what `SELECT_SCHEMA` gives of an audit log, sorted by `repr`: another file's columns may have any type."""
    rows = []
    for name, statement in SCHEMA.items():
        kind = statement.split()[1].lower()
        table = statement.split(" ON ")[1].split()[0] if kind != "table" else name
        rows.append((kind, name, table, statement))
    return sorted(rows, key=repr)
