"""Entries that were taken in as segments: nobody can tell but by the time that it took."""

import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest

from ledger import AuditLog, EntryKind, LedgerError, TamperedError, export_log, prove_entry, verify_entry, verify_log
from ledger.appending import FEWEST_IN_SEGMENTS
from ledger.errors import RepeatedIdentityError
from ledger.reading.rebuild import rebuild_log
from ledger.reading.redacting import find_personal
from ledger.storage.rows import select_entries
from ledger.storage.segments import has_segments, read_segments
from tests.simulators.ledger_records import contract_event, step

MANY = FEWEST_IN_SEGMENTS


def some(first: int, count: int = MANY, **changes: object) -> list[object]:
    return [step(number, identity=f"s{number}", **changes) for number in range(first, first + count)]


def in_segments(log: AuditLog) -> int:
    with log._store.reading() as connection:
        return sum(len(hashes) for _, _, hashes in read_segments(connection))


def told(log: AuditLog) -> list[str]:
    with log.reading() as connection:
        assert not has_segments(connection)
        return [entry.record.identity for entry in select_entries(connection)]


def test_few_are_rows_at_once_and_many_are_when_somebody_reads(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        log.append_all(some(0, MANY - 1))
        assert in_segments(log) == 0
        added = log.append_all(some(MANY - 1, 3 * MANY))
        log.append(step(0, identity="last"))
        assert in_segments(log) == 3 * MANY + 1
        head = log.head()
        assert head.entries == 4 * MANY
        assert verify_log(location) == head
        assert told(log) == [f"s{number}" for number in range(4 * MANY - 1)] + ["last"]
        assert in_segments(log) == 0
        assert log.head() == verify_log(location) == head
        with log.reading() as connection:
            assert select_entries(connection)[MANY - 1 : -1] == added


def test_a_log_is_the_same_however_it_was_taken_in(location: Path | str, tmp_path: Path) -> None:
    """One log takes in everything in segments, the other one by one; there are chain events and texts among it."""
    records = [*some(0), *[contract_event(block) for block in range(MANY)], *some(MANY)]
    with AuditLog.open(location) as log, AuditLog.open(tmp_path / "other.sqlite") as other:
        log.append_all(records[: len(records) // 2])
        log.append_all(records[len(records) // 2 :])
        for record in records:
            other.append(record)
        assert (log.head(), log.checkpoint()) == (other.head(), other.checkpoint())
        checkpoint = log.checkpoint()
        verify_entry(prove_entry(log, 5, checkpoint), checkpoint)
        for one, name in ((log, "a"), (other, "b")):
            export_log(one, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_in_a_segment_is_not_logged_twice(location: Path | str) -> None:
    event, undone = contract_event(10), contract_event(10, kind=EntryKind.REORGANISED)
    with AuditLog.open(location) as log, AuditLog.open(location) as other:
        log.append_all([*some(0), event])
        assert in_segments(log)
        assert log.append(step(3, identity="s3")).sequence == 3
        assert log.append_all([*some(MANY), *some(0), event])[-1].sequence == 2 * MANY
        assert log.head().entries == 2 * MANY + 1
        assert in_segments(log)
        assert other.append_all([*some(0, 2 * MANY), event]) == []
        assert other.append_all(some(2 * MANY))[0].sequence == 2 * MANY + 1
        assert log.append_all(some(0, 3 * MANY)) == []
        assert [entry.sequence for entry in log.append_all([undone, undone, event])] == [3 * MANY + 1, 3 * MANY + 2]
        with pytest.raises(RepeatedIdentityError):
            other.append(step(9, identity="s2"))
    assert verify_log(location).entries == 3 * MANY + 3


def test_what_is_in_any_of_several_segments_is_not_logged_twice(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        for first in (0, MANY, 2 * MANY):
            log.append_all(some(first))
        assert in_segments(log) == 3 * MANY
        assert log.append_all(some(0)) == []
        assert told(log) == [f"s{number}" for number in range(3 * MANY)]


def test_what_was_undone_in_the_database_is_undone_in_memory(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        with pytest.raises(RepeatedIdentityError):
            log.append_all([*some(0), step(99, identity="s5")])
        assert len(log.append_all(some(0))) == MANY
        with pytest.raises(RepeatedIdentityError):  # settles first, as s5 may be in a segment; that is undone too
            log.append_all([*some(MANY), step(99, identity="s5")])
        with suppress(KeyError), log.writing() as connection:
            assert log.append_within(connection, some(0)) == []
            raise KeyError
        assert in_segments(log) == MANY
        assert log.append_all(some(0, 2 * MANY))[0].sequence == MANY
        assert told(log) == [f"s{number}" for number in range(2 * MANY)]
    assert verify_log(location).entries == 2 * MANY


def test_no_more_wait_than_are_meant_to(location: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.appending.MOST_IN_SEGMENTS", 3 * MANY)
    with AuditLog.open(location) as log:
        for first in range(0, 10 * MANY, MANY):
            log.append_all(some(first))
            assert in_segments(log) <= 3 * MANY
        assert log.append_all(some(0, 10 * MANY)) == []
        assert told(log) == [f"s{number}" for number in range(10 * MANY)]


def test_texts_beside_segments_can_be_removed(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        log.append_all(some(0, details={"reason": "text of Jane's"}))
        assert in_segments(log)
        assert verify_log(location).entries == MANY
        if isinstance(location, Path):
            assert all(b"Jane" not in content for content in stored_segments(location))
        assert find_personal(log) == list(range(MANY))
        assert log.redact([1]) == 1
        assert log.append(step(7, identity="s7", details={"reason": "text of Jane's"})).sequence == 7
    assert verify_log(location).entries == MANY


def stored_segments(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        return [content for (content,) in connection.execute("SELECT content FROM segments")]


def test_threads_and_logs_append_the_same_steps_at_once(location: Path | str) -> None:
    start = Barrier(4)

    def write(log: AuditLog, first: int) -> None:
        start.wait()
        for number in range(first, first + 4 * MANY, MANY):
            log.append_all(some(number))

    with AuditLog.open(location) as log, AuditLog.open(location) as other:
        writers = [Thread(target=write, args=(one, first)) for one in (log, other) for first in (0, MANY)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(told(log)) == sorted(f"s{number}" for number in range(5 * MANY))
    assert verify_log(location).entries == 5 * MANY


def test_a_reader_that_is_killed_while_it_settles_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all(some(0, 20 * MANY))
        head = log.head()
    for nodes in (1, 2, 3):
        child = os.fork()
        if child == 0:
            kill_after(nodes)
            with AuditLog.open(path) as log:
                told(log)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert verify_log(path) == head
    with AuditLog.open(path) as log:
        assert in_segments(log) == 20 * MANY
        assert told(log) == [f"s{number}" for number in range(20 * MANY)]
    assert verify_log(path) == head


def kill_after(step_of_settling: int) -> None:
    """Lets this process die when it has inserted rows, when it has nodes, or when it has deleted the segments."""
    import ledger.settling as settling

    name = {1: "insert_encoded", 2: "insert_nodes", 3: "delete_segments"}[step_of_settling]
    work = getattr(settling, name)
    setattr(settling, name, lambda *arguments: [work(*arguments), os.kill(os.getpid(), signal.SIGKILL)])


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE segments SET content = CAST(replace(content, \'"trade_id":"7"\', \'"trade_id":"8"\') AS BLOB)',
        "UPDATE segments SET content = CAST(replace(content, ',\"kind\"', ', \"kind\"') AS BLOB)",
        "UPDATE segments SET content = CAST(content || x'0a' || content AS BLOB)",
        "UPDATE segments SET content = zeroblob(10)",
        "UPDATE segments SET hashes = zeroblob(length(hashes))",
        "UPDATE segments SET hashes = CAST(substr(hashes, 33) AS BLOB)",
        "UPDATE segments SET sequence = sequence + 1",
        "UPDATE segments SET sequence = 0",
        "INSERT INTO segments SELECT sequence + 1, hashes, content FROM segments",
        "INSERT INTO segments VALUES (999, x'', x'')",
        "INSERT INTO nodes VALUES (0, 70, zeroblob(32))",
        "DELETE FROM segments",
    ],
)
def test_a_changed_segment_is_found(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all(some(0, 10))
        log.append_all(some(10))
        head = log.head()
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount != 0
    with pytest.raises(TamperedError):
        verify_log(path, known_head=head)
    with suppress(LedgerError), AuditLog.open(path) as log:
        told(log)
    with pytest.raises(LedgerError):
        verify_log(path, known_head=head)


def test_a_damaged_database_is_made_anew_with_what_was_in_segments(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(some(0, 10))
        log.append_all(some(10, details={"reason": "text"}))
        head = log.head()
    assert rebuild_log(tmp_path / "audit.sqlite", tmp_path / "new.sqlite") == head
    assert verify_log(tmp_path / "new.sqlite") == head
    with AuditLog.open(tmp_path / "new.sqlite") as log:
        assert find_personal(log) == list(range(10, 10 + MANY))
