"""What a buyer asks of a listing and of its answers: check (8), and the limits that other checks apply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contracts import ETH, NO_POLICY, Periphery, periphery_address
from trader.currencies import Currencies, Currency
from trader.errors import PolicyError
from trader.he import SecurityPolicy
from trader.tolerance import commit_scale_bits, needed_tolerance
from trader.verify.errors import ChangedAnswersError, ProvenOutputsError, UncertainTestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts import Layout, Terms
    from trader.he import HePlan
    from trader.model.manifest import Fidelity
    from trader.verify.answers import Assessment, Comparison


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """How much of a token a buyer pays.

    Attributes:
        token: Its address.
        maximum_price: Most for the model, in its smallest unit.
        maximum_fee: Most for a test session; None for any fee.
    """

    token: str
    maximum_price: int
    maximum_fee: int | None = None


@dataclass(frozen=True, slots=True)
class BuyerPolicy:
    """A buyer's own minimum. The defaults suit a trade of some value on a public chain.

    Attributes:
        maximum_price_wei: Most ether that it pays for the model, in wei; None for any price.
        maximum_fee_wei: Most ether that it pays for a test session, in wei; None for any fee.
        ether: Whether it pays in ether at all.
        tokens: The tokens that it accepts, and how much of each it pays: nobody else vouches for what one is worth.
        policies: The contracts that it lets decide on buyers and prices, beside the published one.
        currencies: What the tokens are called, for messages.
        minimum_bond_percent: Least bond in percent of the price: what a cheating seller loses.
        maximum_proof_fee_percent: Most that it leaves to the seller, in percent of the price, if it doesn't accept a
            proof. The seller may earn that by withholding the ciphertext: it should be no more than proofs cost.
        minimum_audit_samples: Least k.
        minimum_degree_per_output: Least N/(k·O): ring degree per committed output. All are decryptions under one key,
            rounded and dithered, and stay far fewer than the key's coefficients.
        minimum_window_seconds: Least time for the buyer to decide.
        minimum_acceptance_seconds: Least time for it to check proof and delivery, and accept.
        minimum_dispute_seconds: Least time for it to check the model and dispute; who comes later has lost the price.
        block_seconds: Time between two blocks: what happens on the chain is seen some confirmations later.
        checking_seconds: Time that it takes at most to fetch and to check the model.
        margin_seconds: Time that it leaves its transaction to be mined, whatever the fees.
        maximum_window_seconds: Most time that each of the seller's moves may take while the buyer's money is locked.
        maximum_changeable_share: Largest share of test samples whose class could be another one within the tolerance.
        maximum_score_error: Largest tolerance against the spread of the scores that classes are taken from.
        maximum_value_error: Largest tolerance against the spread of an output that is used as a value (regression).
        maximum_changed_answers: Most audit samples whose proven class may differ from the class seen.
        maximum_stated_error: Largest error of a model, against the one that its seller trained, that the seller may
            state: of 99 % of its rows, relative to the outputs' range.
        minimum_stated_classes: Least share of classes that are the same, as above.
        minimum_sold: Least number of models that the seller has sold: trades that were settled.
        maximum_lost_disputes: Most disputes that it has lost; None for any number. Who starts anew under another
            account has lost none: ask for sales too.
        minimum_proven_accuracy: Least accuracy on public data that is proven of the model, from 0 to 1, before its test
            is paid for; None for no such proof.
        reveal_patience_percent: How much of the time to accept the seller has to show a signed acceptance, before the
            buyer accepts by a transaction; 0 for no signature at all, which an account that is a contract needs.
        encryption: What is asked of the encryption plan.
        rounded_circuits: Accept proofs of rounded computations: at each rounding the prover chooses floor or ceiling,
            and large weights behind it amplify the choice (see docs/decisions/0013).
        development: Accept a locally made structured reference string, whose maker can forge proofs.
    """

    maximum_price_wei: int | None = None
    maximum_fee_wei: int | None = None
    ether: bool = True
    tokens: tuple[TokenLimits, ...] = ()
    policies: frozenset[str] = frozenset()
    currencies: Currencies = field(default_factory=Currencies)
    minimum_bond_percent: int = 10
    maximum_proof_fee_percent: int = 10
    minimum_audit_samples: int = 4
    minimum_degree_per_output: int = 16
    minimum_window_seconds: int = 600
    minimum_acceptance_seconds: int = 3600
    minimum_dispute_seconds: int = 24 * 3600
    block_seconds: int = 12
    checking_seconds: int = 600
    margin_seconds: int = 600
    maximum_window_seconds: int = 7 * 24 * 3600
    maximum_changeable_share: float = 0.01
    maximum_score_error: float = 0.25
    maximum_value_error: float = 0.01
    maximum_changed_answers: int = 0
    maximum_stated_error: float = 0.01
    minimum_stated_classes: float = 0.995
    minimum_sold: int = 0
    maximum_lost_disputes: int | None = None
    minimum_proven_accuracy: float | None = None
    reveal_patience_percent: int = 50
    encryption: SecurityPolicy = field(default_factory=SecurityPolicy)
    rounded_circuits: bool = False
    development: bool = False

    def check_currency(self, terms: Terms) -> None:
        """Check what a listing is paid in, and who decides on its buyers and prices; silent on success.

        Raises:
            PolicyError: A token or a contract that the policy does not name.
        """
        self._limits(terms.token)
        own = periphery_address(Periphery.LISTING_POLICY)
        if terms.policy not in (NO_POLICY, own) and terms.policy.lower() not in map(str.lower, self.policies):
            raise PolicyError(
                f"a contract of the seller's, {terms.policy}, decides on the listing's buyers and prices: it could "
                "take your fee for a test and then refuse the purchase. Choose another listing, or name it in "
                "`policy_contracts` if you know its code."
            )

    def check_price(self, price_wei: int, token: str = ETH) -> None:
        """Check what the model costs; silent on success.

        Raises:
            PolicyError: It is more than the policy allows, or in a token that it does not name.
        """
        self._require("price", price_wei, at_most=self._limits(token)[0], currency=self.currencies.of(token))

    def _limits(self, token: str) -> tuple[int | None, int | None]:
        """Return the most that it pays in a currency for a model, and for a test.

        Raises:
            PolicyError: It pays nothing in it.
        """
        if token == ETH and self.ether:
            return self.maximum_price_wei, self.maximum_fee_wei
        for limits in self.tokens:
            if limits.token.lower() == token.lower():
                return limits.maximum_price, limits.maximum_fee
        what = "ether" if token == ETH else f"the token {token}"
        raise PolicyError(
            f"the listing asks for {what}, and your policy names no price in it: nobody vouches for what a token is "
            "worth. Choose another listing, or name what you accept: the token in `[tokens]`, and a `max_price` in it."
        )

    def check_terms(self, terms: Terms, confirmations: int = 1, price_wei: int | None = None) -> None:
        """Check (8), as far as it concerns money and time; silent on success.

        Args:
            terms: As on the chain.
            confirmations: Blocks that the buyer waits for before anything counts.
            price_wei: What the buyer would pay, if that is not the listing's price.

        Raises:
            PolicyError: Names the first term that falls short, with what is offered and what is asked for.
        """
        self.check_currency(terms)
        price_wei = terms.price_wei if price_wei is None else price_wei
        currency = self.currencies.of(terms.token)
        windows = terms.windows
        seen_and_sent = confirmations * self.block_seconds + self.margin_seconds
        for name, seconds, least in (
            ("decide", windows.decision_seconds, max(self.minimum_window_seconds, seen_and_sent)),
            (
                "accept",
                windows.acceptance_seconds,
                max(self.minimum_acceptance_seconds, seen_and_sent + self.checking_seconds),
            ),
            (
                "dispute",
                windows.dispute_seconds,
                max(self.minimum_dispute_seconds, seen_and_sent + self.checking_seconds),
            ),
        ):
            self._require(f"seconds to {name}", seconds, at_least=least)
        for name, seconds in (
            ("answer", windows.answer_seconds),
            ("prove", windows.proof_seconds),
            ("reveal", windows.reveal_seconds),
        ):
            self._require(f"seconds for the seller to {name}", seconds, at_most=self.maximum_window_seconds)
        self.check_price(price_wei, terms.token)
        self.check_fee(terms.fee_wei * terms.audit_samples, terms.token)  # no test is smaller than its audit
        # Rounded up: a bond just below the share must not pass.
        least = -(-price_wei * self.minimum_bond_percent // 100)
        self._require("bond", terms.bond_wei, at_least=least, currency=currency)
        self.check_proof_fee(min(terms.proof_fee_wei, price_wei), price_wei, terms.token)
        self._require("number of audit samples", terms.audit_samples, at_least=self.minimum_audit_samples)

    @property
    def asks_for_a_record(self) -> bool:
        """Whether `check_record` could refuse a seller."""
        return self.minimum_sold > 0 or self.maximum_lost_disputes is not None

    def check_record(self, sold: int, lost_disputes: int) -> None:
        """Hold the record of a seller against the policy; silent on success.

        Args:
            sold: Trades of its listings that were settled.
            lost_disputes: Trades that ended with a dispute that its buyer won.

        Raises:
            PolicyError: It has sold too little, or lost too often.
        """
        self._require("seller has sold models", sold, at_least=self.minimum_sold)
        self._require("seller has lost disputes", lost_disputes, at_most=self.maximum_lost_disputes)

    def check_accuracy(self, proven: Sequence[float]) -> None:
        """Hold what is proven of a model on public data against the policy; silent on success.

        Args:
            proven: Accuracies of the certificates for it that the buyer has verified. What a seller's record says of
                others is its keeper's word, and a reason to fetch the certificate.

        Raises:
            PolicyError: None is as high as the policy asks.
        """
        if self.minimum_proven_accuracy is None or max(proven, default=-1.0) >= self.minimum_proven_accuracy:
            return
        shown = f"an accuracy of {max(proven):.2%}" if proven else "no accuracy of its model"
        raise PolicyError(
            f"the listing has {shown} proven on public data, your policy asks for at least "
            f"{self.minimum_proven_accuracy:.2%}. Verify a certificate on its data set (--certificate-data, "
            "--certificate-labels), or choose another listing."
        )

    def check_audit(self, terms: Terms, layout: Layout, output_scale_bits: int, plan: HePlan) -> None:
        """Check (8), as far as it concerns what an audit compares; silent on success.

        The tolerance may be what the plan's error and the commit grid need, and no more. What a plan states of its
        error is the seller's word: `check_test` holds what was seen against it.

        Args:
            terms: As on the chain.
            layout: The circuit's, whose hash is listed.
            output_scale_bits: Scale of the instances, in which the tolerance is given.
            plan: The encryption plan.

        Raises:
            PolicyError: As `check_terms`.
        """
        commit_bits = commit_scale_bits(output_scale_bits)
        offered_bits = output_scale_bits - layout.output_shift_bits
        self._require("scale bits of committed outputs", offered_bits, at_least=commit_bits, at_most=commit_bits)
        tolerance = needed_tolerance(plan, output_scale_bits)
        self._require("tolerance in units of the instances", terms.tolerance, at_most=tolerance)
        most = self.most_committed(plan)
        self._require("number of committed outputs", terms.audit_samples * layout.outputs, at_most=most)

    def most_committed(self, plan: HePlan) -> int:
        """Most outputs k·O that it commits to under a plan."""
        return min(part.ring_degree for part in plan.layouts) // max(1, self.minimum_degree_per_output)

    def check_test(self, assessment: Assessment) -> None:
        """Check (2) and (3) of `trader.verify.answers`; silent on success.

        Raises:
            UncertainTestError: The tolerance leaves room for a model with other classes or values.
        """
        share = assessment.changeable_share
        if share > self.maximum_changeable_share:
            raise UncertainTestError(
                f"{assessment.changeable} of {assessment.samples} test samples ({share:.1%}) could have another class "
                f"in a model that the audit takes for this one, your policy asks for at most "
                f"{self.maximum_changeable_share:.1%}. {_ask_for(assessment)}"
            )
        for name, error, limit in (
            ("scores", assessment.score_error, self.maximum_score_error),
            ("values", assessment.value_error, self.maximum_value_error),
        ):
            if error is not None and error > limit:
                raise UncertainTestError(
                    f"a model whose {name} differ by {error:.1%} of their spread would pass the audit as this one, "
                    f"your policy asks for at most {limit:.1%}. {_ask_for(assessment)}"
                )

    def check_proven(self, comparison: Comparison) -> None:
        """Check (4) and (5) of `trader.verify.answers`; silent on success.

        Raises:
            ProvenOutputsError: A proven output is further from the one seen than the tolerance.
            ChangedAnswersError: More proven classes than allowed differ from those seen.
        """
        if comparison.outside:
            raise ProvenOutputsError(
                f"{comparison.outside} of the proven outputs are further from those seen than the tolerance: the test "
                "was not answered with the listed model. Don't accept; the price, but for the proof fee, comes back "
                "after the deadline."
            )
        if comparison.changed <= self.maximum_changed_answers:
            return
        right = ""
        if comparison.right_seen is not None:
            right = f" ({comparison.right_seen} were right as seen, {comparison.right_proven} are right as proven)"
        raise ChangedAnswersError(
            f"the proven model gives {comparison.changed} of {comparison.samples} audit samples another class than the "
            f"encrypted test did{right}: it is not the model that was tested. Don't accept; the "
            "price, but for the proof fee, comes back after the deadline. Ask the seller for a listing whose proof "
            "gives what its test shows."
        )

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

    def check_fidelity(self, fidelity: Fidelity | None) -> None:
        """Check what the seller states of its model against the one that it trained; silent if it states nothing.

        Raises:
            PolicyError: By the seller's own word the model gives other answers.
        """
        if fidelity is None:
            return
        for name, agreement in (("delivered", fidelity.delivered), ("tested", fidelity.tested)):
            if agreement.is_within(self.maximum_stated_error, self.minimum_stated_classes):
                continue
            kept = 1.0 if agreement.classes_kept is None else agreement.classes_kept
            raise PolicyError(
                f"the {name} model is not quite the one that the seller trained: by its manifest it is off by "
                f"{agreement.relative_error_99:.1%} of its outputs' range and keeps {kept:.1%} of its classes, your "
                f"policy asks for {self.maximum_stated_error:.1%} and {self.minimum_stated_classes:.1%}. Choose "
                "another listing."
            )

    def check_fee(self, fee_wei: int, token: str = ETH) -> None:
        """Check the fee of a session: it grows with each that a buyer opens on a listing.

        Raises:
            PolicyError: It is more than the policy allows.
        """
        self._require("fee", fee_wei, at_most=self._limits(token)[1], currency=self.currencies.of(token))

    def highest_proof_fee(self, price_wei: int) -> int:
        """Return the most that it leaves to the seller if it doesn't accept a proof, in the price's unit."""
        return price_wei * self.maximum_proof_fee_percent // 100

    def accepts_at(self, deadline_seconds: int, acceptance_seconds: int) -> int:
        """Return the Unix time from which the buyer accepts by a transaction, if its signature was not used.

        Args:
            deadline_seconds: By when the delivery must be accepted.
            acceptance_seconds: The listing's time to accept.
        """
        patience_seconds = acceptance_seconds * self.reveal_patience_percent // 100
        return deadline_seconds - acceptance_seconds + patience_seconds

    def check_proof_fee(self, proof_fee_wei: int, price_wei: int, token: str = ETH) -> None:
        """Check what the next purchase leaves to the seller if its proof isn't accepted: it grows with each purchase.

        Raises:
            PolicyError: It is more than the policy allows.
        """
        most = self.highest_proof_fee(price_wei)
        self._require("proof fee", proof_fee_wei, at_most=most, currency=self.currencies.of(token))

    @staticmethod
    def _require(
        name: str,
        offered: int,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        currency: Currency | None = None,
    ) -> None:
        too_little = at_least is not None and offered < at_least
        too_much = at_most is not None and offered > at_most
        if too_little or too_much:
            limit, bound = ("at least", at_least) if too_little else ("at most", at_most)
            told, asked = (number if currency is None else currency.format(number) for number in (offered, bound or 0))
            raise PolicyError(
                f"the listing's {name}: {told}, your policy asks for {limit} {asked}. Choose another listing."
            )


def _ask_for(assessment: Assessment) -> str:
    return (
        "Nothing was paid for the model. Ask the seller for a listing whose tolerance is far below "
        f"{assessment.distance:.2g} (by a smaller error of its encryption plan), or whose outputs lie further apart."
    )
