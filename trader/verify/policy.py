"""What a buyer asks of a listing before it pays."""

from __future__ import annotations

from dataclasses import dataclass, field

from trader.he import SecurityPolicy


@dataclass(frozen=True, slots=True)
class BuyerPolicy:
    """A buyer's own minimum. The defaults suit a trade of some value on a public chain.

    Attributes:
        maximum_price_wei: Most that it pays for the model; None for any price.
        maximum_fee_wei: Most that it pays for its first test session; None for any fee.
        minimum_bond_share: Least bond as a share of the price: what a cheating seller loses beside the price.
        minimum_audit_samples: Least k.
        maximum_output_distance: Largest accepted distance between a committed and a proven output, in real units.
        minimum_window_seconds: Least time for the buyer's own moves (decide, accept, dispute).
        maximum_window_seconds: Most time that the seller may take for its moves while the buyer's money is locked.
        encryption: What is asked of the encryption plan.
        development: Accept a locally made structured reference string, whose maker can forge proofs.
    """

    maximum_price_wei: int | None = None
    maximum_fee_wei: int | None = None
    minimum_bond_share: float = 0.1
    minimum_audit_samples: int = 4
    maximum_output_distance: float = 0.05
    minimum_window_seconds: int = 600
    maximum_window_seconds: int = 7 * 24 * 3600
    encryption: SecurityPolicy = field(default_factory=SecurityPolicy)
    development: bool = False
