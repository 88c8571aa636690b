"""`modelseal certificate`, and `modelseal model certify`: accuracy that is proven before anyone pays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trader.certificates import (
    CERTIFICATES,
    Certificate,
    Dataset,
    PublicModel,
    certify,
    parse_certificate,
    published_proofs,
    verify_certificate,
)
from trader.certificates.certificate import MAX_CERTIFICATE_BYTES
from trader.cli.options import DevelopmentFlag, PackageFolder, PublicFolder  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_json_line, progress_bar, results
from trader.errors import CallerError, PolicyError
from trader.files import write_file
from trader.model import parse_architecture, parse_manifest
from trader.package import PUBLIC, PublicPackage, open_circuit, proof_budget, read_canonical, read_package_srs

app = typer.Typer(help="Accuracy on public data sets, proven by the seller.", no_args_is_help=True)

"""Folder of a package's public half where its certificates lie."""

CertificateFile = Annotated[Path, typer.Argument(metavar="FILE", help="The certificate.")]
DataFile = Annotated[Path, typer.Option(help="The public data set, one sample per row: .csv, .npy or .npz.")]
LabelsFile = Annotated[Path, typer.Option(help="Its true classes, one per sample.")]


@app.callback()
def _group() -> None:
    """Accuracy on public data sets, proven by the seller."""


def certify_command(
    folder: PackageFolder,
    data: DataFile,
    labels: LabelsFile,
    dataset: Annotated[str, typer.Option(help="Name under which people find the data set.")],
    out: Annotated[Path | None, typer.Option(help="The certificate; in DIR/public/certificates if not given.")] = None,
    insist: Annotated[
        bool, typer.Option("--insist", help="Publish outputs from which the model could be rebuilt.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Prove how many samples of a public data set the model classifies correctly: one proof for every k rows."""
    model = open_public_model(folder / PUBLIC)
    rows = Dataset.read(dataset, data, labels, model.graph.features, model.manifest.input.columns)
    with progress_bar("proving") as update:
        budget = proof_budget(folder, model.graph)
        budget.count_proofs(published_proofs(folder / PUBLIC, model.manifest))
        certificate = certify(model, read_canonical(folder), rows, budget, update, insist=insist)
    path = out or folder / PUBLIC / CERTIFICATES / f"{rows.data_digest.hex()[:16]}.json"
    write_file(path, certificate.to_bytes())
    _print(certificate, {"certificate": str(path)}, as_json)


@app.command()
def verify(
    file: CertificateFile,
    package: PublicFolder,
    data: DataFile,
    labels: LabelsFile,
    development: DevelopmentFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Verify a certificate against a package; `listing verify --certificate` also checks that the package is listed."""
    model = open_public_model(package)
    if model.srs.development and not development:
        raise PolicyError(
            "the package's proofs rest on a locally made reference string, whose maker can forge them. "
            "Ask for one from a ceremony, or allow it with --development."
        )
    certificate = verify_with_bar(model, file, data, labels)
    _print(certificate, {"verified": True}, as_json)


@app.command()
def show(file: CertificateFile, as_json: JsonFlag = False) -> None:
    """Print what a certificate claims; nothing is verified."""
    _print(read_certificate(file), {"verified": False}, as_json)


def open_public_model(public: Path) -> PublicModel:
    """Return the model of a public folder, with its circuit rebuilt as its own manifest says."""
    package = PublicPackage.read(public)
    srs = read_package_srs(public)
    with messages.status("rebuilding the audit circuit"):
        circuit = open_circuit(package, srs)
    return PublicModel(parse_manifest(package.manifest), parse_architecture(package.architecture), circuit, srs)


def verify_with_bar(model: PublicModel, file: Path, data: Path, labels: Path) -> Certificate:
    """Verify the certificate in a file for a model whose circuit was rebuilt here."""
    content = _read(file)
    columns = model.manifest.input.columns
    dataset = Dataset.read(parse_certificate(content).dataset.name, data, labels, model.graph.features, columns)
    with progress_bar("verifying proofs") as update:
        return verify_certificate(content, model, dataset, update)


def read_certificate(file: Path) -> Certificate:
    """Return the certificate in a file; nothing in it is verified."""
    return parse_certificate(_read(file))


def facts_of(certificate: Certificate) -> dict[str, Any]:
    """Return what a certificate says, for tables and JSON."""
    return {
        "dataset": certificate.dataset.name,
        "seller": certificate.seller,
        "samples": certificate.dataset.samples,
        "correct": certificate.correct,
        "accuracy": certificate.accuracy,
        "proofs": len(certificate.proofs),
        "audit_samples": certificate.audit_samples,
        "padding": certificate.padding,
        "data_digest": certificate.dataset.data_digest,
        "labels_digest": certificate.dataset.labels_digest,
        "parameter_commitment": certificate.parameter_commitment,
        "digest": f"0x{certificate.digest.hex()}",
    }


def in_words(certificate: Certificate) -> str:
    """Return what a certificate says, in words."""
    stated = certificate.dataset
    return f"{certificate.accuracy:.2%} ({certificate.correct} of {stated.samples}) on '{stated.name}'"


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_CERTIFICATE_BYTES + 1)
    except OSError as error:
        raise CallerError(f"{file} can't be read: {error.strerror}. Name a certificate.") from error


def _print(certificate: Certificate, more: dict[str, Any], as_json: bool) -> None:
    summary = more | facts_of(certificate)
    if as_json:
        print_json_line(summary)
        return
    verb = "proven" if more.get("verified", True) else "claimed, not verified"
    results.print(f"{verb}: {in_words(certificate)}", highlight=False, markup=False)
    for key, value in summary.items():
        results.print(f"  {key.replace('_', ' ')}: {value}", highlight=False, markup=False, soft_wrap=True, style="dim")
