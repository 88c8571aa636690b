"""The transition table: both roles driven in memory, every illegal event refused, parity with the contract."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from contracts import MarketEvent, Windows
from tests.simulators.trade_machine import TradeMachine
from trader.errors import IllegalMoveError
from trader.trade import (
    FINAL_STATES,
    TIMEOUTS,
    TRANSITIONS,
    WINDOWS,
    Accepted,
    Answered,
    Confirmed,
    Event,
    Expired,
    Position,
    Proven,
    Purchased,
    Refunded,
    Revealed,
    Role,
    SessionOpened,
    Settled,
    Slashed,
    State,
    last_move,
    legal_events,
    state_diagram,
)

SOURCES = Path(__file__).parents[4] / "contracts" / "src"
OURS = Windows(10, 20, 30, 40, 50, 60)
EVENTS = {
    SessionOpened: lambda at: SessionOpened(at, 1, 8, bytes(32), 10),
    Answered: lambda at: Answered(at, bytes(32)),
    Purchased: lambda at: Purchased(at, bytes(32), bytes(32), 100, 1),
    Proven: lambda at: Proven(at, bytes(32), bytes(32), 20, 1),
    Accepted: Accepted,
    Revealed: lambda at: Revealed(at, bytes(32)),
    Confirmed: Confirmed,
    Refunded: lambda at: Refunded(at, 40),
    Slashed: Slashed,
    Settled: Settled,
    Expired: Expired,
}
MOVES = [
    (Role.BUYER, SessionOpened),
    (Role.SELLER, Answered),
    (Role.BUYER, Purchased),
    (Role.SELLER, Proven),
    (Role.BUYER, Accepted),
    (Role.SELLER, Revealed),
]


class TradePair:
    """Both sides of one trade in memory: what one sends, the other receives, and they always agree."""

    def __init__(self) -> None:
        self.sides = {role: TradeMachine(role, OURS) for role in Role}

    @property
    def position(self) -> Position:
        seller, buyer = (self.sides[role].position for role in Role)
        assert seller == buyer
        return seller

    def perform(self, role: Role, event: Event) -> Position:
        sender = self.sides[role]
        (receiver,) = (side for side in self.sides.values() if side is not sender)
        sender.send(event)
        receiver.receive(event)
        return self.position


def advanced_to(state: State) -> TradePair:
    """A pair that has moved, one second per move, until `state`."""
    pair = TradePair()
    for at, (role, event) in enumerate(MOVES):
        if pair.position.state is state:
            break
        pair.perform(role, EVENTS[event](1000 + at))
    assert pair.position.state is state
    return pair


def test_honest_trade_settles_and_both_sides_agree_all_along():
    pair = advanced_to(State.REVEALED)
    assert pair.perform(Role.BUYER, Confirmed(1010)).state is State.SETTLED
    assert pair.position.final
    assert pair.position.deadline_seconds == 0


def test_each_waiting_state_lasts_as_long_as_its_window():
    for state, window in WINDOWS.items():
        position = advanced_to(state).position
        entered = 1000 + list(WINDOWS).index(state)
        assert position.deadline_seconds == entered + getattr(OURS, window)


def test_windows_name_every_field_of_the_listing_once():
    assert sorted(WINDOWS.values()) == sorted(field.name for field in fields(Windows))


@pytest.mark.parametrize("state", [*WINDOWS, State.NONE])
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("event", list(EVENTS))
def test_illegal_events_raise_and_change_nothing(state: State, role: Role, event: type[Event]):
    for late in (False, True):
        pair = advanced_to(state)
        before = pair.position
        at = before.deadline_seconds + 1 if late else 1009
        legal = event in TRANSITIONS[role][state] and (event in TIMEOUTS) == (late and state in WINDOWS)
        if legal:
            pair.perform(role, EVENTS[event](at))
            assert pair.position.state is TRANSITIONS[role][state][event]
        else:
            with pytest.raises(IllegalMoveError):
                pair.sides[role].send(EVENTS[event](at))
            assert pair.position == before


@pytest.mark.parametrize("state", list(WINDOWS))
def test_at_every_second_either_moves_or_timeouts_are_legal(state: State):
    position = advanced_to(state).position
    for seconds, late in ((-1, False), (0, True), (1, True)):
        events = {event for role in Role for event in legal_events(role, position, position.deadline_seconds + seconds)}
        assert events, "somebody can always end the trade"
        assert {event in TIMEOUTS for event in events} == {late}


def test_before_a_deadline_only_one_side_is_on_move():
    """But for a proven trade: the buyer accepts, by a transaction or by a signature that the seller shows."""
    for state in WINDOWS:
        on_move = [role for role in Role if legal_events(role, advanced_to(state).position, 1009)]
        assert len(on_move) == (2 if state is State.PROVEN else 1)


def test_a_key_is_revealed_with_either_kind_of_acceptance():
    for state in (State.PROVEN, State.ACCEPTED):
        assert advanced_to(state).perform(Role.SELLER, EVENTS[Revealed](1009)).state is State.REVEALED


def test_each_state_was_reached_by_the_move_of_one_side():
    for at, (role, event) in enumerate(MOVES):
        reached = [*WINDOWS][at]
        assert last_move(role, reached) is event
        (other,) = set(Role) - {role}
        assert last_move(other, reached) is None
    assert {last_move(role, State.EXPIRED) for role in Role} == {None}


def test_final_states_allow_nothing():
    for state in FINAL_STATES:
        assert not any(TRANSITIONS[role][state] for role in Role)


def test_the_other_sides_moves_are_not_ours():
    machine = TradeMachine(Role.SELLER, OURS)
    with pytest.raises(IllegalMoveError, match="the seller can't cause SessionOpened while the trade is NONE"):
        machine.send(EVENTS[SessionOpened](1))
    machine.receive(EVENTS[SessionOpened](1))
    with pytest.raises(IllegalMoveError, match="the buyer can't cause Answered"):
        machine.receive(EVENTS[Answered](2))


def test_the_message_of_a_late_move_names_both_times():
    pair = advanced_to(State.TESTING)
    deadline = pair.position.deadline_seconds
    with pytest.raises(IllegalMoveError, match=f"Answered at {deadline} comes after the deadline of TESTING"):
        pair.perform(Role.SELLER, EVENTS[Answered](deadline))


def test_states_are_those_of_the_contract():
    source = (SOURCES / "types" / "Types.sol").read_text()
    body = re.search(r"enum State \{(.*?)\}", source, re.DOTALL)
    names = re.findall(r"^\s*(\w+),?$", re.sub(r"///.*", "", body[1]), re.MULTILINE)
    assert [name.upper() for name in names] == [state.name for state in State]
    assert [state.value for state in State] == list(range(len(names)))


def test_events_are_those_of_the_contract():
    of_listings = {"Listed", "Delisted", "Deposited", "Withdrawn"}
    assert {event.__name__ for event in EVENTS} == {event.value for event in MarketEvent} - of_listings


def test_every_state_can_be_reached_and_every_transition_is_drawn():
    targets = {target for role in Role for events in TRANSITIONS[role].values() for target in events.values()}
    assert targets == set(State) - {State.NONE}
    diagram = state_diagram()
    for role in Role:
        for state, events in TRANSITIONS[role].items():
            for event, target in events.items():
                assert f"{state.name} --> {target.name}: {event.__name__} (" in diagram


@pytest.mark.parametrize("state", State)
def test_a_trade_that_has_ended_waits_for_no_deadline(state: State) -> None:
    """The escrow keeps the last deadline: whoever shows it would say that an ended trade waits."""
    read = Position.read(state.value, 1_800_000_000)
    assert read == Position(state, 1_800_000_000 if state in WINDOWS else 0)
