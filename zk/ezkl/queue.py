"""Who proves what: one queue for all provers of a user on a machine.

A proof takes all cores and gigabytes of memory, so that one is made at a time (`SLOTS`) and others wait in the order in
which they came. Whoever has a place, or proves, says every few seconds that it is still there: that is its lease. One
that was killed says nothing any more, so that its place goes to whoever asks for the same statement next, and others
pass it by. A job whose provers were killed `MAX_ATTEMPTS` times may be what kills them: it is begun again after a
pause, twice as long after each attempt, so that a proof that is due gets its chance and the machine most of its time.

Jobs are named by digests of their statements; the queue holds no secrets. It is a SQLite file in the cache, whose
transactions make a place or a lease the property of one process. Times are the machine's clock: a lease from the future
counts as expired, so that a clock that was put back blocks nobody for long.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zk.errors import JobLostError, WorkerKilledError
from zk.storage import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEASE_SECONDS = 15.0
SLOTS = 1
MAX_ATTEMPTS = 3
LONGEST_PAUSE_SECONDS = 3600.0
POLL_SECONDS = 0.2
BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    statement TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'proving', 'failed')),
    owner TEXT NOT NULL,
    seen REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    started REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
) STRICT
"""
_COLUMNS = "statement, state, owner, seen, attempts, started, error"


@dataclass(frozen=True)
class Job:
    """A job as the queue has it.

    Attributes:
        statement: Digest of what is to be proven, hex.
        state: Waiting, proving, or failed.
        owner: Names who has its place.
        seen: When that one was there last, seconds since 1970.
        attempts: How often it was begun.
        started: When it was begun last; 0 if never.
        error: Why it failed; empty otherwise.
    """

    statement: str
    state: str
    owner: str
    seen: float
    attempts: int
    started: float
    error: str


