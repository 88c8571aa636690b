"""`modelseal buyer`: find a model, check it, test it on encrypted data, buy it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from trader.amounts import format_amount
from trader.cli.output import JsonFlag, messages, print_json_line, print_rows, results
from trader.cli.settings import buyer_command, open_connection
from trader.cli.times import clock
from trader.clients.purchases import Purchase, Purchases, PurchaseStatus
from trader.errors import CallerError
from trader.model import read_labels, read_samples
from trader.parties.driving import buy as drive
from trader.parties.driving import run_test
from trader.parties.patience import patiently
from trader.report.timeline import Timeline
from trader.settings.buyer import BuyerSettings  # noqa: TC001 - typer reads the annotations
from trader.trade.waiting import OTHERWISE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trader.chain.market import Trade
    from trader.parties.testing import TestResult

app = typer.Typer(help="Find a model, check it, test it on encrypted data, buy it.", no_args_is_help=True)

ListingNumber = Annotated[int, typer.Argument(metavar="LISTING", help="Number of the listing.", min=1)]
DataFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Your test samples: .csv, .npy or .npz; needed to begin a test.")
]
LabelsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Their true classes or values; they never leave.")
]
AgainFlag = Annotated[
    bool, typer.Option("--again", help="Begin another purchase of the listing; the last one is over.")
]


@app.command()
@buyer_command()
def discover(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """List what is on sale: price, limits, where the seller is reached, and how its trades have ended."""
    from trader.clients.discovery import discover as find

    with messages.status("reading the market"):
        found = find(open_connection(settings))
    if as_json:
        for listing in found:
            print_json_line(
                {
                    "listing": listing.listing_id,
                    "price_wei": listing.terms.price_wei,
                    "bond_wei": listing.terms.bond_wei,
                    "fee_wei_per_sample": listing.terms.fee_wei,
                    "audit_samples": listing.terms.audit_samples,
                    "answers_per_buyer": listing.terms.buyer_quota,
                    "seller": listing.seller,
                    "endpoint": listing.endpoint,
                    "record": listing.record.words,
                }
            )
        return
    if not found:
        results.print("nothing is on sale in this market")
    for listing in found:
        terms = listing.terms
        results.print(f"[bold]{listing.listing_id}[/]  {format_amount(terms.price_wei)}", highlight=False)
        results.print(
            f"   bond {format_amount(terms.bond_wei)}, test {format_amount(terms.fee_wei)} a sample, at most "
            f"{terms.buyer_quota} answers, {terms.audit_samples} of them audited",
            highlight=False,
        )
        where = "says not where it is reached" if listing.endpoint is None else f"at {escape(listing.endpoint)}"
        results.print(f"   {listing.seller} {where}: {listing.record.words}", highlight=False, soft_wrap=True)


@app.command()
@buyer_command(policy=True)
def verify(settings: BuyerSettings, listing: ListingNumber, as_json: JsonFlag = False) -> None:
    """Fetch a listing's package from its seller and run every check; nothing is paid."""
    from trader.cli.listing import print_verified

    with _purchases(settings) as (purchases, _), purchases.opened(listing) as purchase:
        print_verified(purchase.buyer.verify_listing(), as_json)


