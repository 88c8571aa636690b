"""A seller's desk: all of its trades, of all of its listings, one step at a time, the most urgent first.

`Desk.step` makes one step; a service is a loop around it. What is wrong with one trade keeps that one waiting, not the
others. `serve` is the loop of a script that sells one model.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trader.errors import TraderError
from trader.parties.patience import ACCIDENTS, LASTING, Patience, Say, idle_seconds, print_line
from trader.trade import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain.market import Market
    from trader.parties.seller import Seller
    from trader.trade import Position


class Desk:
    """A seller's trades in one market.

    Attributes:
        market: The escrow.
        listings: Who serves each listing, by its number: one `Seller` for each package.
        search: Patience with the search for trades.
        ended: Trades that were answered, and in which nothing is left to do.
        left: Those in which nothing ever was to do: sessions that ran out.
    """

    def __init__(self, market: Market, say: Say = print_line, clock: Callable[[], float] = time.monotonic) -> None:
        self.market = market
        self.listings: dict[int, Seller] = {}
        self.search = Patience(market, clock)
        self.ended: set[int] = set()
        self.left: set[int] = set()
        self._say = say
        self._clock = clock
        self._found: dict[int, Seller] = {}
        self._patience: dict[int, Patience] = {}
        self._said: dict[int, str] = {}

    @property
    def waiting(self) -> list[int]:
        """Trades in which something may be to do, oldest first."""
        done = self.ended | self.left
        return sorted(trade_id for trade_id in self._found if trade_id not in done)

    @property
    def under_way(self) -> list[int]:
        """Trades that were answered and have not ended, as far as they were seen; the answer may be unconfirmed."""
        seen, moving = self.market.seen, self.market.moving
        known = [trade for trade in self.waiting if trade in seen]
        return [trade for trade in known if seen[trade].state is not State.TESTING or trade in moving]

    @property
    def pause_seconds(self) -> float:
        """How long to wait after a `step` that had nothing to do."""
        return max(idle_seconds(self.market), self.search.seconds)

    def step(self, *, answer: bool = True) -> bool:
        """Make one step, of the first trade that has something to do: a key that is due, else by deadline.

        What a step sends waits for a block and no more, so that after each the most urgent is looked for again: what a
        buyer may have accepted meanwhile is read first. Else strangers' sessions would come between a seller and its
        key. What depends on a move leaves with the first step that sees it confirmed, so that as many trades go on at
        once as there are (decision record 0068).

        Args:
            answer: Whether sessions that wait for an answer are stepped too.

        Returns:
            Whether any had something to do.

        Raises:
            TamperedError, WrongMarketError: Somebody must look at the log.
        """
        try:
            self._search()
        except LASTING:
            raise
        except ACCIDENTS as error:
            self.search.fail(error, self._say)
            return False
        self.search.succeed()
        due = sorted(self.waiting, key=lambda trade_id: _urgency(self.market.seen[trade_id]))
        return any(self._step(trade) for trade in due if answer or self.market.seen[trade].state is not State.TESTING)

    def _search(self) -> None:
        """Look for trades, and where those stand that are new, or whose key may be due."""
        for listing_id, seller in self.listings.items():
            self._found |= dict.fromkeys(self.market.find_trades(listing_id), seller)
        for trade_id in self.waiting:
            if trade_id not in self.market.seen or self.market.seen[trade_id].state is State.PROVEN:
                self.market.trade(trade_id)

    def _step(self, trade_id: int) -> bool:
        seller = self._found[trade_id]
        patience = self._patience.setdefault(trade_id, Patience(self.market, self._clock))
        if patience.seconds > 0:
            return False
        try:
            stepped = seller.step(trade_id)
        except LASTING:
            raise
        except (*ACCIDENTS, TraderError) as error:
            again = self._said.get(trade_id) == str(error) and not isinstance(error, ACCIDENTS)
            patience.fail(error, (lambda _: None) if again else lambda line: self._say(f"trade {trade_id}: {line}"))
            self._said[trade_id] = str(error)
            return False
        patience.succeed()
        if not stepped:
            self._file(trade_id, seller)
        return stepped

    def _file(self, trade_id: int, seller: Seller) -> None:
        """Put a trade away in which nothing is left to do, if it is one."""
        position = self.market.seen[trade_id]
        unanswered = position.state is State.TESTING and position.overdue(self.market.chain.time().confirmed)
        if not (unanswered or position.final):
            return
        if unanswered or not self.market.was_answered(trade_id):
            self.left.add(trade_id)
        elif not seller.is_owed():
            self.ended.add(trade_id)


def serve(
    seller: Seller,
    listing_id: int,
    wanted_trades: int,
    say: Say = print_line,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Step all trades of a listing until `wanted_trades` that were answered have ended, and none is under way.

    What is owed is withdrawn before. A session that nobody answers counts for nothing: it costs a stranger gas alone.
    When as many have ended as were wanted, no further session is answered, and those that were go on to their ends: a
    seller that left one would lose its bond's part, or the price.
    """
    desk = Desk(seller.market, say, clock)
    desk.listings[listing_id] = seller
    while len(desk.ended) < wanted_trades or desk.under_way:
        if not desk.step(answer=len(desk.ended) < wanted_trades):
            sleep(desk.pause_seconds)


def _urgency(position: Position) -> tuple[int, int]:
    """Return a key to sort by, the most urgent first: keys that are due, then those that may be, then by deadline."""
    keys = {State.ACCEPTED: 0, State.PROVEN: 1}
    return keys.get(position.state, 2), position.deadline_seconds
