"""`modelseal seller`: list models, serve their buyers, be paid."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable  # noqa: TC003 - typer reads the annotations
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from trader.cli.deferred import Deferred
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.cli.settings import open_connection, seller_command
from trader.errors import CallerError, EnvironmentFaultError, FolderTakenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trader.chain.records import Listing
    from trader.clients.shop import Shop
    from trader.currencies import Currencies
    from trader.settings.seller import SellerSettings

app = typer.Typer(help="Sell models: list them, serve their buyers, be paid.", no_args_is_help=True)


@app.command()
def init(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The file to write.")] = Path("seller.toml"),
    package: Annotated[Path, typer.Option(metavar="DIR", help="Folder that `model prepare` made.")] = Path("package"),
    price: Annotated[str, typer.Option(metavar="AMOUNT", help='Of the model: "1.5 ether".')] = "1 ether",
    keyfile: Annotated[Path, typer.Option(metavar="FILE", help="Your account.")] = Path("seller.json"),
    url: Annotated[
        str, typer.Option(metavar="URL", help="Where buyers will reach you; a proxy's, if one speaks TLS for you.")
    ] = "http://127.0.0.1:8420",
    chain: Annotated[str, typer.Option(metavar="URL", help="JSON-RPC node.", envvar="ETH_RPC_URL")] = (
        "http://127.0.0.1:8545"
    ),
) -> None:
    """Write a CONFIG with everything that can be set, and what it means."""
    from trader.settings.template import write_template

    write_template(config, package=package, price=price, keyfile=keyfile, url=url, chain=chain)
    results.print(f"{escape(str(config))}: look through it, then `modelseal seller serve {escape(str(config))}`")


@app.command()
@seller_command(again=True)
def serve(
    settings: SellerSettings,
    read_again: Callable[[], SellerSettings],
    trades: Annotated[
        int | None, typer.Option(min=1, help="Stop when so many answered trades have ended and none is under way.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="ENGINE", help="Who evaluates and proves: processes, here, or dask://HOST:PORT."),
    ] = None,
) -> None:
    """List what CONFIG names, and serve buyers until it is stopped (SIGTERM, Ctrl-C); started again, it goes on.

    SIGHUP makes it read CONFIG again: new models are listed, those with new terms anew, and those that are gone closed.
    """
    _require_service()
    from trader.clients.service import SellerService
    from trader.report.timeline import Timeline

    settings = settings.with_engine(engine)
    if settings.log == "json":
        from trader.service.logs import log_as_json

        log_as_json()
    stop = threading.Event()
    changed = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: changed.set())

    def reread() -> SellerSettings | None:
        if not changed.is_set():
            return None
        changed.clear()
        return read_again()

    connection = open_connection(settings)
    _ = connection.account  # a password may be asked for: before anything is drawn
    with (
        Timeline(messages) as timeline,
        SellerService(settings, connection, say=timeline.say, observe=timeline.observe) as service,
    ):
        service.say(f"serving in the market {service.shop.market.deployment.market}")
        service.run(lambda: stop.is_set() or service.has_ended(trades), sleep=stop.wait, reread=reread)
        timeline.say("stopped: trades under way go on when it is started again")


def _require_service() -> None:
    """Look for the libraries of the service, which buyers don't need.

    Raises:
        EnvironmentFaultError: One is missing.
    """
    missing = [name for name in ("fastapi", "prometheus_client", "uvicorn") if find_spec(name) is None]
    if missing:
        raise EnvironmentFaultError(f"a seller needs {', '.join(missing)}: pip install 'modelseal[service]'")


@app.command(name="import", cls=Deferred)
def _import() -> Callable[..., None]:
    """Bring an ONNX file here from a Hugging Face repository, an MLflow registry, or the web; no pickle is opened."""
    from trader.cli.seller_import import import_command

    return import_command


@app.command(name="offer", cls=Deferred)
def _offer() -> Callable[..., None]:
    """Sign a price for one BUYER, at most the listing's; it also admits to a test. Nothing is sent to the chain."""
    from trader.cli.seller_policy import offer

    return offer


@app.command(name="admit", cls=Deferred)
def _admit() -> Callable[..., None]:
    """Sign that one BUYER may test a listing whose `rules` name your account. Nothing is sent to the chain."""
    from trader.cli.seller_policy import admit

    return admit


@app.command(name="cancel-offer", cls=Deferred)
def _cancel_offer() -> Callable[..., None]:
    """Take back all offers and admissions of yours with a NONCE; a buyer may be faster."""
    from trader.cli.seller_policy import cancel_offer

    return cancel_offer


@app.command(name="rules", cls=Deferred)
def _rules() -> Callable[..., None]:
    """Set who may test a listing that has the policy, and its upgrade price; what was set before is replaced."""
    from trader.cli.seller_policy import rules

    return rules


@app.command(name="list")
@seller_command()
def list_models(settings: SellerSettings, as_json: JsonFlag = False) -> None:
    """List what CONFIG names and announce where buyers reach you; `serve` does it too. What is listed stays."""
    _bring_about(settings, as_json)


@app.command()
@seller_command()
def update(settings: SellerSettings, as_json: JsonFlag = False) -> None:
    """List models on the terms that CONFIG has now, and close their older listings; trades under way go on."""
    _bring_about(settings, as_json)


@app.command()
@seller_command()
def delist(
    settings: SellerSettings, listing: Annotated[int, typer.Argument(metavar="LISTING", help="Its number.", min=1)]
) -> None:
    """Take a listing off the market; trades under way go on."""
    with _shop(settings) as shop:
        shop.close_listing(listing)
    results.print(f"listing {listing} is closed", highlight=False)


