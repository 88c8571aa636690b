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


@contextmanager
def run_ahead(task: Callable[[Item], Result], items: Iterable[Item], limit: int) -> Iterator[Callable[[], Result]]:
    """Run `task` on the items one after the other, in a thread of its own, beside what the caller does.

    Yields a function that gives the next result; up to `limit` of them are made before they are asked for.
    """
    waiting: deque[Future[Result]] = deque()
    left = iter(items)
    with ThreadPoolExecutor(1) as pool:

        def start(count: int) -> None:
            waiting.extend(pool.submit(task, item) for item in islice(left, count))

        def take() -> Result:
            result = waiting.popleft().result()
            start(1)
            return result

        start(limit)
        try:
            yield take
        finally:
            pool.shutdown(cancel_futures=True)
