"""Write the plan for a way to evaluate a model, and the scales that were chosen for it."""

import itertools
import math
import operator
from typing import Any

from trader.he import seal
from trader.he.planning.batched import BatchedPlan, PairedPlan
from trader.he.planning.fields import MOST_STATISTICAL_BITS, ActivationPlan
from trader.he.planning.noise import DEVIATIONS, evaluation_noise, flooding, weight_rounding
from trader.he.planning.packed import PackedPlan
from trader.he.planning.plan import HePlan, dropped_products
from trader.he.planning.problem import Way
from trader.he.planning.scales import Scales, held_bits, scales_of
from trader.he.seal import MAXIMUM_PRIME_BITS

TOLERATED_BITS = 1
"""Of the room above a value's bound (`trader.he.planning.scales.RANGE_BITS`) that the primes at hand may take away."""


def write_plan(way: Way, chosen: Scales, room_bits: int, special_bits: int) -> HePlan:
    """Return the plan; its primes are those that the scales need, filled up where there is room.

    Args:
        way: What is carried out.
        chosen: Scales for a ring.
        room_bits: Modulus that the policy allows, the special prime left out.
        special_bits: Size of a special prime.
    """
    fields = _common_fields(way, chosen, room_bits, special_bits)
    if way.packed:
        return PackedPlan(
            **fields,
            special_primes=way.special_primes,
            weight_scale_bits=chosen.weight_scale_bits,
            key_spacing=way.key_spacing,
            maps=way.map_sizes,
            spread=way.spread,
            unfolded=way.unfolded,
        )
    if way.program.splits:
        return PairedPlan(**fields, paired=True, joined=way.joined)
    return BatchedPlan(**fields, joined=way.joined, joined_features=bool(way.program.conjugate))


def missing_bits(way: Way, chosen: Scales, plan: HePlan) -> int:
    """Return by how many bits a plan's primes fall short of what its values take; 0 where they hold all of them.

    Scales were chosen for primes a little below powers of two. Those that there are lie further below, the more of them
    a plan takes; and each product doubles what a scale has drifted, so that after some products it is whole bits.
    """
    primes = seal.parameters(plan.ring_degree, plan.modulus_bits, plan.special_primes).primes
    products = dropped_products(primes, plan.dropped_primes)
    scales = scales_of(way, chosen.input_scale_bits, chosen.weight_scale_bits, products)
    base = primes[: len(primes) - sum(plan.dropped_primes)]
    _, needed = held_bits(way, scales, [math.log2(product) for product in products])
    return max(0, math.ceil(needed - sum(map(math.log2, base)) - TOLERATED_BITS))


def _common_fields(way: Way, chosen: Scales, room_bits: int, special_bits: int) -> dict[str, Any]:
    """Return what plans of every layout state."""
    base = _base_primes(chosen, room_bits)
    modulus_bits = (
        *base,
        *itertools.chain.from_iterable(reversed(chosen.dropped_bits)),
        *[special_bits] * way.special_primes,
    )
    parameters = seal.parameters(chosen.degree, modulus_bits, way.special_primes)
    dropped_primes = tuple(map(len, chosen.dropped_bits))
    dropped = dropped_products(parameters.primes, dropped_primes)
    scales = scales_of(way, chosen.input_scale_bits, chosen.weight_scale_bits, dropped)
    problem, graph, error = way.problem, way.problem.model.graph, way.approximation.error
    noise = evaluation_noise(way, chosen.degree, chosen.input_scale_bits, scales, len(parameters.primes))
    added = flooding(way, chosen.degree, scales[graph.output])
    rounding = weight_rounding(way, chosen.degree, chosen.weight_scale_bits)
    output_bits, _ = held_bits(way, scales, list(map(math.log2, dropped)))
    output_bits = max(chosen.output_bits, output_bits - TOLERATED_BITS)
    return {
        "ring_degree": chosen.degree,
        "modulus_bits": modulus_bits,
        "parameters_id": parameters.parameters_id,
        "features": graph.features,
        "edges": problem.edges,
        "outputs": graph.outputs,
        "components": way.output_components,
        "scale_bits": problem.model.scale_bits,
        "input_scale_bits": chosen.input_scale_bits,
        "output_scale": float(scales[graph.output]),
        "dropped_primes": dropped_primes,
        "response_primes": _response_primes(parameters.primes[: len(base)], output_bits),
        "activations": tuple(
            ActivationPlan(node=name, coefficients=p.coefficients, radius=p.radius)
            for name, p in way.approximation.polynomials.items()
        ),
        "input_magnitude": float(problem.input_magnitude),
        "flooding_bits": added.bits,
        "statistical_bits": min(max(0, math.floor(math.log2(added.deviation / noise))), MOST_STATISTICAL_BITS),
        "approximation_error": error,
        "expected_error": error + DEVIATIONS * math.hypot(noise, added.deviation, rounding),
    }


def _base_primes(chosen: Scales, room_bits: int) -> tuple[int, ...]:
    """Return sizes of the response's primes; one bit more where there is room: primes are below powers of two."""
    count = chosen.base_primes
    spare = room_bits - chosen.total_bits + chosen.base_bits
    bits = min(chosen.base_bits + 1, spare, count * MAXIMUM_PRIME_BITS)
    smaller, larger = divmod(bits, count)
    return (smaller + 1,) * larger + (smaller,) * (count - larger)


def _response_primes(primes: tuple[int, ...], output_bits: float) -> int:
    """Return how many primes hold an output; all of them where primes a little below powers of two fall short."""
    products = itertools.accumulate(primes, operator.mul)
    holding = (count for count, product in enumerate(products, start=1) if math.log2(product) >= output_bits)
    return next(holding, len(primes))
