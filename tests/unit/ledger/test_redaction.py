"""Personal details can be taken out: nothing of them is left, and every proof holds."""

from pathlib import Path

import pytest

from ledger import AuditLog, EntryKind, Record, export_log, prove_entry, verify_entry, verify_export, verify_log
from ledger.encoding import encode_entry
from ledger.errors import EntryHashError, LedgerError, StorageError
from ledger.reading.export import import_log
from ledger.redaction import SUFFIX, redacted_names
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import step

TEXT = "jane.doe@example.com was refused"


def refusal(number: int = 0, text: str = TEXT) -> Record:
    return step(number, kind=EntryKind.REQUEST_REFUSED, details={"reason": text, "bytes": number})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all([step(0), refusal(1), step(2), refusal(3, "second text"), refusal(4)])
    return path


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_people_see_the_text_and_hashes_do_not(path: Path) -> None:
    with AuditLog.open(path) as log, log.reading() as connection:
        entry = select_entries(connection)[1]
    assert entry.details["reason"] == TEXT
    assert TEXT.encode() not in encode_entry(entry.sequence, entry.record)
    assert set(entry.record.details) == {f"reason{SUFFIX}", "bytes"}
    assert redacted_names(entry) == []


def test_equal_texts_have_different_hashes(path: Path) -> None:
    """Else whoever knows one entry's text would know all of them, and could guess others."""
    with AuditLog.open(path) as log, log.reading() as connection:
        entries = select_entries(connection)
    assert entries[1].details["reason"] == entries[4].details["reason"]
    assert entries[1].record.details[f"reason{SUFFIX}"] != entries[4].record.details[f"reason{SUFFIX}"]


def test_after_redaction_nothing_is_left_and_everything_holds(path: Path, tmp_path: Path) -> None:
    head = verify_log(path)
    with AuditLog.open(path) as log:
        checkpoint = log.checkpoint()
        proof = prove_entry(log, 1, checkpoint)
        assert log.redact([0, 1]) == 1
        assert TEXT.encode() in bytes_of(path)  # entry 4 says the same, and was not redacted
        assert log.redact([1, 4]) == 1
        assert TEXT.encode() not in bytes_of(path)  # in no page, in no journal, the log still being open
        assert log.checkpoint() == checkpoint
        assert prove_entry(log, 1, checkpoint) == proof
        with log.reading() as connection:
            entries = select_entries(connection)
        assert redacted_names(entries[1]) == ["reason"]
        assert "reason" not in entries[1].details
        assert entries[3].details["reason"] == "second text"
        export_log(log, tmp_path / "log.jsonl")
        log.append(refusal(5))
    verify_entry(proof, checkpoint)
    assert verify_log(path, known_head=head).entries == 6
    assert verify_export(tmp_path / "log.jsonl", known_head=head) == head
    assert TEXT not in (tmp_path / "log.jsonl").read_text()


def test_an_export_holds_what_was_not_redacted_and_is_imported_whole(path: Path, tmp_path: Path) -> None:
    with AuditLog.open(path) as log:
        log.redact([1])
        head = export_log(log, tmp_path / "log.jsonl")
    assert import_log(tmp_path / "log.jsonl", tmp_path / "copy.sqlite") == head
    with AuditLog.open(path) as log, AuditLog.open(tmp_path / "copy.sqlite") as copy:
        with log.reading() as left, copy.reading() as right:
            assert select_entries(left) == select_entries(right)
        export_log(copy, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "log.jsonl").read_bytes()
    assert verify_log(tmp_path / "copy.sqlite") == head


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE clear_values SET value = 'another text' WHERE sequence = 3",
        "UPDATE clear_values SET salt = zeroblob(32) WHERE sequence = 3",
        "UPDATE clear_values SET salt = x'00' WHERE sequence = 3",
        "UPDATE clear_values SET name = 'remark' WHERE sequence = 3",
        "UPDATE clear_values SET sequence = 0 WHERE sequence = 3",
        "INSERT INTO clear_values VALUES (2, 'reason', zeroblob(32), 'made up')",
        "INSERT INTO clear_values VALUES (77, 'reason', zeroblob(32), 'made up')",
    ],
)
def test_text_that_was_not_logged_is_found(path: Path, statement: str) -> None:
    with AuditLog.open(path) as log, log._store.writing() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises((EntryHashError, StorageError)):
        verify_log(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("second text", "other text"), ('"salt":"0x', '"salt":"0xff'), ('"clear":{"reason"', '"clear":{"x"')],
)
def test_text_that_was_not_logged_is_found_in_an_export(path: Path, tmp_path: Path, old: str, new: str) -> None:
    with AuditLog.open(path) as log:
        log.redact([1, 4])
        export_log(log, tmp_path / "log.jsonl")
    content = (tmp_path / "log.jsonl").read_text()
    assert old in content
    (tmp_path / "log.jsonl").write_text(content.replace(old, new))
    with pytest.raises(LedgerError, match="entry 3"):
        verify_export(tmp_path / "log.jsonl")
