"""What a buyer checks before it pays: the numbered pipeline of the protocol, each check with its own error.

The buyer trusts nothing but its own code, the chain's consensus, and (outside development) the ceremony that made the
structured reference string. In this order:

(1) the manifest's bytes hash to the listed `manifestHash`, it is consistent, repeats the terms on the chain, and names
    the account that listed it;
(2) market and verifier are the published ones, by their addresses;
(3) the structured reference string is the named one, and no locally made one outside development;
(4) the audit circuit rebuilt from `architecture.onnx` and the published settings gives the listed `circuitDigest`, and
    its layout the listed `layoutHash`;
(5) no committed column of that circuit is unconstrained;
(6) the published leaves have the listed roots, and the KZG opening, valid for this seller alone, binds the parameter
    commitments to the sums tree;
(7) the encryption plan is for this model and meets the buyer's security policy;
(8) price, bond, windows, k, tolerance, the number of committed outputs, the proofs' exactness and what the seller
    states of its model's fidelity meet the buyer's policy.

What the caller must still check: that the listing is the one it means (seller, name, licence: nobody vouches for the
model card), that the chain is the one it means, and after the purchase everything in `trader.verify.delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex

from contracts import Layout, Statement, Terms, UnexpectedCodeError, layout_hash
from trader.he import HePlan, PlanError, SecurityError, parse_plan
from trader.model import (
    ArchitectureError,
    Graph,
    Manifest,
    ManifestError,
    UnsafeModelError,
    architecture_bytes,
    parse_architecture,
    parse_manifest,
)
from trader.package import layout_of, statement_of
from trader.verify.answers import audit_distance
from trader.verify.errors import (
    ListingBindingError,
    ListingCircuitError,
    ListingCodeError,
    ListingColumnError,
    ListingManifestError,
    ListingPlanError,
    ListingSetupError,
)
from zk import AuditCircuit, Srs, rebuild_audit_circuit
from zk.binding import ChunkCommitments, ColumnLayout, CommitmentError, KzgOpening, verify_binding
from zk.errors import CircuitError, SrsError, UnlinkedColumnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.package import PublicPackage
    from trader.verify.policy import BuyerPolicy


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pipeline gets what is not in the package; it does no IO of its own.

    Attributes:
        verify_code: Check (2) on the chain; raises `UnexpectedCodeError`.
        find_srs: The structured reference string with 2^logrows rows.
        confirmations: Blocks that the buyer waits for before anything on the chain counts.
        find_price: What the buyer would pay for the model, where it holds an offer for instance, in the smallest unit;
            asked once the market and the policy are known to be the published ones. None for the listing's price.
    """

    verify_code: Callable[[], None]
    find_srs: Callable[[int], Srs]
    confirmations: int = 1
    find_price: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class VerifiedListing:
    """A listing that passed every check, and what the later steps need of it.

    Attributes:
        listing_id: Its number in the market.
        seller: Address of the seller.
        terms: As on the chain.
        manifest: As published.
        graph: The public architecture.
        circuit: The audit circuit, rebuilt here.
        srs: What it was rebuilt with.
        layout: The circuit's layout, whose hash is listed.
        commitments: Published leaves under the listed roots.
        plan: The encryption plan.
    """

    listing_id: int
    seller: str
    terms: Terms
    manifest: Manifest = field(repr=False)
    graph: Graph = field(repr=False)
    circuit: AuditCircuit = field(repr=False)
    srs: Srs
    layout: Layout
    commitments: ChunkCommitments = field(repr=False)
    plan: HePlan

    @property
    def statement(self) -> Statement:
        """What is proven, as the listing has it."""
        return statement_of(self.manifest)

    @property
    def audit_distance(self) -> float:
        """Largest distance of a proven output from the decrypted one that an audit lets pass, real units."""
        return audit_distance(self.terms.tolerance, self.circuit.output_scale_bits, self.layout.output_shift_bits)

    @property
    def columns(self) -> ColumnLayout:
        """The layout's part that says how parameters are cut into chunks."""
        return ColumnLayout(self.layout.logrows, self.layout.column_lengths)


