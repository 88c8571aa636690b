"""Run ezkl in a process of its own, with limits on memory and time, and a way to stop it.

ezkl panics, aborts and allocates without asking, on input that may come from the other party. Every call therefore
runs in a fresh process (`zk.ezkl.process`, which starts in 50 ms), and whatever happens there becomes a
`zk.errors.WorkerError` here. Fresh processes are also what a rebuild needs: ezkl's keys depend on hash-map
order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zk.errors import WorkerFailedError, WorkerKilledError, WorkerTimeoutError
from zk.storage import temporary_folder

OnProgress = Callable[[float], None]
"""Called with the seconds so far, about every `POLL_SECONDS`; an exception raised in it cancels the job."""

POLL_SECONDS = 0.1

_OUT_OF_MEMORY = ("out of memory", "MemoryError", "ThreadPoolBuildError")
_SCRIPT = Path(__file__).with_name("process.py")


def physical_memory_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True)
class WorkerLimits:
    """What a job may use.

    Attributes:
        seconds: Wall-clock time.
        memory_bytes: Address space; all physical memory if 0.
    """

    seconds: float = 3600.0
    memory_bytes: int = 0


DEFAULT_LIMITS = WorkerLimits()


@dataclass(frozen=True)
class JobResult:
    """What a job gave and took.

    Attributes:
        value: The operation's JSON result.
        seconds: Wall-clock time.
        peak_memory_bytes: Largest resident size of its process.
    """

    value: Any
    seconds: float
    peak_memory_bytes: int


def run_job(
    operation: str,
    arguments: dict[str, Any],
    limits: WorkerLimits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
) -> JobResult:
    """Run one operation of `zk.ezkl.process` in a fresh process.

    However this function is left, the process has ended.

    Args:
        operation: Name of the operation.
        arguments: Its arguments; paths are passed as strings.
        limits: Time and memory.
        on_progress: Sees the time pass, and may cancel by raising.

    Raises:
        WorkerFailedError: ezkl raised or panicked; the message carries its words.
        WorkerTimeoutError: Killed at the time limit.
        WorkerKilledError: The process died or gave up, for instance for lack of memory.
    """
    started = time.monotonic()
    with temporary_folder("job") as folder:
        answer = Path(folder, "answer.json")
        job = {
            "operation": operation,
            "arguments": {name: str(v) if isinstance(v, Path) else v for name, v in arguments.items()},
            "memory_bytes": limits.memory_bytes or physical_memory_bytes(),
            # A backstop for a parent that dies: an orphan can't burn more than every core for the whole time.
            "cpu_seconds": int(limits.seconds * (os.cpu_count() or 1)) + 1,
            "parent": os.getpid(),
            "answer": str(answer),
        }
        with tempfile.TemporaryFile(dir=folder) as stdin, tempfile.TemporaryFile(dir=folder) as stderr:
            stdin.write(json.dumps(job).encode())
            stdin.seek(0)
            returncode = _run_process(operation, stdin, stderr, limits.seconds, on_progress)
            if returncode != 0:
                stderr.seek(0)
                raise WorkerKilledError(_explain_death(operation, returncode, stderr.read().decode(errors="replace")))
        outcome = json.loads(answer.read_text())
    if "error" in outcome:
        raise _translate(operation, outcome["error"])
    return JobResult(outcome["result"], time.monotonic() - started, outcome["peak_memory_bytes"])


def _run_process(
    operation: str, job: IO[bytes], stderr: IO[bytes], limit_seconds: float, on_progress: OnProgress | None
) -> int:
    """Run the process to its end and return its exit code.

    The job is a file and not a pipe, since `communicate` that timed out before it wrote, as it may on a busy machine,
    never writes when it is called again.
    """
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own script, no shell
        [sys.executable, "-I", str(_SCRIPT)],
        stdin=job,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=os.environ | {"RUST_BACKTRACE": "0"},
    ) as process:
        try:
            while (elapsed := time.monotonic() - started) < limit_seconds:
                if on_progress is not None:
                    on_progress(elapsed)
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=min(POLL_SECONDS, limit_seconds - elapsed))
        finally:
            process.kill()
    raise WorkerTimeoutError(
        f"{operation} was stopped after {limit_seconds:g} s: allow more time, or audit fewer samples"
    )


def _translate(operation: str, error: str) -> WorkerFailedError | WorkerKilledError:
    said = _first_line(error)
    if any(sign in said for sign in _OUT_OF_MEMORY):
        return WorkerKilledError(f"{operation} ran out of memory ({said}): allow more memory, or audit fewer samples")
    return WorkerFailedError(f"ezkl could not {operation.replace('_', ' ')}: {said}")


def _explain_death(operation: str, returncode: int, stderr: str) -> str:
    said = [line for line in stderr.splitlines() if line.strip() and not line.startswith("note:")]
    allocation = next((line for line in said if "memory allocation" in line), None)
    last = _first_line(allocation or (said[-1] if said else "no message"))
    if returncode < 0:
        cause = f"signal {signal.Signals(-returncode).name}"
        return f"{operation} died of {cause} ({last}): allow more memory, or audit fewer samples"
    return f"{operation} ended with exit code {returncode}: {last}; check that ezkl is installed"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]
