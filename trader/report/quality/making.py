"""Makes a buyer's quality report: `quality_report` of what a test gave, `report_of` of a buyer in its trade."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from trader.he import charged_samples
from trader.report.quality.checks import UNCHECKED, answer_checks, delivery_checks, listing_checks
from trader.report.quality.classification import Classification, Interval
from trader.report.quality.figures import (
    Audit,
    Certainty,
    Check,
    Money,
    Outcome,
    PredictedShare,
    QualityReport,
    StatedAgreement,
    Subject,
    Transaction,
    Verdict,
)
from trader.report.quality.markup import shorten
from trader.report.quality.measuring import Measured, measure_test
from trader.trade import Answered, Proven, Purchased, SessionOpened, State
from trader.verify.detection import detection_probability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trader.chain.market import Trade
    from trader.currencies import Currency
    from trader.parties.buyer import Buyer
    from trader.parties.testing import TestResult
    from trader.report.quality.regression import Regression
    from trader.verify import Assessment, BuyerPolicy, Comparison, VerifiedListing

_WRONG_SHARES = tuple(number / 200 for number in range(101))
"""For which the audit's probability of detection is told: 0 to 50 %."""
_HOLDS_PRICE = frozenset({State.PURCHASED, State.PROVEN, State.ACCEPTED, State.REVEALED})


def report_of(buyer: Buyer, policy: BuyerPolicy) -> QualityReport:
    """Return the report of a buyer whose test was answered, as the chain stands now.

    Args:
        buyer: It must have decrypted the answer, or be able to.
        policy: Its own.

    Raises:
        CallerError: No session was opened, or the labels don't fit the test.
        NotDeliveredError: The answer has not arrived.
        DataError: The labels do not suit the model.
        ChainUnavailableError: The node does not answer.
    """
    trade = buyer.market.trade(buyer.find_trade())
    listing, result = buyer.verify_listing(), buyer.read_test()
    proven = any(isinstance(event, Proven) for event in buyer.market.events(trade.trade_id))
    delivery: Outcome = "holds" if buyer.has_model() else "open"
    return quality_report(
        listing,
        result,
        policy,
        labels=buyer.labels,
        comparison=buyer.compare_proven() if proven else None,
        trade=trade,
        market=buyer.market.deployment.market,
        chain_id=buyer.market.chain.chain_id,
        money=_money_of(buyer, trade, listing, policy.currencies.of(listing.terms.token)),
        delivery="fails" if trade.position.state is State.SLASHED else delivery,
        made_at_seconds=int(time.time()),
    )


def quality_report(
    listing: VerifiedListing,
    result: TestResult,
    policy: BuyerPolicy,
    *,
    labels: NDArray[np.generic] | None = None,
    comparison: Comparison | None = None,
    trade: Trade | None = None,
    market: str = "",
    chain_id: int | None = None,
    money: Money | None = None,
    delivery: Outcome = "open",
    made_at_seconds: int = 0,
) -> QualityReport:
    """Return the report of an encrypted test.

    Args:
        listing: What was tested.
        result: What the test gave.
        policy: The buyer's.
        labels: True labels, [n] classes or values, [n, columns] of several values or decisions; None without any.
        comparison: Of proven with seen outputs; None before the proof.
        trade: Where the trade stands; None if that is unknown.
        market: Address of the market.
        chain_id: Id of its chain.
        money: Cost so far.
        delivery: How the checks of the delivery came out.
        made_at_seconds: Unix time.

    Raises:
        DataError: The labels do not suit the model.
    """
    assessment, manifest = result.assessment, listing.manifest
    post_processing = manifest.output.post_processing
    as_classes = assessment.changeable is not None
    measured = () if labels is None else measure_test(result.outputs, post_processing, labels, as_classes=as_classes)
    charged = charged_samples(len(result.outputs)) if trade is None else trade.samples
    checks = (
        *listing_checks(listing),
        *answer_checks(listing, result.outputs, assessment, comparison, policy, charged),
        *delivery_checks(delivery),
    )
    return QualityReport(
        made_at_seconds=made_at_seconds,
        subject=_subject(listing, trade, market, chain_id),
        verdict=judge(measured, checks),
        measured=measured,
        predicted=tuple(_predicted(result.predictions)) if as_classes and not measured else (),
        certainty=_certainty(result, assessment, post_processing.in_output_units(assessment.distance)),
        audit=_audit(listing.terms.audit_samples, comparison),
        stated=tuple(_stated(listing)),
        money=money,
        checks=checks,
        unchecked=(*UNCHECKED, *_open_points(listing, comparison, delivery)),
    )


def judge(measured: Measured, checks: tuple[Check, ...]) -> Verdict:
    """Return the report in a sentence: a failed check first, then the figures against their baseline."""
    failed = [check for check in checks if check.outcome == "fails"]
    if failed:
        first = failed[0]
        return Verdict("refuse", f"Don't go on: check ({first.number}) of the {first.pipeline} fails. {first.finding}")
    still_open = "; every check holds" if all(check.outcome == "holds" for check in checks) else "; checks hold so far"
    if not measured:
        return Verdict("unmeasured", f"No labels were given, so nobody knows how good the answers are{still_open}.")
    weak = [one for one in measured if not one.beats_baseline]
    words = ", ".join(_in_words(one) for one in (weak or measured)[:3])
    if weak:
        return Verdict("weak", f"Not shown to be better than guessing: {words}.")
    return Verdict("good", f"Better than guessing: {words}{still_open}.")


