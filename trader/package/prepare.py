"""From an ONNX file to a package that can be listed.

In this order: (1) the model is read in a sandbox and lowered to its public graph, in units that suit the calibration
data; (2) its parameters become canonical integers; (3) the encrypted test is planned from the magnitudes that the data
reaches; (4) what came of the model is compared with the file that was handed in; (5) the quota is checked against what
the answers, and the proofs, can tell; (6) the audit circuit is built; (7) the parameters are committed to and bound to
the chunks that will be delivered; (8) the manifest says all of it; (9) the folder is written as a whole, or not at
all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import encode_hex

from trader.errors import CallerError
from trader.exchange import EncryptionKey
from trader.he import HePlan, SecurityPolicy, charged_samples, plan_encryption
from trader.model import (
    DEFAULT_PROOFS,
    CanonicalModel,
    Grid,
    LoweredModel,
    UnsafeModelError,
    architecture_bytes,
    canonicalise,
    fit_grid,
    fit_units,
    load_onnx,
    lower_model,
    read_samples,
    run_original,
)
from trader.model import manifest as manifests
from trader.model.interface import plain
from trader.package.errors import FidelityError
from trader.package.fidelity import Comparison
from trader.package.leakage import check_quota, check_smallest_test, proof_bits, safe_listing_quota, safe_quota
from trader.package.planning import PlanningData, planning_data
from trader.package.public import PublicPackage
from trader.package.seller import SellerPackage
from trader.tolerance import commit_scale_bits, needed_tolerance
from zk import (
    AuditCircuit,
    Srs,
    SrsProvider,
    build_audit_circuit,
    commitment_digest,
    development_srs,
    parameter_commitment,
)
from zk.binding import BoundParameters, bind_parameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_AUDIT_SAMPLES = 8
BUYERS_PER_LISTING = 10

Step = Callable[[str], None]
"""Called with what is being done, in words."""
ACTIVATION_MAGNITUDE = 8.0
"""Largest value for which the audit circuit looks a function up."""

Inspect = Callable[[AuditCircuit, Srs], None]
"""Called with the audit circuit before anything is committed to; raises what it has against it."""


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What the seller decides.

    Attributes:
        card: what the listing says of the model.
        audit_samples: k, samples in one audit proof.
        buyer_quota_samples: answers per buyer; None for as many as are safe (for a seller who insists, at least those
            of the smallest test and its audit). A session counts its samples as a power of two, and the k of its audit.
        listing_quota_samples: answers to all buyers together; None for ten buyers' worth, or fewer, so that the bits of
            the parameters are more than these answers carry even if all buyers are one. A seller who insists has ten
            buyers' worth; what is given is taken as it is.
        fee_wei: of each answer of a buyer's first session.
        endpoint: URL where buyers reach the seller.
        proofs: that may be published about the model: one per sale, and one per k rows of a certificate.
        seller: address of the account that will list the model; without one, the package can be tried but not listed.
        insist: allow quotas that could give the model away, and answers that differ from the model's.
        srs: gives the structured reference string; a locally made one marks the package as a development one.
        grid: bins that the thresholds of trees move to; as many of `trader.model.make_grid` as serve if not given.
        all_columns: whether buyers encrypt the columns that no tree reads, too: who leaves them out says which.
        policy: the security that the seller asks of the encryption.
        inspect: may refuse the circuit, for instance because this machine can't prove it (`zk.measure_cost`).
    """

    card: manifests.ModelCard
    audit_samples: int = DEFAULT_AUDIT_SAMPLES
    buyer_quota_samples: int | None = None
    listing_quota_samples: int | None = None
    fee_wei: int = 10**13
    endpoint: str = ""
    proofs: int = DEFAULT_PROOFS
    seller: str = manifests.NOBODY
    insist: bool = False
    srs: SrsProvider = development_srs
    grid: Grid | None = None
    all_columns: bool = True
    policy: SecurityPolicy = field(default_factory=SecurityPolicy)
    inspect: Inspect = lambda _circuit, _srs: None


def prepare(
    model: Path,
    out: Path,
    options: PrepareOptions,
    *,
    password: str,
    calibration: Path | None = None,
    step: Step = lambda _: None,
) -> SellerPackage:
    """Make a package of an ONNX file.

    Args:
        model: the ONNX file.
        out: folder to make; must not exist, or be empty.
        options: what the seller decides.
        password: protects the package's encryption key.
        calibration: samples like those that buyers will test with (.csv, .npy, .npz).
        step: told what is being done.

    Raises:
        CallerError: `out` is in the way.
        ModelError: the model can't be traded, or the calibration data doesn't fit it; the subclass says why.
        FidelityError: the package would give other answers than the ONNX file, and the seller doesn't insist.
        QuotaError: the quota would give the model away, and the seller doesn't insist.
        PlanError: no encryption parameters serve this model.
        ZkError: no circuit, or the proof system failed.
    """
    if out.exists() and any(out.iterdir()):
        raise CallerError(f"{out} exists and is not empty. Name another folder, or remove it.")
    step("reading the model")
    file = load_onnx(model)
    lowered, data = lower_model(file), None
    if calibration is not None:
        samples = read_samples(calibration, lowered.graph.features, lowered.columns)
        data = CalibrationData(samples, _run_original(file, lowered, samples, options))
        lowered = _fit(lowered, samples, options)
    package = _assemble(lowered, data, options, out, step)
    step("writing the package")
    _write_whole(package, out, password)
    return package


