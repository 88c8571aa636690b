"""Chooses the encryption plan of a model: as little modulus as precision, masking and flooding ask for.

All values of the graph are carried at exact scales: inputs at 2^a, a linear layer adds s bits, a product adds the
scales of its factors. Nothing is rescaled, so the modulus only has to hold the output:

    log2 Q >= output scale + mask scale + log2(output bound) + guard.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trader.he import seal
from trader.he.errors import PlanError
from trader.he.plan import DEFAULT_POLICY, MAXIMUM_MODULUS_BITS, MAXIMUM_PRIME_BITS, HePlan, SecurityPolicy
from trader.he.propagation import component_counts, fresh_noise, output_noise, value_scales
from trader.model.canonical import CanonicalModel

ERROR_BUDGET = 2.0**-12
"""Bound on the error of an output, real units: the grid on which outputs are committed."""
STATISTICAL_BITS = 20
"""Default distance between flooding noise and the noise that it hides."""
DEVIATIONS = 6.0
"""Bounds are stated at this many standard deviations: exceeded by one normal value in 2^28."""
GUARD_BITS = 2
"""Outputs stay this far below the modulus, which leaves room for the noise in unused slots."""
RANGE_BITS = 3
"""Outputs may exceed their bound by this factor before they wrap around."""
SPECIAL_PRIME_BITS = {1024: 14, 2048: 14, 4096: 16, 8192: 17, 16384: 17, 32768: 17}
"""No key is switched, so the smallest prime that SEAL finds for the ring serves."""
LARGEST_COEFFICIENT_BITS = 61
"""Encoded inputs are signed 64-bit integers."""


def plan_encryption(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    *,
    input_magnitude: float,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> HePlan:
    """Choose encryption parameters for a model.

    Args:
        model: graph, parameters and their scale.
        bounds: largest |value| (real units) that each value of the graph takes (`trader.model.measured_bounds`).
        input_magnitude: largest |input| that buyers may encrypt, real units.
        error_budget: bound on the error of an output, real units.
        statistical_bits: least distance between flooding noise and the noise that it hides.
        policy: security that the seller itself asks for.

    Raises:
        PlanError: no parameters within the standard's table serve this model.
    """
    found = candidates(
        model,
        bounds,
        input_magnitude=input_magnitude,
        error_budget=error_budget,
        statistical_bits=statistical_bits,
        policy=policy,
    )
    for candidate in found:
        if candidate.plan is not None:
            return candidate.plan
    raise PlanError(f"no encryption parameters serve this model: {found[-1].rejected}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters that were considered.

    Attributes:
        ring_degree: N.
        modulus_bits: what precision, masking and flooding ask for in this ring.
        room_bits: what the standard allows, the special prime left out.
        plan: the plan, if there is one.
        rejected: why there is none, or empty.
    """

    ring_degree: int
    modulus_bits: int
    room_bits: int
    plan: HePlan | None
    rejected: str = ""


