"""What each side has gained or lost when a trade ends, gas left out: the game that the escrow makes of it.

Amounts are those of the listing: the fee of the session, the price, the bond, and the fee of the proof; and the refund
that both sides may agree on, a part of the price. What
is locked comes back; the table says what doesn't, and to whom it goes. A test plays every path against the contract.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

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
from trader.trade.machine import TRANSITIONS
from trader.trade.states import Role, State

FEE, PRICE, BOND, PROOF_FEE, REFUND = "fee", "price", "bond", "proof fee", "refund"
Ending: TypeAlias = tuple[State, type[Event]]


@dataclass(frozen=True, slots=True)
class Payoff:
    """How a path ends.

    Attributes:
        to_seller: What goes from the buyer to the seller, in amounts of the listing; negative what goes the other way.
        goods: Whether the buyer has the model that it tested.
        reason: What led here, for readers.
    """

    to_seller: Mapping[str, int]
    goods: bool
    reason: str

    def gain_wei(self, role: Role, amounts_wei: Mapping[str, int]) -> int:
        """Return what a side gains, in wei, given the listing's amounts."""
        gain = sum(count * amounts_wei[name] for name, count in self.to_seller.items())
        return gain if role is Role.SELLER else -gain


PAYOFFS: Mapping[Ending, Payoff] = MappingProxyType(
    {
        (State.TESTING, Expired): Payoff({}, False, "the seller never answered, or refused the request"),
        (State.ANSWERED, Expired): Payoff({FEE: 1}, False, "the buyer did not like what it saw, or declined"),
        (State.PURCHASED, Expired): Payoff({FEE: 1}, False, "the seller did not prove"),
        (State.PROVEN, Expired): Payoff(
            {FEE: 1, PROOF_FEE: 1}, False, "the buyer did not accept the proof, or got no ciphertext"
        ),
        (State.ACCEPTED, Expired): Payoff({FEE: 1, PROOF_FEE: -1}, False, "the seller did not reveal the key"),
        (State.REVEALED, Confirmed): Payoff({FEE: 1, PRICE: 1}, True, "everybody did what was agreed on"),
        (State.REVEALED, Refunded): Payoff({FEE: 1, PRICE: 1, REFUND: -1}, True, "both sides agreed on less"),
        (State.REVEALED, Settled): Payoff({FEE: 1, PRICE: 1}, True, "the buyer said nothing"),
        (State.REVEALED, Slashed): Payoff({FEE: 1, BOND: -1}, False, "the seller delivered something else"),
    }
)
"""By the state in which a trade was when it ended, and what ended it."""


def worst_wei(role: Role, amounts_wei: Mapping[str, int]) -> int:
    """Return the least that a side may end with, in wei, over all paths that leave the buyer without the model."""
    return min(payoff.gain_wei(role, amounts_wei) for payoff in PAYOFFS.values() if not payoff.goods)


def payoff_rows(gas: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """Yield the table as text: path, why, buyer, seller, and the gas that each side has spent.

    Args:
        gas: By function of the contract; `expire` and `settle` may be anybody's, and are counted for neither.
    """
    for (state, event), payoff in PAYOFFS.items():
        spent = dict.fromkeys(Role, 0)
        for role, name in _moves_before(state):
            spent[role] += gas[name]
        if event is not Settled and event is not Expired:
            spent[Role.BUYER] += gas[_ENDINGS[event]]
        yield (
            f"{state.name} → {event.__name__}",
            payoff.reason,
            _text(payoff, -1),
            _text(payoff, 1),
            f"{spent[Role.BUYER]:,}",
            f"{spent[Role.SELLER]:,}",
        )


_ENDINGS: Mapping[type[Event], str] = MappingProxyType(
    {Confirmed: "confirm", Refunded: "refund", Slashed: "disputeWeightsChunk"}
)
"""The contract's function that causes each of the buyer's endings; of the disputes the one that is most likely."""

_FUNCTIONS: Mapping[type[Event], str] = MappingProxyType(
    {
        SessionOpened: "openSession",
        Answered: "respond",
        Purchased: "purchase",
        Proven: "prove",
        Accepted: "accept",
        Revealed: "reveal",
    }
)
"""The contract's function that causes each of the moves to `REVEALED`."""


def _moves_before(state: State) -> Iterator[tuple[Role, str]]:
    """Yield who sent what until the trade was in a state; the buyer accepts by signature unless the state says else."""
    found = {
        event: role
        for role, states in TRANSITIONS.items()
        for events in states.values()
        for event, target in events.items()
        if target <= state and event in _FUNCTIONS and (event is not Accepted or state is State.ACCEPTED)
    }
    yield from ((role, _FUNCTIONS[event]) for event, role in found.items())


def _text(payoff: Payoff, sign: int) -> str:
    parts = [f"{'+' if sign * count > 0 else '-'} {name}" for name, count in payoff.to_seller.items()]
    if payoff.goods and sign < 0:
        parts.append("+ the model")
    return " ".join(parts) or "0"
