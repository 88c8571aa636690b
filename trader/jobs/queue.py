"""Which job waits, who works on it, and what came of it: a table in a SQLite file.

A worker takes a job with a lease, and says while it works that it is still there. Who says nothing any more loses the
job to the next one, and what it finishes afterwards counts for nothing. A job whose workers were lost `MAX_ATTEMPTS`
times has failed: it may be what kills them. Among jobs that wait, those come first whose account had the fewest begun
lately, then the oldest: a buyer with many tests waits for the others.

What is to be done, and what came of it, may be secret (a buyer's audit samples): both are encrypted with a key that the
seller's process and its workers share and nobody keeps. A table that another run has left is emptied: sellers ask again
for what they still need.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet
from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, String, Table, func, select

from trader.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

LEASE_SECONDS: Final = 20.0
MAX_ATTEMPTS: Final = 3
LATELY_SECONDS: Final = 3600.0
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"

_METADATA = MetaData()
_JOBS = Table(
    "jobs",
    _METADATA,
    Column("place", Integer, primary_key=True, autoincrement=True),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("task", String, nullable=False),
    Column("account", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("worker", String, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("seen", Float, nullable=False, default=0.0),
    Column("payload", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=False, default=b""),
)
_BEGUN = Table("begun", _METADATA, Column("account", String, nullable=False), Column("at", Float, nullable=False))


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the table has it.

    Attributes:
        key: Its name.
        task: Which of the tasks it is.
        state: Waiting, running, done or failed.
        attempts: How often it was begun.
        payload: What is to be done.
        result: What came of it, once it is done; why it failed.
    """

    key: bytes
    task: str
    state: str
    attempts: int
    payload: bytes = field(repr=False)
    result: bytes = field(repr=False)


class JobQueue:
    """A table of jobs in one file."""

    def __init__(self, path: Path, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        """Open the file; it is made where it is missing.

        Args:
            path: The file.
            secret: A Fernet key, which the seller's process makes and its workers are given.
            clock: Unix time.

        Raises:
            EnvironmentFaultError: The file can't be used.
        """
        self._cipher = Fernet(secret)
        self._clock = clock
        self._database = Database(path, _METADATA, "queue of jobs")

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def clear(self) -> None:
        """Empty the table: what another run has left can't be read any more."""
        with self._database.writing() as connection:
            connection.execute(_JOBS.delete())

    # ------------------------------------------------------------------------------------------------ the seller's side

    def ask(self, key: bytes, task: str, account: str, payload: bytes) -> Job:
        """Return the job of this key; it is put into the queue if it isn't there."""
        with self._database.writing() as connection:
            job = self._find(connection, key)
            if job is None:
                waiting = {"key": key, "task": task, "account": account, "state": WAITING}
                connection.execute(_JOBS.insert().values(payload=self._cipher.encrypt(payload), **waiting))
                return Job(key, task, WAITING, 0, payload, b"")
            return job

    def forget(self, key: bytes) -> None:
        """Remove a job: what came of it was taken, or it is to be done again."""
        with self._database.writing() as connection:
            connection.execute(_JOBS.delete().where(_JOBS.c.key == key))

    def ahead_of(self, key: bytes) -> int:
        """Return how many jobs run, or wait longer than this one."""
        with self._database.writing() as connection:
            place = select(_JOBS.c.place).where(_JOBS.c.key == key).scalar_subquery()
            earlier = _JOBS.c.state.in_((WAITING, RUNNING)) & (_JOBS.c.key != key)
            count = select(func.count()).where(earlier & ((_JOBS.c.place < place) | (_JOBS.c.state == RUNNING)))
            return int(connection.execute(count).scalar_one())

    def count(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        with self._database.writing() as connection:
            found = connection.execute(select(_JOBS.c.state, func.count()).group_by(_JOBS.c.state))
            return {str(state): int(count) for state, count in found}

    # ------------------------------------------------------------------------------------------------ a worker's side

    def take(self, worker: str) -> Job | None:
        """Begin the job that is next; None where nothing waits.

        Args:
            worker: Names who works on it, as nobody else is named.
        """
        now = self._clock()
        with self._database.writing() as connection:
            lost = (_JOBS.c.state == RUNNING) & (_JOBS.c.seen < now - LEASE_SECONDS)
            connection.execute(
                _JOBS.update()
                .where(lost & (_JOBS.c.attempts >= MAX_ATTEMPTS))
                .values(state=FAILED, result=self._cipher.encrypt(b"its workers were lost again and again"))
            )
            connection.execute(_BEGUN.delete().where(_BEGUN.c.at < now - LATELY_SECONDS))
            lately = select(func.count()).where(_BEGUN.c.account == _JOBS.c.account).scalar_subquery()
            due = select(_JOBS.c.key, _JOBS.c.account).where((_JOBS.c.state == WAITING) | lost)
            found = connection.execute(due.order_by(lately, _JOBS.c.place).limit(1)).first()
            if found is None:
                return None
            key, account = found
            connection.execute(_BEGUN.insert().values(account=account, at=now))
            begun = {"state": RUNNING, "worker": worker, "seen": now, "attempts": _JOBS.c.attempts + 1}
            connection.execute(_JOBS.update().where(_JOBS.c.key == key).values(**begun))
            return self._find(connection, key)

    def beat(self, key: bytes, worker: str) -> bool:
        """Say that a worker is still there; return whether the job is still its own."""
        return self._change(key, worker, seen=self._clock())

    def finish(self, key: bytes, worker: str, result: bytes, *, failed: bool = False) -> bool:
        """Say what came of a job; return whether it was still the worker's own: otherwise that counts for nothing."""
        return self._change(key, worker, state=FAILED if failed else DONE, result=self._cipher.encrypt(result))

    # --------------------------------------------------------------------------------------------------------- inside

    def _change(self, key: bytes, worker: str, **values: object) -> bool:
        own = (_JOBS.c.key == key) & (_JOBS.c.worker == worker) & (_JOBS.c.state == RUNNING)
        with self._database.writing() as connection:
            changed = connection.execute(_JOBS.update().where(own).values(**values))
            return bool(changed.rowcount == 1)

    def _find(self, connection: Connection, key: bytes) -> Job | None:
        columns = (_JOBS.c.task, _JOBS.c.state, _JOBS.c.attempts, _JOBS.c.payload, _JOBS.c.result)
        row = connection.execute(select(*columns).where(_JOBS.c.key == key)).first()
        if row is None:
            return None
        result = self._cipher.decrypt(row.result) if row.result else b""
        return Job(key, row.task, row.state, row.attempts, self._cipher.decrypt(row.payload), result)
