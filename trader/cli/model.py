"""`modelseal model`: what a seller does with a model before anyone sees it."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from eth_utils.address import is_checksum_address, is_hex_address, to_checksum_address
from rich.table import Table

from trader.chain.accounts import read_address
from trader.cli.output import JsonFlag, messages, print_json_line, progress_bar, results
from trader.cli.passwords import PASSWORD_VARIABLE, PasswordFile, ask_password
from trader.cli.proof_cost import ProofCostFinder
from trader.errors import AccountError, CallerError
from trader.files import write_file
from trader.he import STATISTICAL_BITS, HePlan, PlanningProblem, candidates, charged_samples, forecast, parse_plan
from trader.model import (
    DEFAULT_PROOFS,
    CanonicalModel,
    DataError,
    Manifest,
    evaluate_exact,
    output_scale_bits,
    parse_manifest,
    quantise_inputs,
    read_labels,
    read_samples,
)
from trader.model.manifest import NOBODY, ModelCard, Quota
from trader.package import (
    BUYERS_PER_LISTING,
    DEFAULT_AUDIT_SAMPLES,
    PrepareOptions,
    PublicPackage,
    open_circuit,
    parameter_bits,
    planning_data,
    prepare,
    read_canonical,
    read_package_srs,
)
from trader.rehearsal.proving import prove_and_verify
from trader.rehearsal.trial import Trial, run_trial
from trader.verify import BuyerPolicy, UncertainTestError, assess_test, audit_distance
from trader.verify.detection import detection_probability
from zk import WorkerLimits, ceremony_srs, development_srs


class SrsSource(StrEnum):
    """Where the structured reference string comes from."""

    CEREMONY = "ceremony"
    DEVELOPMENT = "development"


app = typer.Typer(help="Prepare a model for sale, and try what buyers will do with it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `model prepare` made.")]
DataFile = Annotated[Path, typer.Option(help="Samples, one per row: .csv, .npy or .npz.")]


@app.command(name="prepare")
def prepare_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model to sell.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    calibration: Annotated[
        Path | None, typer.Option(help="Samples like those that buyers test with: .csv, .npy or .npz.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name on the listing; the file's name if empty.")] = "",
    description: Annotated[str, typer.Option(help="What the listing says of the model.")] = "",
    licence: Annotated[str, typer.Option(help="Licence that the buyer gets.")] = "",
    seller: Annotated[
        str, typer.Option(metavar="ADDRESS|KEYFILE", help="Account that will list the model; without one it can't be.")
    ] = "",
    audit_samples: Annotated[int, typer.Option(min=1, max=1024, help="Samples that one audit proves.")] = (
        DEFAULT_AUDIT_SAMPLES
    ),
    quota: Annotated[
        int | None,
        typer.Option(min=1, help="Answers per buyer, to tests and audits; as many as are safe if not given."),
    ] = None,
    listing_quota: Annotated[
        int | None,
        typer.Option(
            min=1, help="Answers to all buyers together; ten times one's, or as many as the parameters' bits allow."
        ),
    ] = None,
    insist: Annotated[bool, typer.Option("--insist", help="Allow quotas that could give the model away.")] = False,
    proofs: Annotated[
        int,
        typer.Option(min=1, max=1 << 16, help="Proofs to be published: one per sale, and per k certified rows."),
    ] = DEFAULT_PROOFS,
    srs: Annotated[
        SrsSource, typer.Option(help="Reference string: a ceremony's (see `modelseal srs`), or one made here.")
    ] = SrsSource.DEVELOPMENT,
    proof_seconds: Annotated[float, typer.Option(min=1, help="Most time that a proof may take.")] = 3600,
    proof_gib: Annotated[
        float | None, typer.Option(min=0.01, help="Most memory that a proof may take; all there is if not given.")
    ] = None,
    trial: Annotated[
        bool | None,
        typer.Option(help="Make a proof now, or estimate its cost; by default a proof is made if it is quick."),
    ] = None,
    endpoint: Annotated[str, typer.Option(help="URL where buyers reach you, e.g. file:///srv/exchange.")] = "",
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
        inspect=cost.find,
    )
    password, made_up_for = _package_password(password_file, out)
    with messages.status("preparing") as status:
        package = prepare(
            model, out, options, password=password, calibration=calibration, step=lambda text: status.update(text)
        )
    if made_up_for is not None:
        write_file(made_up_for, password.encode() + b"\n", secret=True)
        messages.print(f"no password given: a random one was written to {made_up_for}", markup=False, soft_wrap=True)
    _print_summary(_summary(package.manifest, package.canonical, out) | cost.figures, as_json)
    if message := _collusion(package.manifest.quota, package.canonical, parse_plan(package.manifest.plan)):
        messages.print(message, style="yellow")
    circuit, most = package.manifest.circuit, BuyerPolicy().most_committed(parse_plan(package.manifest.plan))
    if circuit.audit_samples * circuit.layout.outputs > most:
        messages.print(
            f"An audit commits to {circuit.audit_samples} times {circuit.layout.outputs} outputs. Buyers with the "
            f"default policy refuse more than {most}: lower --audit-samples.",
            style="yellow",
        )
    if rounded := package.canonical.graph.rounded_activations:
        messages.print(
            f"Proofs of this model are rounded, because of {', '.join(kind.value for kind in rounded)}: at each "
            "rounding the prover has a choice. Buyers refuse the listing unless they ask for such, and its accuracy "
            "can't be certified. Squares, products and ReLU are proven exactly.",
            style="yellow",
        )
    if package.manifest.seller == NOBODY:
        messages.print(
            "This package names no seller: it can be tried and proven, but not listed. "
            "To sell the model, prepare it with --seller and the account that will list it.",
            style="yellow",
        )
    if package.manifest.circuit.srs.development:
        messages.print(
            "This package uses a structured reference string made on this machine: fine for development, "
            "refused by buyers who don't ask for development.",
            style="yellow",
        )


def _collusion(quota: Quota, canonical: CanonicalModel, plan: HePlan) -> str:
    """What a seller should know of the quota of all buyers together, one of whom may have many accounts."""
    buyers = f"{quota.listing_samples / quota.buyer_samples:.3g} buyers' worth"
    available, shown = parameter_bits(canonical), quota.listing_samples * plan.answer_bits
    if shown > available:
        return (
            f"All buyers together may have {quota.listing_samples} answers, {buyers}, which can carry {shown} bits; "
            f"the model's parameters have {available}. Buyers who collude, or one with many accounts, could rebuild it."
        )
    if quota.listing_samples < BUYERS_PER_LISTING * quota.buyer_samples:
        return (
            f"All buyers together may have {quota.listing_samples} answers, {buyers}: more could carry more bits than "
            "the parameters have. Set --listing-quota if you trust that buyers don't collude."
        )
    return ""


def _seller_address(given: str) -> str:
    """The address that was given, or that of the keyfile.

    Raises:
        CallerError: an address with a typing error, as its checksum tells, or neither an address nor a keyfile.
    """
    if not given.startswith("0x"):
        return read_address(Path(given))
    if not is_hex_address(given) or (given != given.lower() and not is_checksum_address(given)):
        raise CallerError(
            f"{given} is no address, or has a typing error: give the account's address, or its keyfile, as --seller."
        )
    return given


def _package_password(password_file: Path | None, out: Path) -> tuple[str, Path | None]:
    """The password of the package's encryption key; a random one, and where to keep it, where nobody can be asked.

    Raises:
        CallerError: an earlier package's random password is there: replacing it would lock that package for ever.
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