class ProofQueue:
    """The queue in a file, which is made when it is first needed.

    Attributes:
        path: The SQLite file; one that is damaged is put aside, as it holds nothing that couldn't be asked for again.
        lease_seconds: How long somebody who says nothing keeps its place.
        slots: Proofs that may be made at a time.
    """

    def __init__(
        self,
        path: Path,
        lease_seconds: float = LEASE_SECONDS,
        slots: int = SLOTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.lease_seconds = lease_seconds
        self.slots = slots
        self._clock = clock

    @classmethod
    def of_user(cls) -> ProofQueue:
        """Return the queue in the user's cache."""
        return cls(cache_folder("proofs", "queue.sqlite"))

    @contextmanager
    def turn(self, statement: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[Lease]:
        """Wait for the statement's turn, and hold it in the block; `on_wait` is called meanwhile and may cancel.

        Raises:
            WorkerKilledError: It was begun too often, and each time its prover was killed; ask again later.
        """
        owner = secrets.token_hex(16)
        try:
            while not self._advance(statement, owner):
                on_wait()
                time.sleep(POLL_SECONDS)
            yield Lease(self, statement, owner)
        except Exception as error:
            self._end(statement, owner, "" if isinstance(error, JobLostError) else str(error) or type(error).__name__)
            raise
        except BaseException:
            self._end(statement, owner)
            raise
        else:
            self._end(statement, owner)

    def jobs(self) -> list[Job]:
        """All jobs in their order."""
        with self._transaction() as connection:
            return [Job(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY place")]  # noqa: S608

    def is_alive(self, job: Job) -> bool:
        """Whether its owner was there within the lease."""
        return abs(self._clock() - job.seen) <= self.lease_seconds

    def remove(self, statement: str) -> bool:
        """Cancel a job, or forget a failed one; its prover notices within a second or so. Whether there was one."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM jobs WHERE statement = ?", (statement,)).rowcount > 0

    def renew(self, statement: str, owner: str) -> None:
        """Say that the owner is still there.

        Raises:
            JobLostError: The job is somebody else's now, or was cancelled.
        """
        with self._transaction() as connection:
            renewed = connection.execute(
                "UPDATE jobs SET seen = ? WHERE statement = ? AND owner = ?", (self._clock(), statement, owner)
            )
            if renewed.rowcount == 0:
                raise JobLostError(
                    "the job was cancelled, or taken up by another prover after this one had stood still: ask again"
                )

    def _advance(self, statement: str, owner: str) -> bool:
        """Take or keep a place, and begin if it is the turn: whether it is."""
        with self._transaction() as connection:
            now = self._clock()
            queue = [Job(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY place")]  # noqa: S608
            job = next((job for job in queue if job.statement == statement), None)
            if job is not None and job.owner != owner and job.state != "failed" and self.is_alive(job):
                return False
            if job is None or job.state == "failed":
                connection.execute("DELETE FROM jobs WHERE statement = ?", (statement,))
                connection.execute(
                    "INSERT INTO jobs (statement, state, owner, seen) VALUES (?, 'waiting', ?, ?)",
                    (statement, owner, now),
                )
                attempts, before = 0, [other for other in queue if other is not job]
            else:
                if (seconds := self._pause_seconds(job)) > 0:
                    raise WorkerKilledError(
                        f"proving was begun {job.attempts} times, and its process was killed each time. It is begun "
                        f"again in {seconds:.0f} s, or when job {statement} was removed; allow more memory, or audit "
                        "fewer samples, if it is too large"
                    )
                connection.execute(
                    "UPDATE jobs SET state = 'waiting', owner = ?, seen = ? WHERE statement = ?",
                    (owner, now, statement),
                )
                attempts, before = job.attempts, queue[: queue.index(job)]
            if not self._has_turn(queue, before, statement):
                return False
            connection.execute(
                "UPDATE jobs SET state = 'proving', attempts = ?, started = ? WHERE statement = ?",
                (attempts + 1, now, statement),
            )
            return True

    def _pause_seconds(self, job: Job) -> float:
        """How long a job has still to wait whose provers were killed."""
        if job.attempts < MAX_ATTEMPTS:
            return 0.0
        pause = min(self.lease_seconds * 2.0 ** (job.attempts - MAX_ATTEMPTS), LONGEST_PAUSE_SECONDS)
        since = self._clock() - job.started
        return pause - since if 0 <= since < pause else 0.0

    def _has_turn(self, queue: list[Job], before: list[Job], statement: str) -> bool:
        """Whether a slot is free, and nobody who is still there waits before."""
        alive = [job for job in queue if job.state != "failed" and self.is_alive(job) and job.statement != statement]
        proving = sum(job.state == "proving" for job in alive)
        return proving < self.slots and not any(job.state == "waiting" and job in alive for job in before)

    def _end(self, statement: str, owner: str, error: str = "") -> None:
        with self._transaction() as connection:
            if error:
                connection.execute(
                    "UPDATE jobs SET state = 'failed', error = ? WHERE statement = ? AND owner = ?",
                    (error, statement, owner),
                )
            else:
                connection.execute("DELETE FROM jobs WHERE statement = ? AND owner = ?", (statement, owner))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone with the file, from the first read on."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        for _ in range(2):
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                connection.execute(_SCHEMA)
                connection.execute(f"SELECT {_COLUMNS} FROM jobs LIMIT 0")  # noqa: S608
            except sqlite3.OperationalError as error:
                connection.close()
                if "locked" in str(error):
                    raise
            except sqlite3.DatabaseError:
                connection.close()
            else:
                return connection
            self.path.replace(self.path.with_suffix(f".damaged-{secrets.token_hex(4)}"))
        raise sqlite3.DatabaseError(f"{self.path} can't be made: remove it")


@dataclass
class Lease:
    """The right to prove a statement now."""

    queue: ProofQueue
    statement: str
    owner: str
    _renewed: float = 0.0

    def renew(self) -> None:
        """Say so, if it is time to.

        Raises:
            JobLostError: It has ended.
        """
        now = time.monotonic()
        if now - self._renewed >= min(self.queue.lease_seconds / 5, 1.0):
            self.queue.renew(self.statement, self.owner)
            self._renewed = now
