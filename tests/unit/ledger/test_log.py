import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import (
    AuditLog,
    EntryKind,
    InvalidRecordError,
    LedgerError,
    LedgerUnavailableError,
    NotALedgerError,
    verify_log,
)
from ledger.checkpoint import EMPTY_HEAD
from ledger.storage.rows import select_entries
from ledger.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from ledger.storage.tables import ENTRIES
from tests.simulators.ledger_records import contract_event, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.sqlite"


@pytest.fixture
def written(path: Path) -> Path:
    with AuditLog.open(path) as log:
        log.append_all([step(1), contract_event(10)])
    return path


def kinds(log: AuditLog) -> list[EntryKind]:
    with log.reading() as connection:
        return [entry.record.kind for entry in select_entries(connection)]


def test_appended_entries_are_there_after_reopening(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        assert log.head() == EMPTY_HEAD
        appended = [log.append(step(0)), *log.append_all([step(1), contract_event(), step(2)])]
        head = log.head()
    assert [entry.sequence for entry in appended] == [0, 1, 2, 3]
    assert (head.entries, head.entry_hash) == (4, appended[-1].entry_hash)
    with AuditLog.open(location) as log:
        assert log.head() == head
        with log.reading() as connection:
            assert select_entries(connection) == appended
            assert select_entries(connection, ENTRIES.c.sequence > 1, newest_first=True, limit=1) == appended[3:]


def test_new_file_is_readable_by_its_owner_alone(path: Path) -> None:
    with AuditLog.open(path) as log:
        log.append(step())
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_contract_event_is_logged_once(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        first = log.append(contract_event(10))
        assert log.append(contract_event(10)) == first
        assert log.append_all([contract_event(10), contract_event(11), contract_event(11)])[0].sequence == 1
        assert log.head().entries == 2
        assert log.append_all([contract_event(10), contract_event(11)]) == []


def test_events_of_one_transaction_are_told_apart(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        assert len(log.append_all([contract_event(10, 0), contract_event(10, 1)])) == 2


def test_same_transaction_in_another_block_is_another_event(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        assert len(log.append_all([contract_event(10), contract_event(10, fork=1)])) == 2


def test_dropped_block_may_come_back(location: Path | str) -> None:
    dropped = contract_event(10, kind=EntryKind.REORGANISED)
    with AuditLog.open(location) as log:
        for records in ([contract_event(10)], [dropped, dropped], [dropped], [contract_event(10)]):
            log.append_all(records)
        assert kinds(log) == [EntryKind.ANSWERED, EntryKind.REORGANISED, EntryKind.ANSWERED]


def test_steps_off_the_chain_may_repeat(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        log.append(step())
        log.append(step())
        assert log.head().entries == 2


def test_batch_is_appended_whole_or_not_at_all(location: Path | str) -> None:
    def failing() -> object:
        yield step(1)
        yield step(2, actor="nobody")

    with AuditLog.open(location) as log:
        log.append(step(0))
        head = log.head()
        with pytest.raises(InvalidRecordError):
            log.append_all(failing())
        assert log.head() == head
        log.append(step(3))
    verify_log(location)


def test_entries_cannot_be_changed_or_deleted_by_accident(path: Path) -> None:
    with AuditLog.open(path) as log:
        log.append(step())
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE entries SET kind = 'Settled'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
                connection.execute(statement)


def test_threads_share_a_log(location: Path | str) -> None:
    with AuditLog.open(location) as log, ThreadPoolExecutor(16) as threads:
        entries = list(threads.map(lambda number: log.append(step(number)), range(300)))
        assert log.head().entries == 300
    assert [entry.record for entry in entries] == [step(number) for number in range(300)]
    assert sorted(entry.sequence for entry in entries) == list(range(300))
    verify_log(location)


def test_threads_report_the_same_event_and_get_the_same_entry(location: Path | str) -> None:
    with AuditLog.open(location) as log, ThreadPoolExecutor(8) as threads:
        entries = list(threads.map(lambda number: log.append(contract_event(number % 3)), range(60)))
        assert log.head().entries == 3
    assert all(entry.record == contract_event(number % 3) for number, entry in enumerate(entries))


def test_every_waiting_thread_learns_of_a_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.storage.sqlite.LOCK_TIMEOUT_SECONDS", 0.2)
    with AuditLog.open(path) as log, sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(8) as threads:
            results = [threads.submit(log.append, step(number)) for number in range(8)]
        assert all(isinstance(result.exception(), LedgerUnavailableError) for result in results)
        other.execute("ROLLBACK")
        assert log.append(step()).sequence == 0


# ------------------------------------------------------------------------------------------------------ hostile files


def test_text_file_is_no_log(path: Path) -> None:
    path.write_text("not a database, but long enough to have a header of one hundred bytes\n" * 10)
    with pytest.raises(NotALedgerError, match="no audit log"):
        AuditLog.open(path)


def test_truncated_file_is_no_log(path: Path) -> None:
    with AuditLog.open(path) as log:
        log.append_all([step(i) for i in range(100)])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises((NotALedgerError, LedgerUnavailableError)):
        AuditLog.open(path)


def test_database_of_another_application_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(NotALedgerError, match="another application"):
        AuditLog.open(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_newer_schema_is_refused(path: Path) -> None:
    AuditLog.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(NotALedgerError, match=f"schema version {SCHEMA_VERSION + 1}"):
        AuditLog.open(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER forge AFTER INSERT ON entries BEGIN INSERT INTO entries SELECT * FROM entries; END",
        "CREATE VIEW more AS SELECT * FROM entries",
        "CREATE TABLE more (x TEXT)",
        "DROP TRIGGER entries_are_never_changed",
        "DROP INDEX entries_by_trade",
        "ALTER TABLE entries ADD COLUMN extra TEXT",
    ],
)
def test_changed_schema_is_refused(path: Path, statement: str) -> None:
    AuditLog.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    with pytest.raises(NotALedgerError, match="changed"):
        AuditLog.open(path)


def test_view_that_poses_as_the_table_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIEW entries AS SELECT zeroblob(1000000000) AS sequence")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    with pytest.raises(NotALedgerError, match="changed"):
        AuditLog.open(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(data=st.data())
def test_damaged_file_gives_a_clear_error_or_none(written: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] ^= data.draw(st.integers(1, 255))
    damaged = written.with_suffix(".damaged")
    damaged.write_bytes(content)
    with suppress(LedgerError), AuditLog.open(damaged) as log:
        kinds(log)
        log.append(step(2))


def test_folder_or_missing_folder_is_unavailable(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "audit.sqlite"):
        with pytest.raises(LedgerUnavailableError, match="can't be opened"):
            AuditLog.open(path)


def test_locked_file_is_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.storage.sqlite.LOCK_TIMEOUT_SECONDS", 0.05)
    with AuditLog.open(path) as log, sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="locked"):
            log.append(step())
        other.execute("ROLLBACK")
        log.append(step())
