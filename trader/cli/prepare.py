"""`modelseal model prepare`: a package for sale, made of an ONNX file."""

from __future__ import annotations

import secrets
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from eth_utils.address import is_checksum_address, is_hex_address

from trader.amounts import ETHER_UNITS, read_amount, token_units
from trader.chain.accounts import read_address
from trader.chain.keystores import find_keyfile
from trader.cli.output import JsonFlag, messages, print_figures, warn
from trader.cli.package_report import MEANINGS, cautions, package_figures
from trader.cli.passwords import PASSWORD_VARIABLE, PasswordFile, ask_password
from trader.cli.proof_cost import ProofCostFinder
from trader.errors import AccountError, CallerError
from trader.files import write_file
from trader.model import DEFAULT_PROOFS, read_grid
from trader.model.manifest import NOBODY, ModelCard
from trader.package import DEFAULT_AUDIT_SAMPLES, PrepareOptions, prepare
from zk import WorkerLimits, ceremony_srs, development_srs


class SrsSource(StrEnum):
    """Where the structured reference string comes from."""

    CEREMONY = "ceremony"
    DEVELOPMENT = "development"


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model to sell.")]
OutFolder = Annotated[Path, typer.Option(help="Folder to make.")]
CalibrationFile = Annotated[
    Path | None, typer.Option(help="Samples like those that buyers test with: .csv, .npy or .npz.")
]
CardName = Annotated[str, typer.Option(help="Name on the listing; the file's name if empty.")]
Description = Annotated[str, typer.Option(help="What the listing says of the model.")]
Licence = Annotated[str, typer.Option(help="Licence that the buyer gets.")]
Seller = Annotated[
    str, typer.Option(metavar="ADDRESS|KEYFILE", help="Account that will list the model; without one it can't be.")
]
AuditSamples = Annotated[int, typer.Option(min=1, max=1024, help="Samples that one audit proves.")]
BuyerQuota = Annotated[
    int | None,
    typer.Option(min=1, help="Answers per buyer, to tests and audits; as many as are safe if not given."),
]
ListingQuota = Annotated[
    int | None,
    typer.Option(
        min=1, help="Answers to all buyers together; ten times one's, or as many as the parameters' bits allow."
    ),
]
InsistFlag = Annotated[
    bool, typer.Option("--insist", help="Allow quotas that could give the model away, and a model that lost precision.")
]
PublishedProofs = Annotated[
    int,
    typer.Option(min=1, max=1 << 16, help="Proofs to be published: one per sale, and per k certified rows."),
]
SrsChoice = Annotated[
    SrsSource, typer.Option(help="Reference string: a ceremony's (see `modelseal srs`), or one made here.")
]
ProofSeconds = Annotated[float, typer.Option(min=1, help="Most time that a proof may take.")]
ProofGib = Annotated[
    float | None, typer.Option(min=0.01, help="Most memory that a proof may take; all there is if not given.")
]
TrialChoice = Annotated[
    bool | None,
    typer.Option(help="Make a proof now, or estimate its cost; by default a proof is made if it is quick."),
]
GridFile = Annotated[
    Path | None, typer.Option(help="Bins for an ensemble of trees: a file of `model grid`, or your own.")
]
ColumnsChoice = Annotated[
    bool,
    typer.Option("--all-columns/--used-columns", help="Whether buyers encrypt columns that no tree reads, too."),
]
Fee = Annotated[
    str | None,
    typer.Option(metavar="AMOUNT", help="Of each answer, in the listing's currency; 0.00001 ether if not given."),
]
FeeDecimals = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Of the token that --fee is in; without it, --fee is in ether.")
]
Endpoint = Annotated[str, typer.Option(help="URL where buyers reach you, e.g. file:///srv/exchange.")]


def prepare_command(
    model: ModelFile,
    out: OutFolder,
    calibration: CalibrationFile = None,
    name: CardName = "",
    description: Description = "",
    licence: Licence = "",
    seller: Seller = "",
    audit_samples: AuditSamples = DEFAULT_AUDIT_SAMPLES,
    quota: BuyerQuota = None,
    listing_quota: ListingQuota = None,
    insist: InsistFlag = False,
    proofs: PublishedProofs = DEFAULT_PROOFS,
    srs: SrsChoice = SrsSource.DEVELOPMENT,
    proof_seconds: ProofSeconds = 3600,
    proof_gib: ProofGib = None,
    trial: TrialChoice = None,
    grid: GridFile = None,
    all_columns: ColumnsChoice = True,
    endpoint: Endpoint = "",
    fee: Fee = None,
    fee_decimals: FeeDecimals = None,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a package of an ONNX file: canonical parameters, audit circuit, encryption plan, manifest."""
    limits = WorkerLimits(seconds=proof_seconds, memory_bytes=int((proof_gib or 0) * 2**30))
    cost = ProofCostFinder(limits, trial)
    options = PrepareOptions(
        card=ModelCard(name=name or model.stem, description=description, licence=licence),
        audit_samples=audit_samples,
        buyer_quota_samples=quota,
        listing_quota_samples=listing_quota,
        insist=insist,
        proofs=proofs,
        seller=_seller_address(seller) if seller else NOBODY,
        srs=ceremony_srs if srs is SrsSource.CEREMONY else development_srs,
        endpoint=endpoint,
        all_columns=all_columns,
        grid=None if grid is None else read_grid(grid),
        inspect=cost.find,
    )
    if fee is not None:
        options = replace(options, fee_wei=_read_fee(fee, fee_decimals))
    password, made_up_for = _package_password(password_file, out)
    with messages.status("preparing") as status:
        package = prepare(
            model, out, options, password=password, calibration=calibration, step=lambda text: status.update(text)
        )
    if made_up_for is not None:
        write_file(made_up_for, password.encode() + b"\n", secret=True)
        messages.print(f"no password given: a random one was written to {made_up_for}", markup=False, soft_wrap=True)
    print_figures(package_figures(package.manifest, package.canonical, out) | cost.figures, as_json, MEANINGS)
    for caution in cautions(package.manifest, package.canonical):
        warn(caution)


def _read_fee(text: str, decimals: int | None) -> int:
    """Return a fee in the smallest unit of ether, or of a token with so many decimals.

    Raises:
        QuantityError: It is none.
    """
    symbol = text.strip().lstrip("0123456789. ")
    return read_amount(text, ETHER_UNITS if decimals is None else token_units(symbol, decimals))


def _seller_address(given: str) -> str:
    """Return the address that was given, or that of the keyfile.

    Raises:
        CallerError: An address with a typing error, as its checksum tells, or neither an address nor a keyfile.
    """
    if not given.startswith("0x"):
        return read_address(find_keyfile(given))
    if not is_hex_address(given) or (given != given.lower() and not is_checksum_address(given)):
        raise CallerError(
            f"{given} is no address, or has a typing error: give the account's address, or its keyfile, as --seller."
        )
    return given


def _package_password(password_file: Path | None, out: Path) -> tuple[str, Path | None]:
    """Return the password of the package's encryption key; a random one, and where to keep it, if nobody can be asked.

    Raises:
        CallerError: An earlier package's random password is there: replacing it would lock that package for ever.
    """
    try:
        return ask_password(password_file, f"the encryption key of {out}", confirm=True), None
    except AccountError:
        if password_file is not None:
            raise
    beside = out.with_name(f"{out.name}.password")
    if beside.exists():
        raise CallerError(
            f"{beside} holds the password of an earlier package. Give --password-file, set {PASSWORD_VARIABLE}, or "
            "name another folder."
        )
    return secrets.token_urlsafe(32), beside
