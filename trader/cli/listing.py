"""`modelseal listing`: what a buyer checks before it pays."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from contracts import ETH
from trader.certificates import CERTIFICATES, Certificate, CertificateError, PublicModel
from trader.chain import Chain
from trader.chain.market import Market
from trader.cli.certificate import facts_of, in_words, read_certificate, verify_with_bar
from trader.cli.options import (  # noqa: TC001 - typer reads the annotations
    ConfirmationsOption,
    DevelopmentFlag,
    PublicFolder,
)
from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.errors import CallerError
from trader.package import PublicPackage, read_package_srs
from trader.verify import LISTING_CHECKS, BuyerPolicy, Sources, VerifiedListing, verify_listing
from trader.verify.detection import detection_probability
from zk import Srs, ceremony_srs

if TYPE_CHECKING:
    from ledger.reading.accuracies import Accuracy
    from ledger.reading.sellers import SellerSummary

app = typer.Typer(help="Check a listing before you pay.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Check a listing before you pay."""


@app.command()
def verify(
    listing: Annotated[int, typer.Argument(help="Number of the listing.", min=1)],
    package: PublicFolder,
    chain: Annotated[str, typer.Option(metavar="URL", help="JSON-RPC node.", envvar="ETH_RPC_URL")],
    confirmations: ConfirmationsOption = None,
    market: Annotated[
        str | None,
        typer.Option(help="Address of the market, to be checked; it has one on all chains.", envvar="MODELSEAL_MARKET"),
    ] = None,
    development: DevelopmentFlag = False,
    rounded_circuits: Annotated[
        bool, typer.Option("--rounded-circuits", help="Accept proofs of rounded computations, whose outputs have play.")
    ] = False,
    certificate: Annotated[Path | None, typer.Option(help="Also verify this certificate of accuracy.")] = None,
    certificate_data: Annotated[
        Path | None, typer.Option(help="The data set that the certificate names, from its source.")
    ] = None,
    certificate_labels: Annotated[Path | None, typer.Option(help="Its true classes.")] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The seller's record: `audit query sellers --seller 0x… --prove FILE`."),
    ] = None,
    record_checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint of the log that the record is from.")
    ] = None,
    record_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Public keys (.pub) of that log: each must have signed.")
    ] = None,
    min_sold: Annotated[int, typer.Option(min=0, help="Least number of models that the seller has sold.")] = 0,
    max_lost_disputes: Annotated[
        int | None, typer.Option(min=0, help="Most disputes that the seller has lost.")
    ] = None,
    min_proven_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least accuracy that the certificate proves on public data.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the eight numbered checks of a LISTING; the first that fails is named."""
    claim = _read_claim(certificate, certificate_data, certificate_labels)
    policy = BuyerPolicy(
        rounded_circuits=rounded_circuits,
        development=development,
        minimum_sold=min_sold,
        maximum_lost_disputes=max_lost_disputes,
        minimum_proven_accuracy=min_proven_accuracy,
    )
    proven_record = _read_record(record, record_checkpoint, record_key, policy)
    with messages.status("checking the listing"):
        verified = _verify(listing, package, Chain.connect(chain, confirmations=confirmations), market, policy)
    if proven_record is not None:
        _hold_record(proven_record, verified, policy, as_json=as_json)
    proven = None if claim is None else verify_with_bar(_public_model(verified), *claim)
    policy.check_accuracy([] if proven is None else [proven.accuracy])
    print_verified(verified, as_json, proven)
    if not as_json:
        _print_certificates(proven, package)


def _read_record(
    file: Path | None, checkpoint: Path | None, key: Path | None, policy: BuyerPolicy
) -> SellerSummary | None:
    """Return the seller's record from a proven answer, None if none was given and none is asked for."""
    if file is None or checkpoint is None:
        if file is not None or checkpoint is not None or policy.asks_for_a_record:
            raise CallerError(
                "a seller's record is derived from a log's complete answer: give --record and --record-checkpoint"
                " together (`modelseal audit query sellers --seller 0x… --prove FILE`)."
            )
        return None
    from ledger.reading.records import derive_record
    from trader.cli.audit_query import read_answer

    return derive_record(read_answer(file, checkpoint, key=key))


