"""What `modelseal model prepare` says of the package that it made: figures, and cautions for the seller."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from eth_utils.address import to_checksum_address

from trader.he import HePlan, parse_plan
from trader.model.columns import column_names
from trader.model.manifest import NOBODY
from trader.model.sampling import CONFIDENCE, FEW_ROWS, covered_share
from trader.package import BUYERS_PER_LISTING, parameter_bits
from trader.verify import BuyerPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trader.model import CanonicalModel, Manifest
    from trader.model.columns import Column
    from trader.model.manifest import CircuitSection, Fidelity, Quota

NO_SELLER = (
    "This package names no seller: it can be tried and proven, but not listed. "
    "To sell the model, prepare it with --seller and the account that will list it."
)
DEVELOPMENT_SRS = (
    "This package uses a structured reference string made on this machine: fine for development, "
    "refused by buyers who don't ask for development."
)


MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "scale_bits": "parameters are integers of 2^-this",
        "expected_error": "largest error of encrypted outputs, in their units",
        "delivered_largest_error": "delivered against your file, in the outputs' units",
        "delivered_error_99": "of 99 % of the rows",
        "delivered_relative_error_99": "of the outputs' range; 0.01 at most",
        "delivered_classes_kept": "share of classes that stay the same",
        "tested_largest_error": "encrypted test against your file, in the outputs' units",
        "tested_error_99": "of 99 % of the rows",
        "tested_relative_error_99": "of the outputs' range; 0.01 at most",
        "tested_classes_kept": "share of classes that stay the same",
        "audit_samples": "test samples that are proven (k)",
        "quota_samples": "answers that one buyer may have: tests and audits",
        "listing_quota_samples": "answers that all buyers may have together",
        "answer_bits": "most bits that an answer tells of the model",
        "development": "reference string made here: buyers must allow it",
    }
)
"""What figures of a package say."""


def _column_figures(columns: Sequence[Column]) -> dict[str, str]:
    """Return what buyers hand in, where that isn't the features: how many columns, and which of them are categories."""
    if not columns:
        return {}
    named = zip(columns, column_names(columns), strict=True)
    coded = [f"{name} ({len(column.categories)})" for column, name in named if column.categories]
    return {"data_columns": f"{len(columns)}, with categories: {', '.join(coded) or 'none'}"}


def package_figures(manifest: Manifest, canonical: CanonicalModel, folder: Path) -> dict[str, Any]:
    """Return the figures of a package, for tables and JSON."""
    circuit, plan = manifest.circuit, parse_plan(manifest.plan)
    return {
        "package": str(folder),
        "manifest_hash": "0x" + manifest.manifest_hash().hex(),
        "seller": "none" if manifest.seller == NOBODY else to_checksum_address(manifest.seller),
        "parameters": canonical.graph.parameter_count,
        **_column_figures(manifest.input.columns),
        "scale_bits": manifest.scale_bits,
        "ring_degree": plan.ring_degree,
        "security_bits": plan.security_bits,
        "expected_error": manifest.output.post_processing.in_output_units(plan.expected_error),
        **fidelity_figures(manifest),
        "circuit_logrows": circuit.layout.logrows,
        "audit_samples": circuit.audit_samples,
        "chunks": manifest.chunk_count,
        "quota_samples": manifest.quota.buyer_samples,
        "listing_quota_samples": manifest.quota.listing_samples,
        "answer_bits": plan.answer_bits,
        "development": circuit.srs.development,
    }


def fidelity_figures(manifest: Manifest) -> dict[str, Any]:
    """Return how near the model is to the one that was handed in, for tables and JSON; nothing without data."""
    fidelity = manifest.fidelity
    if fidelity is None:
        return {}
    figures: dict[str, Any] = {"calibration_rows": fidelity.rows}
    for name, agreement in (("delivered", fidelity.delivered), ("tested", fidelity.tested)):
        if name == "tested" and agreement == fidelity.delivered:
            continue  # no polynomials stand for anything
        found = agreement.model_dump()
        figures |= {f"{name}_{key}": value for key, value in found.items() if value is not None}
    return figures


def cautions(manifest: Manifest, canonical: CanonicalModel) -> Iterator[str]:
    """Yield what a seller should know before it lists the package."""
    plan = parse_plan(manifest.plan)
    if caution := _calibration(manifest.fidelity):
        yield caution
    if caution := _collusion(manifest.quota, canonical, plan):
        yield caution
    if caution := _committed_outputs(manifest.circuit, plan):
        yield caution
    if rounded := canonical.graph.rounded_activations:
        yield (
            f"Proofs of this model are rounded, because of {', '.join(kind.value for kind in rounded)}: at each "
            "rounding the prover has a choice. Buyers refuse the listing unless they ask for such, and its accuracy "
            "can't be certified. Squares, products and ReLU are proven exactly."
        )
    if manifest.seller == NOBODY:
        yield NO_SELLER
    if manifest.circuit.srs.development:
        yield DEVELOPMENT_SRS


def _calibration(fidelity: Fidelity | None) -> str:
    """Say what the data doesn't tell."""
    if fidelity is None:
        return (
            "Nobody has compared this package with the model: there was no calibration data, or onnxruntime can't run "
            f"the file. Give --calibration with {FEW_ROWS} rows or more like those of buyers."
        )
    if fidelity.rows >= FEW_ROWS:
        return ""
    return (
        f"The calibration data has {fidelity.rows} rows: all that they say, with {CONFIDENCE:.0%} confidence, is that "
        f"{covered_share(fidelity.rows):.1%} of a column's values stay below the largest seen. Ranges were widened for "
        f"that, which costs precision. Give {FEW_ROWS} rows or more."
    )


def _collusion(quota: Quota, canonical: CanonicalModel, plan: HePlan) -> str:
    """Compare the quota of all buyers together, one of whom may have many accounts, with the parameters' bits."""
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


def _committed_outputs(circuit: CircuitSection, plan: HePlan) -> str:
    """Compare the outputs that an audit commits to with the most that the default policy accepts."""
    most = BuyerPolicy().most_committed(plan)
    if circuit.audit_samples * circuit.layout.outputs <= most:
        return ""
    return (
        f"An audit commits to {circuit.audit_samples} times {circuit.layout.outputs} outputs. Buyers with the "
        f"default policy refuse more than {most}: lower --audit-samples."
    )
