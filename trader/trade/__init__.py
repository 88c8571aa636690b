"""The protocol as a table: states, events, and who may cause what. No IO, no clock.

Read `trader.trade.machine`; its preamble is the protocol.
"""

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
from trader.trade.machine import (
    TIMEOUTS,
    TRANSITIONS,
    WINDOWS,
    Position,
    last_move,
    legal_events,
    state_diagram,
)
from trader.trade.states import FINAL_STATES, Role, State

__all__ = [
    "FINAL_STATES",
    "TIMEOUTS",
    "TRANSITIONS",
    "WINDOWS",
    "Accepted",
    "Answered",
    "Confirmed",
    "Event",
    "Expired",
    "Position",
    "Proven",
    "Purchased",
    "Refunded",
    "Revealed",
    "Role",
    "SessionOpened",
    "Settled",
    "Slashed",
    "State",
    "last_move",
    "legal_events",
    "state_diagram",
]
