"""Run ezkl in a process of its own, with limits on memory and time.

ezkl panics, aborts and allocates without asking, on input that may come from the other party. Every call therefore
runs in a fresh process (:mod:`zk.proofs.ezkl_process`, which starts in 50 ms), and whatever happens there becomes a
:class:`~zk.errors.WorkerError` here. Fresh processes are also what a rebuild needs: ezkl's keys depend on hash-map
order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zk.errors import WorkerFailed, WorkerKilled, WorkerTimeout

_OUT_OF_MEMORY = ("out of memory", "MemoryError", "ThreadPoolBuildError")

_SCRIPT = Path(__file__).with_name("ezkl_process.py")


def _physical_memory_bytes() -> int:
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


def run_job(operation: str, arguments: dict[str, Any], limits: WorkerLimits = DEFAULT_LIMITS) -> Any:
    """Run one operation of :mod:`zk.proofs.ezkl_process` in a fresh process.

    Args:
        operation: Name of the operation.
        arguments: Its arguments; paths as strings.
        limits: Time and memory.

    Returns:
        The operation's JSON result.

    Raises:
        WorkerFailed: ezkl raised or panicked; the message carries its words.
        WorkerTimeout: Killed at the time limit.
        WorkerKilled: The process died or gave up, for instance for lack of memory.
    """
    with tempfile.TemporaryDirectory(prefix="modelseal-job-") as folder:
        answer = Path(folder, "answer.json")
        job = {
            "operation": operation,
            "arguments": arguments,
            "memory_bytes": limits.memory_bytes or _physical_memory_bytes(),
            # A backstop for a parent that dies: an orphan can't burn more than every core for the whole time.
            "cpu_seconds": int(limits.seconds * (os.cpu_count() or 1)) + 1,
            "answer": str(answer),
        }
        _run_process(operation, json.dumps(job), limits)
        try:
            outcome = json.loads(answer.read_text())
        except (OSError, ValueError) as error:
            raise WorkerKilled(f"the proving process ended without an answer to {operation}: run it again") from error
    if "error" in outcome:
        message = f"ezkl could not {operation.replace('_', ' ')}: {_first_line(outcome['error'])}"
        if any(sign in message for sign in _OUT_OF_MEMORY):
            raise WorkerKilled(f"{message}; allow more memory, or audit fewer samples")
        raise WorkerFailed(message)
    return outcome["result"]


def _run_process(operation: str, job: str, limits: WorkerLimits) -> None:
    try:
        finished = subprocess.run(  # noqa: S603 - our own script, no shell
            [sys.executable, "-I", str(_SCRIPT)],
            input=job.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"RUST_BACKTRACE": "0"},
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WorkerTimeout(
            f"{operation} was stopped after {limits.seconds:g} s: allow more time, or audit fewer samples"
        ) from error
    if finished.returncode != 0:
        raise WorkerKilled(_explain_death(operation, finished.returncode, finished.stderr.decode(errors="replace")))


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
