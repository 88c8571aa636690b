"""The queue of jobs: leases, turns, attempts; two workers never both own a job."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from trader.errors import EnvironmentFaultError
from trader.jobs.queue import DONE, FAILED, LATELY_SECONDS, LEASE_SECONDS, MAX_ATTEMPTS, RUNNING, WAITING, JobQueue

SECRET = Fernet.generate_key()


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Callable[[], float]) -> JobQueue:
    return JobQueue(tmp_path / "jobs.sqlite", SECRET, clock)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def ask(queue: JobQueue, number: int, account: str = "a") -> str:
    return queue.ask(key(number), "evaluate", account, b"payload %d" % number).state


def taken(queue: JobQueue, worker: str = "w") -> int:
    job = queue.take(worker)
    return 0 if job is None else int.from_bytes(job.key, "big")


def test_a_job_is_done_once_however_often_it_is_asked_for(queue: JobQueue) -> None:
    assert [ask(queue, 1) for _ in range(3)] == [WAITING] * 3
    job = queue.take("w")
    assert job is not None
    assert (job.payload, job.attempts) == (b"payload 1", 1)
    assert ask(queue, 1) == RUNNING
    assert queue.take("other") is None
    assert queue.finish(key(1), "w", b"result")
    assert ask(queue, 1) == DONE
    assert queue.ask(key(1), "evaluate", "a", b"").result == b"result"
    queue.forget(key(1))
    assert ask(queue, 1) == WAITING


def test_a_worker_that_says_nothing_loses_its_job_and_what_it_finishes_counts_for_nothing(
    queue: JobQueue, clock: Clock
) -> None:
    ask(queue, 1)
    assert taken(queue, "first") == 1
    clock.now += LEASE_SECONDS
    assert taken(queue, "second") == 0
    clock.now += 0.001
    assert taken(queue, "second") == 1
    assert not queue.finish(key(1), "first", b"late")
    assert not queue.beat(key(1), "first")
    assert queue.finish(key(1), "second", b"right")
    assert queue.ask(key(1), "evaluate", "a", b"").result == b"right"


def test_a_worker_that_beats_keeps_its_job(queue: JobQueue, clock: Clock) -> None:
    ask(queue, 1)
    taken(queue, "first")
    for _ in range(5):
        clock.now += LEASE_SECONDS
        assert queue.beat(key(1), "first")
    assert taken(queue, "second") == 0


def test_what_kills_its_workers_fails(queue: JobQueue, clock: Clock) -> None:
    ask(queue, 1)
    for _ in range(MAX_ATTEMPTS):
        assert taken(queue) == 1
        clock.now += LEASE_SECONDS + 1
    assert taken(queue) == 0
    assert ask(queue, 1) == FAILED


def test_accounts_take_turns(queue: JobQueue) -> None:
    for number in (1, 2, 3):
        ask(queue, number, "busy")
    ask(queue, 4, "one")
    ask(queue, 5, "two")
    assert [taken(queue, f"w{n}") for n in range(5)] == [1, 4, 5, 2, 3]


def test_turns_are_forgotten_in_time(queue: JobQueue, clock: Clock) -> None:
    ask(queue, 1, "busy")
    taken(queue)
    clock.now += LATELY_SECONDS + 1
    queue.finish(key(1), "w", b"")
    ask(queue, 2, "busy")
    ask(queue, 3, "other")
    assert taken(queue) == 2


def test_nothing_secret_lies_in_the_table(queue: JobQueue, tmp_path: Path) -> None:
    queue.ask(key(1), "prove", "a", b"audit samples in clear")
    taken(queue)
    queue.finish(key(1), "w", b"proof in clear")
    queue.close()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"audit samples" not in stored
    assert b"proof in clear" not in stored


def test_count_and_place(queue: JobQueue) -> None:
    for number in (1, 2, 3):
        ask(queue, number)
    taken(queue)
    assert queue.count() == {RUNNING: 1, WAITING: 2}
    assert [queue.ahead_of(key(number)) for number in (1, 2, 3)] == [0, 1, 2]
    queue.clear()
    assert queue.count() == {}


def test_a_database_that_cannot_be_used_is_an_accident(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EnvironmentFaultError, match="queue of jobs"):
        JobQueue(tmp_path / "file" / "jobs.sqlite", SECRET)
