"""What a seller asks for a model, and the terms that follow from it and the package's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils.hexadecimal import decode_hex

from contracts import ETH, NO_POLICY, Terms, Windows
from trader.package import statement_of

if TYPE_CHECKING:
    from trader.model import Manifest


@dataclass(frozen=True, slots=True)
class Offer:
    """What the seller asks for a model; the package's manifest says the rest.

    Attributes:
        price_wei: What the buyer pays for the model, in wei or the token's smallest unit, as all amounts.
        bond_wei: What the seller loses if it cheats.
        windows: How long each state of a trade may last.
        proof_fee_wei: What a buyer leaves if it doesn't accept a proof: about what one costs to make. After n proofs of
            the listing that were not accepted the next one risks n + 1 times as much.
        token: What all amounts are in, the test's fee as well, which stands in the manifest; ETH for the chain's own.
        policy: The contract that admits buyers and names their prices; none if every buyer pays the price.
        supersedes: The seller's listing that this one improves on; 0 if there is none.
    """

    price_wei: int
    bond_wei: int
    windows: Windows
    proof_fee_wei: int = 0
    token: str = ETH
    policy: str = NO_POLICY
    supersedes: int = 0

    def terms(self, manifest: Manifest) -> Terms:
        """Return what a listing of the manifest's model promises."""
        return Terms(
            manifest_hash=manifest.manifest_hash(),
            statement=statement_of(manifest).digest,
            weights_root=decode_hex(manifest.weights_root),
            sums_root=decode_hex(manifest.sums_root),
            price_wei=self.price_wei,
            bond_wei=self.bond_wei,
            fee_wei=int(manifest.quota.fee_wei, 16),
            audit_samples=manifest.circuit.audit_samples,
            proof_fee_wei=self.proof_fee_wei,
            buyer_quota=manifest.quota.buyer_samples,
            listing_quota=manifest.quota.listing_samples,
            tolerance=int(manifest.circuit.tolerance, 16),
            windows=self.windows,
            supersedes=self.supersedes,
            token=self.token,
            policy=self.policy,
        )
