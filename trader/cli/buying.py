"""What `modelseal buyer` does; imported when one of its commands runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from trader.cli.output import messages, print_json_line, print_rows, results
from trader.cli.settings import open_connection
from trader.cli.times import clock
from trader.clients.purchases import Purchase, Purchases, PurchaseStatus
from trader.errors import CallerError
from trader.model import read_labels, read_samples
from trader.parties.driving import buy as drive
from trader.parties.patience import patiently
from trader.report.timeline import Timeline
from trader.trade.waiting import OTHERWISE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trader.certificates import Certificate
    from trader.chain.market import Trade
    from trader.parties.entitlement import Asking
    from trader.parties.testing import TestResult
    from trader.settings.buyer import BuyerSettings


@contextmanager
def open_purchases(settings: BuyerSettings) -> Iterator[tuple[Purchases, Timeline]]:
    """Yield the buyer's purchases, with a timeline of what they do."""
    timeline = Timeline(messages)
    purchases = Purchases(settings, open_connection(settings), timeline.observe, timeline.progress)
    _ = purchases.connection.account  # a password may be asked for: before anything is drawn
    with timeline:
        yield purchases, timeline


class Watch:
    """Says what is waited for, once for each state."""

    def __init__(self, purchase: Purchase, timeline: Timeline) -> None:
        self._purchase = purchase
        self._timeline = timeline
        self._said: object = None

    def look(self) -> None:
        """Say it, if the state is another one than at the last look."""
        seen = self._purchase.buyer.market.seen
        if seen == self._said:
            return
        self._said = dict(seen)
        status = self._purchase.status()
        if status.until_seconds and status.waits_for.startswith("for "):
            self._timeline.say(
                f"waiting {status.waits_for}, until {clock(status.until_seconds)}; else {status.otherwise}"
            )


def verify_accuracy(
    purchases: Purchases, purchase: Purchase, timeline: Timeline, data: Path, labels: Path
) -> Certificate:
    """Verify what the seller of a listing claims to have proven on a public data set, and remember it.

    Raises:
        TraderError: As `trader.parties.claims.verify_claim`.
    """
    from trader.clients.proven import Proven
    from trader.parties.claims import verify_claim

    buyer = purchase.buyer
    certificate = verify_claim(
        buyer.actor,
        buyer.verify_listing(),
        data,
        labels,
        lambda done, count: timeline.progress("verifying proofs", done, count),
    )
    Proven(purchases.settings.folder).remember(buyer.verify_listing().terms.manifest_hash, certificate)
    return certificate