def in_percent(share: Interval) -> str:
    """Return a share and its interval."""
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _in_words(measured: Classification | Regression) -> str:
    name = f"{measured.output}: " if measured.output else ""
    if isinstance(measured, Classification):
        return (
            f"{name}{in_percent(measured.accuracy)} of {measured.samples} samples are right, against "
            f"{measured.baseline:.1%} for always answering '{shorten(measured.baseline_class)}'"
        )
    return (
        f"{name}errors of {measured.root_mean_square_error:.3g} (RMS) over {measured.samples} samples, against "
        f"{measured.baseline_root_mean_square_error:.3g} for always answering the mean"
    )


def _subject(listing: VerifiedListing, trade: Trade | None, market: str, chain_id: int | None) -> Subject:
    card = listing.manifest.card
    return Subject(
        name=card.name,
        description=card.description,
        licence=card.licence,
        seller=listing.seller,
        listing_id=listing.listing_id,
        market=market,
        chain_id=chain_id,
        trade_id=None if trade is None else trade.trade_id,
        state="" if trade is None else trade.position.state.name.lower(),
        manifest_hash=f"0x{listing.terms.manifest_hash.hex()}",
        development=listing.manifest.circuit.srs.development,
    )


def _predicted(predictions: NDArray[np.generic]) -> Iterator[PredictedShare]:
    if predictions.ndim == 1:
        names, counts = np.unique(predictions, return_counts=True)
        yield from (PredictedShare(str(name), int(count)) for name, count in zip(names, counts, strict=True))


def _certainty(result: TestResult, assessment: Assessment, distance: float) -> Certainty:
    return Certainty(
        samples=assessment.samples,
        distance=distance,
        changeable=assessment.changeable,
        changeable_share=assessment.changeable_share,
        score_error=assessment.score_error,
        value_error=assessment.value_error,
        outside_rows=tuple(result.outside.tolist()),
    )


def _audit(samples: int, comparison: Comparison | None) -> Audit:
    proven = comparison is not None
    return Audit(
        samples=samples,
        proven=proven,
        changed=comparison.changed if comparison else None,
        outside_tolerance=comparison.outside if comparison else None,
        right_seen=comparison.right_seen if comparison else None,
        right_proven=comparison.right_proven if comparison else None,
        largest_errors=tuple(float(f"{error:.0e}") for error in comparison.largest_errors) if comparison else (),
        detection=tuple((share, detection_probability(samples, share)) for share in _WRONG_SHARES),
    )


def _stated(listing: VerifiedListing) -> Iterator[StatedAgreement]:
    fidelity = listing.manifest.fidelity
    if fidelity is not None:
        for name, agreement in (("tested", fidelity.tested), ("delivered", fidelity.delivered)):
            error, relative = agreement.error_99, agreement.relative_error_99
            yield StatedAgreement(name, error, relative, agreement.classes_kept)


def _open_points(listing: VerifiedListing, comparison: Comparison | None, delivery: Outcome) -> Iterator[str]:
    if listing.manifest.fidelity is not None:
        yield "How near the model is to the one that the seller trained: that is the seller's own word."
    if comparison is None:
        yield "Whether the listed model gave these answers: the proof of the audit samples will show it."
    else:
        samples = listing.terms.audit_samples
        yield f"The answers that were not audited: {samples} samples stand for all, see the audit's probability."
    if delivery == "open":
        yield "What will be delivered: it is checked chunk by chunk once the key is revealed."
    if listing.manifest.circuit.srs.development:
        yield "Who made the reference string: it is a local one, and its maker can forge every proof."


# ------------------------------------------------------------------------------------------------------------ money


def _money_of(buyer: Buyer, trade: Trade, listing: VerifiedListing, currency: Currency) -> Money:
    events = buyer.market.events(trade.trade_id)
    fee_wei = sum(event.fee_wei for event in events if isinstance(event, SessionOpened))
    proof_fees = [listing.terms.proof_fee_of(event.proof_fees) for event in events if isinstance(event, Proven)]
    transactions = tuple(_transactions_of(buyer, trade.trade_id))
    paid = [event.price_wei for event in events if isinstance(event, Purchased)]
    price_wei, state = paid[0] if paid else buyer.entitlement.price(listing.terms), trade.position.state
    locked_wei = price_wei if state in _HOLDS_PRICE else fee_wei if state is State.TESTING else 0
    return Money(
        price_wei=str(price_wei),
        fee_wei=str(fee_wei),
        fee_earned=any(isinstance(event, Answered) for event in events),
        bond_wei=str(listing.terms.bond_wei),
        proof_fee_wei=str(proof_fees[0]) if proof_fees else None,
        locked_wei=str(locked_wei),
        deadline_seconds=trade.position.deadline_seconds,
        transactions=transactions,
        gas_cost_wei=str(sum(int(one.gas_cost_wei) for one in transactions)),
        token=None if currency.is_ether else currency.token,
        symbol=currency.symbol,
        decimals=currency.decimals,
    )


def _transactions_of(buyer: Buyer, trade_id: int) -> Iterator[Transaction]:
    names = {log.transaction_hash: log.name for log in reversed(buyer.market.trade_logs(trade_id))}  # first event's
    for transaction_hash, name in reversed(names.items()):
        cost = buyer.market.chain.transaction_cost(transaction_hash)
        if cost.sender.lower() == buyer.address.lower():
            yield Transaction(name, cost.block_number, cost.gas_used, str(cost.gas_cost_wei))
