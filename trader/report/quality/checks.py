"""The verification pipeline of a trade, step by step, as far as it has come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trader.errors import AnswerError, PolicyError
from trader.report.quality.figures import Check, Outcome
from trader.verify import (
    ANSWER_CHECKS,
    DELIVERY_CHECKS,
    LISTING_CHECKS,
    Assessment,
    BuyerPolicy,
    Comparison,
    VerifiedListing,
    check_range,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

UNCHECKED = (
    "The seller's words about the model (name, description, licence, author): nobody vouches for them.",
    "Whether the model was trained on your test samples: if they are public, the accuracy may be too good.",
    "Whether your samples are like those that you will use the model for: every interval here assumes that they are.",
)


def listing_checks(listing: VerifiedListing) -> Iterator[Check]:
    """Yield the checks of a listing, all of which hold: there is no `VerifiedListing` else."""
    terms, srs = listing.terms, listing.manifest.circuit.srs
    source = "made locally: whoever made it can forge proofs" if srs.development else "the ceremony's"
    findings = {
        1: f"0x{terms.manifest_hash.hex()}",
        3: f"2^{srs.logrows} rows, {source}",
        4: f"0x{listing.circuit.digest.hex()}",
        6: f"{listing.manifest.chunk_count} chunks",
        8: f"{terms.audit_samples} audit samples, {'exact' if listing.circuit.is_exact else 'rounded'} proofs",
    }
    yield from _numbered("listing", LISTING_CHECKS, lambda _: "holds", findings)


def answer_checks(
    listing: VerifiedListing,
    outputs: NDArray[np.float64],
    assessment: Assessment,
    comparison: Comparison | None,
    policy: BuyerPolicy,
    charged_samples: int,
) -> Iterator[Check]:
    """Yield the checks of the seller's answers; what was not proven yet is open.

    Args:
        listing: What is bought.
        outputs: float64 [n, O], decrypted raw outputs.
        assessment: Of the test.
        comparison: Of proven with seen outputs; None before the proof.
        policy: The buyer's.
        charged_samples: As which the test counts, a power of two: the plan depends on it.
    """
    plan, scale_bits = listing.plan.for_samples(charged_samples), listing.circuit.output_scale_bits
    classes = replace(assessment, score_error=None, value_error=None)
    spread = replace(assessment, changeable=None)
    runs: dict[int, Callable[[], None]] = {
        1: lambda: check_range(outputs, plan, scale_bits, listing.terms.tolerance),
        2: lambda: policy.check_test(classes),
        3: lambda: policy.check_test(spread),
    }
    if comparison is not None:
        tolerated, same = replace(comparison, changed=0), replace(comparison, outside=0)
        runs |= {4: lambda: policy.check_proven(tolerated), 5: lambda: policy.check_proven(same)}
    findings = _answer_figures(assessment, comparison)
    for number, text in enumerate(ANSWER_CHECKS, start=1):
        outcome, finding = _run(runs[number]) if number in runs else ("open", "")
        yield Check("answers", number, text, outcome, finding or findings.get(number, ""))


def delivery_checks(outcome: Outcome, finding: str = "") -> Iterator[Check]:
    """Yield the checks of a delivery.

    Args:
        outcome: `holds` once a model has passed all of them, `fails` where one did not.
        finding: Why it fails.
    """
    # Which of them failed, the evidence of the dispute says; the others were not reached or hold.
    yield from _numbered("delivery", DELIVERY_CHECKS, lambda _: outcome, dict.fromkeys((1,), finding))


def _numbered(
    pipeline: str, texts: tuple[str, ...], outcome_of: Callable[[int], Outcome], findings: Mapping[int, str]
) -> Iterator[Check]:
    for number, text in enumerate(texts, start=1):
        yield Check(pipeline, number, text, outcome_of(number), findings.get(number, ""))


def _run(check: Callable[[], None]) -> tuple[Outcome, str]:
    try:
        check()
    except (AnswerError, PolicyError) as error:
        return "fails", str(error)
    return "holds", ""


def _answer_figures(assessment: Assessment, comparison: Comparison | None) -> dict[int, str]:
    figures = {}
    if assessment.changeable is not None:
        figures[2] = f"{assessment.changeable} of {assessment.samples} ({assessment.changeable_share:.1%})"
    errors = (("scores", assessment.score_error), ("values", assessment.value_error))
    figures[3] = ", ".join(f"{error:.2%} of the spread of {name}" for name, error in errors if error is not None)
    if comparison is not None:
        figures[4] = f"{comparison.outside} outside"
        figures[5] = f"{comparison.samples - comparison.changed} of {comparison.samples} the same"
    return figures
