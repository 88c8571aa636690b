"""Engines that ask others to do the work (`trader.parties.engine`): here, worker processes through a queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, NotYetError, RequestError
from trader.jobs.queue import DONE, FAILED, RUNNING, JobQueue
from trader.jobs.tasks import EVALUATE, PROVE, encode_evaluation, encode_proof_job
from trader.jobs.worker import REFUSED
from zk import Proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.parties.engine import EvaluationJob, ProofJob


class RemoteEngine(ABC):
    """Has jobs done by others, and takes what came of them."""

    def evaluate(self, job: EvaluationJob, here: Callable[[], None]) -> None:  # noqa: ARG002 - workers do it
        """See to it that the response is written; raises as `Engine.evaluate`."""
        written = self._result(job.key, EVALUATE, job.account, lambda: encode_evaluation(job))
        _put_in_place(Path(written.decode()), job.response)
        self._forget(job.key)

    def prove(self, job: ProofJob, here: Callable[[], Proof]) -> Proof:  # noqa: ARG002 - workers do it
        """Return the proof; raises as `Engine.prove`.

        It stays where it was made until the next run: a proof whose transaction fails is wanted again.
        """
        return Proof.from_bytes(self._result(job.key, PROVE, job.account, lambda: encode_proof_job(job)))

    @abstractmethod
    def _result(self, key: bytes, task: str, account: str, describe: Callable[[], bytes]) -> bytes:
        """Return what came of a job; it is begun if it was not. Raises as `Engine` says."""

    @abstractmethod
    def _forget(self, key: bytes) -> None:
        """Let a job go: what came of it was taken, or it is to be done again."""


class QueueEngine(RemoteEngine):
    """Has jobs done by whoever works on a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def _result(self, key: bytes, task: str, account: str, describe: Callable[[], bytes]) -> bytes:
        job = self._queue.ask(key, task, account, describe())
        if job.state == DONE:
            return job.result
        if job.state == FAILED:
            self._forget(key)
            raise _failure(task, job.result)
        raise NotYetError(in_progress(task, running=job.state == RUNNING))

    def _forget(self, key: bytes) -> None:
        self._queue.forget(key)


def in_progress(task: str, *, running: bool) -> str:
    """Say that something is under way."""
    what = "encrypted test" if task == EVALUATE else "proof"
    return f"the {what} is being computed" if running else f"the {what} waits for a worker"


def _put_in_place(written: Path, response: Path) -> None:
    """Give a worker's file its name; what lost workers have left of others is removed.

    Raises:
        EnvironmentFaultError: It is gone, or can't be moved.
    """
    try:
        if written.exists():
            written.replace(response)
        elif not response.exists():
            raise EnvironmentFaultError(f"the response {written} is gone: it is made again.")
        for left in response.parent.glob(f".{response.name}.????????"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentFaultError(f"{response} can't be written: {error.strerror}. Make room.") from error


def _failure(task: str, reason: bytes) -> RequestError | EnvironmentFaultError:
    """Return what to raise where a worker could not do something, given what it says."""
    if reason.startswith(REFUSED):
        return RequestError(reason.removeprefix(REFUSED).decode(errors="replace"))
    return EnvironmentFaultError(f"a worker could not {task}: {reason.decode(errors='replace')}.")