def _fit(lowered: LoweredModel, samples: NDArray[np.float64], options: PrepareOptions) -> LoweredModel:
    """Return the model in units, or on bins, that suit the data."""
    if lowered.graph.has_trees:
        return fit_grid(lowered, samples, options.grid, all_columns=options.all_columns)
    return fit_units(lowered, samples)


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """What the seller's data says of the model.

    Attributes:
        samples: float64 [n, F].
        original: what the ONNX file gave for them (`trader.model.run_original`); None if it couldn't be run, and the
            seller insists.
    """

    samples: NDArray[np.float64] = field(repr=False)
    original: tuple[NDArray[Any], ...] | None = field(repr=False)


def _assemble(
    lowered: LoweredModel, calibration: CalibrationData | None, options: PrepareOptions, out: Path, step: Step
) -> SellerPackage:
    """Run steps (2) to (8)."""
    # (2) and (3)
    canonical = canonicalise(lowered, proofs=options.proofs)
    step("planning the encrypted test")
    samples = None if calibration is None else calibration.samples
    data = planning_data(canonical, lowered.input_exponents, samples, lowered.grid)
    comparison = _compare(lowered, canonical, calibration)
    plan = plan_encryption(data.problem(canonical, options.policy, None if comparison is None else comparison.keeps))
    # (4)
    fidelity = None if comparison is None else _measure_fidelity(replace(comparison, plan=plan), options)
    # (5)
    quota = _decide_quota(canonical, plan, options)
    # (6)
    step("building the audit circuit")
    architecture = architecture_bytes(canonical.graph)
    circuit = _build_circuit(canonical, architecture, options, lowered.grid, step)
    srs = options.srs(circuit.logrows)
    step("trying the audit circuit")
    options.inspect(circuit, srs)
    # (7)
    step("committing to the parameters")
    points = parameter_commitment(circuit, canonical.tensors, srs)
    bound = bind_parameters(circuit, canonical.tensors, points, srs, seller=to_canonical_address(options.seller))
    # (8)
    key = EncryptionKey.generate()
    manifest = manifests.Manifest(
        seller=encode_hex(to_canonical_address(options.seller)),
        card=options.card,
        **_model_fields(lowered, canonical, data),
        architecture_digest=encode_hex(keccak(architecture)),
        circuit=_circuit_section(circuit, srs, plan),
        **committed_fields(points, bound),
        plan=plan.model_dump(mode="json"),
        fidelity=fidelity,
        quota=quota,
        endpoint=options.endpoint,
        encryption_public_key=encode_hex(key.public_key),
    )
    public = PublicPackage(
        manifest=manifest.to_bytes(),
        architecture=architecture,
        settings=circuit.settings,
        leaves=bound.commitments.to_bytes(),
        development_srs=srs.path.read_bytes() if srs.development else b"",
    )
    return SellerPackage(public, canonical, bound.artifact, key, out)


def _run_original(
    file: onnx.ModelProto, lowered: LoweredModel, samples: NDArray[np.float64], options: PrepareOptions
) -> tuple[NDArray[Any], ...] | None:
    try:
        return run_original(file, samples, lowered.columns)
    except UnsafeModelError as error:
        if options.insist:
            return None
        raise FidelityError(
            f"{error}; so nothing can be said of what became of it. Export it again, or insist."
        ) from error


def _compare(
    lowered: LoweredModel, canonical: CanonicalModel, calibration: CalibrationData | None
) -> Comparison | None:
    if calibration is None or calibration.original is None:
        return None
    return Comparison(lowered, canonical, None, calibration.samples, calibration.original)


def _measure_fidelity(comparison: Comparison, options: PrepareOptions) -> manifests.Fidelity:
    fidelity = comparison.measure()
    if not options.insist:
        comparison.check(fidelity)
    return fidelity


