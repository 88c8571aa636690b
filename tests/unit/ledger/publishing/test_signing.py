"""The keeper's hand: it signs what continues what it signed, and refuses whatever else is put before it."""

from pathlib import Path

import pytest

from ledger import AuditLog
from ledger.errors import ForkError, InvalidRecordError, KeyFileError
from ledger.notes.policy import Policy
from ledger.publishing.signing import sign_checkpoint
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import NOW, ORIGIN, log_keys, records


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog.open(tmp_path / "audit.sqlite")
    log.append_all(records(range(7)))
    return log


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


def test_a_growing_log_is_signed_again_and_again(log: AuditLog, key_file: Path) -> None:
    policy = Policy(log_keys().public, all_logs=True)
    for entries in (7, 7, 20):
        log.append_all(records(range(log.head().entries, entries)))
        checkpoint, _ = policy.verify(sign_checkpoint(log, log_keys(), key_file, NOW))
        assert checkpoint == log.checkpoint()


def test_a_log_that_went_back_or_changed_is_not_signed(log: AuditLog, key_file: Path, tmp_path: Path) -> None:
    sign_checkpoint(log, log_keys(), key_file, NOW)
    with AuditLog.open(tmp_path / "shorter.sqlite") as shorter:
        shorter.append_all(records(range(6)))
        with pytest.raises(ForkError, match="signed before"):
            sign_checkpoint(shorter, log_keys(), key_file, NOW)
    with AuditLog.open(tmp_path / "other.sqlite") as other:
        other.append_all([*records(range(6)), step(99), step(100)])
        with pytest.raises(ForkError, match="Nothing was signed"):
            sign_checkpoint(other, log_keys(), key_file, NOW)
    with pytest.raises(InvalidRecordError, match=ORIGIN):
        sign_checkpoint(log, log_keys("example.com/else"), key_file, NOW)
    sign_checkpoint(log, log_keys(), key_file, NOW)


def test_a_damaged_memory_is_not_taken_for_none(log: AuditLog, key_file: Path) -> None:
    sign_checkpoint(log, log_keys(), key_file, NOW)
    memory = key_file.with_name("log.key.signed")
    for content in (b"", memory.read_bytes()[:-3], b"\xff"):
        memory.write_bytes(content)
        with pytest.raises(KeyFileError, match="signed last"):
            sign_checkpoint(log, log_keys(), key_file, NOW)


def test_nothing_is_signed_that_could_not_be_written_down(log: AuditLog, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="nothing was signed"):
        sign_checkpoint(log, log_keys(), tmp_path / "missing" / "log.key", NOW)
