"""What `modelseal model plan` says: the plan's parameters, the bits that answers carry, layouts and alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trader.he import STATISTICAL_BITS, HePlan, candidates, charged_samples, forecast
from trader.model import read_samples
from trader.package import parameter_bits, planning_data

if TYPE_CHECKING:
    from pathlib import Path

    from trader.model import CanonicalModel, Manifest


def plan_figures(plan: HePlan, manifest: Manifest, samples: int) -> dict[str, Any]:
    """Return the parameters of the plan that serves this many samples, for tables; errors in units of the outputs."""
    return {
        "samples": samples,
        "charged_samples": charged_samples(samples),
        "layout": _layout_name(plan),
        "ring_degree": plan.ring_degree,
        "modulus_bits": " ".join(map(str, plan.modulus_bits)),
        # Where keys split samples, a level ends without a refresh.
        "refreshes": max(0, len(plan.dropped_primes) - plan.paired),
        "activation_degree": max((len(a.coefficients) - 1 for a in plan.activations), default=0),
        "security_bits": plan.security_bits,
        "statistical_bits": plan.statistical_bits,
        "capacity_bits": plan.capacity_bits,
        "answer_bits": plan.answer_bits,
        "approximation_error": manifest.output.post_processing.in_output_units(plan.approximation_error),
    }


def weak_flooding(plan: HePlan) -> str:
    """Return a caution if the plan's flooding noise hides less than is aimed at; empty if it doesn't."""
    if plan.statistical_bits >= STATISTICAL_BITS:
        return ""
    return (
        f"flooding exceeds what it hides by {plan.statistical_bits} bits; a ring of degree {plan.ring_degree} has "
        f"no room for the {STATISTICAL_BITS} that are the aim"
    )


def quota_figures(manifest: Manifest, plan: HePlan, canonical: CanonicalModel) -> dict[str, int]:
    """Return the bits of the parameters, and the bits that a buyer's and all buyers' answers can carry."""
    return {
        "parameter_bits": parameter_bits(canonical),
        "buyer_quota_bits": manifest.quota.buyer_samples * plan.answer_bits,
        "listing_quota_bits": manifest.quota.listing_samples * plan.answer_bits,
    }


def layout_rows(plan: HePlan, canonical: CanonicalModel, samples: int) -> list[dict[str, Any]]:
    """Return the cost of a test in each layout of the plan that can hold this many samples."""
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


def alternative_rows(
    plan: HePlan, canonical: CanonicalModel, manifest: Manifest, calibration: Path | None
) -> list[dict[str, Any]]:
    """Return every candidate but the plan itself, and why it was passed over.

    Args:
        plan: The manifest's.
        canonical: The package's parameters.
        manifest: The package's.
        calibration: The samples that the model was prepared with. A plan with activations, which were fitted to them,
            needs them (see `can_list_alternatives`).
    """
    features, columns = canonical.graph.features, manifest.input.columns
    samples = None if calibration is None else read_samples(calibration, features, columns)
    data = planning_data(canonical, manifest.input.exponents, samples, manifest.input.grid)
    return [
        {
            "ring_degree": candidate.ring_degree,
            "refreshes": candidate.depth,
            "activation_degree": candidate.activation_degree,
            "modulus_bits": candidate.modulus_bits,
            "room_bits": candidate.room_bits,
            "rejected": candidate.rejected or "it costs more or is less exact than the plan",
        }
        for candidate in candidates(data.problem(canonical))
        if candidate.plan != plan.batched
    ]


def can_list_alternatives(plan: HePlan, calibration: Path | None) -> bool:
    """Whether the alternatives can be found: activations are fitted to calibration data."""
    return calibration is not None or not plan.activations


def _layout_name(plan: HePlan) -> str:
    if plan.packed:
        return "several features per ciphertext"
    if plan.joined_features:
        return "two features per ciphertext"
    return "two samples per slot" if plan.paired else "one feature per ciphertext"