def verify_listing(
    listing_id: int, seller: str, terms: Terms, package: PublicPackage, policy: BuyerPolicy, sources: Sources
) -> VerifiedListing:
    """Run checks (1) to (8).

    Args:
        listing_id: Number of the listing.
        seller: Its seller.
        terms: Its terms, read from the chain.
        package: What the seller published; hostile until checked.
        policy: What the buyer asks for.
        sources: Chain and ceremony.

    Raises:
        ListingError: The check that failed, one subclass for each of (1) to (7).
        PolicyError: (8).
        WorkerError, ChainUnavailableError: A check could not be run; nothing is known.
    """
    # (1) The manifest is the listed one, and says what the chain says.
    manifest = check_manifest(package.manifest, terms, seller)
    # (2) Market and verifier are the published ones.
    _check_code(sources)
    # (3) The structured reference string is the named one.
    srs = _check_setup(manifest, policy, sources)
    # (4) and (5) The circuit is the architecture's, and reads every committed column.
    graph = _check_architecture(package.architecture, manifest)
    circuit = _rebuild_circuit(graph, package.settings, manifest, terms, srs)
    layout = _check_layout(circuit, manifest)
    # (6) What is proven is bound to what would be delivered.
    commitments = _check_binding(package.leaves, circuit, manifest, terms, srs)
    # (7) The test data will be safe under the plan.
    plan = _check_plan(manifest, graph, policy)
    # (8) The terms are good enough for this buyer.
    policy.check_circuit(is_exact=circuit.is_exact)
    policy.check_currency(terms)
    price = terms.price_wei if sources.find_price is None else sources.find_price()
    policy.check_terms(terms, sources.confirmations, price)
    policy.check_fidelity(manifest.fidelity)
    policy.check_audit(terms, layout, circuit.output_scale_bits, plan)
    return VerifiedListing(listing_id, seller, terms, manifest, graph, circuit, srs, layout, commitments, plan)


def check_manifest(data: bytes, terms: Terms, seller: str) -> Manifest:
    """Run check (1) alone: the manifest is the one that is listed, and says what the terms say.

    Args:
        data: The manifest's bytes.
        terms: As on the chain.
        seller: Who listed them.

    Raises:
        ListingManifestError: It is another one, malformed, or contradicts the terms.
    """
    if keccak(data) != terms.manifest_hash:
        raise ListingManifestError(_differs("manifest.json", terms.manifest_hash, keccak(data), "the listed manifest"))
    try:
        manifest = parse_manifest(data)
    except ManifestError as error:
        raise ListingManifestError(f"{error}. Choose another listing.") from error
    promised: dict[str, tuple[bytes | int, bytes | int]] = {
        "seller": (decode_hex(manifest.seller), to_canonical_address(seller)),
        "proven statement (circuit, parameters, layout)": (statement_of(manifest).digest, terms.statement),
        "weights root": (decode_hex(manifest.weights_root), terms.weights_root),
        "sums root": (decode_hex(manifest.sums_root), terms.sums_root),
        "number of audit samples": (manifest.circuit.audit_samples, terms.audit_samples),
        "tolerance": (int(manifest.circuit.tolerance, 16), terms.tolerance),
        "quota per buyer": (manifest.quota.buyer_samples, terms.buyer_quota),
        "quota of the listing": (manifest.quota.listing_samples, terms.listing_quota),
        "fee": (int(manifest.quota.fee_wei, 16), terms.fee_wei),
    }
    for name, (published, listed) in promised.items():
        if published != listed:
            raise ListingManifestError(
                f"the manifest gives the {name} {_show(published)}, the terms on the chain {_show(listed)}. "
                "Choose another listing."
            )
    return manifest


def _check_code(sources: Sources) -> None:
    try:
        sources.verify_code()
    except UnexpectedCodeError as error:
        raise ListingCodeError(f"{error}. Don't pay into this market.") from error


def _check_setup(manifest: Manifest, policy: BuyerPolicy, sources: Sources) -> Srs:
    named = manifest.circuit.srs
    if named.development and not policy.development:
        raise ListingSetupError(
            "the listing's proofs rest on a locally made reference string, whose maker can forge them. "
            "Ask for one from a ceremony, or allow development listings (--development)."
        )
    try:
        srs = sources.find_srs(named.logrows)
    except SrsError as error:
        raise ListingSetupError(f"no reference string with 2^{named.logrows} rows: {error}") from error
    if srs.digest != decode_hex(named.digest):
        raise ListingSetupError(_differs("the reference string", decode_hex(named.digest), srs.digest, "the named one"))
    if srs.development and not named.development:
        raise ListingSetupError("the listing names a ceremony's reference string, a locally made one was found")
    return srs


def _check_architecture(data: bytes, manifest: Manifest) -> Graph:
    if keccak(data) != decode_hex(manifest.architecture_digest):
        expected = decode_hex(manifest.architecture_digest)
        raise ListingCircuitError(_differs("architecture.onnx", expected, keccak(data), "the listed architecture"))
    try:
        graph = parse_architecture(data)
    except (ArchitectureError, UnsafeModelError) as error:
        raise ListingCircuitError(str(error)) from error
    if (graph.input_shape, graph.outputs) != (manifest.input.shape, manifest.output.count):
        raise ListingCircuitError(
            f"architecture.onnx takes {list(graph.input_shape)} and gives {graph.outputs} outputs, the manifest says "
            f"{list(manifest.input.shape)} and {manifest.output.count}. Choose another listing."
        )
    return graph


