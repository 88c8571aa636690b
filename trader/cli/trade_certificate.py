"""What `modelseal audit verify-certificate` does; imported when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from contracts import ETH
from ledger import Checkpoint
from trader.chain import Chain
from trader.cli.output import messages, print_json_line, results
from trader.errors import CallerError
from trader.package import PublicPackage, read_package_srs
from trader.trade_certificate import (
    TRADE_CERTIFICATE_CHECKS,
    VerifiedTrade,
    Witnesses,
    check_delivered,
    verify_trade_certificate,
)
from trader.trade_certificate.document import MAX_TRADE_CERTIFICATE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from trader.chain.node import Confirmations

UNCHECKABLE = (
    "Steps off the chain are the word of whoever signed: a log proves order and integrity, not truth.",
    "What the encrypted test showed is not in the certificate: outputs stay with the buyer.",
    "Nobody vouches for the model card.",
)
_SIGNS = {"holds": "[green]✓[/]", "partly": "[yellow]~[/]", "not checked": "[yellow]○[/]"}


def verify_certificate_command(
    file: Path,
    chain: str | None,
    confirmations: Confirmations,
    package: Path | None,
    model: Path | None,
    checkpoint: Path | None,
    *,
    as_json: bool,
) -> None:
    """Verify a certificate with what was given, and print each check.

    Raises:
        CallerError: A file can't be read.
        TradeCertificateError: The check that failed.
    """
    witnesses = Witnesses(
        chain=None if chain is None else Chain.connect(chain, confirmations=confirmations),
        package=None if package is None else PublicPackage.read(package),
        srs=None if package is None else read_package_srs(package),
        checkpoint=None if checkpoint is None else Checkpoint.parse(_read(checkpoint).decode(errors="replace")),
    )
    content = _read(file)
    with messages.status("checking the certificate"):
        verified = verify_trade_certificate(content, witnesses)
    if model is not None:
        check_delivered(verified.certificate, _read(model))
    if as_json:
        print_json_line(_facts(verified, model is not None))
    else:
        _print(verified, model_given=model is not None)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_TRADE_CERTIFICATE_BYTES + 1)
    except OSError as error:
        raise CallerError(f"{file} can't be read: {error.strerror}. Name a file.") from error


def _print(verified: VerifiedTrade, *, model_given: bool) -> None:
    for check in verified.checks:
        text = TRADE_CERTIFICATE_CHECKS[check.number - 1]
        results.print(f"{_SIGNS[check.outcome]} ({check.number}) {text}", highlight=False)
        results.print(f"      {escape(check.note)}", style="dim", highlight=False)
    for name, value in _facts(verified, model_given).items():
        if name not in ("verified", "complete", "checks"):
            words = name.replace("_", " ")
            results.print(f"{words}: {escape(str(value))}", highlight=False, soft_wrap=True)
    results.print("Not checked by anything here:", style="dim")
    for text in (*UNCHECKABLE, *_delivery_notes(verified, model_given)):
        results.print(f"  {text}", style="dim", highlight=False)


def _facts(verified: VerifiedTrade, model_given: bool) -> dict[str, Any]:
    story, certificate = verified.story, verified.certificate
    return {
        "verified": True,
        "complete": all(check.outcome == "holds" for check in verified.checks),
        "trade": certificate.trade,
        "listing": certificate.listing,
        "chain_id": certificate.chain_id,
        "market": certificate.market,
        "seller": story.seller,
        "buyer": story.buyer,
        "model": verified.manifest.card.name,
        "ended": story.ended.name.lower(),
        "price_wei": str(story.terms.price_wei if story.price_wei is None else story.price_wei),
        "token": None if story.terms.token == ETH else story.terms.token,
        **{f"{name}_wei": str(amount) for name, amount in story.amounts_wei.items()},
        "proven_outputs": verified.proven_outputs,
        "delivered_sha256": certificate.delivered,
        "delivered_compared": model_given,
        "checks": [{"number": check.number, "outcome": check.outcome, "note": check.note} for check in verified.checks],
    }


def _delivery_notes(verified: VerifiedTrade, model_given: bool) -> list[str]:
    notes = []
    if any(move.function == "reveal" for move in verified.story.moves):
        notes.append("The delivery key in it is no secret: it is on the chain since it was revealed.")
    if verified.certificate.delivered is not None and not model_given:
        notes.append("The delivered file's digest is the signer's word; --model compares a file with it.")
    return notes
