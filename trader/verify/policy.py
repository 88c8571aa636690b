"""What a buyer asks of a listing before it pays: check (8), and the policies that checks (3) and (7) apply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trader.errors import PolicyError
from trader.he import SecurityPolicy

if TYPE_CHECKING:
    from contracts import Terms


@dataclass(frozen=True, slots=True)
class BuyerPolicy:
    """A buyer's own minimum. The defaults suit a trade of some value on a public chain.

    Attributes:
        maximum_price_wei: Most that it pays for the model; None for any price.
        maximum_fee_wei: Most that it pays for a test session; None for any fee.
        minimum_bond_percent: Least bond in percent of the price: what a cheating seller loses.
        minimum_audit_samples: Least k.
        maximum_output_distance: Largest accepted distance between a committed and a proven output, in real units.
        minimum_window_seconds: Least time for the buyer's own moves (decide, accept, dispute).
        maximum_window_seconds: Most time that each of the seller's moves may take while the buyer's money is locked.
        encryption: What is asked of the encryption plan.
        rounded_circuits: Accept proofs of rounded computations: at each rounding the prover chooses floor or ceiling,
            and large weights behind it amplify the choice (see docs/decisions/0013).
        development: Accept a locally made structured reference string, whose maker can forge proofs.
    """

    maximum_price_wei: int | None = None
    maximum_fee_wei: int | None = None
    minimum_bond_percent: int = 10
    minimum_audit_samples: int = 4
    maximum_output_distance: float = 0.05
    minimum_window_seconds: int = 600
    maximum_window_seconds: int = 7 * 24 * 3600
    encryption: SecurityPolicy = field(default_factory=SecurityPolicy)
    rounded_circuits: bool = False
    development: bool = False

    def check_terms(self, terms: Terms, output_scale_bits: int) -> None:
        """Check (8); silent on success.

        Args:
            terms: As on the chain.
            output_scale_bits: Scale of the circuit's instances, in which the tolerance is given.

        Raises:
            PolicyError: Names the first term that falls short, with what is offered and what is asked for.
        """
        windows = terms.windows
        for name, seconds in (
            ("decide", windows.decision_seconds),
            ("accept", windows.acceptance_seconds),
            ("dispute", windows.dispute_seconds),
        ):
            self._require(f"seconds to {name}", seconds, at_least=self.minimum_window_seconds)
        for name, seconds in (
            ("answer", windows.answer_seconds),
            ("prove", windows.proof_seconds),
            ("reveal", windows.reveal_seconds),
        ):
            self._require(f"seconds for the seller to {name}", seconds, at_most=self.maximum_window_seconds)
        self._require("price in wei", terms.price_wei, at_most=self.maximum_price_wei)
        self.check_fee(terms.fee_wei)
        # Rounded up: a bond just below the share must not pass.
        self._require("bond in wei", terms.bond_wei, at_least=-(-terms.price_wei * self.minimum_bond_percent // 100))
        self._require("number of audit samples", terms.audit_samples, at_least=self.minimum_audit_samples)
        tolerance = int(self.maximum_output_distance * 2**output_scale_bits)
        self._require("tolerance in units of the instances", terms.tolerance, at_most=tolerance)

    def check_circuit(self, *, is_exact: bool) -> None:
        """Check what the listing's proofs are worth.

        Raises:
            PolicyError: They are about rounded computations, and the policy doesn't accept these.
        """
        if not is_exact and not self.rounded_circuits:
            raise PolicyError(
                "the listing's proofs are of a rounded computation: its seller may shift outputs, by more than the "
                "tolerance where weights are large. Choose another listing, or accept it with rounded_circuits."
            )

    def check_fee(self, fee_wei: int) -> None:
        """Check the fee of a session: it grows with each that a buyer opens on a listing.

        Raises:
            PolicyError: It is more than the policy allows.
        """
        self._require("fee in wei", fee_wei, at_most=self.maximum_fee_wei)

    @staticmethod
    def _require(name: str, offered: int, *, at_least: int | None = None, at_most: int | None = None) -> None:
        too_little = at_least is not None and offered < at_least
        too_much = at_most is not None and offered > at_most
        if too_little or too_much:
            asked = f"at least {at_least}" if too_little else f"at most {at_most}"
            raise PolicyError(f"the listing's {name}: {offered}, your policy asks for {asked}. Choose another listing.")
