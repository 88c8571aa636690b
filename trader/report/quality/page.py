"""The quality report as a page: the verdict first, then what it rests on."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from trader.currencies import Currencies, Currency
from trader.report.quality.charts import Axis, Series, chart
from trader.report.quality.classification import ClassFigures, Classification, Interval
from trader.report.quality.markup import Child, element, foreign, shorten, to_html
from trader.report.quality.style import STYLE
from trader.report.story import ether

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from trader.report.quality.figures import Certainty, Check, Money, QualityReport
    from trader.report.quality.regression import Regression

MOST_CLASSES_IN_MATRIX = 12
MOST_CHARACTERS_IN_MATRIX = 24
MOST_CURVES = 6
MOST_CLASSES_IN_TABLE = 60
MOST_ROWS_LISTED = 100
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing, whatever stands in it."""
_SIGNS = {"holds": "✓", "fails": "✗", "open": "○"}
_PIPELINES = {
    "listing": "Before anything was sent: the listing",
    "answers": "Before anything is paid or accepted: the answers",
    "delivery": "Once the key is revealed: the model",
}


def write_page(report: QualityReport) -> str:
    """Return the report as one HTML file."""
    title = f"Quality of the model of listing {report.subject.listing_id}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", STYLE),
    )
    sections = (
        _header(report),
        *chain.from_iterable(_measured(one) for one in report.measured),
        _predicted(report),
        _certainty(report.certainty),
        _audit(report),
        None if report.money is None else _money(report.money),
        _checks(report.checks),
        _unchecked(report),
        _footer(report),
    )
    return to_html(element("html", head, element("body", element("main", *sections)), lang="en"))


def _header(report: QualityReport) -> Element:
    subject = report.subject
    about: list[tuple[str, Child]] = [
        ("Seller", foreign(subject.seller)),
        ("Listing", str(subject.listing_id)),
        ("Trade", f"{subject.trade_id}, {subject.state}" if subject.trade_id is not None else "none yet"),
        ("Market", f"{subject.market}, chain {subject.chain_id}" if subject.market else "not given"),
        ("Manifest", subject.manifest_hash),
    ]
    if subject.licence:
        about.append(("Licence, says the seller", foreign(subject.licence)))
    return element(
        "header",
        element("p", "For the buyer alone: made of decrypted outputs. Never give it to the seller.", class_="secret"),
        element("h1", foreign(subject.name)),
        element("p", foreign(subject.description), class_="dim") if subject.description else None,
        element("p", report.verdict.sentence, class_=f"verdict {report.verdict.judgement}"),
        _facts(about),
    )


# -------------------------------------------------------------------------------------------------------- quality


def _measured(measured: Classification | Regression) -> Iterator[Element]:
    if isinstance(measured, Classification):
        yield from _classification(measured)
    else:
        yield _regression(measured)


def _classification(measured: Classification) -> Iterator[Element]:
    scored = [one for one in measured.classes if one.roc]
    # The two curves of two classes are each other's mirror image.
    shown = scored[1:] if len(measured.classes) == 2 else sorted(scored, key=lambda one: -one.samples)[:MOST_CURVES]
    aucs = [one.auc for one in scored if one.auc is not None]
    tiles: list[tuple[str, str, Child]] = [
        ("Accuracy", f"{measured.accuracy.value:.1%}", _interval(measured.accuracy)),
        ("Balanced accuracy", f"{measured.balanced_accuracy:.1%}", "mean recall of the classes"),
        ("Baseline", f"{measured.baseline:.1%}", element("span", "always ", foreign(measured.baseline_class))),
    ]
    if aucs:
        mean = "one curve" if len(measured.classes) == 2 else f"mean of {len(aucs)} classes, one against the rest"
        tiles.append(("Area under ROC", f"{sum(aucs) / len(aucs):.3f}", mean))
    if measured.calibration is not None:
        tiles.append(("Calibration error", f"{measured.calibration.expected_error:.3f}", "expected, of probabilities"))
        tiles.append(("Brier score", f"{measured.calibration.brier:.3f}", "0 is perfect"))
    yield element(
        "section",
        element("h2", "Answers against your labels", *_of_output(measured.output)),
        _tiles(tiles),
        _class_table(measured),
    )
    charts = [*_curves(shown), *_calibration_chart(measured)]
    if charts:
        yield element("section", element("div", *charts, class_="charts"))
    yield element("section", element("h3", "Confusion"), _confusion(measured))


