"""`modelseal buyer`: find a model, check it, test it on encrypted data, buy it."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - typer reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from trader.cli.deferred import Deferred
from trader.cli.output import JsonFlag, messages, print_json_line, progress_bar, results
from trader.cli.settings import buyer_command, open_connection
from trader.errors import CallerError

if TYPE_CHECKING:
    from trader.clients.connection import Connection
    from trader.clients.discovery import FoundListing
    from trader.clients.proven import Proven
    from trader.settings.buyer import BuyerSettings

app = typer.Typer(help="Find a model, check it, test it on encrypted data, buy it.", no_args_is_help=True)

ListingNumber = Annotated[int, typer.Argument(metavar="LISTING", help="Number of the listing.", min=1)]
DataFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Your test samples: .csv, .npy or .npz; needed to begin a test.")
]
LabelsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Their true classes or values; they never leave.")
]
OfferFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What the seller gave you: an offer, or an admission. Later commands know it."),
]
AgainFlag = Annotated[
    bool, typer.Option("--again", help="Begin another purchase of the listing; the last one is over.")
]


@app.command()
@buyer_command()
def discover(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """List what is on sale: price, limits, proven accuracy, the seller's place and record."""
    from trader.clients.discovery import ask_claims
    from trader.clients.discovery import discover as find
    from trader.clients.proven import Proven

    connection, proven = open_connection(settings), Proven(settings.folder)
    with progress_bar("reading the market") as update:
        found = find(connection, update)
    with messages.status("asking the sellers"):
        found = ask_claims(connection, found, settings.exchange)
    if as_json:
        for listing in found:
            print_json_line(_facts(listing, connection, proven))
        return
    if not found:
        results.print("nothing is on sale in this market")
    for listing in found:
        _print_found(listing, connection, proven)


def _facts(listing: FoundListing, connection: Connection, proven: Proven) -> dict[str, Any]:
    """Return a listing for programs."""
    from contracts import ETH, NO_POLICY

    terms, claims = listing.terms, listing.claims
    return {
        "listing": listing.listing_id,
        "price_wei": terms.price_wei,
        "bond_wei": terms.bond_wei,
        "fee_wei_per_sample": terms.fee_wei,
        "token": None if terms.token == ETH else terms.token,
        "currency": connection.currencies.of(terms.token).symbol,
        "policy": None if terms.policy == NO_POLICY else terms.policy,
        "supersedes": terms.supersedes or None,
        "audit_samples": terms.audit_samples,
        "answers_per_buyer": terms.buyer_quota,
        "seller": listing.seller,
        "endpoint": listing.endpoint,
        "record": listing.record.words,
        "claims": None
        if claims is None
        else [
            {
                "dataset": claim.dataset.name,
                "samples": claim.dataset.samples,
                "correct": claim.correct,
                "data_digest": claim.dataset.data_digest,
                "labels_digest": claim.dataset.labels_digest,
                "certificate": claim.certificate,
                "verified": proven.has(terms.manifest_hash, claim),
            }
            for claim in claims
        ],
    }


def _print_found(listing: FoundListing, connection: Connection, proven: Proven) -> None:
    """Print a listing for people."""
    terms, currency = listing.terms, connection.currencies.of(listing.terms.token)
    results.print(f"[bold]{listing.listing_id}[/]  {currency.format(terms.price_wei)}", highlight=False)
    results.print(
        f"   bond {currency.format(terms.bond_wei)}, test {currency.format(terms.fee_wei)} a sample, at most "
        f"{terms.buyer_quota} answers, {terms.audit_samples} of them audited",
        highlight=False,
    )
    where = "says not where it is reached" if listing.endpoint is None else f"at {escape(listing.endpoint)}"
    results.print(f"   {listing.seller} {where}: {listing.record.words}", highlight=False, soft_wrap=True)
    for claim in listing.claims or ():
        if proven.has(terms.manifest_hash, claim):
            results.print(f"   [green]✓[/] proven: {escape(claim.words)}", highlight=False, soft_wrap=True)
        else:
            words = f"claims {escape(claim.words)}; verify it with `buyer verify {listing.listing_id}`"
            results.print(f"   [yellow]?[/] {words}", highlight=False, soft_wrap=True)


@app.command()
@buyer_command(policy=True)
def verify(
    settings: BuyerSettings,
    listing: ListingNumber,
    certificate_data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A public data set that the seller claims an accuracy on.")
    ] = None,
    certificate_labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Its true classes.")] = None,
    offer: OfferFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a listing's package from its seller and run every check; nothing is paid."""
    from trader.cli.buying import keep_offer, open_purchases, price_line, verify_accuracy
    from trader.cli.listing import print_accuracy, print_verified

    if (certificate_data is None) is not (certificate_labels is None):
        raise CallerError("an accuracy is verified on its data set: give --certificate-data and --certificate-labels")
    with open_purchases(settings) as (purchases, timeline), purchases.opened(listing) as purchase:
        keep_offer(purchase, offer)
        verified, proven = purchase.buyer.verify_listing(), None
        if certificate_data is not None and certificate_labels is not None:
            proven = verify_accuracy(purchases, purchase, timeline, certificate_data, certificate_labels)
        price = price_line(purchase)
    print_verified(verified, as_json, proven)
    if not as_json:
        results.print(price, highlight=False)
    if proven is not None and not as_json:
        print_accuracy(proven)


