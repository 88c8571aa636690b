"""Databases whose entries are whole and whose queries lie: the schema, the indexes and the journal are forged."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger import AuditLog, Head, LedgerError, NotALedgerError, StorageError, read_trade, verify_log
from ledger.storage.schema import SCHEMA
from tests.simulators.ledger_records import SELLER, contract_event, step

TRADE = 7
INDEX = "entries_by_trade"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of one trade, all of it in the main file."""
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all(step(i) if i % 2 else contract_event(i) for i in range(12))
    return path


@pytest.fixture
def head(path: Path) -> Head:
    return verify_log(path)


def forge(path: Path, *statements: str) -> None:
    """Runs `statements` as SQLite lets whoever owns a file do, its schema included; nothing stays in the WAL."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


def restore_text(statement: str) -> str:
    """Lets an object of the schema stand there with the text that the log's own has."""
    return f"UPDATE sqlite_schema SET sql = '{statement}' WHERE name = '{statement.split()[2]}'"


def replaced_index(definition: str) -> tuple[str, ...]:
    """The statements that build the index by trade from another definition, and restore its text."""
    return f"DROP INDEX {INDEX}", f"CREATE INDEX {INDEX} ON entries {definition}", restore_text(SCHEMA[INDEX])


SHORT_INDEX = replaced_index("(trade_id, kind) WHERE trade_id IS NOT NULL AND sequence < 3")
ALTERED_INDEX = replaced_index("(iif(sequence < 3, trade_id, '8'), kind) WHERE trade_id IS NOT NULL")


def test_an_index_that_leaves_entries_out_hides_them_and_is_found(path: Path, head: Head) -> None:
    """The file opens, its chain is whole, and the story of the trade is short: only a look at the index tells."""
    with AuditLog.open(path) as log:
        told = len(read_trade(log, TRADE).entries)
    forge(path, *SHORT_INDEX)
    with AuditLog.open(path) as log:
        assert len(read_trade(log, TRADE).entries) < told
    with pytest.raises(StorageError, match="queries could miss some"):
        verify_log(path, known_head=head)


def test_an_index_with_other_keys_is_found(path: Path, head: Head) -> None:
    forge(path, *ALTERED_INDEX)
    with pytest.raises(StorageError):
        verify_log(path, known_head=head)


def test_an_index_over_another_ones_pages_is_found(path: Path, head: Head) -> None:
    forge(
        path,
        f"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'entries_by_kind')"
        f" WHERE name = '{INDEX}'",
    )
    with pytest.raises(LedgerError):
        verify_log(path, known_head=head)


def test_a_second_row_that_moves_an_index_to_other_pages_is_found(path: Path, head: Head) -> None:
    """SQLite takes a row without text for where the index of that name lies."""
    forge(
        path,
        "CREATE INDEX short ON entries (trade_id, kind) WHERE trade_id IS NOT NULL AND sequence < 3",
        f"UPDATE sqlite_schema SET name = '{INDEX}', sql = NULL WHERE name = 'short'",
    )
    with pytest.raises(LedgerError):
        verify_log(path, known_head=head)
    with pytest.raises(LedgerError):
        AuditLog.open(path)


def test_a_foreign_table_is_named(path: Path) -> None:
    forge(path, "CREATE TABLE notes (text)")
    with pytest.raises(StorageError, match="table 'notes'"):
        verify_log(path)


FOREIGN_PARTS = {
    "index": ("CREATE INDEX by_role ON entries (role) WHERE sequence < 3",),
    "index with a name of SQLite's own": (
        "CREATE INDEX by_trade ON entries (trade_id) WHERE trade_id IS NOT NULL AND sequence < 3",
        (
            "UPDATE sqlite_schema SET name = 'sqlite_by_trade',"
            " sql = replace(sql, 'INDEX by_trade', 'INDEX sqlite_by_trade') WHERE name = 'by_trade'"
        ),
    ),
    "expression index": ("CREATE INDEX by_half ON entries (sequence / 2)",),
    "trigger": ("CREATE TRIGGER quiet BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END",),
    "view": ("CREATE VIEW story AS SELECT * FROM entries WHERE sequence < 3",),
    "view in the table's place": (
        "ALTER TABLE entries RENAME TO hidden",
        "CREATE VIEW entries AS SELECT * FROM hidden WHERE sequence < 3",
    ),
    "statistics": ("ANALYZE",),
    "missing index": (f"DROP INDEX {INDEX}",),
    "missing trigger": ("DROP TRIGGER entries_are_never_deleted",),
    "other trigger": (
        "DROP TRIGGER entries_are_never_deleted",
        "CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries BEGIN SELECT 1; END",
    ),
}


@pytest.mark.parametrize("statements", FOREIGN_PARTS.values(), ids=FOREIGN_PARTS)
def test_a_database_with_foreign_parts_is_no_log(path: Path, statements: tuple[str, ...]) -> None:
    forge(path, *statements)
    with pytest.raises((StorageError, NotALedgerError)):
        verify_log(path)
    with pytest.raises(NotALedgerError):
        AuditLog.open(path)


def with_wal(path: Path, *statements: str) -> Path:
    """The file with a write-ahead log beside it that holds what the statements do, as a killed process leaves it."""
    copy = path.with_name("copy.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    assert Path(f"{copy}-wal").stat().st_size
    return copy


@pytest.mark.parametrize("statements", [SHORT_INDEX, *FOREIGN_PARTS.values()], ids=["short index", *FOREIGN_PARTS])
def test_what_lies_in_the_write_ahead_log_is_part_of_the_database(path: Path, statements: tuple[str, ...]) -> None:
    copy = with_wal(path, *statements)
    with pytest.raises(LedgerError):
        verify_log(copy)
    Path(f"{copy}-wal").unlink()
    verify_log(copy)


def test_entries_that_a_write_ahead_log_changes_are_found(path: Path, head: Head) -> None:
    copy = with_wal(
        path,
        "DROP TRIGGER entries_are_never_changed",
        f"UPDATE entries SET actor = '{SELLER}', details = '{{}}' WHERE sequence = 4",
        SCHEMA["entries_are_never_changed"],
    )
    with pytest.raises(LedgerError, match="entry 4"):
        verify_log(copy, known_head=head)


def test_a_write_ahead_log_of_another_log_is_found_by_whoever_knows_the_head(
    path: Path, head: Head, tmp_path: Path
) -> None:
    with AuditLog.open(tmp_path / "other.sqlite") as other:
        other.append_all(step(i, actor=SELLER) for i in range(12))
    foreign = with_wal(tmp_path / "other.sqlite", "VACUUM")
    Path(f"{foreign}-wal").replace(f"{path}-wal")
    with pytest.raises(LedgerError):
        verify_log(path, known_head=head)


def test_a_hot_journal_is_not_passed_over(path: Path) -> None:
    """Whoever opens the file to write restores the pages in it; the check can't, and says so instead."""
    forge(path, *SHORT_INDEX)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA synchronous = OFF", "PRAGMA writable_schema = ON"):
            connection.execute(statement)
        for statement in ("BEGIN", f"DROP INDEX {INDEX}", SCHEMA[INDEX]):
            connection.execute(statement)
        journal = Path(f"{path}-journal").read_bytes()
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    verify_log(path)
    Path(f"{path}-journal").write_bytes(journal)
    with pytest.raises(LedgerError):
        verify_log(path)
