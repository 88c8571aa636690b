"""What a loop does about accidents: it waits, longer after each in a row, and says so in one line.

What the environment does wrong (a node that is away or drops a call, a full disk, a worker that was killed) and what a
reorganisation makes stale is waited out: each failure in a row waits longer, up to a minute, with a random part so that
many parties don't come back at once. Each says so in one line that names the next deadline.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from ledger import LedgerError, TamperedError, WrongMarketError
from trader.errors import EnvironmentFaultError, TransactionRefusedError
from zk.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain.market import Market
    from trader.trade import Position

ACCIDENTS: Final = (EnvironmentFaultError, LedgerError, WorkerError, OSError, TransactionRefusedError)
"""What may be gone when the step is repeated; a transaction is refused where the trade has moved on, for instance."""
LASTING: Final = (TamperedError, WrongMarketError)
"""Accidents that somebody must look at."""
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 60.0
PUBLIC_IDLE_SECONDS: Final = 5.0
START_SECONDS: Final = 120.0
"""So long what comes before a trade is tried: nothing is at stake yet, and whoever started it may have to do something.
"""
T = TypeVar("T")
Say: TypeAlias = "Callable[[str], None]"


def print_line(line: str) -> None:
    """Say something on standard output at once."""
    print(line, flush=True)  # noqa: T201 - what scripts say


def idle_seconds(market: Market) -> float:
    """Return the seconds between two looks at a trade in which the other side is on move."""
    return FIRST_WAIT_SECONDS if market.chain.confirmations <= 1 else PUBLIC_IDLE_SECONDS


class Patience:
    """How long to wait: longer after each failure in a row.

    Attributes:
        until: Clock time before which nothing is to be tried again.
    """

    def __init__(self, market: Market, clock: Callable[[], float] = time.monotonic) -> None:
        self._market = market
        self._clock = clock
        self._failures = 0
        self.until = 0.0

    @property
    def seconds(self) -> float:
        """Time left to wait."""
        return max(0.0, self.until - self._clock())

    def fail(self, error: Exception, say: Say) -> None:
        """Say what failed, and when it is tried again."""
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self._failures)
        seconds = longest * random.SystemRandom().uniform(0.5, 1.0)
        self._failures += 1
        self.until = self._clock() + seconds
        say(
            f"{_one_line(error).removesuffix(' Trying again.')} Trying again in {seconds:.1f} s{self._next_deadline()}."
        )

    def succeed(self) -> None:
        """Something worked."""
        self._failures, self.until = 0, 0.0

    def _next_deadline(self) -> str:
        waiting = {trade: seen for trade, seen in self._market.seen.items() if not seen.final and seen.deadline_seconds}
        if not waiting:
            return "; no trade is under way"
        trade = min(waiting, key=lambda number: waiting[number].deadline_seconds)
        return f"; trade {trade} is {_name(waiting[trade])}"


def patiently(market: Market, attempt: Callable[[], T], say: Say, sleep: Callable[[float], None] = time.sleep) -> T:
    """Return what an attempt gives, made again after accidents: for what comes before a loop, and may be repeated.

    Raises:
        TraderError, LedgerError, ZkError: What is no accident; the accident that has lasted `START_SECONDS`.
    """
    patience, end = Patience(market), time.monotonic() + START_SECONDS
    while True:
        try:
            return attempt()
        except LASTING:
            raise
        except ACCIDENTS as error:
            if isinstance(error, TransactionRefusedError) or time.monotonic() > end:
                raise
            patience.fail(error, say)
            sleep(patience.seconds)


def _name(position: Position) -> str:
    until = datetime.fromtimestamp(position.deadline_seconds, UTC)
    return f"{position.state.name.lower()} until {until:%Y-%m-%d %H:%M:%S} UTC"


def _one_line(error: Exception) -> str:
    line = (str(error) or repr(error)).splitlines()[0]
    return line if line.endswith((".", "!", "?")) else line + "."
