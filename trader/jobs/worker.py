"""What a worker process does: it takes one job after the other, and says that it is still there."""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trader.errors import EnvironmentFaultError, PeerFaultError
from trader.he import WireError
from trader.jobs.queue import LEASE_SECONDS, JobQueue
from trader.jobs.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trader.jobs.queue import Job

POLL_SECONDS: Final = 0.2
LOOK_FOR_PARENT_SECONDS: Final = 0.5
REFUSED: Final = b"refused: "
"""What stands before the reason where the other party is to blame, and no repetition helps."""


def work_for(parent: int, path: Path, secret: bytes) -> None:
    """Do jobs until the process that started this one has ended, and end with it: in the middle of a job as well.

    Args:
        parent: That process, named by itself: it may end before this one has begun to look.
        path: As `work`.
        secret: As `work`.
    """
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    work(path, secret, lambda: True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_FOR_PARENT_SECONDS)
    os._exit(1)  # at once: what was done is worth nothing to anybody, and another may do it already


def work(path: Path, secret: bytes, go_on: Callable[[], bool]) -> None:
    """Do jobs.

    Args:
        path: The queue's file.
        secret: Its key.
        go_on: Asked before each look at the queue.
    """
    queue, name = JobQueue(path, secret), secrets.token_hex(8)
    while go_on():
        try:
            job = queue.take(name)
            if job is not None:
                _do(queue, job, name)
                continue
        except EnvironmentFaultError:
            pass  # the database is busy or its disk full: the next look may find it better
        time.sleep(POLL_SECONDS)


def _do(queue: JobQueue, job: Job, name: str) -> None:
    with _beating(queue, job, name):
        try:
            result, failed = TASKS[job.task](job.payload), False
        except (PeerFaultError, WireError) as error:
            result, failed = REFUSED + str(error).encode(), True
        except Exception as error:
            result, failed = f"{type(error).__name__}: {error}".encode(), True
    queue.finish(job.key, name, result, failed=failed)


@contextmanager
def _beating(queue: JobQueue, job: Job, name: str) -> Iterator[None]:
    """Say in the background that the worker is still there; not any more once the job is another's."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(LEASE_SECONDS / 4):
            try:
                if not queue.beat(job.key, name):
                    return
            except EnvironmentFaultError:
                continue

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