def candidates(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    *,
    input_magnitude: float,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> list[Candidate]:
    """Every ring degree with its plan, or with the reason why it has none; arguments as for `plan_encryption`.

    The first plan is the best one: more samples fit into a larger ring, but at more time and bytes per sample.
    """
    request = _Request(model, bounds, input_magnitude, error_budget, statistical_bits)
    return [_consider(request, degree, policy) for degree in MAXIMUM_MODULUS_BITS[policy.security_bits]]


def _consider(request: "_Request", degree: int, policy: SecurityPolicy) -> Candidate:
    choice = _choose(request, degree)
    room = MAXIMUM_MODULUS_BITS[policy.security_bits][degree] - SPECIAL_PRIME_BITS[degree]
    if choice.modulus_bits > room:
        reason = (
            f"it takes a modulus of {choice.modulus_bits} bits, ring degree {degree} offers {room} at "
            f"{policy.security_bits} bits of security. Use fewer activations, smaller outputs or a larger error budget."
        )
        return Candidate(degree, choice.modulus_bits, room, None, reason)
    if choice.coefficient_bits > LARGEST_COEFFICIENT_BITS:
        reason = (
            f"inputs up to {request.input_magnitude:g} at a scale of 2^{choice.input_scale_bits} don't fit into 64 "
            "bits. Scale the inputs down, or allow a larger error or less flooding."
        )
        return Candidate(degree, choice.modulus_bits, room, None, reason)
    return Candidate(degree, choice.modulus_bits, room, _plan(request, choice, room))


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller of `plan_encryption` asks for."""

    model: CanonicalModel
    bounds: Mapping[str, float]
    input_magnitude: float
    error_budget: float
    statistical_bits: int

    @property
    def output_bound(self) -> float:
        return max(self.bounds[self.model.graph.output], 2.0**-10)

    def output_scale_bits(self, input_scale_bits: int) -> int:
        graph = self.model.graph
        return value_scales(graph, input_scale_bits, self.model.scale_bits)[graph.output]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Scales for one ring degree, and the sizes of modulus and encoded inputs that they take."""

    degree: int
    input_scale_bits: int
    mask_scale_bits: int
    modulus_bits: int
    coefficient_bits: int


def _choose(request: _Request, degree: int) -> _Choice:
    """The smallest scales that meet budget and flooding in this ring."""
    flooding = request.error_budget / 2 / DEVIATIONS
    noise_at_scale_0 = output_noise(request.model, request.bounds, fresh_noise(degree))
    magnitude_bits = math.ceil(math.log2(max(request.input_magnitude, 1.0)))
    needed = math.ceil(request.statistical_bits + math.log2(noise_at_scale_0 / flooding))
    input_scale_bits = max(needed, request.model.scale_bits)
    mask_error = 0.4 * request.error_budget / DEVIATIONS
    mask_scale_bits = max(1, math.ceil(math.log2(request.output_bound * mask_deviation(degree) / mask_error)))
    modulus_bits = _modulus_bits(request, input_scale_bits, mask_scale_bits)
    return _Choice(degree, input_scale_bits, mask_scale_bits, modulus_bits, input_scale_bits + magnitude_bits)


def _modulus_bits(request: _Request, input_scale_bits: int, mask_scale_bits: int) -> int:
    """Modulus that holds the masked outputs."""
    output_bits = math.ceil(math.log2(request.output_bound)) + RANGE_BITS + GUARD_BITS
    return request.output_scale_bits(input_scale_bits) + mask_scale_bits + max(output_bits, GUARD_BITS)


def _plan(request: _Request, choice: _Choice, room: int) -> HePlan:
    """Fill up the primes that the choice needs, and write the plan."""
    primes = -(-choice.modulus_bits // MAXIMUM_PRIME_BITS)
    prime_bits = -(-choice.modulus_bits // primes)
    # A product of p primes of b bits has at least p·b - 1 bits.
    if primes * prime_bits - 1 < choice.modulus_bits and primes * (prime_bits + 1) <= room:
        prime_bits = min(prime_bits + 1, MAXIMUM_PRIME_BITS)
    modulus_bits = (*[prime_bits] * primes, SPECIAL_PRIME_BITS[choice.degree])
    graph = request.model.graph
    output_scale_bits = request.output_scale_bits(choice.input_scale_bits) + choice.mask_scale_bits
    fresh = fresh_noise(choice.degree) * 2.0**-choice.input_scale_bits
    noise = output_noise(request.model, request.bounds, fresh)
    flooding = request.error_budget / 2 / DEVIATIONS
    flooding_bits = math.floor(math.log2(flooding / math.sqrt(choice.degree / 6)) + output_scale_bits)
    flooding = 2.0 ** (flooding_bits - output_scale_bits) * math.sqrt(choice.degree / 6)
    mask = request.output_bound * mask_deviation(choice.degree) * 2.0**-choice.mask_scale_bits
    return HePlan(
        ring_degree=choice.degree,  # type: ignore[arg-type]  # a key of the standard's table
        modulus_bits=modulus_bits,
        parameters_id=seal.parameters(choice.degree, modulus_bits).parameters_id,
        features=graph.features,
        outputs=graph.outputs,
        components=component_counts(graph)[graph.output],
        scale_bits=request.model.scale_bits,
        input_scale_bits=choice.input_scale_bits,
        mask_scale_bits=choice.mask_scale_bits,
        output_scale_bits=output_scale_bits,
        input_magnitude=float(request.input_magnitude),
        flooding_bits=flooding_bits,
        statistical_bits=max(0, math.floor(math.log2(flooding / noise))),
        expected_error=DEVIATIONS * math.sqrt(noise**2 + flooding**2 + mask**2),
    )


def mask_deviation(degree: int) -> float:
    """Deviation of a slot of the mask from 0 or 1, in units of the mask's last place.

    Randomised rounding of a uniform fraction has variance 1/6 per coefficient.
    """
    return math.sqrt(degree / 12)
