"""What `modelseal buyer export` does; imported when it runs."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli.output import JsonFlag, messages, print_figures
from trader.cli.passwords import PasswordFile, ask_password
from trader.errors import CallerError
from trader.model import UnsafeModelError
from trader.model.loading import MAX_FILE_BYTES, read_limited
from trader.publishing import (
    Basis,
    Metric,
    Provenance,
    create_signing_key,
    export_hf,
    export_mlflow,
    provenance_of_trade,
    sign_bundle,
    write_bundle,
)
from trader.trade_certificate import check_delivered, verify_trade_certificate
from trader.trade_certificate.document import MAX_TRADE_CERTIFICATE_BYTES

if TYPE_CHECKING:
    from trader.trade_certificate import VerifiedTrade


class Target(StrEnum):
    """Where a model can go."""

    FOLDER = "folder"
    MLFLOW = "mlflow"
    HF = "hf"


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="The bought ONNX file.")]
CertificateFile = Annotated[
    Path, typer.Option("--certificate", metavar="FILE", help="The trade's certificate, which says where it comes from.")
]
TargetOption = Annotated[Target, typer.Option("--to", help="Where it goes, beside the folder.")]
BundleOut = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make; must be empty or new.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Of the registered model (mlflow), or owner/name of the repository (hf).")
]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="The MLflow server.")
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--sign-with", metavar="KEY", help="Sign with this key (PEM, P-256), made if it isn't there."),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", metavar="NAME=VALUE:SAMPLES:DATA", help="A figure that you measured, as accuracy=0.97:120:holdout."
    ),
]
AccuracyFile = Annotated[
    Path | None,
    typer.Option(
        "--proven-accuracy", metavar="FILE", help="A certificate of accuracy, verified here; needs the next three."
    ),
]
PackageOption = Annotated[Path | None, typer.Option("--package", metavar="DIR", help="The seller's public folder.")]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="FILE", help="The public data set: samples.")]
LabelsOption = Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="The public data set: labels.")]
PublicFlag = Annotated[bool, typer.Option("--public", help="Make the repository one that everybody sees (hf).")]


def export_command(
    model: ModelFile,
    certificate: CertificateFile,
    out: BundleOut,
    to: TargetOption = Target.FOLDER,
    name: NameOption = None,
    metric: MetricOption = None,
    proven_accuracy: AccuracyFile = None,
    package: PackageOption = None,
    data: DataOption = None,
    labels: LabelsOption = None,
    sign_with: KeyOption = None,
    password_file: PasswordFile = None,
    tracking_uri: TrackingUri = None,
    public: PublicFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Publish a bought model: a folder with card, bill of materials and signature, to a registry if you like."""
    if to is not Target.FOLDER and not name:
        raise CallerError(f"--to {to} needs a --name.")
    if to is Target.MLFLOW and not tracking_uri:
        raise CallerError("which MLflow server is meant? Set MLFLOW_TRACKING_URI, or name it with --tracking-uri.")
    metrics = [_metric(text) for text in metric or ()]
    content = _read(certificate, MAX_TRADE_CERTIFICATE_BYTES)
    onnx = _read(model, MAX_FILE_BYTES)
    with messages.status("checking the trade's certificate"):
        verified = verify_trade_certificate(content)
        check_delivered(verified.certificate, onnx)
    if proven_accuracy is not None:
        metrics.insert(0, _proven(proven_accuracy, package, data, labels, verified))
    provenance = provenance_of_trade(verified, metrics)
    password = _key_password(sign_with, password_file)
    write_bundle(out, onnx, provenance, manifest=verified.manifest.to_bytes(), certificate=content)
    if sign_with is not None:
        sign_bundle(out, sign_with, password)
    address = _publish(out, provenance, to, name or "", tracking_uri or "", private=not public)
    print_figures(_figures(verified, out, address, signed=sign_with is not None), as_json)


def _proven(
    file: Path, package: Path | None, data: Path | None, labels: Path | None, verified: VerifiedTrade
) -> Metric:
    """Verify a certificate of accuracy, and that it is about the model of this trade."""
    from trader.cli.certificate import open_public_model, verify_with_bar

    if package is None or data is None or labels is None:
        raise CallerError(
            "--proven-accuracy is verified against the listing and the data: give --package, --data, --labels"
        )
    model = open_public_model(package)
    if model.manifest != verified.manifest:
        raise CallerError(f"{package} is the package of another listing; give the one of this trade.")
    certificate = verify_with_bar(model, file, data, labels)
    return Metric("accuracy", certificate.accuracy, Basis.PROVEN, certificate.dataset.samples, certificate.dataset.name)


def _key_password(keyfile: Path | None, password_file: Path | None) -> str:
    """Return the password of the signing key, which is made if there is none."""
    if keyfile is None:
        return ""
    is_new = not keyfile.exists()
    password = ask_password(password_file, f"the signing key in {keyfile}", confirm=is_new)
    if is_new:
        create_signing_key(keyfile, password)
    return password


def _publish(folder: Path, provenance: Provenance, to: Target, name: str, tracking_uri: str, *, private: bool) -> str:
    """Bring the bundle where it is to go; return its address."""
    match to:
        case Target.MLFLOW:
            return export_mlflow(folder, provenance, tracking_uri=tracking_uri, name=name)
        case Target.HF:
            return export_hf(folder, name, private=private)
        case Target.FOLDER:
            return str(folder)


def _figures(verified: VerifiedTrade, out: Path, address: str, *, signed: bool) -> dict[str, object]:
    return {
        "folder": str(out),
        "address": address,
        "signed": signed,
        "trade": int(verified.certificate.trade),
        "checks": sum(check.outcome == "holds" for check in verified.checks),
    }


def _metric(text: str) -> Metric:
    """Read NAME=VALUE:SAMPLES:DATA."""
    name, _, rest = text.partition("=")
    parts = rest.split(":", 2)
    try:
        value, samples = float(parts[0]), int(parts[1])
    except (ValueError, IndexError) as error:
        raise CallerError(f"{text[:80]!r} is not NAME=VALUE:SAMPLES:DATA, such as accuracy=0.97:120:holdout") from error
    if not name or samples < 1 or not math.isfinite(value):
        raise CallerError(f"{text[:80]!r} is no figure: a name, a finite number, and at least one sample")
    return Metric(name, value, Basis.MEASURED, samples, parts[2] if len(parts) > 2 else "")


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        return read_limited(path, max_bytes)
    except UnsafeModelError as error:
        raise CallerError(str(error)) from error