@app.command(name="test")
@buyer_command(policy=True)
def run(
    settings: BuyerSettings,
    listing: ListingNumber,
    data: DataFile = None,
    labels: LabelsFile = None,
    offer: OfferFile = None,
    again: AgainFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Test a listing's model on your encrypted data, and say how good it is; only the fee of the test is paid."""
    from trader.cli.buying import Watch, figures_of, keep_offer, open_purchases, prepare_samples, print_figures
    from trader.parties.driving import run_test

    with open_purchases(settings) as (purchases, timeline), purchases.opened(listing, again=again) as purchase:
        keep_offer(purchase, offer)
        samples = prepare_samples(purchases, purchase, timeline, data, labels, again=again)
        result = run_test(purchase.buyer, samples, timeline.say, look=Watch(purchase, timeline).look)
        figures = figures_of(purchase, result)
    print_figures(figures, as_json)


@app.command()
@buyer_command(policy=True)
def buy(
    settings: BuyerSettings,
    listing: ListingNumber,
    data: DataFile = None,
    labels: LabelsFile = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the bought model goes.")] = Path("bought.onnx"),
    offer: OfferFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pay without asking, if your policy is met.")] = False,
    again: AgainFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Buy a listing's model: test it, pay, have it proven, check it. Repeated, it goes on where it stands."""
    from trader.cli.buying import carry, open_purchases

    with open_purchases(settings) as (purchases, timeline):
        carry(purchases, timeline, listing, data, labels, out, offer=offer, yes=yes, again=again, as_json=as_json)


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
    from trader.cli.buying import carry, open_purchases

    with open_purchases(settings) as (purchases, timeline):
        numbers = [listing] if listing is not None else sorted({number for number, _ in purchases.known()})
        if not numbers:
            raise CallerError(f"no purchase was begun in {purchases.folder}: begin one with `modelseal buyer buy`")
        for number in numbers:
            target = out or Path(f"bought-{number}.onnx")
            carry(purchases, timeline, number, None, None, target, yes=yes, again=False, as_json=as_json)


@app.command()
@buyer_command()
def status(
    settings: BuyerSettings,
    listing: Annotated[int | None, typer.Argument(metavar="[LISTING]", help="Its number; all if not given.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say where purchases stand: what is waited for, until when, and what happens otherwise."""
    from trader.cli.buying import open_purchases, print_lost, print_status
    from trader.clients.ending import open_trades

    with open_purchases(settings) as (purchases, _):
        numbers = [listing] if listing is not None else sorted({number for number, _ in purchases.known()})
        here = set[int | None]()
        for number in numbers:
            if purchases.newest(number) is None:
                raise CallerError(f"no purchase of listing {number} was begun in {purchases.folder}")
            with purchases.opened(number) as purchase:
                found = purchase.status()
            here.add(found.trade_id)
            print_status(found, as_json)
        for trade in open_trades(purchases.connection):
            if trade.trade_id not in here and listing in (None, trade.listing_id):
                print_lost(trade, as_json)


@app.command()
@buyer_command(policy=True)
def report(
    settings: BuyerSettings,
    listing: ListingNumber,
    out: Annotated[Path, typer.Option(metavar="FILE", help="An .html or a .json file.")] = Path("report.html"),
    labels: LabelsFile = None,
) -> None:
    """Write the quality report of your test: metrics, curves, checks, cost. It is yours: show it to nobody."""
    from trader.cli.buying import labels_of, open_purchases
    from trader.files import write_file
    from trader.report.quality import report_of

    if out.suffix not in (".html", ".json"):
        raise CallerError(f"{out} is neither .html nor .json")
    with open_purchases(settings) as (purchases, _), purchases.opened(listing) as purchase:
        purchase.remember_labels(None if labels is None else labels_of(purchase, labels))
        made = report_of(purchase.buyer, purchases.policy)
        write_file(out, (made.to_html() if out.suffix == ".html" else made.to_json()).encode(), secret=True)
    results.print(f"report: {escape(str(out))}", highlight=False)


@app.command()
@buyer_command(policy=True)
def certificate(
    settings: BuyerSettings,
    listing: ListingNumber,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .json file.")] = Path("trade-certificate.json"),
) -> None:
    """Write the certificate of a finished trade, for `audit verify-certificate`: anybody may see it."""
    from trader.cli.buying import open_purchases
    from trader.files import write_file
    from trader.trade_certificate import certificate_of

    with open_purchases(settings) as (purchases, _), purchases.opened(listing) as purchase:
        write_file(out, certificate_of(purchase.buyer).to_bytes())
    results.print(f"certificate: {escape(str(out))}", highlight=False)


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


@app.command(name="export", cls=Deferred)
def _export() -> Callable[..., None]:
    """Publish a bought model: a folder with card, bill of materials and signature, to a registry if you like."""
    from trader.cli.buyer_export import export_command

    return export_command


@app.command()
@buyer_command()
def withdraw(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """Take out what the escrow owes you, in each currency that you trade in; your folder is not needed."""
    from trader.cli.ending import print_withdrawn

    print_withdrawn(open_connection(settings), as_json)