@app.command()
@seller_command()
def listings(settings: SellerSettings, as_json: JsonFlag = False) -> None:
    """Show your listings in this market."""
    connection = open_connection(settings)
    market, address = connection.market, str(connection.account.address)
    for number in market.listings_of(address):
        _print_listing(
            market.listing(number), connection.directory.endpoint(number, address), connection.currencies, as_json
        )


@app.command()
@seller_command()
def trades(settings: SellerSettings, as_json: JsonFlag = False) -> None:
    """Show the trades of your listings, the newest last: where they stand, and what is waited for."""
    from trader.cli.times import clock
    from trader.trade import Role
    from trader.trade.waiting import OTHERWISE, waits_for

    connection = open_connection(settings)
    market = connection.market
    for number in market.listings_of(str(connection.account.address)):
        for trade_id in market.find_trades(number):
            trade = market.trade(trade_id)
            position = trade.position
            facts: dict[str, Any] = {
                "trade": trade_id,
                "listing": number,
                "buyer": trade.buyer,
                "state": position.state.name.lower(),
                "waits_for": waits_for(Role.SELLER, position),
                "until_seconds": position.deadline_seconds,
            }
            if as_json:
                print_json_line(facts)
                continue
            results.print(
                f"[bold]{trade_id}[/]  listing {number}, {facts['state']}, buyer {trade.buyer}", highlight=False
            )
            if position.deadline_seconds:
                until, otherwise = clock(position.deadline_seconds), OTHERWISE[position.state]
                results.print(f"   {facts['waits_for']}, until {until}; else {otherwise}", highlight=False)


@app.command()
@seller_command()
def certificate(
    settings: SellerSettings,
    trade: Annotated[int, typer.Argument(metavar="TRADE", help="Number of the trade.", min=1)],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .json file.")] = Path("trade-certificate.json"),
) -> None:
    """Write the certificate of a finished trade, for `audit verify-certificate`: anybody may see it."""
    from eth_utils.crypto import keccak

    from ledger import AuditLog
    from trader.files import write_file
    from trader.package import PUBLIC, PublicPackage
    from trader.parties.folder import AUDIT_LOG
    from trader.trade_certificate import make_trade_certificate

    connection = open_connection(settings)
    market = connection.market
    listed = market.listing(market.trade(trade).listing_id)
    manifests = [PublicPackage.read(listing.package / PUBLIC).manifest for listing in settings.listings]
    manifest = next((each for each in manifests if keccak(each) == listed.terms.manifest_hash), None)
    if manifest is None:
        raise CallerError(f"trade {trade} is of a package that the settings do not name: add it to [[listings]]")
    with AuditLog.open(settings.folder / AUDIT_LOG) as log:
        made = make_trade_certificate(market, log, trade, manifest, connection.account)
    write_file(out, made.to_bytes())
    results.print(f"certificate: {escape(str(out))}", highlight=False)


@app.command()
@seller_command()
def end(
    settings: SellerSettings,
    trade: Annotated[int, typer.Argument(metavar="TRADE", help="Number of the trade.", min=1)],
    as_json: JsonFlag = False,
) -> None:
    """End a trade whose deadline has passed, and take out what is owed to you; your folder is not needed."""
    from trader.cli.ending import run_end
    from trader.trade import Role

    run_end(open_connection(settings), trade, Role.SELLER, as_json)


@app.command()
@seller_command()
def withdraw(settings: SellerSettings, as_json: JsonFlag = False) -> None:
    """Take out what the escrow owes you; `serve` does it after every trade. Your folder is not needed."""
    from trader.cli.ending import print_withdrawn

    print_withdrawn(open_connection(settings), as_json)


def _bring_about(settings: SellerSettings, as_json: bool) -> None:
    """Bring market and settings together (`Shop.list_models`), and say what was done."""
    with _shop(settings) as shop:
        served = shop.list_models(lambda line: results.print(escape(line), highlight=False) if not as_json else None)
    if as_json:
        print_json_line({"listings": sorted(served)})


@contextmanager
def _shop(settings: SellerSettings) -> Iterator[Shop]:
    """Open the seller's shop, while no service works in its folder."""
    _require_service()
    from ledger import AuditLog
    from trader.clients.shop import Shop
    from trader.parties.folder import AUDIT_LOG

    settings.folder.mkdir(parents=True, exist_ok=True)
    connection = open_connection(settings)
    connection.deploy_market()
    with AuditLog.open(settings.folder / AUDIT_LOG) as log:
        try:
            shop = Shop(settings, connection, log)
        except FolderTakenError as error:
            raise FolderTakenError(
                f"{error} If it is your service: change CONFIG, and send it SIGHUP (`kill -HUP`, `systemctl reload`)."
            ) from error
        with closing(shop):
            yield shop


def _print_listing(listing: Listing, endpoint: str | None, currencies: Currencies, as_json: bool) -> None:
    terms = listing.terms
    currency = currencies.of(terms.token)
    if as_json:
        print_json_line(
            {
                "listing": listing.listing_id,
                "open": listing.open,
                "price_wei": terms.price_wei,
                "bond_wei": terms.bond_wei,
                "token": terms.token,
                "policy": terms.policy,
                "supersedes": terms.supersedes,
                "manifest_hash": f"0x{terms.manifest_hash.hex()}",
                "endpoint": endpoint,
            }
        )
        return
    state = "open" if listing.open else "closed"
    where = "not announced" if endpoint is None else f"announced at {escape(endpoint)}"
    results.print(
        f"[bold]{listing.listing_id}[/]  {state}, {currency.format(terms.price_wei)}, bond "
        f"{currency.format(terms.bond_wei)}, {where}",
        highlight=False,
        soft_wrap=True,
    )
