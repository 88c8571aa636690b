"""Fees of a transaction (EIP-1559), and how far they are raised while it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from web3.types import TxParams, Wei

RAISE_PERCENT = 113
"""Nodes take a replacement from 110 % on, some from 112.5 %."""
MOST_FEE_FACTOR = 8
"""How far fees are raised over the first, unless the market asks for more by itself."""


@dataclass(frozen=True)
class Fees:
    """What a transaction offers (EIP-1559), in wei per gas.

    Attributes:
        most: With the base fee.
        tip: For the block's producer.
    """

    most: int
    tip: int

    @classmethod
    def of(cls, transaction: TxParams) -> Self:
        """Return the fees that a transaction has."""
        most, tip = transaction["maxFeePerGas"], transaction["maxPriorityFeePerGas"]
        return cls(int(cast("int", most)), int(cast("int", tip)))

    def as_fields(self) -> TxParams:
        """Return them as fields of a transaction."""
        return {"maxFeePerGas": cast("Wei", self.most), "maxPriorityFeePerGas": cast("Wei", self.tip)}

    def raised(self, market: Fees) -> Fees:
        """Return enough to replace a transaction with these fees, and no less than what the market asks for now."""
        return Fees(
            most=max(-(-self.most * RAISE_PERCENT // 100), market.most),
            tip=max(-(-self.tip * RAISE_PERCENT // 100), market.tip),
        )


@dataclass(frozen=True)
class UnderWay:
    """A transaction that was sent and has not been seen to stand.

    Attributes:
        nonce: Its number in its account.
        first: Fees of its first version.
        fees: Fees of its newest version.
    """

    nonce: int
    first: Fees
    fees: Fees

    def raised(self, market: Fees) -> Fees | None:
        """Return fees that replace its newest version; None where they would be too much."""
        fees = self.fees.raised(market)
        return fees if fees.most <= max(MOST_FEE_FACTOR * self.first.most, market.most) else None
