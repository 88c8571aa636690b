"""Threads that share one commit, so that the disk is waited for once.

The first thread of a group leads it: it waits until the group before is committed, while others join, and then commits
what all of them brought. Each thread leads at most once for each thing that it brings, so none works for the others
for ever.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Collects what threads bring at the same time, and commits it together."""

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]):
        """Commit groups by `commit`, which returns one result for each item and is called by one thread at a time."""
        self._commit = commit
        self._joining = Lock()
        self._committing = Lock()
        self._open: _Group[Item, Result] | None = None

    def submit(self, item: Item) -> Result:
        """Return what the item's commit gave, when it is done; raises what the group's commit raised."""
        with self._joining:
            leads = self._open is None
            group = self._open = self._open or _Group()
            place = len(group.items)
            group.items.append(item)
        if leads:
            self._lead(group)
        else:
            with group.done:  # one follower wakes the next: no herd that fights for the interpreter
                pass
        if group.error is not None:
            raise group.error
        return group.results[place]

    def _lead(self, group: "_Group[Item, Result]") -> None:
        try:
            with self._committing:
                self._close(group)
                group.results = self._commit(group.items)
        except BaseException as error:  # whatever it is, no thread may wait for ever
            group.error = error
        finally:
            self._close(group)
            group.done.release()

    def _close(self, group: "_Group[Item, Result]") -> None:
        with self._joining:
            if self._open is group:
                self._open = None


class _Group(Generic[Item, Result]):
    """What is committed together; `done` is held until it is."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.results: Sequence[Result] = ()
        self.error: BaseException | None = None
        self.done = Lock()
        self.done.acquire()
