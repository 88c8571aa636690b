"""Logs that an older version wrote, and databases that are none."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic import op

from ledger import AuditLog, LedgerUnavailableError, NotALedgerError, OldSchemaError, migrate_log, verify_log
from ledger.storage.migration import schemas
from ledger.storage.rows import select_entries
from ledger.storage.schema import APPLICATION_ID, SCHEMA, SELECT_SCHEMA
from tests.simulators.ledger_records import contract_event, step
from tests.simulators.postgres import Server


@pytest.fixture(params=schemas())
def old_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A log as an older version wrote it."""
    with AuditLog.open(tmp_path / "new.sqlite") as log:
        log.append_all(step(i) if i % 2 else contract_event(i) for i in range(11))
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*schemas()[request.param], f"PRAGMA application_id = {APPLICATION_ID}"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {request.param}")
        connection.execute("ATTACH ? AS new", (str(tmp_path / "new.sqlite"),))
        for table in ("entries", "nodes"):
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO {table} SELECT {columns} FROM new.{table}")
    return path


def test_an_old_log_is_refused_with_the_command_that_migrates_it(old_file: Path) -> None:
    before = old_file.read_bytes()
    with pytest.raises(OldSchemaError, match=f"modelseal audit migrate --log {old_file}"):
        AuditLog.open(old_file)
    assert old_file.read_bytes() == before


def test_a_migrated_log_is_like_a_new_one_and_holds_the_same(old_file: Path) -> None:
    migrate_log(old_file)
    migrate_log(old_file)
    new_file = old_file.with_name("new.sqlite")
    assert verify_log(old_file) == verify_log(new_file)
    with AuditLog.open(old_file) as log, AuditLog.open(new_file) as new:
        with log.reading() as left, new.reading() as right:
            assert select_entries(left) == select_entries(right)
            schemas = [sorted(map(tuple, c.exec_driver_sql(SELECT_SCHEMA)), key=repr) for c in (left, right)]
        assert schemas[0] == schemas[1]
        assert log.append(step(50)) == new.append(step(50))


def test_a_migration_that_fails_leaves_the_old_log(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        execute = op.execute
        patch.setattr(op, "execute", lambda made: [execute(made) for _ in range(2 if "segments" in made else 1)])
        with pytest.raises(LedgerUnavailableError, match="already exists"):
            migrate_log(old_file)
    with pytest.raises(OldSchemaError):
        AuditLog.open(old_file)
    migrate_log(old_file)
    assert verify_log(old_file).entries == 11


def test_an_old_log_that_was_changed_is_not_migrated_into_a_good_one(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file, isolation_level=None)) as connection:
        connection.execute("CREATE VIEW more AS SELECT * FROM entries")
    with pytest.raises(NotALedgerError):
        migrate_log(old_file)


def test_the_schema_has_not_changed_unnoticed() -> None:
    """A change needs a new revision: a file's schema is compared as text. SQLAlchemy writes that text."""
    assert hashlib.sha256("\n".join(SCHEMA.values()).encode()).hexdigest()[:16] == "f3fa94a321a4c658"


# ------------------------------------------------------------------------------------------------- PostgreSQL


def test_a_database_of_another_application_is_left_alone(postgres: Server) -> None:
    location = postgres.new_location()
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        with pytest.raises(NotALedgerError, match="another application"):
            AuditLog.open(location)
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema").fetchone() == (1,)


@pytest.mark.parametrize(("revision", "error"), [("0001", NotALedgerError), ("0009", NotALedgerError)])
def test_a_revision_that_is_not_known_is_refused(postgres: Server, revision: str, error: type[Exception]) -> None:
    location = postgres.new_location()
    AuditLog.open(location).close()
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
    with pytest.raises(error, match=f"revision {revision}"):
        AuditLog.open(location)


def test_rows_on_a_server_are_never_changed_by_accident(postgres: Server) -> None:
    location = postgres.new_location()
    with AuditLog.open(location) as log:
        log.append(step())
    with psycopg.connect(location, autocommit=True) as connection:
        for statement in ("UPDATE entries SET kind = 'x'", "DELETE FROM nodes", "TRUNCATE entries"):
            with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
                connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET kind = 'Proven' WHERE sequence = 4",
        "DELETE FROM entries WHERE sequence = 4",
        "DELETE FROM nodes WHERE level = 0 AND position = 4",
        "UPDATE nodes SET hash = '\\x00' WHERE level = 1 AND position = 0",
    ],
)
def test_tampering_on_a_server_is_found(postgres: Server, statement: str) -> None:
    location = postgres.new_location()
    with AuditLog.open(location) as log:
        log.append_all(step(i) for i in range(8))
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # as an administrator can: no triggers
        connection.execute(statement)
    with pytest.raises(Exception, match=r"entry (4|1) "):
        verify_log(location)


def test_a_server_that_is_not_there_is_unavailable_and_the_password_is_not_told() -> None:
    with pytest.raises(LedgerUnavailableError, match=r"postgresql://team:\*\*\*@127.0.0.1:1/audit") as caught:
        AuditLog.open("postgresql://team:hunter2@127.0.0.1:1/audit")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(LedgerUnavailableError):
        verify_log("postgresql://team:hunter2@127.0.0.1:1/audit")


def test_a_writer_that_waits_too_long_says_so(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.storage.postgresql.LOCK_TIMEOUT_SECONDS", 0.1)
    location = postgres.new_location()
    with AuditLog.open(location) as log, AuditLog.open(location) as other:
        with other._store.writing(), pytest.raises(LedgerUnavailableError, match="lock"):
            log.append(step())
        assert log.append(step()).sequence == 0


def test_a_log_on_a_server_is_migrated(postgres: Server) -> None:
    location = postgres.new_location()
    with AuditLog.open(location) as log:
        log.append_all(step(number) for number in range(5))
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
        connection.execute("DROP TABLE segments")
        connection.execute("DROP INDEX trades_by_state_and_opening")
    with pytest.raises(OldSchemaError):
        AuditLog.open(location)
    migrate_log(location)
    with AuditLog.open(location) as log:
        log.append_all(step(number) for number in range(200))
    assert verify_log(location).entries == 205
