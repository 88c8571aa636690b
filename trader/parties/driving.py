"""Loops around `Seller.step` and `Buyer.step` that no accident ends.

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
from trader.trade import State
from zk.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trader.chain.market import Market
    from trader.parties.buyer import Buyer
    from trader.parties.seller import Seller
    from trader.trade import Position

ACCIDENTS: Final = (EnvironmentFaultError, LedgerError, WorkerError, OSError, TransactionRefusedError)
"""What may be gone when the step is repeated; a transaction is refused where the trade has moved on, for instance."""
LASTING: Final = (TamperedError, WrongMarketError)
"""Accidents that somebody must look at."""
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 60.0
PUBLIC_IDLE_SECONDS: Final = 5.0
Say: TypeAlias = "Callable[[str], None]"


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what scripts say


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
        say(f"{_one_line(error)} Trying again in {seconds:.1f} s{self._next_deadline()}.")

    def succeed(self) -> None:
        """Something worked."""
        self._failures, self.until = 0, 0.0

    def _next_deadline(self) -> str:
        waiting = {trade: seen for trade, seen in self._market.seen.items() if not seen.final and seen.deadline_seconds}
        if not waiting:
            return "; no trade is under way"
        trade = min(waiting, key=lambda number: waiting[number].deadline_seconds)
        return f"; trade {trade} is {_name(waiting[trade])}"


def _idle_seconds(market: Market) -> float:
    """Return the seconds between two looks at a trade in which the other side is on move."""
    return FIRST_WAIT_SECONDS if market.chain.confirmations <= 1 else PUBLIC_IDLE_SECONDS


def serve(
    seller: Seller,
    listing_id: int,
    wanted_trades: int,
    say: Say = _print,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Step all trades of a listing until `wanted_trades` that were answered have ended, and none is under way.

    What is owed is withdrawn before. A session that nobody answers counts for nothing: it costs a stranger gas alone.
    When as many have ended as were wanted, no further session is answered, and those that were go on to their ends: a
    seller that left one would lose its bond's part, or the price. What is wrong with one trade keeps that one waiting,
    not the others; one that has ended is not looked at again.
    """
    trades = _Trades(seller, listing_id, say, clock)
    while len(trades.ended) < wanted_trades or trades.under_way:
        if not trades.step_all(answer=len(trades.ended) < wanted_trades):
            sleep(max(_idle_seconds(seller.market), trades.search.seconds))


class _Trades:
    """A seller's trades of a listing.

    Attributes:
        ended: Those that were answered, and in which nothing is left to do.
        left: Those in which nothing ever was to do: sessions that ran out.
        search: Patience with the search for them.
    """

    def __init__(self, seller: Seller, listing_id: int, say: Say, clock: Callable[[], float]) -> None:
        self._seller = seller
        self._listing_id = listing_id
        self._say = say
        self._clock = clock
        self._patience: dict[int, Patience] = {}
        self._said: dict[int, str] = {}
        self.search = Patience(seller.market, clock)
        self.ended: set[int] = set()
        self.left: set[int] = set()
        self._found: Sequence[int] = ()

    @property
    def _waiting(self) -> list[int]:
        """Trades in which something may be to do."""
        done = self.ended | self.left
        return [trade_id for trade_id in self._found if trade_id not in done]

    @property
    def under_way(self) -> bool:
        """Whether a trade that was answered has not ended, as far as it was seen."""
        seen = self._seller.market.seen
        return any(seen[trade_id].state is not State.TESTING for trade_id in self._waiting if trade_id in seen)

    def step_all(self, *, answer: bool) -> bool:
        """Make one step, of the first that has something to do: a key that is due, else by deadline.

        What a step sends waits for a block at least, so that after each the most urgent is looked for again: what a
        buyer may have accepted meanwhile is read first. Else strangers' sessions would come between a seller and its
        key.

        Args:
            answer: Whether sessions that wait for an answer are stepped too.

        Returns:
            Whether any had something to do.
        """
        market = self._seller.market
        try:
            self._found = market.find_trades(self._listing_id)
            for trade_id in self._waiting:
                if trade_id not in market.seen or market.seen[trade_id].state is State.PROVEN:
                    market.trade(trade_id)
        except LASTING:
            raise
        except ACCIDENTS as error:
            self.search.fail(error, self._say)
            return False
        self.search.succeed()
        due = sorted(self._waiting, key=lambda trade_id: _urgency(market.seen[trade_id]))
        return any(
            self._step(trade_id) for trade_id in due if answer or market.seen[trade_id].state is not State.TESTING
        )

    def _step(self, trade_id: int) -> bool:
        patience = self._patience.setdefault(trade_id, Patience(self._seller.market, self._clock))
        if patience.seconds > 0:
            return False
        try:
            stepped = self._seller.step(trade_id)
        except LASTING:
            raise
        except (*ACCIDENTS, TraderError) as error:
            again = self._said.get(trade_id) == str(error) and not isinstance(error, ACCIDENTS)
            patience.fail(error, (lambda _: None) if again else lambda line: self._say(f"trade {trade_id}: {line}"))
            self._said[trade_id] = str(error)
            return False
        patience.succeed()
        position = self._seller.market.seen[trade_id]
        unanswered = position.state is State.TESTING and position.overdue(self._seller.market.chain.time().confirmed)
        if stepped or not (unanswered or position.final):
            return stepped
        if unanswered or not self._seller.market.was_answered(trade_id):
            self.left.add(trade_id)
        elif not self._seller.is_owed():
            self.ended.add(trade_id)
        return False


def buy(
    buyer: Buyer, samples: NDArray[np.generic], say: Say = _print, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Step a purchase to its end, and withdraw what is owed.

    Raises:
        TraderError, ZkError: Whatever is no accident, as `Buyer.step`: the buyer decides what to do about it.
    """
    patience = Patience(buyer.market)
    while True:
        try:
            if buyer.is_over():
                buyer.withdraw()
                return
            moved = buyer.step(samples)
        except LASTING:
            raise
        except ACCIDENTS as error:
            if isinstance(error, TransactionRefusedError) and not buyer.market.seen:
                raise  # no session: the quota is used up, or there is no money for the fee
            patience.fail(error, say)
            sleep(patience.seconds)
            continue
        patience.succeed()
        if not moved:
            sleep(_idle_seconds(buyer.market))


def _urgency(position: Position) -> tuple[bool, int]:
    """Return a key to sort by, the most urgent first: keys that are due, then the others by deadline."""
    return position.state is not State.ACCEPTED, position.deadline_seconds


def _name(position: Position) -> str:
    until = datetime.fromtimestamp(position.deadline_seconds, UTC)
    return f"{position.state.name.lower()} until {until:%Y-%m-%d %H:%M:%S} UTC"


def _one_line(error: Exception) -> str:
    line = (str(error) or repr(error)).splitlines()[0]
    return line if line.endswith((".", "!", "?")) else line + "."