def _rebuild_circuit(graph: Graph, settings: bytes, manifest: Manifest, terms: Terms, srs: Srs) -> AuditCircuit:
    expected = decode_hex(manifest.circuit.settings_digest)
    if keccak(settings) != expected:
        raise ListingCircuitError(_differs("settings.json", expected, keccak(settings), "the listed settings"))
    try:
        circuit = rebuild_audit_circuit(
            onnx.load_from_string(architecture_bytes(graph)),
            settings,
            audit_samples=terms.audit_samples,
            scale_bits=manifest.scale_bits,
            srs=srs,
            expected_digest=decode_hex(manifest.circuit.circuit_digest),  # the listed one: see (1)
        )
    except UnlinkedColumnError as error:
        raise ListingColumnError(f"{error}. Choose another listing.") from error
    except (CircuitError, SrsError) as error:
        raise ListingCircuitError(f"{error}. Choose another listing.") from error
    return circuit


def _check_layout(circuit: AuditCircuit, manifest: Manifest) -> Layout:
    if manifest.circuit.commit_scale_bits > circuit.output_scale_bits:
        raise ListingCircuitError(
            f"outputs are to be committed to at scale 2^{manifest.circuit.commit_scale_bits}, the circuit's have only "
            f"2^{circuit.output_scale_bits}. Choose another listing."
        )
    layout = Layout(
        input_columns=circuit.input_columns,
        parameter_columns=circuit.parameter_columns,
        hidden_columns=circuit.hidden_columns,
        proof_bytes=circuit.proof_bytes,
        outputs=circuit.outputs,
        output_shift_bits=circuit.output_scale_bits - manifest.circuit.commit_scale_bits,
        logrows=circuit.logrows,
        column_lengths=circuit.column_lengths,
    )
    listed = layout_of(manifest)  # the listed one: see (1)
    if layout != listed:
        raise ListingCircuitError(
            _differs("the circuit's layout", layout_hash(listed), layout_hash(layout), "the listed layout")
        )
    return layout


def _check_binding(
    leaves: bytes, circuit: AuditCircuit, manifest: Manifest, terms: Terms, srs: Srs
) -> ChunkCommitments:
    if manifest.binding is None:
        raise ListingBindingError("the manifest has no opening: the proof would not be about the delivered bytes")
    opening = KzgOpening(int(manifest.binding.value, 16), decode_hex(manifest.binding.proof))
    columns = ColumnLayout(circuit.logrows, circuit.column_lengths)
    try:
        commitments = ChunkCommitments.from_bytes(
            leaves, columns, weights_root=terms.weights_root, sums_root=terms.sums_root
        )
        points = [decode_hex(point) for point in manifest.parameter_commitments]  # hash to the listed digest: see (1)
        verify_binding(columns, points, commitments, opening, srs, seller=decode_hex(manifest.seller))  # see (1)
    except CommitmentError as error:
        raise ListingBindingError(f"{error}. Choose another listing.") from error
    return commitments


def _check_plan(manifest: Manifest, graph: Graph, policy: BuyerPolicy) -> HePlan:
    try:
        plan = parse_plan(manifest.plan)
        policy.encryption.check(plan)
    except SecurityError as error:
        raise ListingPlanError(f"{error}. No key was made.") from error
    except PlanError as error:
        raise ListingPlanError(f"{error}. Choose another listing.") from error
    edges = tuple(map(len, manifest.input.edges))
    if plan.edges != edges or graph.has_trees != bool(edges):
        raise ListingPlanError("the encryption plan is for other bins than the manifest has. Choose another listing.")
    found = (plan.columns, plan.outputs, plan.scale_bits, plan.input_magnitude)
    expected = (graph.features, graph.outputs, manifest.scale_bits, manifest.input.magnitude)
    if found != expected:
        raise ListingPlanError(
            f"the encryption plan is for (columns, outputs, scale bits, input magnitude) {found}, the model has "
            f"{expected}. Choose another listing."
        )
    return plan


def _show(value: bytes | int) -> str:
    return encode_hex(value) if isinstance(value, bytes) else str(value)


def _differs(subject: str, expected: bytes, actual: bytes, what: str) -> str:
    return (
        f"{subject} is not {what}: expected digest {encode_hex(expected)}, got {encode_hex(actual)}. "
        "Ask the seller for the listed files."
    )
