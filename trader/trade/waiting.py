"""What a side of a trade does or waits for, in words, and what happens if that doesn't come."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trader.trade.states import Role, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trader.trade.machine import Position

ON_MOVE: Final[Mapping[State, tuple[Role, str]]] = MappingProxyType(
    {
        State.TESTING: (Role.SELLER, "answer the encrypted test"),
        State.ANSWERED: (Role.BUYER, "decide and pay"),
        State.PURCHASED: (Role.SELLER, "prove the audit samples"),
        State.PROVEN: (Role.BUYER, "check the proof and accept the encrypted model"),
        State.ACCEPTED: (Role.SELLER, "reveal the key"),
        State.REVEALED: (Role.BUYER, "check the model and confirm it"),
    }
)
"""Whose move it is in each waiting state, and what that is."""

OTHERWISE: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.TESTING: "the fee goes back to the buyer",
        State.ANSWERED: "the trade ends; the seller keeps the fee",
        State.PURCHASED: "the price goes back to the buyer",
        State.PROVEN: "the price, but for the proof fee, goes back to the buyer, and the bond to the seller",
        State.ACCEPTED: "the price goes back to the buyer, with the proof fee out of the seller's bond",
        State.REVEALED: "price and bond go to the seller",
    }
)
"""What happens where the deadline passes without that move."""


def waits_for(role: Role, position: Position) -> str:
    """Return what a side does or waits for: "to answer the encrypted test", "for the seller to reveal the key"."""
    if position.state not in ON_MOVE:
        return "nothing: it has ended" if position.final else "nothing"
    mover, move = ON_MOVE[position.state]
    return f"to {move}" if mover is role else f"for the {mover.value} to {move}"
