"""The transition table of a trade, and what each side may do by it. Pure: no IO, no clock of its own.

A trade starts when the buyer opens a session, and ends in one of three final states. In between, at any moment, one
side is on move and the other waits (but for PROVEN: what the buyer signs off the chain is the seller's to show):

    NONE       buyer opens a session, paying the fee     TESTING    seller answers and earns the fee
    ANSWERED   buyer tests, decides, locks the price     PURCHASED  seller proves, locks its bond, offers the ciphertext
    PROVEN     buyer downloads and signs, and the seller reveals the key; or buyer accepts by a transaction
    ACCEPTED   seller reveals the key
    REVEALED   buyer checks; confirms, takes an agreed refund, or wins a dispute

Whoever is on move has until the state's deadline: a move is legal iff `at_seconds < deadline_seconds`. From the
deadline on nobody can move any more; instead anybody may end the trade: `Expired` before the key is known, `Settled`
after. So at every second exactly one of the two is legal, and refund and reveal never race.

`TRANSITIONS` is the source: the drivers ask it for their next move (`legal_events`, `last_move`), the diagram
(`state_diagram`) and the tests derive from it, and the escrow's Solidity states and events are compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, TypeAlias

from trader.trade.events import (
    Accepted,
    Answered,
    Confirmed,
    Event,
    Expired,
    Proven,
    Purchased,
    Refunded,
    Revealed,
    SessionOpened,
    Settled,
    Slashed,
)
from trader.trade.states import FINAL_STATES, Role, State

Table: TypeAlias = Mapping[Role, Mapping[State, Mapping[type[Event], State]]]

TRANSITIONS: Table = MappingProxyType(
    {
        Role.SELLER: {
            State.NONE: {},
            State.TESTING: {Answered: State.ANSWERED, Expired: State.EXPIRED},
            State.ANSWERED: {Expired: State.EXPIRED},
            State.PURCHASED: {Proven: State.PROVEN, Expired: State.EXPIRED},
            State.PROVEN: {Revealed: State.REVEALED, Expired: State.EXPIRED},
            State.ACCEPTED: {Revealed: State.REVEALED, Expired: State.EXPIRED},
            State.REVEALED: {Settled: State.SETTLED},
            State.SETTLED: {},
            State.EXPIRED: {},
            State.SLASHED: {},
        },
        Role.BUYER: {
            State.NONE: {SessionOpened: State.TESTING},
            State.TESTING: {Expired: State.EXPIRED},
            State.ANSWERED: {Purchased: State.PURCHASED, Expired: State.EXPIRED},
            State.PURCHASED: {Expired: State.EXPIRED},
            State.PROVEN: {Accepted: State.ACCEPTED, Expired: State.EXPIRED},
            State.ACCEPTED: {Expired: State.EXPIRED},
            State.REVEALED: {
                Confirmed: State.SETTLED,
                Refunded: State.SETTLED,
                Slashed: State.SLASHED,
                Settled: State.SETTLED,
            },
            State.SETTLED: {},
            State.EXPIRED: {},
            State.SLASHED: {},
        },
    }
)

TIMEOUTS: frozenset[type[Event]] = frozenset({Expired, Settled})
"""Events that are legal from the deadline on; all others are legal before it."""

WINDOWS: Mapping[State, str] = MappingProxyType(
    {
        State.TESTING: "answer_seconds",
        State.ANSWERED: "decision_seconds",
        State.PURCHASED: "proof_seconds",
        State.PROVEN: "acceptance_seconds",
        State.ACCEPTED: "reveal_seconds",
        State.REVEALED: "dispute_seconds",
    }
)
"""Which of the listing's windows says how long a waiting state may last."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a trade stands.

    Attributes:
        state: The state.
        deadline_seconds: Unix time at which a waiting state ends; 0 in the others.
    """

    state: State = State.NONE
    deadline_seconds: int = 0

    @classmethod
    def read(cls, state: int, deadline_seconds: int) -> Self:
        """Return the position that the escrow has; it keeps the last deadline of a trade that has ended."""
        return cls(State(state), deadline_seconds if state in WINDOWS else 0)

    @property
    def final(self) -> bool:
        """Whether the trade has ended."""
        return self.state in FINAL_STATES

    def overdue(self, now_seconds: int) -> bool:
        """Return whether the deadline has passed: only a timeout is legal."""
        return self.state in WINDOWS and now_seconds >= self.deadline_seconds


def legal_events(role: Role, position: Position, now_seconds: int) -> frozenset[type[Event]]:
    """Return what `role` may cause now: moves before the deadline, timeouts from it on."""
    overdue = position.overdue(now_seconds)
    events = TRANSITIONS[role][position.state]
    return frozenset(event for event in events if (event in TIMEOUTS) is overdue)


def last_move(role: Role, state: State) -> type[Event] | None:
    """Return the move of `role` that leads to `state`; None where the other side's move does, or a timeout."""
    events = (event for after in TRANSITIONS[role].values() for event, target in after.items() if target is state)
    return next((event for event in events if event not in TIMEOUTS), None)


def state_diagram() -> str:
    """Return the table as a mermaid state diagram; timeouts are marked as anyone's."""
    lines = ["stateDiagram-v2", "    [*] --> NONE"]
    for state in State:
        arrows: dict[tuple[State, str], list[str]] = {}
        for role in Role:
            for event, target in TRANSITIONS[role][state].items():
                arrows.setdefault((target, event.__name__), []).append(role.value)
        for (target, name), roles in arrows.items():
            who = roles[0] if len(roles) == 1 else "anyone, after the deadline"
            lines.append(f"    {state.name} --> {target.name}: {name} ({who})")
    lines += [f"    {state.name} --> [*]" for state in State if state in FINAL_STATES]
    return "\n".join(lines)