def _class_table(measured: Classification) -> Element:
    rows = [
        (
            foreign(one.name),
            str(one.samples),
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            f"{one.f1:.3f}",
            "-" if one.auc is None else f"{one.auc:.3f}",
            "-" if one.average_precision is None else f"{one.average_precision:.3f}",
        )
        for one in measured.classes[:MOST_CLASSES_IN_TABLE]
    ]
    head = ("Class", "Samples", "Precision", "Recall", "F1", "AUC", "Avg. precision")
    return _table(head, rows, _left_out(len(measured.classes) - MOST_CLASSES_IN_TABLE, "classes"))


def _curves(shown: Sequence[ClassFigures]) -> Iterator[Element]:
    if shown:
        guess = Series(((0.0, 0.0), (1.0, 1.0)), style="reference")
        rocs = [Series(one.roc, f"{_short(one.name)}: {one.auc:.3f}", number=at) for at, one in enumerate(shown)]
        yield chart(
            "ROC curve, with the area under it",
            Axis("false positive rate"),
            Axis("true positive rate"),
            [guess, *rocs],
        )
        pairs = [
            Series(one.precision_recall, f"{_short(one.name)}: {one.average_precision:.3f}", number=at)
            for at, one in enumerate(shown)
        ]
        yield chart("Precision and recall, with average precision", Axis("recall"), Axis("precision"), pairs)


def _calibration_chart(measured: Classification) -> Iterator[Element]:
    if measured.calibration is not None:
        points = [(one.confidence, one.accuracy) for one in measured.calibration.bins]
        perfect = Series(((0.0, 0.0), (1.0, 1.0)), "perfect", style="reference")
        yield chart(
            "Calibration: how often a stated probability is right",
            Axis("stated probability of the class"),
            Axis("share that is right"),
            [perfect, Series(points, "the model"), Series(points, style="points")],
        )


def _confusion(measured: Classification) -> Element:
    names = [one.name for one in measured.classes]
    if len(names) > MOST_CLASSES_IN_MATRIX:
        return _worst_confusions(names, measured.confusion)
    most = max(chain.from_iterable(measured.confusion), default=0) or 1
    head = element("tr", element("td", "label \\ answer"), *(element("th", foreign(_short(name))) for name in names))
    rows = [
        element(
            "tr",
            element("th", foreign(_short(name)), scope="row"),
            *(
                element(
                    "td", str(count), class_="right" if at == other else "wrong", style=f"--share:{count / most:.2f}"
                )
                for other, count in enumerate(counts)
            ),
        )
        for at, (name, counts) in enumerate(zip(names, measured.confusion, strict=True))
    ]
    return element(
        "div", element("table", element("thead", head), element("tbody", *rows), class_="matrix"), class_="wide"
    )


