"""The first schema: entries and the nodes of their tree, in SQLite alone."""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None

_COLUMNS: Final = (
    "sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, listing_id TEXT, trade_id TEXT, actor TEXT NOT NULL,"
    " role TEXT NOT NULL, occurred_at_seconds INTEGER NOT NULL, chain_id INTEGER, contract TEXT, block_number INTEGER,"
    " block_hash TEXT, transaction_hash TEXT, log_index INTEGER, gas_used INTEGER, details TEXT NOT NULL,"
    " entry_hash BLOB NOT NULL"
)
_NODES: Final = "level INTEGER, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, position)"
STATEMENTS: Final = [
    f"CREATE TABLE entries ({_COLUMNS}) STRICT",
    "CREATE INDEX entries_by_trade ON entries (trade_id, kind) WHERE trade_id IS NOT NULL",
    "CREATE INDEX entries_by_listing ON entries (listing_id, kind) WHERE listing_id IS NOT NULL",
    "CREATE INDEX entries_by_actor ON entries (actor)",
    "CREATE INDEX entries_by_kind ON entries (kind)",
    "CREATE INDEX entries_by_block ON entries (block_number, log_index) WHERE block_number IS NOT NULL",
    f"CREATE TABLE nodes ({_NODES}) STRICT, WITHOUT ROWID",
]
for _table in ("entries", "nodes"):
    for _verb, _done in (("UPDATE", "changed"), ("DELETE", "deleted")):
        STATEMENTS.append(
            f"CREATE TRIGGER {_table}_are_never_{_done} BEFORE {_verb} ON {_table}"
            f" BEGIN SELECT RAISE(ABORT, '{_table} are never {_done}'); END"
        )


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
