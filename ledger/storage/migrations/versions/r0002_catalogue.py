"""One schema for SQLite and PostgreSQL, and the tables of the catalogue; entries and nodes are copied as they are.

The tables are made anew, because a file's schema is compared as text (`ledger.storage.schema`).
"""

from alembic import op

from ledger.storage.schema import SCHEMA

revision = "0002"
down_revision = "0001"

_COPIED = {
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