def carry(
    purchases: Purchases,
    timeline: Timeline,
    listing: int,
    data: Path | None,
    labels: Path | None,
    out: Path,
    *,
    offer: Path | None = None,
    yes: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Carry a purchase to its end, and write the model that was bought.

    Raises:
        typer.Exit: No model was bought.
        TraderError: It can't go on.
    """
    opened: list[Purchase] = []

    def decide(result: TestResult) -> bool:
        return _decide(opened[0], result, purchases.settings, timeline, yes=yes)

    with purchases.opened(listing, decide, again=again) as purchase:
        opened.append(purchase)
        keep_offer(purchase, offer)
        samples = prepare_samples(purchases, purchase, timeline, data, labels, again=again)
        drive(purchase.buyer, samples, timeline.say, look=Watch(purchase, timeline).look)
        status = purchase.status()
        if status.has_model:
            from trader.files import write_file

            write_file(out, purchase.buyer.delivered_onnx())
    _print_end(status, out, as_json)
    if not status.has_model:
        raise typer.Exit(3)


def prepare_samples(
    purchases: Purchases,
    purchase: Purchase,
    timeline: Timeline,
    data: Path | None,
    labels: Path | None,
    *,
    again: bool,
) -> NDArray[np.generic] | None:
    """Read the test set, if it is still needed, and the labels."""
    buyer = purchase.buyer
    begun = patiently(buyer.market, buyer.testing.find_session, timeline.say) is not None
    samples = None
    if not begun:
        if data is None:
            raise CallerError("no test was begun for this listing: give your test samples with --data")
        if not again:
            patiently(buyer.market, lambda: purchases.require_none_lost(purchase.listing_id), timeline.say)
        listing = patiently(buyer.market, buyer.verify_listing, timeline.say)
        purchases.check_accuracy(listing)
        samples = read_samples(data, listing.graph.features, listing.manifest.input.columns)
    purchase.remember_labels(None if labels is None else labels_of(purchase, labels, samples))
    return samples


def labels_of(purchase: Purchase, labels: Path, samples: NDArray[np.generic] | None = None) -> NDArray[np.generic]:
    """Read the labels of the samples, or of those that were tested."""
    count = len(purchase.buyer.testing.read_inputs()) if samples is None else len(samples)
    return read_labels(labels, count)


def _decide(purchase: Purchase, result: TestResult, settings: BuyerSettings, timeline: Timeline, *, yes: bool) -> bool:
    """Return whether to buy: the policy must be met, and a person must say so unless it said it before."""
    figures = figures_of(purchase, result)
    for name, value in figures.items():
        timeline.say(f"{name.replace('_', ' ')}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    refusal = _policy_refusal(figures, settings)
    if refusal is not None:
        timeline.say(refusal)
        return False
    if yes:
        return True
    with timeline.paused():
        return typer.confirm(f"Buy the model for {_price(purchase, purchase.buyer.purchasing.proposed)}?", err=True)


def keep_offer(purchase: Purchase, file: Path | None) -> None:
    """Keep what the seller gave, for this and later commands, if a file is given.

    Raises:
        OfferError: The market would not take it from this buyer, for this listing.
        CallerError: The file can't be read, or the listing reads none.
    """
    if file is None:
        return
    from trader.chain.admissions import read_document

    try:
        data = file.read_bytes()
    except OSError as error:
        raise CallerError(f"{file} can't be read: {error.strerror}") from error
    purchase.buyer.entitlement.keep(read_document(data))


def price_line(purchase: Purchase) -> str:
    """Return what the model would cost, in words."""
    return f"price: {_price(purchase)}"


def _price(purchase: Purchase, proposed: Asking | None = None) -> str:
    """Return what was proposed, or is asked now, and why, if it is not the listing's price."""
    buyer = purchase.buyer
    asking, token = proposed or buyer.purchasing.asking(), buyer.verify_listing().terms.token
    price = purchase.currencies.of(token).format(asking.price)
    return f"{price} ({asking.reason})" if asking.reason else price


def _policy_refusal(figures: dict[str, Any], settings: BuyerSettings) -> str | None:
    policy = settings.policy
    accuracy, error = figures.get("accuracy"), figures.get("root_mean_square_error")
    if policy.min_accuracy is not None and (accuracy is None or accuracy < policy.min_accuracy):
        seen = "no accuracy is known: give --labels" if accuracy is None else f"the accuracy is {accuracy:.4f}"
        return f"not bought: {seen}, your policy asks for {policy.min_accuracy:g}"
    if policy.max_error is not None and (error is None or error > policy.max_error):
        seen = "no error is known: give --labels" if error is None else f"the error is {error:.4g}"
        return f"not bought: {seen}, your policy asks for at most {policy.max_error:g}"
    return None


def figures_of(purchase: Purchase, result: TestResult) -> dict[str, Any]:
    """Return what a test showed, in a few figures; the report has the others."""
    import numpy as np

    labels, assessment = purchase.buyer.labels, result.assessment
    figures: dict[str, Any] = {"samples": len(result.outputs)}
    if labels is not None and assessment.changeable is not None:
        figures["accuracy"] = float(np.mean(result.predictions == labels))
    elif labels is not None:
        figures["root_mean_square_error"] = float(
            np.sqrt(np.mean((result.predictions.astype(float) - labels.astype(float)) ** 2))
        )
    if assessment.changeable is not None:
        figures["classes_that_could_change"] = assessment.changeable
    figures["samples_out_of_range"] = len(result.outside)
    return figures


def print_figures(figures: dict[str, Any], as_json: bool) -> None:
    """Print what a test showed."""
    if as_json:
        print_json_line(figures)
    else:
        print_rows([{"": name.replace("_", " "), "test": value} for name, value in figures.items()])


def print_status(status: PurchaseStatus, as_json: bool) -> None:
    """Print where a purchase stands."""
    if as_json:
        print_json_line({name: getattr(status, name) for name in status.__slots__})
        return
    trade = "no trade yet" if status.trade_id is None else f"trade {status.trade_id}"
    results.print(f"[bold]listing {status.listing_id}[/]  {trade}, {status.state}", highlight=False)
    if status.refusal is not None:
        results.print(f"   went no further: {escape(status.refusal)}", highlight=False)
    if status.until_seconds:
        results.print(f"   {status.waits_for}, until {clock(status.until_seconds)}", highlight=False)
        results.print(f"   otherwise {status.otherwise}", highlight=False)
    elif status.has_model:
        results.print("   the model is here", highlight=False)


def print_lost(trade: Trade, as_json: bool) -> None:
    """Say what is left of a trade of which nothing is kept here: money, by its deadline."""
    position = trade.position
    facts = {"trade_id": trade.trade_id, "listing_id": trade.listing_id, "state": position.state.name.lower()}
    if as_json:
        print_json_line(facts | {"until_seconds": position.deadline_seconds, "kept_here": False})
        return
    results.print(
        f"[bold]listing {trade.listing_id}[/]  trade {trade.trade_id}, {facts['state']}: nothing of it is here, or it "
        "is no longer the newest purchase",
        highlight=False,
        soft_wrap=True,
    )
    results.print(
        f"   from {clock(position.deadline_seconds)} on {OTHERWISE[position.state]}: `modelseal buyer end "
        f"{trade.trade_id}`",
        highlight=False,
        soft_wrap=True,
    )


def _print_end(status: PurchaseStatus, out: Path, as_json: bool) -> None:
    if as_json:
        ended = {"listing": status.listing_id, "trade": status.trade_id, "state": status.state}
        print_json_line(ended | {"model": str(out) if status.has_model else None, "refusal": status.refusal})
        return
    if status.has_model:
        results.print(f"bought: {escape(str(out))}", highlight=False)
        return
    results.print(f"no model was bought: trade {status.trade_id} is {status.state}", highlight=False)
    if status.refusal is not None:
        results.print(escape(status.refusal), highlight=False)
