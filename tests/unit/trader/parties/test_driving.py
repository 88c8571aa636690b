"""What no accident ends: the loops around the drivers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ledger import LedgerUnavailableError, WrongMarketError
from trader.errors import ChainUnavailableError, EnvironmentFaultError, PeerFaultError, TransactionRefusedError
from trader.parties.desk import serve
from trader.parties.driving import buy
from trader.parties.patience import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Patience
from trader.trade import Position, State

if TYPE_CHECKING:
    from collections.abc import Iterable

DEADLINE = 1_800_000_000
AWAY = ChainUnavailableError("the node at http://x failed. Check that it runs: nothing is lost.")
FULL = EnvironmentFaultError("/x can't be written: No space left on device. Make room.")


class Scripted:
    """A party whose steps do what a script says: an error is raised, anything else returned."""

    def __init__(self, **scripts: Iterable[Any]) -> None:
        self._owed = iter(scripts.pop("owed", ()))
        self._scripts = {name: iter(script) for name, script in scripts.items()}
        self.now = 0
        chain = SimpleNamespace(confirmations=1, time=lambda: SimpleNamespace(confirmed=self.now))
        self.market = SimpleNamespace(
            chain=chain,
            seen={},
            moving=set(),
            find_trades=lambda _listing: self._next("find_trades"),
            trade=self._read,
            was_answered=lambda _trade: True,
        )
        self.on_chain: dict[int, Position] = {}
        self.asked: list[int] = []

    def _read(self, trade_id: int) -> None:
        standing = self.on_chain.get(trade_id, self.market.seen.get(trade_id))
        self.market.seen[trade_id] = standing or Position(State.TESTING, DEADLINE + trade_id)

    def _next(self, name: str) -> Any:
        found = next(self._scripts[name])
        if isinstance(found, Exception):
            raise found
        return found

    def step(self, what: Any) -> bool:
        name = f"trade_{what}" if isinstance(what, int) else "steps"
        trade_id = what if isinstance(what, int) else 1
        self.asked.append(trade_id)
        self.market.seen.setdefault(trade_id, Position(State.TESTING, DEADLINE + trade_id))
        state, moved = self._next(name)
        self.market.seen[trade_id] = Position(state, 0 if state is State.SETTLED else DEADLINE + trade_id)
        return bool(moved)

    def is_over(self) -> bool:
        return bool(self._next("is_over"))

    def is_owed(self) -> bool:
        return next(self._owed, False)

    def withdraw(self) -> int:
        return int(self._next("withdraw"))


class Watched:
    """What was said, and how long each wait was."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []

    @property
    def options(self) -> dict[str, Any]:
        return {"say": self.said.append, "sleep": self.slept.append}

    @property
    def clocked(self) -> dict[str, Any]:
        return self.options | {"clock": lambda: sum(self.slept)}


@pytest.fixture
def watched() -> Watched:
    return Watched()


MOVED, IDLE, OVER = (State.TESTING, True), (State.TESTING, False), (State.SETTLED, False)


@pytest.mark.parametrize("accident", [AWAY, FULL, LedgerUnavailableError("locked"), OSError(28, "No space left")])
def test_an_accident_in_one_trade_leaves_the_others_alone(accident: Exception, watched: Watched) -> None:
    seller = Scripted(find_trades=[[1, 2]] * 99, trade_1=[accident, accident, MOVED, OVER], trade_2=[MOVED, OVER])
    serve(seller, 7, 2, **watched.clocked)
    assert seller.asked[:3] == [1, 2, 2]  # the second ends while the first one waits
    assert seller.asked.count(1) == 4
    assert len(watched.said) == 2
    assert all("\n" not in line and "Trying again in " in line for line in watched.said)
    assert "trade 1 is testing until 2027-01-15 08:00:01 UTC" in watched.said[0]


def test_a_trade_that_has_ended_is_not_looked_at_again(watched: Watched) -> None:
    seller = Scripted(find_trades=[[1, 2]] * 9, trade_1=[OVER], trade_2=[IDLE, IDLE, IDLE, OVER])
    serve(seller, 7, 2, **watched.clocked)
    assert seller.asked == [1, 2, 2, 2, 2]
    assert watched.said == []


def test_a_node_that_is_away_is_waited_for_longer_and_longer(watched: Watched) -> None:
    seller = Scripted(find_trades=[*[AWAY] * 12, [1]], trade_1=[OVER])
    serve(seller, 7, 1, **watched.clocked)
    for number, seconds in enumerate(watched.slept[:12]):
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**number)
        assert longest / 2 <= seconds <= longest
    assert len(set(watched.slept)) > 8
    assert watched.said[0].endswith("; no trade is under way.")


def test_what_one_buyer_does_wrong_is_said_once(watched: Watched) -> None:
    wrong = PeerFaultError("that is no request")
    seller = Scripted(find_trades=[[1]] * 99, trade_1=[wrong, wrong, wrong, OVER])
    serve(seller, 7, 1, **watched.clocked)
    assert len(watched.said) == 1
    assert watched.said[0].startswith("trade 1: that is no request. Trying again in ")