def _worst_confusions(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> Element:
    pairs = [
        (count, at, other)
        for at, counts in enumerate(confusion)
        for other, count in enumerate(counts)
        if count and at != other
    ]
    rows = [
        (foreign(names[at]), foreign(names[other]), str(count))
        for count, at, other in sorted(pairs, reverse=True)[:MOST_CLASSES_IN_MATRIX]
    ]
    return _table(("Label", "Answer", "Samples"), rows, "The most frequent confusions; the JSON form has all.")


def _regression(measured: Regression) -> Element:
    tiles = [
        ("Mean absolute error", f"{measured.mean_absolute_error:.3g}", _against(measured.baseline_mean_absolute_error)),
        (
            "Root mean square error",
            f"{measured.root_mean_square_error:.3g}",
            _against(measured.baseline_root_mean_square_error),
        ),
        ("R²", "-" if measured.r2 is None else f"{measured.r2:.3f}", "share of variance explained"),
    ]
    tiles += [
        (f"{share:.0%} within" if share < 1 else "Largest error", f"{error:.3g}", "absolute error")
        for share, error in measured.absolute_error_quantiles
    ]
    x = Axis.around("prediction", [one for one, _ in measured.residuals])
    y = Axis.around("prediction - label", [0.0, *(other for _, other in measured.residuals)])
    zero = Series(((x.low, 0.0), (x.high, 0.0)), style="reference")
    residuals = chart("Residuals", x, y, [zero, Series(measured.residuals, style="points")])
    return element(
        "section",
        element("h2", "Answers against your labels", *_of_output(measured.output)),
        _tiles(tiles),
        element("div", residuals, class_="charts"),
    )


def _predicted(report: QualityReport) -> Element | None:
    if not report.predicted:
        return None
    rows = [(foreign(one.name), str(one.samples)) for one in report.predicted[:MOST_CLASSES_IN_TABLE]]
    note = _left_out(len(report.predicted) - MOST_CLASSES_IN_TABLE, "classes")
    return element("section", element("h2", "Answers"), _table(("Class", "Predicted for"), rows, note))


# ---------------------------------------------------------------------------------------------------- certainty


def _certainty(found: Certainty) -> Element:
    tiles: list[tuple[str, str, Child]] = [
        ("Samples", str(found.samples), "in the encrypted test"),
        ("An audit lets pass", f"{found.distance:.2g}", "largest difference of an output, in its units"),
    ]
    if found.changeable is not None:
        tiles.append(("Classes that could flip", f"{found.changeable_share:.1%}", f"{found.changeable} samples"))
    if found.score_error is not None:
        tiles.append(("Of the scores' spread", f"{found.score_error:.2%}", "that difference"))
    if found.value_error is not None:
        tiles.append(("Of the values' spread", f"{found.value_error:.2%}", "that difference"))
    tiles.append(("Outside the range", str(len(found.outside_rows)), "of the seller's data"))
    return element(
        "section", element("h2", "What the test says for certain"), _tiles(tiles), _outside(found.outside_rows)
    )


def _outside(rows: Sequence[int]) -> Element:
    if not rows:
        return element("p", "No sample left the range that the seller's data covers.")
    listed = ", ".join(map(str, rows[:MOST_ROWS_LISTED]))
    more = f" and {len(rows) - MOST_ROWS_LISTED} more" if len(rows) > MOST_ROWS_LISTED else ""
    return element("p", "Nothing is promised about the outputs of these rows, counted from 0: ", listed, more, ".")


def _audit(report: QualityReport) -> Element:
    audit = report.audit
    by_share = dict(audit.detection)
    tiles: list[tuple[str, str, Child]] = [
        ("Audit samples", str(audit.samples), "chosen at random, after the answers"),
        *(
            (f"{share:.0%} wrong answers", f"{by_share[share]:.1%}", "are found with this probability")
            for share in (0.05, 0.25, 0.5)
        ),
    ]
    if audit.changed is not None:
        tiles.append(
            ("Proven classes", f"{audit.samples - audit.changed} of {audit.samples}", "are those that were seen")
        )
    if audit.right_proven is not None:
        tiles.append(("Right as proven", f"{audit.right_proven} of {audit.samples}", f"{audit.right_seen} as seen"))
    if audit.largest_errors:
        errors = ", ".join(f"{error:.0e}" for error in audit.largest_errors[:8])
        tiles.append(("Encrypted against proven", errors, "largest difference of each output, in its units"))
    detection = chart(
        "Probability that the audit finds wrong answers",
        Axis("share of wrong answers", high=0.5, percent=True),
        Axis("probability of detection", percent=True),
        [Series(audit.detection)],
    )
    stated = [
        (
            f"{one.name} model",
            f"{one.error_99:.2g}",
            f"{one.relative_error_99:.3%}",
            "-" if one.classes_kept is None else f"{one.classes_kept:.2%}",
        )
        for one in report.stated
    ]
    head = ("Against the trained model", "99 % within", "Of the range", "Classes kept")
    note = "The seller's own word, measured on its data; nobody can check it."
    return element(
        "section",
        element("h2", "The audit"),
        _tiles(tiles),
        element("div", detection, class_="charts"),
        _table(head, stated, note) if stated else None,
    )


# -------------------------------------------------------------------------------------------------------- money


def _amount(money: Money, amount: str) -> str:
    """Return an amount in the listing's currency; a token's by its address, where the buyer has no name for it."""
    if money.token is None:
        return ether(int(amount))
    if not money.symbol:
        return Currencies().of(money.token).format(int(amount))
    return Currency.named(money.token, money.symbol, money.decimals).format(int(amount))


def _money(money: Money) -> Element:
    fee = "the seller has earned it" if money.fee_earned else "comes back if the seller does not answer"
    until = f"until {_time(money.deadline_seconds)}" if money.deadline_seconds else "nothing is waited for"
    tiles: list[tuple[str, str, Child]] = [
        ("Locked now", _amount(money, money.locked_wei), until),
        ("Price", _amount(money, money.price_wei), "of the model"),
        ("Fee of the test", _amount(money, money.fee_wei), fee),
        ("Gas so far", f"{sum(one.gas_used for one in money.transactions):,}", ether(int(money.gas_cost_wei))),
        ("Seller's bond", _amount(money, money.bond_wei), "lost by a seller that delivers something else"),
    ]
    if money.proof_fee_wei is not None:
        tiles.append(("Proof fee", _amount(money, money.proof_fee_wei), "stays with the seller if you don't accept"))
    rows = [
        (one.name, str(one.block_number), f"{one.gas_used:,}", ether(int(one.gas_cost_wei)))
        for one in money.transactions
    ]
    table = _table(("Your transaction", "Block", "Gas", "Cost"), rows, "Withdrawals are not counted.")
    return element("section", element("h2", "Cost so far"), _tiles(tiles), table)


# ------------------------------------------------------------------------------------------------------- checks


def _checks(checks: Sequence[Check]) -> Element:
    parts: list[Element] = []
    for pipeline, heading in _PIPELINES.items():
        items = [
            element(
                "li",
                element("span", _SIGNS[one.outcome], class_=f"sign {one.outcome}", title=one.outcome),
                element("span", f"({one.number}) {one.text}", ": " if one.finding else None, _finding(one)),
                class_=one.outcome,
            )
            for one in checks
            if one.pipeline == pipeline
        ]
        parts += [element("h3", heading), element("ul", *items, class_="checks")]
    legend = element("p", "✓ holds   ✗ fails   ○ not yet", class_="dim")
    return element("section", element("h2", "What was checked"), *parts, legend)


def _finding(check: Check) -> Element | None:
    return element("span", check.finding, class_="finding") if check.finding else None


def _unchecked(report: QualityReport) -> Element:
    items = (element("li", text) for text in report.unchecked)
    return element("section", element("h2", "What was not checked"), element("ul", *items))


def _footer(report: QualityReport) -> Element:
    made = f"Made {_time(report.made_at_seconds)}. {report.format}, version {report.version}."
    return element("footer", element("p", made, class_="dim"))


# -------------------------------------------------------------------------------------------------------- parts


def _tiles(tiles: Sequence[tuple[str, str, Child]]) -> Element:
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value), element("dd", note, class_="dim"))
            for name, value, note in tiles
        ),
        class_="tiles",
    )


def _facts(facts: Sequence[tuple[str, Child]]) -> Element:
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in facts), class_="facts"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Child]], note: str = "") -> Element:
    body = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    caption = element("p", note, class_="dim") if note else None
    return element("div", element("table", top, element("tbody", *body)), caption, class_="wide")


def _of_output(output: str) -> tuple[Child, ...]:
    return (": ", foreign(output)) if output else ()


def _interval(share: Interval) -> str:
    return f"{share.low:.1%} to {share.high:.1%} with 95 % confidence"


def _against(baseline: float) -> str:
    return f"{baseline:.3g} for the mean"


def _left_out(count: int, what: str) -> str:
    return f"{count} further {what} are in the JSON form." if count > 0 else ""


def _short(name: str) -> str:
    return shorten(name, MOST_CHARACTERS_IN_MATRIX)


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
