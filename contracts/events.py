"""The names of the market's events, once. Parity with the compiled ABI is tested."""

from enum import StrEnum


class MarketEvent(StrEnum):
    """Everything that `ModelMarket` tells; fields are documented in `src/interfaces/IModelMarket.sol`."""

    LISTED = "Listed"
    DELISTED = "Delisted"
    SESSION_OPENED = "SessionOpened"
    ANSWERED = "Answered"
    PURCHASED = "Purchased"
    PROVEN = "Proven"
    ACCEPTED = "Accepted"
    REVEALED = "Revealed"
    CONFIRMED = "Confirmed"
    REFUNDED = "Refunded"
    SETTLED = "Settled"
    EXPIRED = "Expired"
    SLASHED = "Slashed"
    DEPOSITED = "Deposited"
    WITHDRAWN = "Withdrawn"