def test_a_trade_that_is_refused_again_and_again_does_not_slow_the_others_down(watched: Watched) -> None:
    """A buyer could see to that."""
    refused = TransactionRefusedError("the market refused: QuotaExceeded")
    seller = Scripted(find_trades=[[1, 2]] * 99, trade_1=[refused] * 50, trade_2=[IDLE] * 20 + [OVER])
    serve(seller, 7, 1, **watched.clocked)
    assert max(watched.slept) == FIRST_WAIT_SECONDS
    assert seller.asked.count(1) <= 6


def test_a_key_that_is_due_comes_before_everything_and_again_after_each_move(watched: Watched) -> None:
    """Strangers' sessions would else make a seller late, who waits for confirmations of whatever it sends for them."""
    due = (State.ACCEPTED, False)
    seller = Scripted(
        find_trades=[[1, 2, 3]] * 99,
        trade_1=[IDLE, MOVED, MOVED, OVER],
        trade_2=[IDLE, MOVED, OVER],
        trade_3=[due, due, due, due, due, due, OVER],
    )
    serve(seller, 7, 3, **watched.clocked)
    assert seller.asked[:9] == [1, 2, 3, 3, 1, 3, 1, 3, 1]


def test_a_key_that_became_due_comes_before_sessions_that_were_never_looked_at(watched: Watched) -> None:
    """As the buyer's acceptance is news too: what was seen last says that the buyer is on move."""
    seller = Scripted(find_trades=[[1, 2, 3]] * 9, trade_1=[OVER], trade_2=[OVER], trade_3=[OVER])
    seller.market.seen[3] = Position(State.PROVEN, DEADLINE + 3)
    seller.on_chain[3] = Position(State.ACCEPTED, DEADLINE + 3600)
    serve(seller, 7, 3, **watched.clocked)
    assert seller.asked == [3, 1, 2]


def test_a_session_that_was_never_answered_is_left_to_its_buyer_and_counts_for_nothing(watched: Watched) -> None:
    seller = Scripted(find_trades=[[1, 2]] * 9, trade_1=[IDLE, IDLE], trade_2=[(State.ANSWERED, True), OVER])
    seller.now = DEADLINE + 1
    serve(seller, 7, 1, **watched.clocked)
    assert seller.asked == [1, 2, 2]


def test_what_expired_before_it_was_answered_counts_for_nothing(watched: Watched) -> None:
    """Whoever ends its own session in vain would else end the service of others."""
    seller = Scripted(find_trades=[[1, 2]] * 9, trade_1=[(State.EXPIRED, False)], trade_2=[(State.PROVEN, True), OVER])
    seller.market.was_answered = lambda trade_id: trade_id == 2
    serve(seller, 7, 1, **watched.clocked)
    assert seller.asked == [1, 2, 2]


def test_trades_under_way_go_on_when_enough_have_ended_and_no_session_is_answered_then(watched: Watched) -> None:
    proven = (State.PROVEN, False)
    seller = Scripted(
        find_trades=[[1, 2], [1, 2, 3], [1, 2, 3], [1, 2, 3]], trade_1=[OVER], trade_2=[proven, proven, proven, OVER]
    )
    serve(seller, 7, 1, **watched.clocked)
    assert seller.asked == [1, 2, 2, 2, 2]


def test_the_next_deadline_comes_first(watched: Watched) -> None:
    seller = Scripted(find_trades=[[2, 1]] * 9, trade_1=[IDLE, OVER], trade_2=[IDLE, OVER])
    serve(seller, 7, 2, **watched.clocked)
    assert seller.asked == [1, 2, 1, 2]


def test_a_seller_goes_on_until_its_withdrawal_stands(watched: Watched) -> None:
    script = [(State.SETTLED, True), OVER, OVER, OVER]
    seller = Scripted(find_trades=[[1]] * 9, trade_1=script, owed=[True, True, False])
    serve(seller, 7, 1, **watched.clocked)
    assert seller.asked == [1, 1, 1, 1]


def test_a_log_of_another_market_is_not_waited_for(watched: Watched) -> None:
    seller = Scripted(find_trades=[[1]], trade_1=[WrongMarketError("another market's")])
    with pytest.raises(WrongMarketError):
        serve(seller, 7, 1, **watched.clocked)


def test_a_buyer_goes_on_after_accidents_and_withdraws(watched: Watched) -> None:
    refused = TransactionRefusedError("the market refused: UnexpectedState")
    buyer = Scripted(
        is_over=[False, AWAY, False, False, False, True, True],
        steps=[MOVED, refused, FULL, MOVED],
        withdraw=[AWAY, 5],
    )
    buy(buyer, [], **watched.options)
    assert len(watched.said) == 4


def test_a_buyer_whose_session_is_refused_is_told(watched: Watched) -> None:
    buyer = Scripted(is_over=[False], steps=[])
    buyer.step = lambda _samples: (_ for _ in ()).throw(TransactionRefusedError("QuotaExceeded"))
    with pytest.raises(TransactionRefusedError, match="Quota"):
        buy(buyer, [], **watched.options)


def test_success_forgets_the_failures() -> None:
    patience = Patience(Scripted().market, lambda: 0.0)
    for _ in range(5):
        patience.fail(AWAY, lambda _: None)
    assert patience.seconds > FIRST_WAIT_SECONDS
    patience.succeed()
    patience.fail(AWAY, lambda _: None)
    assert patience.seconds <= FIRST_WAIT_SECONDS