@app.command(name="test")
@buyer_command(policy=True)
def run(
    settings: BuyerSettings,
    listing: ListingNumber,
    data: DataFile = None,
    labels: LabelsFile = None,
    again: AgainFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Test a listing's model on your encrypted data, and say how good it is; only the fee of the test is paid."""
    with _purchases(settings) as (purchases, timeline), purchases.opened(listing, again=again) as purchase:
        samples = _prepare(purchases, purchase, timeline, data, labels, again=again)
        result = run_test(purchase.buyer, samples, timeline.say, look=_Watch(purchase, timeline).look)
        figures = _figures(purchase, result)
    _print_figures(figures, as_json)


@app.command()
@buyer_command(policy=True)
def buy(
    settings: BuyerSettings,
    listing: ListingNumber,
    data: DataFile = None,
    labels: LabelsFile = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the bought model goes.")] = Path("bought.onnx"),
    yes: Annotated[bool, typer.Option("--yes", help="Pay without asking, if your policy is met.")] = False,
    again: AgainFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Buy a listing's model: test it, pay, have it proven, check it. Repeated, it goes on where it stands."""
    with _purchases(settings) as (purchases, timeline):
        _carry(purchases, timeline, listing, data, labels, out, yes=yes, again=again, as_json=as_json)


@app.command()
@buyer_command(policy=True)
def resume(
    settings: BuyerSettings,
    listing: Annotated[int | None, typer.Argument(metavar="[LISTING]", help="Its number; all if not given.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the bought model goes; bought-LISTING.onnx if not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pay without asking, if your policy is met.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Go on with purchases that were begun, to their ends."""
    with _purchases(settings) as (purchases, timeline):
        numbers = [listing] if listing is not None else sorted({number for number, _ in purchases.known()})
        if not numbers:
            raise CallerError(f"no purchase was begun in {purchases.folder}: begin one with `modelseal buyer buy`")
        for number in numbers:
            target = out or Path(f"bought-{number}.onnx")
            _carry(purchases, timeline, number, None, None, target, yes=yes, again=False, as_json=as_json)


@app.command()
@buyer_command()
def status(
    settings: BuyerSettings,
    listing: Annotated[int | None, typer.Argument(metavar="[LISTING]", help="Its number; all if not given.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say where purchases stand: what is waited for, until when, and what happens otherwise."""
    from trader.clients.ending import open_trades

    with _purchases(settings) as (purchases, _):
        numbers = [listing] if listing is not None else sorted({number for number, _ in purchases.known()})
        here = set[int | None]()
        for number in numbers:
            if purchases.newest(number) is None:
                raise CallerError(f"no purchase of listing {number} was begun in {purchases.folder}")
            with purchases.opened(number) as purchase:
                found = purchase.status()
            here.add(found.trade_id)
            _print_status(found, as_json)
        for trade in open_trades(purchases.connection):
            if trade.trade_id not in here and listing in (None, trade.listing_id):
                _print_lost(trade, as_json)


@app.command()
@buyer_command(policy=True)
def report(
    settings: BuyerSettings,
    listing: ListingNumber,
    out: Annotated[Path, typer.Option(metavar="FILE", help="An .html or a .json file.")] = Path("report.html"),
    labels: LabelsFile = None,
) -> None:
    """Write the quality report of your test: metrics, curves, checks, cost. It is yours: show it to nobody."""
    from trader.files import write_file
    from trader.report.quality import report_of

    if out.suffix not in (".html", ".json"):
        raise CallerError(f"{out} is neither .html nor .json")
    with _purchases(settings) as (purchases, _), purchases.opened(listing) as purchase:
        purchase.remember_labels(None if labels is None else _read_labels(purchase, labels))
        made = report_of(purchase.buyer, settings.policy.policy())
        write_file(out, (made.to_html() if out.suffix == ".html" else made.to_json()).encode(), secret=True)
    results.print(f"report: {escape(str(out))}", highlight=False)


@app.command()
@buyer_command()
def end(
    settings: BuyerSettings,
    trade: Annotated[int, typer.Argument(metavar="TRADE", help="Number of the trade.", min=1)],
    as_json: JsonFlag = False,
) -> None:
    """End a trade whose deadline has passed, and take out what is owed to you; your folder is not needed."""
    from trader.cli.ending import run_end
    from trader.trade import Role

    run_end(open_connection(settings), trade, Role.BUYER, as_json)


@app.command()
@buyer_command()
def withdraw(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """Take out what the escrow owes you; your folder is not needed."""
    from trader.clients.ending import withdraw as take_out

    taken = take_out(open_connection(settings))
    if as_json:
        print_json_line({"withdrawn_wei": taken})
    else:
        results.print(f"withdrawn: {format_amount(taken)}", highlight=False)


# ---------------------------------------------------------------------------------------------------------- the inside


class _purchases:  # noqa: N801 - used as a function
    """The buyer's purchases, with a timeline of what they do."""

    def __init__(self, settings: BuyerSettings) -> None:
        self._timeline = Timeline(messages)
        observe, progress = self._timeline.observe, self._timeline.progress
        self._purchases = Purchases(settings, open_connection(settings), observe, progress)

    def __enter__(self) -> tuple[Purchases, Timeline]:
        _ = self._purchases.connection.account  # a password may be asked for: before anything is drawn
        return self._purchases, self._timeline.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._timeline.__exit__(*error)


class _Watch:
    """Says what is waited for, once for each state."""

    def __init__(self, purchase: Purchase, timeline: Timeline) -> None:
        self._purchase = purchase
        self._timeline = timeline
        self._said: object = None

    def look(self) -> None:
        seen = self._purchase.buyer.market.seen
        if seen == self._said:
            return
        self._said = dict(seen)
        status = self._purchase.status()
        if status.until_seconds and status.waits_for.startswith("for "):
            self._timeline.say(
                f"waiting {status.waits_for}, until {clock(status.until_seconds)}; else {status.otherwise}"
            )


def _carry(
    purchases: Purchases,
    timeline: Timeline,
    listing: int,
    data: Path | None,
    labels: Path | None,
    out: Path,
    *,
    yes: bool,
    again: bool,
    as_json: bool,
) -> None:
    opened: list[Purchase] = []

    def decide(result: TestResult) -> bool:
        return _decide(opened[0], result, purchases.settings, timeline, yes=yes)

    with purchases.opened(listing, decide, again=again) as purchase:
        opened.append(purchase)
        samples = _prepare(purchases, purchase, timeline, data, labels, again=again)
        drive(purchase.buyer, samples, timeline.say, look=_Watch(purchase, timeline).look)
        status = purchase.status()
        if status.has_model:
            from trader.files import write_file

            write_file(out, purchase.buyer.delivered_onnx())
    _print_end(status, out, as_json)
    if not status.has_model:
        raise typer.Exit(3)


def _prepare(
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
        samples = read_samples(data, listing.graph.features, listing.manifest.input.columns)
    purchase.remember_labels(None if labels is None else _read_labels(purchase, labels, samples))
    return samples


def _read_labels(purchase: Purchase, labels: Path, samples: NDArray[np.generic] | None = None) -> NDArray[np.generic]:
    count = len(purchase.buyer.testing.read_inputs()) if samples is None else len(samples)
    return read_labels(labels, count)


def _decide(purchase: Purchase, result: TestResult, settings: BuyerSettings, timeline: Timeline, *, yes: bool) -> bool:
    """Return whether to buy: the policy must be met, and a person must say so unless it said it before."""
    figures = _figures(purchase, result)
    for name, value in figures.items():
        timeline.say(f"{name.replace('_', ' ')}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    refusal = _policy_refusal(figures, settings)
    if refusal is not None:
        timeline.say(refusal)
        return False
    if yes:
        return True
    price = format_amount(purchase.buyer.verify_listing().terms.price_wei)
    with timeline.paused():
        return typer.confirm(f"Buy the model for {price}?", err=True)


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


def _figures(purchase: Purchase, result: TestResult) -> dict[str, Any]:
    """Return what a test showed, in a few figures; the report has the others."""
    import numpy as np

    labels, assessment = purchase.buyer.labels, result.assessment
    figures: dict[str, Any] = {"samples": len(result.outputs)}
    if labels is not None and assessment.changeable is not None:
        figures["accuracy"] = float(np.mean(result.predictions == labels))
    elif labels is not None:
        figures["root_mean_square_error"] = float(np.sqrt(np.mean((result.predictions - labels) ** 2)))
    if assessment.changeable is not None:
        figures["classes_that_could_change"] = assessment.changeable
    figures["samples_out_of_range"] = len(result.outside)
    return figures


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json_line(figures)
    else:
        print_rows([{"": name.replace("_", " "), "test": value} for name, value in figures.items()])


def _print_status(status: PurchaseStatus, as_json: bool) -> None:
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


def _print_lost(trade: Trade, as_json: bool) -> None:
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
