"""Worker processes of this machine, kept at their number."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import TYPE_CHECKING, Final, Self

from trader.jobs.worker import work_for

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

LOOK_SECONDS: Final = 1.0


class Workers:
    """Processes that work on a queue; one that dies is replaced.

    They end with the process that made them, however that ends. Used as a context manager.
    """

    def __init__(self, path: Path, secret: bytes, count: int) -> None:
        """Say how many there are to be; `start` starts them.

        Args:
            path: The queue's file.
            secret: Its key; handed over through a pipe, so that nobody sees it.
            count: Number of processes. Each evaluation uses several cores already: one or two are enough.
        """
        self._arguments = (os.getpid(), path, secret)
        self._processes: list[SpawnProcess | None] = [None] * count
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="workers", daemon=True)

    def start(self) -> Self:
        """Start the processes."""
        self._keeper.start()
        return self

    @property
    def alive(self) -> int:
        """Number of processes that run."""
        return sum(process is not None and process.is_alive() for process in self._processes)

    def pids(self) -> list[int]:
        """Return the ids of the processes that run."""
        return [
            process.pid for process in self._processes if process is not None and process.is_alive() and process.pid
        ]

    def close(self) -> None:
        """End the processes; what they were doing is done again when it is asked for."""
        self._over.set()
        self._keeper.join()
        for process in self._processes:
            if process is not None:
                process.terminate()
                process.join(timeout=10)
                process.kill()

    def __enter__(self) -> Self:
        """Start the processes."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def _keep(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        while True:
            for place, process in enumerate(self._processes):
                if process is None or not process.is_alive():
                    # Not a daemon in multiprocessing's sense: evaluations have helper processes of their own.
                    started = spawning.Process(target=work_for, args=self._arguments, name=f"modelseal worker {place}")
                    started.start()
                    self._processes[place] = started
            if self._over.wait(LOOK_SECONDS):
                return
