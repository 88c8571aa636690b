"""Chooses the encryption plan of a model: as little modulus as precision and flooding ask for.

Inputs stand at scale 2^a, a linear layer adds s bits, a product adds the scales of its factors. Where nothing is
refreshed, the modulus only has to hold the output:

    log2 Q >= output scale + log2(output bound) + guard.

That serves one product, or two. Deeper programs are staged (`trader.he.program.steps`): each refresh drops as many
primes as bring the smallest scale at its level back to about 2^w, the working scale, and the modulus holds what all
refreshes drop besides. One number decides both: a = w, or a little less, and w is the least at which noise is so far
below the flooding noise as was asked for. `trader.he.program.activations` says how activations become polynomials; a
degree is better the cheaper it is, as long as it meets the approximation budget, and else the more exact it is.

The ring is the smallest in which the flooding noise exceeds what it hides by `LEAST_STATISTICAL_BITS`; in this ring it
does so by up to `STATISTICAL_BITS`, as far as there is room. A plan states how many bits it came to. And it is large
enough for flooding noise that covers what the worst public key that can be proven brings in (`least_flooding_bits`).
"""

import itertools
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import PlanError, SecurityError
from trader.he.layouts.packing import AffineMap, Packing, affine_maps, encoding_error, map_layouts
from trader.he.planning.plan import (
    DEFAULT_POLICY,
    MAXIMUM_MODULUS_BITS,
    MOST_STATISTICAL_BITS,
    ActivationPlan,
    HePlan,
    SecurityPolicy,
    check_flooding,
    least_flooding_bits,
)
from trader.he.planning.propagation import (
    fresh_noise,
    log2,
    output_noise,
    rounding_noise,
    switching_noise,
    value_bounds,
    value_scales,
)
from trader.he.program.activations import DEGREES, Polynomial, approximation_error, fit_activations
from trader.he.program.steps import Affine, Program, build_program
from trader.he.seal import objects as seal
from trader.he.seal.objects import MAXIMUM_PRIME_BITS
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT
from trader.model.nodes import Activation

ERROR_BUDGET = 2.0**-12
"""Bound on the error of an output that noise makes, real units: the grid on which outputs are committed."""
APPROXIMATION_BUDGET = 2.0**-6
"""Error that polynomials for activations may make, relative to the largest output."""
STATISTICAL_BITS = 40
"""Distance between flooding noise and the noise that it hides, where the ring has room for it."""
LEAST_STATISTICAL_BITS = 20
"""For a larger distance than this no larger ring is taken, unless it is asked for."""
DEVIATIONS = 6.0
"""Bounds are stated at this many standard deviations: exceeded by one normal value in 2^28."""
GUARD_BITS = 2
"""Outputs stay this far below the modulus: one for the sign, one as two of their coefficients are read as a sum."""
RANGE_BITS = 3
"""Outputs may exceed their bound by this factor before they wrap around."""
SPECIAL_PRIME_BITS = {1024: 14, 2048: 14, 4096: 16, 8192: 17, 16384: 17, 32768: 17}
"""Where no key is switched, the smallest prime that SEAL finds for the ring serves."""
LARGEST_COEFFICIENT_BITS = 69
"""Larger inputs would be encoded with more error than encryption makes (`trader.he.ring.encoding`)."""
SMALLEST_DROPPED_BITS = 25
"""There are enough primes of so many bits in every ring."""
INPUT_LEAD_BITS = 4
"""Fresh encryptions are less noisy than refreshed ones by about so many bits."""
LARGEST_COMPONENTS = 5
"""More polynomials per ciphertext cost more than refreshing."""
SMALLEST_STAGED_DEGREE = 8192
SMALLEST_PACKED_DEGREE = 4096
LARGEST_MAP = 1 << 22
"""Entries of the matrix of an affine map of a packed plan: more would take too long to encode."""
ENCODING_SHARE = 0.3
"""Part of the error budget that rounding of encoded weights may use up."""
PRODUCTS_PER_CIPHERTEXT = 16
"""A product with an encoded diagonal takes so many times less than to encrypt, send and read a ciphertext."""
CIPHERTEXTS_PER_SPLIT = 4
"""To split a ciphertext takes about as long as to encrypt, send and read so many."""
PRODUCTS_PER_SWITCHING = 12
"""The same for a rotation, its serialization included, as measured."""


