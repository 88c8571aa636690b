"""Pauses after slow work on a message: whoever makes a party repeat it costs that a tenth of its time, at most."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trader.exchange.signing import Label

QUICK_SECONDS = 1.0
PAUSE_RATIO = 9


class Pacing:
    """The pauses of one mailbox, each for one message and sender, and one kind of work."""

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, str, str], float] = {}

    def pausing(self, work: str, label: Label, sender: str = "") -> bool:
        """Return whether this work has to wait."""
        return time.monotonic() < self._pauses.get((work, label.name, sender), 0.0)

    @contextmanager
    def around(self, work: str, label: Label, sender: str = "", *, failed_too: bool = True) -> Iterator[None]:
        """Around work on one message: if that takes long, the next has to wait.

        Args:
            work: Which.
            label: On which message.
            sender: Of whom.
            failed_too: Whether it has to wait also where the block raises.
        """
        begin = time.monotonic()
        done = failed_too
        try:
            yield
            done = True
        finally:
            took = time.monotonic() - begin
            if done and took > QUICK_SECONDS:
                self._pauses[work, label.name, sender] = time.monotonic() + PAUSE_RATIO * took
