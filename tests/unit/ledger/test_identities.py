"""Steps off the chain that are appended again: after a crash, by a second thread, by a mistake."""

import os
import random
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from ledger import AuditLog, EntryKind, InvalidRecordError, verify_log
from ledger.errors import RepeatedIdentityError
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import contract_event, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.sqlite"


def test_a_step_with_an_identity_is_logged_once(path: Path) -> None:
    with AuditLog.open(path) as log:
        first = log.append(step(1, identity="request/7"))
        later = step(1, identity="request/7", occurred_at_seconds=1_900_000_000)
        assert log.append(later) == first
        assert log.append_all([later, step(2), later, step(3, identity="b"), step(3, identity="b")])[1].sequence == 2
        assert log.head().entries == 3
    with AuditLog.open(path) as log:
        assert log.append(later) == first
    assert verify_log(path).entries == 3


@pytest.mark.parametrize(
    "changes",
    [{"kind": EntryKind.RESPONSE_SENT}, {"trade_id": 8}, {"details": {"bytes": 2}}, {"details": {"reason": "other"}}],
)
def test_an_identity_means_one_step(path: Path, changes: dict[str, object]) -> None:
    with AuditLog.open(path) as log:
        log.append(step(1, identity="a", details={"reason": "text"}))
        other = step(1, **{"details": {"reason": "text"}, "identity": "a", **changes})
        with pytest.raises(RepeatedIdentityError, match="entry 0"):
            log.append(other)
        with pytest.raises(RepeatedIdentityError):
            log.append_all([step(9), other])
        assert log.head().entries == 1  # all or none


def test_a_redacted_step_is_still_known(path: Path) -> None:
    record = step(1, identity="a", details={"reason": "text", "bytes": 1})
    with AuditLog.open(path) as log:
        first = log.append(record)
        log.redact([0])
        assert log.append(record).sequence == first.sequence
        with pytest.raises(RepeatedIdentityError):
            log.append(step(1, identity="a", details={"bytes": 1}))


def test_another_threads_mistake_does_not_fail_mine(path: Path) -> None:
    with AuditLog.open(path) as log, ThreadPoolExecutor(8) as threads:
        log.append(step(0, identity="taken"))
        wrong = [threads.submit(log.append, step(5, identity="taken")) for _ in range(10)]
        right = [threads.submit(log.append, step(number)) for number in range(10)]
        assert all(isinstance(one.exception(), RepeatedIdentityError) for one in wrong)
        assert len({one.result().sequence for one in right}) == 10


@pytest.mark.parametrize("identity", ["", "two words", "é", "x" * 129, "line\n", 5])
def test_what_is_no_identity_is_refused(identity: object) -> None:
    with pytest.raises(InvalidRecordError):
        step(1, identity=identity)


def test_what_is_on_the_chain_has_its_position_for_an_identity() -> None:
    with pytest.raises(InvalidRecordError):
        contract_event(1, identity="a")


def test_threads_append_the_same_steps(path: Path) -> None:
    numbers = [number % 50 for number in range(400)]
    with AuditLog.open(path) as log, ThreadPoolExecutor(8) as threads:
        entries = list(threads.map(lambda number: log.append(step(number, identity=f"s{number}")), numbers))
        assert log.head().entries == 50
    assert all(entry.record.identity == f"s{number}" for entry, number in zip(entries, numbers, strict=True))


KILLS = 200


def write_and_be_killed(path: Path) -> int:
    """Fork writers that go on where they can tell that they stood, and kill them; how many steps they acknowledged."""
    log, dice, acknowledged = AuditLog.open(path), random.Random(16), 0
    log.close()  # connections are not for two processes; each child makes its own
    for _ in range(KILLS):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # it begins with the first one that it does not know to be logged
            for number in range(acknowledged, acknowledged + 10_000):
                log.append(step(number, identity=f"step-{number}"))
                os.write(writer, b".")
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            told = len(pipe.read(dice.randrange(3)))  # wait for up to two, then for any part of the next ones
            time.sleep(dice.uniform(0, 0.006))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            acknowledged += told + len(pipe.read())
    return acknowledged


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_that_was_acknowledged_and_double_nothing(path: Path) -> None:
    """A forked writer goes on where it can tell that it stood, and is killed at a random moment, again and again."""
    # A process of their own: one that has run thousands of tests takes several times as long to fork.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as small:
        acknowledged = small.submit(write_and_be_killed, path).result()
    head = verify_log(path)
    with AuditLog.open(path) as log, log.reading() as connection:
        identities = [entry.record.identity for entry in select_entries(connection)]
    assert identities == [f"step-{number}" for number in range(head.entries)]
    assert acknowledged <= head.entries <= acknowledged + 1
    assert acknowledged > KILLS / 2


def test_the_same_wherever_the_log_is_kept(location: Path | str) -> None:
    """Two writers append the same steps, and a text is taken out."""
    text = step(3, identity="c", details={"reason": "text of Jane's"})
    with AuditLog.open(location) as one, AuditLog.open(location) as other:
        first = one.append(step(1, identity="a"))
        assert other.append(step(1, identity="a")) == first
        with pytest.raises(RepeatedIdentityError):
            other.append(step(2, identity="a"))
        one.give_origin("example.com/trades")
        assert other.checkpoint().origin == "example.com/trades"
        entry = one.append(text)
        assert other.append(text).details["reason"] == "text of Jane's"
        assert verify_log(location).entries == 2
        assert other.redact([entry.sequence]) == 1
        assert other.redact([entry.sequence]) == 0
        assert other.append(text) == one.append(text)
    assert verify_log(location).entries == 2
