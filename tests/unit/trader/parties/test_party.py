"""Whose move it is: both drivers read it from the table, and cause every event in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from web3 import Web3

from trader.errors import IllegalMoveError, NotYetError
from trader.parties.actor import Equipment
from trader.parties.buyer import Buyer
from trader.parties.conduct import Conduct
from trader.parties.party import Party
from trader.parties.seller import Seller
from trader.trade import TIMEOUTS, TRANSITIONS, WINDOWS, Position, Refunded, Role, SessionOpened, Slashed, State

if TYPE_CHECKING:
    from pathlib import Path

    from trader.trade import Event

DEADLINE = 1_800_000_000


def equipment(folder: Path, now_seconds: int = 0) -> Equipment:
    """An account whose chain tells the time, and nothing else."""
    market: Any = SimpleNamespace(
        chain=SimpleNamespace(chain_id=1, web3=Web3(), time=lambda: SimpleNamespace(confirmed=now_seconds)),
        place="1-0x" + "11" * 20,
        read_through=lambda *_: None,
    )
    return Equipment(market, Account.create(), SimpleNamespace(), SimpleNamespace(), folder, vault_key=None)  # type: ignore[arg-type]


BESIDE: set[type[Event]] = {Slashed, Refunded}
"""A dispute is what becomes of a confirmation; a refund is what people agree on."""


class Recording(Party):
    """A party that notes its moves and the messages that it sees to."""

    def __init__(self, role: Role, equipment: Equipment, conduct: Conduct) -> None:
        self.role = role
        super().__init__(equipment, conduct)
        self.made: list[type[Event]] = []
        self.sent: list[type[Event]] = []
        events = {event for after in TRANSITIONS[role].values() for event in after}
        self.moves = {event: lambda _, event=event: self.made.append(event) for event in events - BESIDE}
        self.messages = {event: lambda _, event=event: self.sent.append(event) or True for event in events - TIMEOUTS}

    def advance(self, position: Position) -> bool:
        return self._advance(SimpleNamespace(trade_id=1, position=position))  # type: ignore[arg-type]


class Idle(Conduct):
    def makes(self, event: object, trade: object, market: object) -> bool:
        return False


@pytest.mark.parametrize("state", list(WINDOWS))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("late", [False, True])
def test_a_driver_does_what_the_table_has_for_its_side(state: State, role: Role, late: bool, tmp_path: Path) -> None:
    party = Recording(role, equipment(tmp_path, DEADLINE - 1 + late), Conduct())
    legal = {event for event in TRANSITIONS[role][state] if (event in TIMEOUTS) is late} - BESIDE
    assert party.advance(Position(state, DEADLINE))
    assert set(party.made) == legal
    # Before the deadline, the side that waits has made the move that led here, and keeps its message in place.
    led_here = {event for after in TRANSITIONS[role].values() for event, target in after.items() if target is state}
    assert set(party.sent) == (set() if legal else led_here)
    assert len(party.made) + len(party.sent) == 1


def refusing(party: Recording, error: type[Exception]) -> Recording:
    """Every move is found to be none of its own any more, when it comes to it."""

    def refuse(_: int) -> None:
        raise error("too late")

    party.moves = dict.fromkeys(party.moves, refuse)
    return party


@pytest.mark.parametrize(
    ("found", "newest", "again"),
    [
        (Position(State.REVEALED, DEADLINE), DEADLINE - 1, True),
        (Position(State.PROVEN, DEADLINE), DEADLINE, False),
        (Position(State.PROVEN, DEADLINE), DEADLINE - 1, None),
    ],
)
def test_what_has_changed_since_it_was_read_is_no_error(
    found: Position, newest: int, again: bool | None, tmp_path: Path
) -> None:
    """The seller reveals while the buyer is about to accept; or the deadline passes in blocks that may be replaced."""
    given = equipment(tmp_path)
    given.market.trade = lambda _: SimpleNamespace(position=found)  # type: ignore[method-assign, assignment]
    given.market.chain.time = lambda: SimpleNamespace(confirmed=0, newest=newest)  # type: ignore[method-assign, assignment]
    buyer, read = refusing(Recording(Role.BUYER, given, Conduct()), IllegalMoveError), Position(State.PROVEN, DEADLINE)
    if again is None:
        with pytest.raises(IllegalMoveError):
            buyer.advance(read)
    else:
        assert buyer.advance(read) is again
    with pytest.raises(NotYetError):
        refusing(buyer, NotYetError).advance(read)


@pytest.mark.parametrize("state", list(WINDOWS))
@pytest.mark.parametrize("role", list(Role))
def test_a_conduct_leaves_moves_out_and_no_messages(state: State, role: Role, tmp_path: Path) -> None:
    party = Recording(role, equipment(tmp_path, DEADLINE - 1), Idle())
    on_move = bool(set(TRANSITIONS[role][state]) - TIMEOUTS)
    assert party.advance(Position(state, DEADLINE)) is not on_move
    assert party.made == []
    assert len(party.sent) == (not on_move)


def test_both_drivers_cause_every_event_that_the_table_has_for_them(tmp_path: Path) -> None:
    seller = Seller(SimpleNamespace(), equipment(tmp_path / "seller"))  # type: ignore[arg-type]
    buyer = Buyer(1, SimpleNamespace(), equipment(tmp_path / "buyer"))  # type: ignore[arg-type]
    for party in (seller, buyer):
        events = {event for after in TRANSITIONS[party.role].values() for event in after}
        # A session is opened before there is a trade.
        assert set(party.moves) == events - BESIDE - {SessionOpened}
        assert set(party.messages) <= events
