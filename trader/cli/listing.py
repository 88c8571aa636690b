"""`modelseal listing`: what a buyer checks before it pays."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from trader.chain import Chain
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.detection import detection_probability
from trader.market import Market
from trader.package import PublicPackage, read_package_srs
from trader.verify import BuyerPolicy, Sources, VerifiedListing, verify_listing
from zk import Srs, development_srs

app = typer.Typer(help="Check a listing before you pay.", no_args_is_help=True)

CHECKS = (
    "the manifest is the listed one and repeats the terms on the chain",
    "market and verifier run the published code",
    "the reference string is the named one",
    "the rebuilt audit circuit and its layout are the listed ones",
    "no committed column is unconstrained",
    "the opening binds what is proven to what will be delivered",
    "the encryption plan is secure and fits the model",
    "price, bond, windows, audit size and tolerance meet your policy",
)


@app.callback()
def _group() -> None:
    """Check a listing before you pay."""


@app.command()
def verify(
    listing: Annotated[int, typer.Argument(help="Number of the listing.", min=1)],
    package: Annotated[Path, typer.Option(help="The seller's public folder.")],
    chain: Annotated[str, typer.Option(metavar="URL", help="JSON-RPC node.", envvar="ETH_RPC_URL")],
    market: Annotated[str, typer.Option(help="Address of the market.", envvar="MODELSEAL_MARKET")],
    development: Annotated[
        bool, typer.Option("--development", help="Accept a reference string that the seller made.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the eight numbered checks of a LISTING; the first that fails is named."""
    policy = BuyerPolicy(development=development)
    with messages.status("checking the listing"):
        verified = _verify(listing, package, Chain.connect(chain), market, policy)
    if as_json:
        print_json_line(_summary(verified))
        return
    for number, check in enumerate(CHECKS, start=1):
        results.print(f"[green]✓[/] ({number}) {check}", highlight=False)
    results.print("Nobody vouches for the model card: make sure that the seller is the one you mean.", style="dim")


def _verify(listing_id: int, folder: Path, chain: Chain, address: str, policy: BuyerPolicy) -> VerifiedListing:
    package = PublicPackage.read(folder)
    market = Market.at(chain, address)
    listed = market.listing(listing_id)
    sources = Sources(market.verify_code, lambda logrows: _find_srs(package, folder, logrows))
    return verify_listing(listing_id, listed.seller, listed.terms, package, policy, sources)


def _find_srs(package: PublicPackage, folder: Path, logrows: int) -> Srs:
    return read_package_srs(folder) if package.development_srs else development_srs(logrows)


def _summary(verified: VerifiedListing) -> dict[str, object]:
    return {
        "verified": True,
        "listing": verified.listing_id,
        "seller": verified.seller,
        "price_wei": verified.terms.price_wei,
        "audit_samples": verified.terms.audit_samples,
        "detection_probability": detection_probability(verified.terms.audit_samples),
        "development": verified.manifest.circuit.srs.development,
    }
