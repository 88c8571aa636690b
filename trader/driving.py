"""Loops around :meth:`Seller.step` and :meth:`Buyer.step` that no accident ends.

What the environment does wrong (a node that is away or drops a call, a full disk, a worker that was killed) and what a
reorganisation makes stale is waited out: each failure in a row waits longer, up to a minute, with a random part so that
many parties don't come back at once. Each says so in one line that names the next deadline.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from ledger import LedgerError, TamperedError, WrongMarketError
from trader.errors import EnvironmentFaultError, TraderError, TransactionRefusedError
from zk.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from trader.buyer import Buyer
    from trader.market import Market
    from trader.seller import Seller
    from trader.trade import Position

ACCIDENTS: Final = (EnvironmentFaultError, LedgerError, WorkerError, OSError, TransactionRefusedError)
"""What may be gone when the step is repeated; a transaction is refused where the trade has moved on, for instance."""
LASTING: Final = (TamperedError, WrongMarketError)
"""Accidents that somebody must look at."""
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 60.0
Say: TypeAlias = "Callable[[str], None]"


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what scripts say


class Patience:
    """How long to wait: longer after each failure in a row.

    Attributes:
        idle_seconds: Between looks at a trade in which the other side is on move.
    """

    def __init__(self, market: Market, sleep: Callable[[float], None] = time.sleep) -> None:
        self.idle_seconds = FIRST_WAIT_SECONDS if market.chain.confirmations <= 1 else 5.0
        self._market = market
        self._sleep = sleep
        self._failures = 0

    def rest(self) -> None:
        """Wait for the other side; all is well."""
        self._failures = 0
        self._sleep(self.idle_seconds)

    def fail(self, error: Exception, say: Say) -> None:
        """Say what failed, and wait."""
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self._failures)
        seconds = longest * random.SystemRandom().uniform(0.5, 1.0)
        self._failures += 1
        say(f"{_one_line(error)} Trying again in {seconds:.1f} s{self._next_deadline()}.")
        self._sleep(seconds)

    def succeed(self) -> None:
        """Something worked."""
        self._failures = 0

    def _next_deadline(self) -> str:
        waiting = {trade: seen for trade, seen in self._market.seen.items() if not seen.final and seen.deadline_seconds}
        if not waiting:
            return "; no trade is under way"
        trade = min(waiting, key=lambda number: waiting[number].deadline_seconds)
        return f"; trade {trade} is {_name(waiting[trade])}"


def serve(
    seller: Seller, listing_id: int, wanted_trades: int, say: Say = _print, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Step all trades of a listing until `wanted_trades` of them have ended and what is owed was withdrawn.

    What is wrong with one trade must not keep the others waiting; one that has ended is not looked at again.
    """
    trades, patience = _Trades(seller, listing_id, say), Patience(seller.market, sleep)
    while len(trades.ended) < wanted_trades:
        moved, accident = trades.step_all()
        if accident is not None:
            patience.fail(accident, say)
        elif moved:
            patience.succeed()
        else:
            patience.rest()


class _Trades:
    """A seller's trades of a listing.

    Attributes:
        ended: Those in which nothing is left to do.
    """

    def __init__(self, seller: Seller, listing_id: int, say: Say) -> None:
        self._seller = seller
        self._listing_id = listing_id
        self._say = say
        self._said: dict[int, str] = {}
        self.ended: set[int] = set()

    def step_all(self) -> tuple[bool, Exception | None]:
        """One step of each; whether any did something, and the last accident."""
        moved, accident = False, None
        try:
            waiting = [trade for trade in self._seller.market.find_trades(self._listing_id) if trade not in self.ended]
        except ACCIDENTS as error:
            return False, error
        for trade_id in waiting:
            try:
                moved |= self._step(trade_id)
            except LASTING:
                raise
            except ACCIDENTS as error:
                accident = error
        return moved, accident

    def _step(self, trade_id: int) -> bool:
        try:
            stepped = self._seller.step(trade_id)
        except ACCIDENTS:
            raise
        except TraderError as error:
            if self._said.get(trade_id) != str(error):
                self._said[trade_id] = str(error)
                self._say(f"trade {trade_id}: {error}")
            return False
        if not stepped and self._seller.market.seen[trade_id].final:
            self.ended.add(trade_id)
        return stepped


def buy(
    buyer: Buyer, samples: NDArray[np.generic], say: Say = _print, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Step a purchase to its end, and withdraw what is owed.

    Raises:
        TraderError, ZkError: Whatever is no accident, as :meth:`Buyer.step`: the buyer decides what to do about it.
    """
    patience = Patience(buyer.market, sleep)
    while True:
        try:
            if buyer.is_over:
                buyer.withdraw()
                return
            moved = buyer.step(samples)
        except LASTING:
            raise
        except ACCIDENTS as error:
            if isinstance(error, TransactionRefusedError) and not buyer.market.seen:
                raise  # no session: the quota is used up, or there is no money for the fee
            patience.fail(error, say)
            continue
        if moved:
            patience.succeed()
        else:
            patience.rest()


def _name(position: Position) -> str:
    until = datetime.fromtimestamp(position.deadline_seconds, UTC)
    return f"{position.state.name.lower()} until {until:%Y-%m-%d %H:%M:%S} UTC"


def _one_line(error: Exception) -> str:
    line = (str(error) or repr(error)).splitlines()[0]
    return line if line.endswith((".", "!", "?")) else line + "."