def _build_circuit(
    canonical: CanonicalModel, architecture: bytes, options: PrepareOptions, grid: Grid | None, step: Step
) -> AuditCircuit:
    def watch(seconds: float, expected: float) -> None:
        expected = max(expected, 1.0)
        most = f"of about {expected:.0f} s" if seconds <= expected else f"longer than the {expected:.0f} s expected"
        step(f"making the audit circuit's keys: {seconds:.0f} s, {most}")

    return build_audit_circuit(
        onnx.load_from_string(architecture),
        audit_samples=options.audit_samples,
        scale_bits=canonical.scale_bits,
        srs=options.srs,
        activation_magnitude=ACTIVATION_MAGNITUDE if grid is None else grid.decision_magnitude,
        on_progress=watch,
    )


def _model_fields(lowered: LoweredModel, canonical: CanonicalModel, data: PlanningData) -> dict[str, Any]:
    """Return the manifest's fields about the model's inputs, outputs and integers."""
    return {
        "input": manifests.InputSchema(
            shape=lowered.graph.input_shape,
            exponents=lowered.input_exponents,
            magnitude=data.input_magnitude,
            reach=data.column_reach,
            columns=lowered.columns,
            edges=() if lowered.grid is None else lowered.grid.edges,
        ),
        "output": manifests.OutputSchema(
            count=canonical.graph.outputs, post_processing=lowered.post_processing, reach=data.output_reach
        ),
        "interface": lowered.interface
        or plain(lowered.columns, lowered.graph.features, lowered.post_processing, canonical.graph.outputs),
        "scale_bits": canonical.scale_bits,
    }


def _decide_quota(canonical: CanonicalModel, plan: HePlan, options: PrepareOptions) -> manifests.Quota:
    published_bits = options.proofs * proof_bits(canonical, plan, options.audit_samples)
    needed = charged_samples(options.audit_samples) + options.audit_samples
    buyer = options.buyer_quota_samples
    if buyer is None:
        if not options.insist:
            check_smallest_test(canonical, plan, published_bits, options.audit_samples, needed)
        buyer = max(safe_quota(canonical, plan, published_bits), needed)
    listing = options.listing_quota_samples
    if listing is None:
        listing = BUYERS_PER_LISTING * buyer
        if not options.insist:
            # Accounts cost nothing: ten buyers may be one.
            listing = min(listing, safe_listing_quota(canonical, plan, published_bits))
    if options.buyer_quota_samples is not None and not options.insist:
        check_quota(canonical, plan, published_bits, buyer)
    if min(buyer, listing) < needed:
        raise CallerError(
            f"a quota of {min(buyer, listing)} answers is less than the {needed} that the smallest test and its audit "
            f"of {options.audit_samples} samples take. Raise the quota or lower the number of audit samples."
        )
    return manifests.Quota(buyer_samples=buyer, listing_samples=listing, fee_wei=hex(options.fee_wei))


def _circuit_section(circuit: AuditCircuit, srs: Srs, plan: HePlan) -> manifests.CircuitSection:
    commit_bits = commit_scale_bits(circuit.output_scale_bits)
    return manifests.CircuitSection(
        audit_samples=circuit.audit_samples,
        settings_digest=encode_hex(keccak(circuit.settings)),
        srs=manifests.SrsSection(digest=encode_hex(srs.digest), logrows=srs.logrows, development=srs.development),
        circuit_digest=encode_hex(circuit.digest),
        layout=manifests.LayoutSection(
            input_columns=circuit.input_columns,
            parameter_columns=circuit.parameter_columns,
            hidden_columns=circuit.hidden_columns,
            proof_bytes=circuit.proof_bytes,
            outputs=circuit.outputs,
            output_shift_bits=circuit.output_scale_bits - commit_bits,
            logrows=circuit.logrows,
            column_lengths=circuit.column_lengths,
        ),
        commit_scale_bits=commit_bits,
        tolerance=hex(needed_tolerance(plan, circuit.output_scale_bits)),
    )


def committed_fields(points: Sequence[bytes], bound: BoundParameters) -> dict[str, Any]:
    """Return the manifest's fields about the committed parameters and the delivered chunks."""
    opening = bound.opening
    return {
        "parameter_commitments": tuple(encode_hex(point) for point in points),
        "parameter_commitment": encode_hex(commitment_digest(points)),
        "weights_root": encode_hex(bound.commitments.weights.root),
        "sums_root": encode_hex(bound.commitments.sums.root),
        "binding": manifests.Binding(
            value=encode_hex(opening.value.to_bytes(32, "big")), proof=encode_hex(opening.proof)
        ),
        "chunk_count": bound.layout.chunk_count,
    }


def _write_whole(package: SellerPackage, out: Path, password: str) -> None:
    """Write beside `out`, then rename: a crash leaves no half package under the name that was asked for."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        unfinished = Path(folder) / "package"
        package.write(unfinished, password)
        if out.exists():
            out.rmdir()
        unfinished.replace(out)
