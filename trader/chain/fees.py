"""Fees of a transaction (EIP-1559), and how far they are raised while it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

from trader.amounts import format_amount
from trader.errors import ChainUnavailableError

if TYPE_CHECKING:
    from web3.types import TxParams, Wei

RAISE_PERCENT: Final = 113
"""Of both fees, at least, what a version offers that takes another's place.

No EIP has the rule, nodes have it: 110 % of both fees in go-ethereum (`--txpool.pricebump`), Besu, Erigon, Nethermind
and reth, 112.5 % in OpenEthereum and its descendants (`miner/src/pool/scoring.rs`). It is also what the base fee can
rise by from one block to the next (EIP-1559, an eighth).
"""
MOST_FEE_FACTOR: Final = 8
"""How far fees are raised over the first, unless the market asks for more by itself."""
HIGHEST_FEE_WEI: Final = 1000 * 10**9
"""Ceiling of what is offered for a unit of gas, unless the settings have another: a node says what the market asks."""


class TooDearError(ChainUnavailableError):
    """Gas costs more than the settings allow; it may fall again."""


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

    @classmethod
    def of_market(cls, base_fee_wei: int, tip_wei: int, highest_wei: int) -> Self:
        """Return what a transaction offers so that it is mined soon, if the base fee doubles as well.

        Args:
            base_fee_wei: Of the newest block.
            tip_wei: What the node advises.
            highest_wei: The ceiling.

        Raises:
            TooDearError: The base fee is above the ceiling: it would wait.
        """
        if base_fee_wei >= highest_wei:
            raise TooDearError(
                f"a unit of gas costs {format_amount(base_fee_wei)} at least, and your ceiling is "
                f"{format_amount(highest_wei)}: nothing is sent. Wait, or set `max_gas_price` higher."
            )
        return cls(min(2 * base_fee_wei + tip_wei, highest_wei), min(tip_wei, highest_wei - base_fee_wei))

    def as_fields(self) -> TxParams:
        """Return them as fields of a transaction."""
        return {"maxFeePerGas": cast("Wei", self.most), "maxPriorityFeePerGas": cast("Wei", self.tip)}

    def raised(self, market: Fees) -> Fees:
        """Return enough to replace a transaction with these fees, and no less than what the market asks for now."""
        return Fees(
            most=max(-(-self.most * RAISE_PERCENT // 100), market.most),
            tip=max(-(-self.tip * RAISE_PERCENT // 100), market.tip),
        )


@dataclass(frozen=True, slots=True)
class Bid:
    """What the versions of one transaction have offered.

    Attributes:
        first: The first one.
        newest: The newest one.
    """

    first: Fees
    newest: Fees

    def raised(self, market: Fees, highest_wei: int) -> Fees | None:
        """Return fees that replace the newest version; None where they would be too much."""
        fees = self.newest.raised(market)
        most = min(max(MOST_FEE_FACTOR * self.first.most, market.most), highest_wei)
        return fees if fees.most <= most else None
