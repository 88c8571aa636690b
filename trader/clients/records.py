"""How the trades of sellers have ended, as the chain has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts import MarketEvent
from trader.trade import State

if TYPE_CHECKING:
    from trader.clients.connection import Connection


@dataclass(frozen=True, slots=True)
class SellerRecord:
    """How the trades of a seller's listings have ended, as the chain has it.

    Attributes:
        sold: Settled: the buyer has the model.
        cheated: Slashed: a delivery was not what was listed.
        kept_key: Ended with the ciphertext accepted and no key.
        not_proven: Ended with the price paid and no proof.
        refused: Ended with a proof that the buyer did not accept, whoever was at fault.
        not_bought: Ended with a test that the buyer did not like, or had no use for.
        not_answered: Ended with a test that was never answered.
        open: Under way.
    """

    sold: int = 0
    cheated: int = 0
    kept_key: int = 0
    not_proven: int = 0
    refused: int = 0
    not_bought: int = 0
    not_answered: int = 0
    open: int = 0

    @property
    def words(self) -> str:
        """The record in a few words, the worst first."""
        named = (
            (self.cheated, "delivered something else"),
            (self.kept_key, "kept the key"),
            (self.not_proven, "not proven"),
            (self.not_answered, "not answered"),
            (self.refused, "proof not accepted"),
            (self.sold, "sold"),
        )
        return ", ".join(f"{count} {what}" for count, what in named if count) or "no trades yet"


_ENDINGS = {
    State.TESTING: "not_answered",
    State.ANSWERED: "not_bought",
    State.PURCHASED: "not_proven",
    State.PROVEN: "refused",
    State.ACCEPTED: "kept_key",
}


def read_records(connection: Connection, sellers: dict[int, str]) -> dict[str, SellerRecord]:
    """Return the records of sellers, given that of each listing."""
    market = connection.market
    counts: dict[str, Counter[str]] = {seller: Counter() for seller in sellers.values()}
    seller_of = {
        int(log.arguments["tradeId"]): sellers.get(int(log.arguments["listingId"]), "")
        for log in market.all_events(MarketEvent.SESSION_OPENED)
    }
    over: set[int] = set()
    for kind, name in ((MarketEvent.SETTLED, "sold"), (MarketEvent.SLASHED, "cheated"), (MarketEvent.EXPIRED, None)):
        for log in market.all_events(kind):
            trade_id = int(log.arguments["tradeId"])
            seller = seller_of.get(trade_id, "")
            over.add(trade_id)
            if seller in counts:
                counts[seller][name or _ENDINGS[State(log.arguments["ended"])]] += 1
    for trade_id, seller in seller_of.items():
        if trade_id not in over and seller in counts:
            counts[seller]["open"] += 1
    return {seller: SellerRecord(**count) for seller, count in counts.items()}