def plan_encryption(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    *,
    input_magnitude: float,
    calibration: NDArray[np.int64] | None = None,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = LEAST_STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> HePlan:
    """Choose encryption parameters for a model.

    Args:
        model: graph, parameters and their scale.
        bounds: largest |value| (real units) that each value of the graph takes (`trader.model.measured_bounds`).
        input_magnitude: largest |input| that buyers may encrypt, real units.
        calibration: quantised inputs [n, F] like those of buyers; models with activations need them.
        error_budget: bound on the part of an output's error that noise makes, real units; where polynomials stand for
            activations, a quarter of their error if that is larger.
        statistical_bits: least distance between flooding noise and the noise that it hides; it is larger, up to
            `STATISTICAL_BITS`, where the ring has room.
        policy: security that the seller itself asks for.

    Raises:
        PlanError: no parameters within the standard's table serve this model.
    """
    found = candidates(
        model,
        bounds,
        input_magnitude=input_magnitude,
        calibration=calibration,
        error_budget=error_budget,
        statistical_bits=statistical_bits,
        policy=policy,
    )
    plan = next((candidate.plan for candidate in found if candidate.plan is not None), None)
    if plan is not None:
        for add_layout in (plan_few_samples, plan_many_samples):
            plan = add_layout(
                model,
                bounds,
                plan,
                input_magnitude=input_magnitude,
                error_budget=error_budget,
                statistical_bits=statistical_bits,
                policy=policy,
            )
        return plan
    raise PlanError(f"no encryption parameters serve this model: {found[-1].rejected}")


def plan_few_samples(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    plan: HePlan,
    *,
    input_magnitude: float,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = LEAST_STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> HePlan:
    """The plan with a packed one for small tests, or as it is where that doesn't pay or can't be done.

    Packing pays up to the number of samples at which the products and rotations that it costs outweigh the ciphertexts
    that it saves. Arguments as for `plan_encryption`.
    """
    try:
        program = build_program(model.graph, plan.polynomials, staged=True, packed=True)
    except PlanError:
        return plan
    steps = [step for step in program.steps if isinstance(step, Affine)]
    entries = (step.size * math.prod(step.shape) for step in steps)
    if max(entries, default=LARGEST_MAP + 1) > LARGEST_MAP or max(program.components.values()) > LARGEST_COMPONENTS:
        return plan
    approximation = _Approximation(0, plan.polynomials, plan.approximation_error)
    budget, maps = max(error_budget, approximation.error / 4), affine_maps(model, program)
    request = _Request(model, bounds, input_magnitude, budget, statistical_bits, program, approximation, maps)
    for degree in MAXIMUM_MODULUS_BITS[policy.security_bits]:
        packed = _consider(request, degree, policy).plan if degree >= SMALLEST_PACKED_DEGREE else None
        if packed is not None:
            limit = _few_samples_limit(plan, packed)
            return plan.model_copy(update={"few_samples": packed, "few_samples_limit": limit}) if limit else plan
    return plan


def plan_many_samples(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    plan: HePlan,
    *,
    input_magnitude: float,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = LEAST_STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> HePlan:
    """The plan with a paired one for tests that fill more than a batch, or as it is where that doesn't pay.

    Pairing halves the ciphertexts of a request, and costs a conjugation for each that is split. Arguments as for
    `plan_encryption`.
    """
    try:
        program = build_program(model.graph, plan.polynomials, staged=plan.refreshes, paired=True)
    except PlanError:
        return plan
    if CIPHERTEXTS_PER_SPLIT * sum(math.prod(step.shape) for step in program.splits) > plan.features:
        return plan
    approximation = _Approximation(0, plan.polynomials, plan.approximation_error)
    budget = max(error_budget, approximation.error / 4)
    request = _Request(model, bounds, input_magnitude, budget, statistical_bits, program, approximation)
    paired = _consider(request, plan.ring_degree, policy).plan
    return plan if paired is None else plan.model_copy(update={"many_samples": paired})


def _few_samples_limit(plan: HePlan, packed: HePlan) -> int:
    """The largest power of two of samples at which packing pays, or 0."""
    found, batched = 0, plan.features * plan.primes * plan.ring_degree * PRODUCTS_PER_CIPHERTEXT
    for bits in range(packed.samples_per_batch.bit_length()):
        layouts = packed.map_layouts(1 << bits)
        products = sum(layout.products + PRODUCTS_PER_SWITCHING * layout.switchings for layout in layouts)
        sent = packed.request_ciphertexts(1 << bits) + packed.switching_keys(1 << bits) * packed.primes
        work = (products + PRODUCTS_PER_CIPHERTEXT * sent) * packed.primes * packed.ring_degree
        if work < batched:
            found = 1 << bits
    return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters that were considered.

    Attributes:
        ring_degree: N.
        depth: refreshes on the longest path.
        activation_degree: of the polynomials that stand for activations, 0 where there are none.
        modulus_bits: what precision and flooding ask for in this ring.
        room_bits: what the standard allows, the special prime left out.
        plan: the plan, if there is one.
        rejected: why there is none, or empty.
    """

    ring_degree: int
    depth: int
    activation_degree: int
    modulus_bits: int
    room_bits: int
    plan: HePlan | None
    rejected: str = ""


def candidates(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    *,
    input_magnitude: float,
    calibration: NDArray[np.int64] | None = None,
    error_budget: float = ERROR_BUDGET,
    statistical_bits: int = LEAST_STATISTICAL_BITS,
    policy: SecurityPolicy = DEFAULT_POLICY,
) -> list[Candidate]:
    """Every way with its plan, or with the reason why it has none, best first; arguments as for `plan_encryption`.

    More samples fit into a larger ring, but at more time and bytes per sample, so that the smallest one comes first.

    Raises:
        PlanError: a bound is not finite, or there are activations and no calibration data to fit polynomials to.
    """
    if not all(math.isfinite(bound) for bound in bounds.values()):
        raise PlanError("the model's values have no finite bound; give calibration data, or scale its inputs down")
    found = []
    for approximation in _approximations(model, bounds, calibration):
        budget = max(error_budget, approximation.error / 4)
        ways = [build_program(model.graph, approximation.polynomials, staged=staged) for staged in (False, True)]
        shallow, staged = ways
        programs = [shallow] if staged.depth == 0 else ways
        for degree in MAXIMUM_MODULUS_BITS[policy.security_bits]:
            for program in programs:
                if max(program.components.values()) > LARGEST_COMPONENTS and staged.depth > 0:
                    continue
                if program.depth and degree < SMALLEST_STAGED_DEGREE:
                    continue
                request = _Request(model, bounds, input_magnitude, budget, statistical_bits, program, approximation)
                found.append(_consider(request, degree, policy))
    return found


@dataclass(frozen=True, slots=True)
class _Approximation:
    """Polynomials of one degree, and the error that they make."""

    degree: int
    polynomials: Mapping[str, Polynomial]
    error: float


def _approximations(
    model: CanonicalModel, bounds: Mapping[str, float], calibration: NDArray[np.int64] | None
) -> Iterator[_Approximation]:
    """Degrees in order of preference: those that meet the budget, the lowest first, then the others, the best first."""
    activations = [node for node in model.graph.nodes if isinstance(node, Activation)]
    if not activations or calibration is None:
        yield _Approximation(0, {}, 0.0)
        return
    found = []
    for degree in DEGREES:
        polynomials = fit_activations(model, calibration, degree)
        found.append(_Approximation(degree, polynomials, approximation_error(model, polynomials, calibration)))
    budget = APPROXIMATION_BUDGET * bounds[model.graph.output]
    yield from (way for way in found if way.error <= budget)
    rest = [way for way in found if budget < way.error < math.inf]
    yield from sorted(rest, key=lambda way: way.error)


def _consider(request: "_Request", degree: int, policy: SecurityPolicy) -> Candidate:
    """With outputs joined if that can be, which asks for a little more precision, else one by one."""
    request = replace(request, statistical_bits=max(request.statistical_bits, policy.statistical_bits))
    if not request.packed and request.model.graph.outputs > 1:
        joined = _consider_as_is(replace(request, joined=True), degree, policy)
        if joined.plan is not None:
            return joined
    return _consider_as_is(request, degree, policy)


def _consider_as_is(request: "_Request", degree: int, policy: SecurityPolicy) -> Candidate:
    switches = request.program.depth > 0 or request.packed
    special_bits = MAXIMUM_PRIME_BITS if switches else SPECIAL_PRIME_BITS[degree]
    room = MAXIMUM_MODULUS_BITS[policy.security_bits][degree] - special_bits
    choice = _choose_flooding(request, degree, room)

    def candidate(plan: HePlan | None, rejected: str = "") -> Candidate:
        program, approximation = request.program, request.approximation
        return Candidate(degree, program.depth, approximation.degree, choice.total_bits, room, plan, rejected)

    if choice.total_bits > room:
        return candidate(
            None,
            f"it takes a modulus of {choice.total_bits} bits, ring degree {degree} offers {room} at "
            f"{policy.security_bits} bits of security. Use fewer activations, smaller outputs or a larger error "
            "budget.",
        )
    if not _encodes_exactly(request, choice):
        return candidate(
            None,
            f"inputs up to {request.input_magnitude:g} at a scale of 2^{choice.input_scale_bits} can't be encoded "
            "exactly enough. Scale the inputs down, or allow a larger error or less flooding.",
        )
    plan = _plan(request, choice, room, special_bits)
    try:
        check_flooding(plan)
    except SecurityError as error:
        return candidate(None, str(error))
    return candidate(plan)


def _choose_flooding(request: "_Request", degree: int, room: int) -> "_Choice":
    """Scales for as much flooding as the ring has room for, up to `STATISTICAL_BITS`; for the least if for none.

    Packed tests are mostly keys, of a digit per prime: where there is no room for all of it, theirs fills the primes
    that the least takes, and takes no more.
    """
    least = request.statistical_bits
    found, low, high = _choose(request, degree), least + 1, max(least, STATISTICAL_BITS)
    most_primes = found.primes if request.packed else math.inf
    # Mostly there is room for all of it, or not even for the least.
    middle = high
    while low <= high and found.total_bits <= room:
        choice = _choose(replace(request, statistical_bits=middle), degree)
        fits = choice.total_bits <= room and (middle >= STATISTICAL_BITS or choice.primes <= most_primes)
        if fits and _encodes_exactly(request, choice):
            found, low = choice, middle + 1
        else:
            high = middle - 1
        middle = (low + high) // 2
    return found


def _encodes_exactly(request: "_Request", choice: "_Choice") -> bool:
    """Whether inputs are encoded with less error than encryption makes; rotations leave more by some two bits."""
    magnitude_bits = math.ceil(math.log2(max(request.input_magnitude, 1.0)))
    return choice.input_scale_bits + magnitude_bits <= LARGEST_COEFFICIENT_BITS + 2 * request.packed


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be planned: what the caller of `plan_encryption` asks for, and one way to carry it out."""

    model: CanonicalModel
    bounds: Mapping[str, float]
    input_magnitude: float
    error_budget: float
    statistical_bits: int
    program: Program
    approximation: _Approximation
    maps: Mapping[str, AffineMap] = field(default_factory=dict)
    joined: bool = False

    @property
    def packed(self) -> bool:
        return bool(self.maps)

    @property
    def map_sizes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the affine maps."""
        return tuple(numbers.matrix.shape for numbers in self.maps.values())

    @property
    def spread(self) -> bool:
        """Whether nothing but the first affine map reads the inputs."""
        readers = [step.name for step in self.program.steps if INPUT in step.inputs]
        return self.packed and readers == list(self.maps)[:1]

    @property
    def unfolded(self) -> bool:
        """Whether an affine map gives the outputs, so that its folds can be left to the reader."""
        return self.program.graph.output in self.maps

    def weight_scale_bits(self, degree: int) -> int:
        """Scale of encoded weights at which their rounding moves no output by much; 0 where weights are integers."""
        if not self.packed:
            return 0
        target = ENCODING_SHARE * self.error_budget / DEVIATIONS
        bits = math.ceil(math.log2(self.encoding_error(degree, 0) / target))
        return max(bits, SMALLEST_DROPPED_BITS)

    def encoding_error(self, degree: int, weight_bits: int) -> float:
        """Deviation of an output by the rounding of encoded weights, real units."""
        bounds = self.value_bounds()
        errors = {
            step.name: math.ldexp(encoding_error(degree) * math.sqrt(2 * step.size), -weight_bits)
            * bounds[step.inputs[0]]
            for step in self.program.steps
            if isinstance(step, Affine)
        }
        return output_noise(self.program, self.model, bounds, 0.0, errors, self.maps)

    @property
    def output_bound(self) -> float:
        return max(self.bounds[self.model.graph.output], 2.0**-10)

    @property
    def flooding(self) -> float:
        """Deviation of the flooding noise, real units."""
        return self.error_budget / 2 / DEVIATIONS

    @property
    def joining(self) -> float:
        """By how much magnitudes and deviations grow where two outputs share a ciphertext."""
        return math.sqrt(2) if self.joined else 1.0

    def value_bounds(self) -> dict[str, float]:
        return value_bounds(self.program, self.bounds)

    def value_scales(self, input_scale_bits: int, weight_bits: int, dropped: list[int]) -> dict[str, Fraction]:
        return value_scales(self.program, input_scale_bits, weight_bits or self.model.scale_bits, dropped)

    def noise(self, degree: int, input_scale_bits: int, scales: Mapping[str, Fraction], primes: int) -> float:
        """Deviation of an output before flooding, real units."""
        switching, rounding = switching_noise(degree, primes), rounding_noise(degree)
        refresh_noise = {
            step.name: math.hypot(switching / float(scales[step.inputs[0]]), rounding / float(scales[step.name]))
            for level in range(self.program.depth)
            for step in self.program.refreshes(level)
        }
        rotation_noise = {
            step.name: self._rotation_noise(step, degree, scales, switching)
            for step in self.program.steps
            if isinstance(step, Affine)
        }
        split_noise = {step.name: switching / float(scales[step.inputs[0]]) for step in self.program.splits}
        fresh = math.ldexp(fresh_noise(degree), -input_scale_bits)
        added = refresh_noise | rotation_noise | split_noise
        return self.joining * output_noise(self.program, self.model, self.value_bounds(), fresh, added, self.maps)

    def _rotation_noise(self, step: Affine, degree: int, scales: Mapping[str, Fraction], switching: float) -> float:
        """What rotations add to an affine map, real units, for the number of samples at which it is most."""
        matrix = self.maps[step.name].matrix
        norm = float(np.sqrt((matrix**2).sum(axis=0).max(initial=0.0)))
        largest = 0.0
        for bits in range((degree // 2).bit_length()):
            packing = Packing.tight(degree, 1 << bits)
            layouts = map_layouts(packing, self.map_sizes, spread=self.spread, unfolded=self.unfolded)
            layout = dict(zip(self.maps, layouts, strict=True))[step.name]
            # Every rotation is at most two switchings, and a fold adds up what was there before; a fold that is left
            # to the reader averages it.
            giants = 2 * layout.giant_steps << len(layout.folds)
            baby = math.sqrt(layout.baby_steps - 1) * norm / float(scales[step.inputs[0]])
            giant = math.sqrt(giants) / float(scales[step.name])
            largest = max(largest, switching * math.hypot(baby, giant))
        return largest


@dataclass(frozen=True, slots=True)
class _Choice:
    """Scales for one ring degree, and the sizes of primes that they take.

    Attributes:
        degree: N.
        input_scale_bits: a.
        weight_scale_bits: of encoded weights, 0 where there are none.
        output_bits: modulus that holds an output.
        base_bits: modulus that is never dropped.
        dropped_bits: sizes of the primes that each level drops.
    """

    degree: int
    input_scale_bits: int
    weight_scale_bits: int
    output_bits: int
    base_bits: int
    dropped_bits: tuple[tuple[int, ...], ...]

    @property
    def total_bits(self) -> int:
        return self.base_bits + sum(map(sum, self.dropped_bits))

    @property
    def primes(self) -> int:
        """Number of primes, the special one left out."""
        return _base_count(self) + sum(map(len, self.dropped_bits))


def _choose(request: _Request, degree: int) -> _Choice:
    """The smallest scales that meet budget and flooding in this ring."""
    weight_bits = request.weight_scale_bits(degree)
    low, high = request.model.scale_bits, 2 * LARGEST_COEFFICIENT_BITS
    while low < high:
        middle = (low + high) // 2
        if _is_hidden(request, degree, middle, weight_bits):
            high = middle
        else:
            low = middle + 1
    dropped_bits = _dropped_bits(request, low, weight_bits)
    output_bits, base_bits = _held_bits(request, low, weight_bits, dropped_bits)
    return _Choice(degree, _input_scale_bits(request, low), weight_bits, output_bits, base_bits, dropped_bits)


def _input_scale_bits(request: _Request, working_bits: int) -> int:
    # Rotations, unlike encryption, leave as much noise as refreshes do.
    lead = INPUT_LEAD_BITS if request.program.depth and not request.packed else 0
    return max(working_bits - lead, request.model.scale_bits)


def _is_hidden(request: _Request, degree: int, working_bits: int, weight_bits: int) -> bool:
    """Whether the flooding noise is so far above that of the evaluation as is asked for, and covers proven keys'."""
    dropped_bits = _dropped_bits(request, working_bits, weight_bits)
    input_bits = _input_scale_bits(request, working_bits)
    scales = request.value_scales(input_bits, weight_bits, _typical_products(dropped_bits))
    primes = MAXIMUM_MODULUS_BITS[128][degree] // MAXIMUM_PRIME_BITS
    noise = request.noise(degree, input_bits, scales, primes)
    # Where primes are dropped, scales will be a little different, and rounding may take a whole bit.
    output_scale = scales[request.program.graph.output]
    bits, flooding = _round_flooding(request, degree, output_scale)
    if any(dropped_bits):
        bits, flooding = bits - 1, request.flooding / 2
    least_bits = least_flooding_bits(degree, request.program.components[request.program.graph.output])
    return bits >= least_bits and noise <= math.ldexp(flooding, -request.statistical_bits)


def _round_flooding(request: _Request, degree: int, output_scale: Fraction) -> tuple[int, float]:
    """Bits of the flooding noise per coefficient, rounded down, and the deviation that it has then, real units."""
    per_slot = math.sqrt(degree / 6)
    bits = math.floor(math.log2(request.flooding / per_slot) + log2(output_scale))
    return bits, 2.0 ** (bits - log2(output_scale)) * per_slot


def _dropped_bits(request: _Request, working_bits: int, weight_bits: int) -> tuple[tuple[int, ...], ...]:
    """Level by level, the primes that bring the smallest refreshed scale down to the working scale, or little above."""
    dropped: list[tuple[int, ...]] = []
    input_bits = _input_scale_bits(request, working_bits)
    for level in range(request.program.depth):
        scales = request.value_scales(input_bits, weight_bits, _typical_products(dropped))
        refreshed = [log2(scales[step.inputs[0]]) for step in request.program.refreshes(level)]
        # Where samples are split, nothing is dropped.
        excess = max(0, math.floor(min(refreshed, default=0.0)) - working_bits)
        count = min(-(-excess // MAXIMUM_PRIME_BITS), excess // SMALLEST_DROPPED_BITS)
        dropped.append((min(MAXIMUM_PRIME_BITS, excess // count),) * count if count else ())
    return tuple(dropped)


def _typical_products(dropped_bits: "tuple[tuple[int, ...], ...] | list[tuple[int, ...]]") -> list[int]:
    """Products like those of primes of these sizes: a little below powers of two, and never one."""
    return [math.prod((1 << bits) - (1 << (bits - 10)) + 1 for bits in level) for level in dropped_bits]


def _held_bits(
    request: _Request, working_bits: int, weight_bits: int, dropped_bits: tuple[tuple[int, ...], ...]
) -> tuple[int, int]:
    """Modulus that holds the outputs; and one that, with what is dropped later on, holds whatever is refreshed too."""
    input_bits = _input_scale_bits(request, working_bits)
    scales = request.value_scales(input_bits, weight_bits, _typical_products(dropped_bits))
    bounds, program = request.value_bounds(), request.program
    output_bits = log2(scales[program.graph.output]) + _magnitude_bits(request.output_bound)
    needed = [output_bits]
    for level in range(program.depth):
        room = sum(map(sum, dropped_bits[level:])) - sum(map(len, dropped_bits[level:])) / 100
        needed += [
            log2(scales[step.inputs[0]]) + _magnitude_bits(bounds[step.inputs[0]]) - room
            for step in program.refreshes(level)
        ]
    return math.ceil(output_bits), math.ceil(max(needed))


def _magnitude_bits(bound: float) -> int:
    return max(math.ceil(math.log2(max(bound, 2.0**-100))) + RANGE_BITS + GUARD_BITS, GUARD_BITS)


def _plan(request: _Request, choice: _Choice, room: int, special_bits: int) -> HePlan:
    """Fill up the primes that the choice needs, and write the plan."""
    base = _base_primes(choice, room)
    modulus_bits = (*base, *(bits for level in reversed(choice.dropped_bits) for bits in level), special_bits)
    parameters = seal.parameters(choice.degree, modulus_bits)
    dropped_primes = tuple(map(len, choice.dropped_bits))
    dropped = dropped_products(parameters.primes, dropped_primes)
    scales = request.value_scales(choice.input_scale_bits, choice.weight_scale_bits, dropped)
    graph = request.model.graph
    noise = request.noise(choice.degree, choice.input_scale_bits, scales, len(parameters.primes))
    flooding_bits, flooding = _round_flooding(request, choice.degree, scales[graph.output])
    encoding = request.encoding_error(choice.degree, choice.weight_scale_bits) if request.packed else 0.0
    return HePlan(
        ring_degree=choice.degree,  # type: ignore[arg-type]  # a key of the standard's table
        modulus_bits=modulus_bits,
        parameters_id=parameters.parameters_id,
        features=graph.features,
        outputs=graph.outputs,
        components=request.program.components[graph.output],
        scale_bits=request.model.scale_bits,
        input_scale_bits=choice.input_scale_bits,
        output_scale=float(scales[graph.output]),
        dropped_primes=dropped_primes,
        response_primes=_response_primes(parameters.primes[: len(base)], choice.output_bits),
        activations=tuple(
            ActivationPlan(node=name, coefficients=p.coefficients, unit_bits=p.unit_bits, radius=p.radius)
            for name, p in request.approximation.polynomials.items()
        ),
        input_magnitude=float(request.input_magnitude),
        flooding_bits=flooding_bits,
        statistical_bits=min(max(0, math.floor(math.log2(flooding / noise))), MOST_STATISTICAL_BITS),
        approximation_error=request.approximation.error,
        expected_error=request.approximation.error + DEVIATIONS * math.hypot(noise, flooding, encoding),
        weight_scale_bits=choice.weight_scale_bits,
        maps=request.map_sizes,
        paired=bool(request.program.splits),
        spread=request.spread,
        joined=request.joined,
        unfolded=request.unfolded,
    )


def _base_primes(choice: _Choice, room: int) -> tuple[int, ...]:
    """Sizes of the response's primes; one bit more where there is room, since primes are below powers of two."""
    count = _base_count(choice)
    spare = room - choice.total_bits + choice.base_bits
    bits = min(choice.base_bits + 1, spare, count * MAXIMUM_PRIME_BITS)
    smaller, larger = divmod(bits, count)
    return (smaller + 1,) * larger + (smaller,) * (count - larger)


def _base_count(choice: _Choice) -> int:
    return -(-choice.base_bits // MAXIMUM_PRIME_BITS)


def _response_primes(primes: tuple[int, ...], output_bits: int) -> int:
    """How many of the primes hold an output; all of them where primes a little below powers of two fall short."""
    products = itertools.accumulate(primes, operator.mul)
    holding = (count for count, product in enumerate(products, start=1) if math.log2(product) >= output_bits)
    return next(holding, len(primes))


def dropped_products(primes: tuple[int, ...], dropped_primes: tuple[int, ...]) -> list[int]:
    """Product of the primes that each level drops; `primes` are those of a fresh ciphertext."""
    products, left = [], len(primes)
    for count in dropped_primes:
        products.append(math.prod(primes[left - count : left]))
        left -= count
    return products