def _summary(manifest: Manifest, canonical: CanonicalModel, folder: Path) -> dict[str, Any]:
    circuit, plan = manifest.circuit, parse_plan(manifest.plan)
    return {
        "package": str(folder),
        "manifest_hash": "0x" + manifest.manifest_hash().hex(),
        "seller": "none" if manifest.seller == NOBODY else to_checksum_address(manifest.seller),
        "parameters": canonical.graph.parameter_count,
        "scale_bits": manifest.scale_bits,
        "ring_degree": plan.ring_degree,
        "security_bits": plan.security_bits,
        "expected_error": plan.expected_error,
        "circuit_logrows": circuit.layout.logrows,
        "audit_samples": circuit.audit_samples,
        "chunks": manifest.chunk_count,
        "quota_samples": manifest.quota.buyer_samples,
        "listing_quota_samples": manifest.quota.listing_samples,
        "answer_bits": plan.answer_bits,
        "development": circuit.srs.development,
    }


def _print_summary(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json_line(summary)
        return
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        table.add_row(key.replace("_", " "), f"{value:.3g}" if isinstance(value, float) else str(value))
    results.print(table)


@app.command(name="try")
def try_command(
    folder: Folder,
    data: DataFile,
    labels: Annotated[Path | None, typer.Option(help="True labels, one per sample.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write predictions to this .csv file.")] = None,
    device: Annotated[str, typer.Option(help="Where to evaluate: cpu, or a device of PyTorch's, e.g. cuda.")] = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Test the model on encrypted data, both roles on this machine, and report."""
    public, canonical = PublicPackage.read(folder / "public"), read_canonical(folder)
    manifest = parse_manifest(public.manifest)
    inputs = _read_inputs(data, manifest, canonical)
    truth = None if labels is None else read_labels(labels, len(inputs))
    trial = _run_with_bars(parse_plan(manifest.plan), canonical, inputs, device)
    exact = _exact_outputs(canonical, inputs)
    predictions = manifest.output.post_processing.predict(trial.outputs)
    report = _trial_report(trial, exact) | _certainty(manifest, trial.outputs, truth)
    if truth is not None:
        report["accuracy_encrypted"] = _accuracy(manifest.output.post_processing.classify(trial.outputs), truth)
        report["accuracy_plain"] = _accuracy(manifest.output.post_processing.classify(exact), truth)
    if out is not None:
        rows = predictions.reshape(len(predictions), -1).tolist()
        write_file(out, "".join(f"{','.join(map(str, row))}\n" for row in rows).encode())
        report["predictions"] = str(out)
    _print_summary(report, as_json)


def _read_inputs(data: Path, manifest: Manifest, canonical: CanonicalModel) -> Any:
    samples = read_samples(data, canonical.graph.features)
    return quantise_inputs(
        samples, canonical.graph, manifest.scale_bits, manifest.input.exponents, manifest.input.magnitude
    )


def _run_with_bars(plan: HePlan, canonical: CanonicalModel, inputs: Any, device: str) -> Trial:
    with progress_bar("encrypted test") as update:
        return run_trial(plan, canonical, inputs, lambda _phase: update, device)


def _exact_outputs(canonical: CanonicalModel, inputs: Any) -> Any:
    """The canonical model's outputs in real units."""
    return evaluate_exact(canonical, inputs).astype(np.float64) / 2.0 ** output_scale_bits(
        canonical.graph, canonical.scale_bits
    )


def _accuracy(predictions: Any, truth: Any) -> float:
    if predictions.dtype.kind != truth.dtype.kind:
        raise DataError("the labels don't match what this model predicts. Give one class label per sample.")
    return float(np.mean(predictions == truth))


def _trial_report(trial: Trial, exact: Any) -> dict[str, Any]:
    return {
        "samples": len(trial.outputs),
        "max_output_error": float(np.abs(trial.outputs - exact).max()),
        "seconds": {name: round(seconds, 4) for name, seconds in trial.seconds.items()},
        "request_bytes": trial.request_bytes,
        "response_bytes": trial.response_bytes,
    }


def _certainty(manifest: Manifest, outputs: Any, truth: Any) -> dict[str, Any]:
    """What buyers see of the tolerance: how far outputs may move, and what that could change in this test."""
    circuit = manifest.circuit
    scale_bits = circuit.commit_scale_bits + circuit.layout.output_shift_bits
    distance = audit_distance(int(circuit.tolerance, 16), scale_bits, circuit.layout.output_shift_bits)
    assessment = assess_test(outputs, distance, manifest.output.post_processing, truth)
    try:
        BuyerPolicy().check_test(assessment)
    except UncertainTestError as error:
        messages.print(f"Buyers with the default policy will refuse: {error}", style="yellow", markup=False)
    figures = {name: value for name, value in asdict(assessment).items() if value is not None}
    return {name: figures[name] for name in figures if name != "samples"}


@app.command(name="prove")
def prove_command(folder: Folder, data: DataFile, as_json: JsonFlag = False) -> None:
    """Prove the model's answers on the first samples of a file; verify off the chain and in the verifier contract."""
    public, canonical = PublicPackage.read(folder / "public"), read_canonical(folder)
    manifest = parse_manifest(public.manifest)
    inputs = _read_inputs(data, manifest, canonical)
    wanted = manifest.circuit.audit_samples
    if len(inputs) < wanted:
        raise CallerError(f"{data} has {len(inputs)} samples; an audit takes {wanted}. Give a longer file.")
    with messages.status("proving"):
        srs = read_package_srs(folder / "public")
        report = prove_and_verify(open_circuit(public, srs), srs, canonical, inputs[:wanted])
    report["detection_probability"] = detection_probability(wanted)
    _print_summary(report, as_json)


@app.command(name="plan")
def plan_command(
    folder: Folder,
    samples: Annotated[int, typer.Option(min=1, help="Samples in the encrypted test.")],
    calibration: Annotated[
        Path | None, typer.Option(help="The samples that the model was prepared with; the alternatives depend on them.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the encryption plan, what a test would cost on this machine, and the alternatives that were rejected."""
    public, canonical = PublicPackage.read(folder / "public"), read_canonical(folder)
    manifest = parse_manifest(public.manifest)
    plan = parse_plan(manifest.plan)
    cost = asdict(forecast(plan, canonical.graph, samples))
    alternatives, layouts = _alternatives(plan, canonical, manifest, calibration), _layouts(plan, canonical, samples)
    quotas = {
        "parameter_bits": parameter_bits(canonical),
        "buyer_quota_bits": manifest.quota.buyer_samples * plan.answer_bits,
        "listing_quota_bits": manifest.quota.listing_samples * plan.answer_bits,
    }
    plan = plan.for_samples(samples)
    if as_json:
        report = {"samples": samples, "plan": manifest.plan, "forecast": cost, "quotas": quotas}
        print_json_line(report | {"layouts": layouts, "alternatives": alternatives})
        return
    chosen = {
        "samples": samples,
        "charged_samples": charged_samples(samples),
        "layout": _layout_name(plan),
        "ring_degree": plan.ring_degree,
        "modulus_bits": " ".join(map(str, plan.modulus_bits)),
        "refreshes": len(plan.dropped_primes) - plan.paired,
        "activation_degree": max((len(a.coefficients) - 1 for a in plan.activations), default=0),
        "security_bits": plan.security_bits,
        "statistical_bits": plan.statistical_bits,
        "capacity_bits": plan.capacity_bits,
        "answer_bits": plan.answer_bits,
        "approximation_error": plan.approximation_error,
    }
    _print_summary(chosen | quotas | cost, as_json)
    if plan.statistical_bits < STATISTICAL_BITS:
        messages.print(
            f"flooding exceeds what it hides by {plan.statistical_bits} bits; a ring of degree {plan.ring_degree} has "
            f"no room for the {STATISTICAL_BITS} that are the aim",
            style="yellow",
        )
    _print_rows(layouts)
    _print_rows(alternatives)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    results.print(table)


def _layout_name(plan: HePlan) -> str:
    if plan.packed:
        return "several features per ciphertext"
    return "two samples per slot" if plan.paired else "one feature per ciphertext"


def _layouts(plan: HePlan, canonical: CanonicalModel, samples: int) -> list[dict[str, Any]]:
    """What a test of so many samples would cost in each layout of the plan that can hold it."""
    rows = []
    for layout in (plan.batched, *plan.layouts[1:]):
        if layout.packed and samples > layout.samples_per_batch:
            continue
        cost = forecast(layout, canonical.graph, samples)
        rows.append(
            {
                "layout": _layout_name(layout),
                "chosen": "yes" if layout == plan.for_samples(samples).batched else "",
                "request_bytes": cost.request_bytes,
                "response_bytes": cost.response_bytes,
                "encrypt_seconds": cost.encrypt_seconds,
                "evaluate_seconds": cost.evaluate_seconds,
            }
        )
    return rows


def _alternatives(
    plan: HePlan, canonical: CanonicalModel, manifest: Manifest, calibration: Path | None
) -> list[dict[str, Any]]:
    """Every candidate but the plan itself, and why it was passed over."""
    samples = None if calibration is None else read_samples(calibration, canonical.graph.features)
    if samples is None and plan.activations:
        messages.print("give --calibration to see the alternatives: activations are fitted to data", style="yellow")
        return []
    data = planning_data(canonical, manifest.input.exponents, samples)
    magnitude, calibrated = data.input_magnitude, data.calibration
    problem = PlanningProblem(canonical, data.bounds, input_magnitude=magnitude, calibration=calibrated)
    return [
        {
            "ring_degree": candidate.ring_degree,
            "refreshes": candidate.depth,
            "activation_degree": candidate.activation_degree,
            "modulus_bits": candidate.modulus_bits,
            "room_bits": candidate.room_bits,
            "rejected": candidate.rejected or "it costs more or is less exact than the plan",
        }
        for candidate in candidates(problem)
        if candidate.plan != plan.batched
    ]
