"""One thread per core over independent tasks.

The compiled kernels and BLAS release the interpreter lock. BLAS itself is held to one thread meanwhile, so that cores
are shared by tasks alone and each task's data stays in one core's cache.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Generic, TypeVar

from threadpoolctl import ThreadpoolController

from trader.he.types import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Scratch = TypeVar("Scratch")


class PerThread(Generic[Scratch]):
    """One object per thread, made when the thread first asks: scratch memory that tasks reuse."""

    def __init__(self, make: Callable[[], Scratch]) -> None:
        self._make = make
        self._local = threading.local()

    def get(self) -> Scratch:
        """Return the calling thread's object."""
        if not hasattr(self._local, "scratch"):
            self._local.scratch = self._make()
        scratch: Scratch = self._local.scratch
        return scratch


def worker_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """NumPy's BLAS; to look for it takes a millisecond, as long as some tasks."""
    return ThreadpoolController()


def run_tasks(task: Callable[[Item], None], items: Iterable[Item], progress: Progress | None = None) -> None:
    """Run `task` on every item; the first exception is raised after the running tasks have ended."""
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(worker_count()) as pool:
        futures = [pool.submit(task, item) for item in items]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Ahead(Generic[Result]):
    """Results that are made before they are asked for, in a thread of their own.

    Args:
        pool: Of that thread.
        task: Makes a result of an item.
        items: One after the other.
        limit: How many results are made ahead.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, task: Callable[[Item], Result], items: Iterable[Item], limit: int
    ) -> None:
        self._waiting: deque[Future[Result]] = deque()
        self._starting = (pool.submit(task, item) for item in items)
        self._limit = limit

    def begin(self) -> None:
        """Start work; where it has been started, nothing happens."""
        self._waiting.extend(islice(self._starting, self._limit - len(self._waiting)))

    def take(self) -> Result:
        """Return the next result."""
        self.begin()
        result = self._waiting.popleft().result()
        self.begin()
        return result


@contextmanager
def run_ahead(task: Callable[[Item], Result], items: Iterable[Item], limit: int) -> Iterator[Ahead[Result]]:
    """Run `task` on the items one after the other, in a thread of its own, beside what the caller does.

    Up to `limit` results are made before they are asked for. What was made for nobody is let go of at the end.
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            yield Ahead(pool, task, items, limit)
        finally:
            pool.shutdown(cancel_futures=True)
