"""What somebody with rights on the server can do to a log's tables, found out by fsck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from ledger import AuditLog, NotALedgerError, StorageError, verify_log
from tests.simulators.ledger_records import contract_event, step

if TYPE_CHECKING:
    from tests.simulators.postgres import Server


@pytest.fixture
def location(postgres: Server) -> str:
    location = postgres.new_location()
    with AuditLog.open(location) as log:
        log.append_all(step(i) if i % 2 else contract_event(i) for i in range(12))
    return location


def tamper(location: str, *statements: str) -> None:
    with psycopg.connect(location, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_an_untouched_database_is_good_also_beside_others(location: str) -> None:
    tamper(location, "CREATE TABLE customers (name TEXT)", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert verify_log(location).entries == 12


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entries DISABLE TRIGGER entries_are_never_changed",
        "DROP TRIGGER nodes_are_never_changed ON nodes",
        "CREATE TRIGGER more AFTER INSERT ON scans EXECUTE FUNCTION audit_log_is_append_only()",
        "CREATE RULE more AS ON INSERT TO scans DO INSTEAD NOTHING",
        "ALTER TABLE entries ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE more () INHERITS (postings)",
        "ALTER TABLE trades ALTER COLUMN state SET DEFAULT 'Settled'",
        "ALTER TABLE trades ALTER COLUMN seller SET NOT NULL",
        "ALTER TABLE listings ALTER COLUMN seller TYPE varchar(42)",
        'ALTER TABLE trades ALTER COLUMN price_wei TYPE text COLLATE "C"',
        "ALTER TABLE trades ADD COLUMN more text",
        "DROP INDEX entries_by_trade",
        "CREATE INDEX more ON entries (role)",
        "DROP INDEX trades_by_price; CREATE INDEX trades_by_price ON trades (price_wei) WHERE price_wei IS NULL",
        "DROP INDEX entries_by_kind; CREATE INDEX entries_by_kind ON entries USING hash (kind)",
        "DROP INDEX keys_by_value; CREATE INDEX keys_by_value ON keys (kind, value)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'entries_by_actor'::regclass",
        "ALTER TABLE postings SET UNLOGGED",
        "ALTER TABLE trades RENAME TO hidden; CREATE VIEW trades AS SELECT * FROM hidden",
    ],
)  # fmt: skip
def test_foreign_parts_are_found(location: str, statement: str) -> None:
    tamper(location, *statement.split("; "))
    with pytest.raises(StorageError, match="another schema"):
        verify_log(location)


def test_an_index_that_lacks_rows_is_found(location: str) -> None:
    """Whoever owns the server can let an index fall behind: rows of the table that no question finds."""
    for number, index in enumerate(("entries_by_actor", "entries_by_trade", "entries_by_kind")):
        ready = "UPDATE pg_index SET indisready = {} WHERE indexrelid = '{}'::regclass"
        tamper(location, ready.format("false", index))
        with AuditLog.open(location) as log:
            log.append(contract_event(40 + number))
        tamper(location, ready.format("true", index))
        with pytest.raises(StorageError, match=rf"the index {index} does not hold the rows of entries"):
            verify_log(location)
        tamper(location, f"REINDEX INDEX {index}")
    assert verify_log(location).entries == 15


def test_a_database_without_tables_is_no_log(postgres: Server) -> None:
    with pytest.raises((StorageError, NotALedgerError)):
        verify_log(postgres.new_location())
