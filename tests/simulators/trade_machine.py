"""A trade that is walked through by the table alone, in memory: what the escrow is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import IllegalMoveError
from trader.trade import TIMEOUTS, TRANSITIONS, WINDOWS, Position, Role, legal_events

if TYPE_CHECKING:
    from contracts import Windows
    from trader.trade import Event


def advance(role: Role, position: Position, event: Event, windows: Windows) -> Position:
    """The position after `role` causes `event`.

    Raises:
        IllegalMoveError: The role may not cause the event in this state or at this time.
    """
    next_state = TRANSITIONS[role][position.state].get(type(event))
    if next_state is None:
        raise IllegalMoveError(
            f"the {role.value} can't cause {type(event).__name__} while the trade is {position.state.name}"
        )
    if type(event) not in legal_events(role, position, event.at_seconds):
        side = "before" if type(event) in TIMEOUTS else "after"
        raise IllegalMoveError(
            f"{type(event).__name__} at {event.at_seconds} comes {side} the deadline of {position.state.name} at "
            f"{position.deadline_seconds}"
        )
    window = getattr(windows, WINDOWS[next_state]) if next_state in WINDOWS else None
    return Position(next_state, 0 if window is None else event.at_seconds + window)


class TradeMachine:
    """One trade as one side sees it.

    Attributes:
        role: Our side.
        windows: The listing's windows.
        position: Where the trade stands.
    """

    def __init__(self, role: Role, windows: Windows, position: Position | None = None) -> None:
        self.role = role
        self.windows = windows
        self.position = position or Position()

    def send(self, event: Event) -> None:
        """We cause an event.

        Raises:
            IllegalMoveError: We may not; nothing has changed.
        """
        self.position = advance(self.role, self.position, event, self.windows)

    def receive(self, event: Event) -> None:
        """The other side caused an event.

        Raises:
            IllegalMoveError: It may not; nothing has changed.
        """
        self.position = advance(other_role(self.role), self.position, event, self.windows)


def other_role(role: Role) -> Role:
    """The other side."""
    return Role.BUYER if role is Role.SELLER else Role.SELLER
