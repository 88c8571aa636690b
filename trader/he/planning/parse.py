"""Read a plan that comes from the other party."""

from typing import Any, TypeAlias

import rfc8785
from pydantic import TypeAdapter, ValidationError

from trader.he.errors import PlanError
from trader.he.planning.batched import BatchedPlan, PairedPlan
from trader.he.planning.packed import PackedPlan
from trader.he.planning.plan import HePlan
from trader.he.seal import MAXIMUM_PRIME_BITS

_AnyPlan: TypeAlias = BatchedPlan | PairedPlan | PackedPlan
_READER: TypeAdapter[_AnyPlan] = TypeAdapter(_AnyPlan)

MOST_ROUNDED_ERROR = 0.5
"""Integers that are off by less are exact once they are rounded."""
_OF_THE_MODEL = ("features", "edges", "outputs", "scale_bits", "input_magnitude", "activations")
"""Fields in which all layouts of one model agree."""


def parse_plan(data: Any) -> HePlan:
    """Read a plan: its form, ranges and consistency, not its security (`trader.he.planning.policy`).

    Args:
        data: The JSON object, as parsed.

    Raises:
        PlanError: Not a well-formed plan, or its parts contradict each other.
    """
    try:
        plan = _READER.validate_json(rfc8785.dumps(data))
    except (ValidationError, rfc8785.CanonicalizationError) as error:
        message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise PlanError(f"the encryption plan is not well formed: {message}. Ask the seller for another.") from error
    if not isinstance(plan, BatchedPlan):
        raise PlanError(
            "the plan begins with a layout for few or for many samples; that for one sample per slot, and one feature "
            "per ciphertext, has to come first. Ask the seller for another."
        )
    for layout in plan.layouts:
        _check_consistency(layout)
    _check_layouts(plan)
    return plan


def _check_layouts(plan: BatchedPlan) -> None:
    """Refuse layouts for other models than the plan's."""
    for layout in plan.layouts[1:]:
        if any(getattr(layout, field) != getattr(plan, field) for field in _OF_THE_MODEL):
            raise PlanError("a layout for few or many samples is for another model than the plan")
    few = plan.few_samples
    if few is not None and plan.few_samples_limit > few.samples_per_batch:
        raise PlanError(f"the plan for few samples is to serve {plan.few_samples_limit}, more than a ciphertext holds")


def _check_consistency(plan: HePlan) -> None:
    """Refuse fields that contradict each other."""
    if plan.edges and (plan.features != sum(plan.edges) or plan.expected_error >= MOST_ROUNDED_ERROR):
        raise PlanError(
            f"the plan is for {plan.features} bits and an error of {plan.expected_error:.3g}: it has "
            f"{sum(plan.edges)} edges, and errors are rounded away below {MOST_ROUNDED_ERROR}"
        )
    if plan.special_primes >= len(plan.modulus_bits):
        raise PlanError(f"the plan has {len(plan.modulus_bits)} primes, {plan.special_primes} of them for keys only")
    if isinstance(plan, PairedPlan) and any(plan.dropped_primes[:1]):
        raise PlanError("the plan drops primes where it splits samples")
    if plan.joined_features and plan.dropped_primes:
        raise PlanError("the plan joins features, and refreshes")
    folds = plan.joined_features or (isinstance(plan, PairedPlan) and not plan.splits_by_keys)
    if folds and plan.components != 2:
        raise PlanError(f"the plan switches outputs to two components, and responds with {plan.components}")
    if plan.response_primes > plan.level_primes(len(plan.dropped_primes)):
        raise PlanError(
            f"the plan drops {sum(plan.dropped_primes)} of {plan.primes} primes, and responds with "
            f"{plan.response_primes}"
        )
    response_bits = sum(plan.modulus_bits[: plan.response_primes])
    if max(plan.modulus_bits) > MAXIMUM_PRIME_BITS:
        raise PlanError(f"the plan has a prime of {max(plan.modulus_bits)} bits, more than {MAXIMUM_PRIME_BITS}")
    most_flooding_bits = max(plan.visible_flooding_bits(shown) for shown in plan.visible(1)[0])
    if max(plan.output_scale_bits, most_flooding_bits) >= response_bits:
        raise PlanError(f"the plan's outputs or noise don't fit into its modulus of {response_bits} bits")
