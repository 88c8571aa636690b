"""What a quality report says, as data: `QualityReport` and its parts. Read `QualityReport` first.

The JSON form is that of these classes, under `format` and `version`: a change that a reader would stumble over is
another version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from trader.currencies import ETHER
from trader.report.quality.classification import Classification  # noqa: TC001 - pydantic reads the annotations
from trader.report.quality.regression import Regression  # noqa: TC001 - as above

FORMAT: Literal["modelseal/quality-report"] = "modelseal/quality-report"
VERSION: Literal[1] = 1

Outcome = Literal["holds", "fails", "open"]
"""Of a check: `open` while there is nothing to check yet."""
Judgement = Literal["refuse", "weak", "unmeasured", "good"]
"""Of a test: a check fails; no better than the baseline; no labels; everything holds so far."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was tested. Names and texts are the seller's own words, and nobody vouches for them.

    Attributes:
        name: Of the model.
        description: Of it.
        licence: Under which it is offered.
        seller: Its account.
        listing_id: Number in the market.
        market: The market's address; empty if unknown.
        chain_id: EIP-155 id of its chain; None if unknown.
        trade_id: Number of the trade; None before there is one.
        state: Where the trade stands, in words.
        manifest_hash: 0x-hex.
        development: Whether the proofs rest on a locally made reference string, whose maker can forge them.
    """

    name: str
    description: str
    licence: str
    seller: str
    listing_id: int
    market: str
    chain_id: int | None
    trade_id: int | None
    state: str
    manifest_hash: str
    development: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The report in a sentence.

    Attributes:
        judgement: For programs.
        sentence: For people.
    """

    judgement: Judgement
    sentence: str


@dataclass(frozen=True, slots=True)
class Certainty:
    """What the test says for certain, whatever the audit lets pass (`trader.verify.answers.Assessment`).

    Attributes:
        samples: n.
        distance: Largest distance of a proven output from the one seen that an audit lets pass, in the outputs' units.
        changeable: Samples whose class could be another one within it; None where no classes are predicted.
        changeable_share: Their share.
        score_error: Distance against the spread of the scores; None as above.
        value_error: Distance against the spread of the values; None where values don't count.
        outside_rows: Rows, from 0, that left the range of the seller's data: nothing is promised about their outputs.
    """

    samples: int
    distance: float
    changeable: int | None
    changeable_share: float
    score_error: float | None
    value_error: float | None
    outside_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """What the proof of the audit samples shows, or will show.

    Attributes:
        samples: k.
        proven: Whether there is a proof.
        changed: Audit samples whose proven class is another one than the class seen; None before the proof.
        outside_tolerance: Proven outputs that are further from those seen than the tolerance; None before the proof.
        right_seen: Audit samples that were right as seen; None without labels that are classes.
        right_proven: Those that are right as proven; None as above.
        largest_errors: Of each output, between proven and seen, in its units, to one digit: they are noise of
            decryptions, which a full report would give away. Empty before the proof.
        detection: (share of wrong answers, probability that the audit finds one).
    """

    samples: int
    proven: bool
    changed: int | None
    outside_tolerance: int | None
    right_seen: int | None
    right_proven: int | None
    largest_errors: tuple[float, ...]
    detection: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class StatedAgreement:
    """How near the model is to the one that the seller trained, by the seller's own word.

    Attributes:
        name: `tested` or `delivered`.
        error_99: What 99 % of the seller's rows stay within, in the outputs' units.
        relative_error_99: The same by the range of the outputs.
        classes_kept: Share of classes that are the same; None for a model that predicts none.
    """

    name: str
    error_99: float
    relative_error_99: float
    classes_kept: float | None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of the buyer's.

    Attributes:
        name: The event that it caused.
        block_number: Block that holds it.
        gas_used: Its gas.
        gas_cost_wei: What that cost, as decimal text.
    """

    name: str
    block_number: int
    gas_used: int
    gas_cost_wei: str


@dataclass(frozen=True, slots=True)
class Money:
    """What the trade has cost the buyer so far. Amounts are decimal text: JSON numbers are doubles.

    They are in wei, or in the smallest unit of the listing's token; gas is always in wei.

    Attributes:
        price_wei: Of the model.
        fee_wei: Of the test.
        fee_earned: Whether the seller has earned it; else it comes back.
        bond_wei: What a cheating seller loses.
        proof_fee_wei: What the buyer leaves to the seller if it doesn't accept the proof; None before the proof.
        locked_wei: What of the buyer's the escrow holds now.
        deadline_seconds: Unix time until which it may; 0 where nothing is waited for.
        transactions: The buyer's, oldest first; withdrawals are left out.
        gas_cost_wei: Of all of them.
        token: Address of the listing's token; None for ether.
        symbol: What the buyer calls it; empty if it has no name for it.
        decimals: How many of them the symbol's unit has.
    """

    price_wei: str
    fee_wei: str
    fee_earned: bool
    bond_wei: str
    proof_fee_wei: str | None
    locked_wei: str
    deadline_seconds: int
    transactions: tuple[Transaction, ...]
    gas_cost_wei: str
    token: str | None = None
    symbol: str = ETHER.symbol
    decimals: int = ETHER.decimals


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check.

    Attributes:
        pipeline: `listing`, `answers` or `delivery`: the module of `trader.verify` that runs it.
        number: In its pipeline, from 1.
        text: What it is about.
        outcome: How it came out.
        finding: Figures, or why it fails; may be empty.
    """

    pipeline: str
    number: int
    text: str
    outcome: Outcome
    finding: str


@dataclass(frozen=True, slots=True)
class PredictedShare:
    """How often a class was predicted, where there are no labels to say whether it was right.

    Attributes:
        name: The class.
        samples: Predicted as it.
    """

    name: str
    samples: int


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What a buyer knows of a model after its encrypted test. For the buyer alone: it is made of decrypted outputs.

    Attributes:
        made_at_seconds: Unix time.
        subject: What was tested.
        verdict: In a sentence.
        measured: Figures against the labels, one for each output; empty without labels.
        predicted: How often each class was predicted; empty where no classes are.
        certainty: What the test says whatever the audit lets pass.
        audit: What the proof says.
        stated: The seller's own word of its model's fidelity; empty if it gave none.
        money: Cost so far; None where the report was made without a chain.
        checks: All numbered checks in order.
        unchecked: What nobody has checked.
        format: Of the JSON form.
        version: Of it.
    """

    made_at_seconds: int
    subject: Subject
    verdict: Verdict
    measured: tuple[Classification | Regression, ...]
    predicted: tuple[PredictedShare, ...]
    certainty: Certainty
    audit: Audit
    stated: tuple[StatedAgreement, ...]
    money: Money | None
    checks: tuple[Check, ...]
    unchecked: tuple[str, ...]
    format: Literal["modelseal/quality-report"] = FORMAT
    version: Literal[1] = VERSION

    def to_json(self) -> str:
        """Return the report as JSON text (`report_schema`); numbers that are infinite or undefined are null."""
        return _adapter().dump_json(self, indent=2).decode()

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        found: dict[str, Any] = json.loads(self.to_json())
        return found

    def to_html(self) -> str:
        """Return the report as one HTML file that needs no network, no fonts and no scripts."""
        from trader.report.quality.page import write_page

        return write_page(self)


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of `QualityReport.to_json`."""
    return _adapter().json_schema()


def _adapter() -> TypeAdapter[QualityReport]:
    return TypeAdapter(QualityReport)