def _hold_record(record: SellerSummary, verified: VerifiedListing, policy: BuyerPolicy, *, as_json: bool) -> None:
    """Print the record of the listing's seller, and hold it against the policy."""
    if record.seller != verified.seller.lower():
        raise CallerError(f"the record is {record.seller}'s, the listing {verified.seller}'s: ask for the right one")
    if not as_json:
        answered = "-" if record.seconds_to_answer is None else f"{record.seconds_to_answer:.0f} s"
        results.print(
            f"[green]✓[/] the seller's record, complete: {record.trades} trades, {record.settled} settled,"
            f" {record.slashed} disputes lost, {record.proof_refused} proofs refused, {record.not_proven} not proven;"
            f" answers in {answered} (median)",
            highlight=False,
        )
        for accuracy in record.accuracies:
            by = [*(["the seller claims it"] if accuracy.claimed else ()), *_said_by(accuracy)]
            results.print(
                f"  {accuracy.share:.2%} ({accuracy.correct} of {accuracy.samples}) on"
                f" {accuracy.data_digest}: {', '.join(by)}; certificate {accuracy.certificate}",
                highlight=False,
                soft_wrap=True,
            )
    policy.check_record(record.settled, record.slashed)


def _said_by(accuracy: Accuracy) -> list[str]:
    count = len(accuracy.verified_by)
    return [f"{count} {'account says' if count == 1 else 'accounts say'} to have verified it"] if count else []


def print_verified(verified: VerifiedListing, as_json: bool, proven: Certificate | None = None) -> None:
    """Print the checks that a listing has passed, and what they leave open."""
    if as_json:
        print_json_line(_summary(verified) | ({} if proven is None else {"certificate": facts_of(proven)}))
        return
    for number, check in enumerate(LISTING_CHECKS, start=1):
        results.print(f"[green]✓[/] ({number}) {check}", highlight=False)
    results.print(_room(verified), style="dim", highlight=False)
    results.print("Nobody vouches for the model card: make sure that the seller is the one you mean.", style="dim")


def _read_claim(file: Path | None, data: Path | None, labels: Path | None) -> tuple[Path, Path, Path] | None:
    if file is None and data is None and labels is None:
        return None
    if file is None or data is None or labels is None:
        raise CallerError(
            "a certificate is verified on its data set: give --certificate, --certificate-data and "
            "--certificate-labels together."
        )
    return file, data, labels


def _public_model(verified: VerifiedListing) -> PublicModel:
    return PublicModel(verified.manifest, verified.graph, verified.circuit, verified.srs)


def print_accuracy(proven: Certificate) -> None:
    """Print what a certificate that was verified proves."""
    results.print(f"[green]✓[/] proven accuracy: {escape(in_words(proven))}", highlight=False)


def _print_certificates(proven: Certificate | None, folder: Path) -> None:
    """Print the verified certificate, or else what those beside the package claim."""
    if proven is not None:
        print_accuracy(proven)
        return
    for file in sorted((folder / CERTIFICATES).glob("*.json")):
        try:
            claim = f"claimed accuracy, not verified: {in_words(read_certificate(file))}; see --certificate"
        except CertificateError as error:
            claim = f"{file.name}: {error}"
        results.print(f"[yellow]?[/] {escape(claim)}", highlight=False, soft_wrap=True)


def _verify(listing_id: int, folder: Path, chain: Chain, address: str | None, policy: BuyerPolicy) -> VerifiedListing:
    package = PublicPackage.read(folder)
    market = Market.at(chain, address)
    listed = market.listing(listing_id)
    sources = Sources(
        lambda: market.verify_code(listed.terms.policy),
        lambda logrows: _find_srs(package, folder, logrows),
        chain.confirmations,
    )
    return verify_listing(listing_id, listed.seller, listed.terms, package, policy, sources)


def _find_srs(package: PublicPackage, folder: Path, logrows: int) -> Srs:
    return read_package_srs(folder) if package.development_srs else ceremony_srs(logrows)


def _room(verified: VerifiedListing) -> str:
    """Return what the tolerance leaves open until the test has shown how far outputs lie apart."""
    return (
        f"An audit lets outputs move by {verified.audit_distance:.2g}: after your test, samples whose class that could "
        "change are counted, and values are held against it, before you pay."
    )


def _summary(verified: VerifiedListing) -> dict[str, object]:
    return {
        "verified": True,
        "listing": verified.listing_id,
        "seller": verified.seller,
        "price_wei": verified.terms.price_wei,
        "token": None if verified.terms.token == ETH else verified.terms.token,
        "audit_samples": verified.terms.audit_samples,
        "detection_probability": detection_probability(verified.terms.audit_samples),
        "audit_distance": verified.audit_distance,
        "development": verified.manifest.circuit.srs.development,
    }
