"""Choose the encryption plan of a model: as little modulus as precision and flooding ask for.

A way to evaluate the model (`trader.he.planning.problem.Way`) is a program with polynomials for activations. For each
way and each ring degree the smallest scales are found (`trader.he.planning.scales`) at which the noise
(`trader.he.planning.noise`) is hidden; the first that fits is written down (`trader.he.planning.writing`).

`trader.he.program.activations` says how activations become polynomials; a degree is better the cheaper it is, as long
as it meets the approximation budget, and else the more exact it is. The ring is the smallest in which the flooding
noise exceeds what it hides by `LEAST_STATISTICAL_BITS`; in this ring it does so by up to `STATISTICAL_BITS`, as far as
there is room. A plan states how many bits it came to. And it is large enough for flooding noise that covers what the
worst public key that can be proven brings in (`least_flooding_bits`).

To the plan for one sample per slot are then added, where they pay, one for few samples and one for many.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import PlanError, SecurityError
from trader.he.layouts.packing import SWITCHINGS_PER_LARGE_KEY, Packing, affine_maps, map_layouts, needed_rotations
from trader.he.planning.batched import BatchedPlan, PairedPlan
from trader.he.planning.guidelines import MAXIMUM_MODULUS_BITS
from trader.he.planning.packed import PackedPlan
from trader.he.planning.plan import HePlan
from trader.he.planning.policy import check_flooding
from trader.he.planning.problem import SMALLEST_PRIME_BITS, Approximation, PlanningProblem, Way
from trader.he.planning.scales import Scales, choose_scales
from trader.he.planning.writing import missing_bits, write_plan
from trader.he.program.activations import (
    DEGREES,
    Polynomial,
    approximation_error,
    fit_activations,
    moved_outputs,
    relative_error_99,
)
from trader.he.program.build import build_program
from trader.he.program.steps import FOLDED_SWITCHINGS, Affine, Program, Refresh
from trader.he.seal import MAXIMUM_PRIME_BITS, digit_places
from trader.model.graph import Graph
from trader.model.nodes import Activation

APPROXIMATION_BUDGET = 0.0095
"""Error that polynomials for activations may make in 99 % of the calibration data's outputs, as part of their range: a
package may be off by 0.01 (`trader.package.fidelity`), and rounding takes a little of it."""
STATISTICAL_BITS = 40
"""Distance between flooding noise and the noise that it hides, where the ring has room for it."""
LARGEST_COMPONENTS = 5
"""Polynomials per ciphertext without refreshes: two squarings one after the other. A choice; no benchmark backs it."""
SMALLEST_STAGED_DEGREE = 8192
"""Smaller rings have no room for the special prime of a key, an output, and what a refresh drops."""
SMALLEST_PACKED_DEGREE = 4096
"""Smaller rings have no room for the special prime of a key and an output at the scale of encoded weights."""
LARGEST_MAP = 1 << 22
"""Entries of the matrix of an affine map of a packed plan, 32 MiB as float64. A choice; no benchmark backs it."""

# What steps of a test count as against each other. Benchmarks measure these ratios (`benchmarks/he_costs.py`); the
# constants are not adjusted to a machine, so that one model has one plan.
MOST_DIGITS = 10
"""Packed plans of more primes than these have as few keys as can be, and may be flooded less; a choice."""
SPECIAL_PRIMES = (2, 3, 4, 5, 6, 7)
"""Numbers of special primes that are considered for digits of as many primes: a key of 7 primes has 56 rows with one
special prime, and 30 with three."""
KEY_SPACINGS = (3, 4, 5, 6, 8)
"""See `PackedPlan.key_spacing`."""
TYPICAL_SAMPLES = 128
"""Tests of few samples have about so many."""
PRODUCTS_PER_CIPHERTEXT = 14
"""To encrypt and read a ciphertext counts as 14 products with an encoded diagonal (`he.cost.ciphertext`)."""
PRODUCTS_PER_SWITCHING = 12
"""A rotation counts as 12 products with an encoded diagonal: it takes as long as 7 or 8 of them (`he.cost.rotation`),
but rotations follow each other on one core while others share the products."""
CIPHERTEXTS_PER_SWITCHING = 1
"""To switch a polynomial of one counts as to encrypt and read another ciphertext (`he.cost.fold`)."""


def plan_encryption(problem: PlanningProblem) -> BatchedPlan:
    """Choose encryption parameters for a model.

    Raises:
        PlanError: No parameters within the standard's table serve this model.
    """
    reason = ""
    for candidate in candidates(problem):
        if candidate.plan is not None:
            plan = _join_features(problem, candidate.plan)
            return _add_many_samples(problem, _add_few_samples(problem, plan))
        reason = candidate.rejected
    raise PlanError(f"no encryption parameters serve this model: {reason}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters that were considered.

    Attributes:
        ring_degree: N.
        depth: Refreshes on the longest path.
        activation_degree: Of the polynomials that stand for activations, 0 where there are none.
        modulus_bits: What precision and flooding ask for in this ring.
        room_bits: What the standard allows, the special prime left out.
        plan: The plan, if there is one.
        rejected: Why there is none, or empty.
    """

    ring_degree: int
    depth: int
    activation_degree: int
    modulus_bits: int
    room_bits: int
    plan: BatchedPlan | None
    rejected: str = ""


def candidates(problem: PlanningProblem) -> Iterator[Candidate]:
    """Yield every way in every ring with its plan, or with the reason why it has none, best first.

    More samples fit into a larger ring, but at more time and bytes per sample, so that the smallest one comes first.
    Each is worked out when it is asked for: most of the time goes into those that nobody looks at.

    Raises:
        PlanError: There are activations and no calibration data to fit polynomials to.
    """
    degrees = MAXIMUM_MODULUS_BITS[problem.policy.security_bits]
    for approximation in _approximations(problem):
        shallow, staged = (
            Way(problem, build_program(problem.model.graph, approximation.polynomials, staged=staged), approximation)
            for staged in (False, True)
        )
        deepens = staged.program.depth > 0
        ways = [shallow, staged] if deepens else [shallow]
        for degree in degrees:
            for way in ways:
                if max(way.program.components.values()) > LARGEST_COMPONENTS and deepens:
                    continue
                if way.program.depth and degree < SMALLEST_STAGED_DEGREE:
                    continue
                yield _candidate(way, degree)


def _approximations(problem: PlanningProblem) -> Iterator[Approximation]:
    """Degrees in order of preference: those that meet the budget, the lowest first, then the others, the best first."""
    model, calibration = problem.model, problem.calibration
    if calibration is None or not any(isinstance(node, Activation) for node in model.graph.nodes):
        yield Approximation(0, {}, 0.0)
        return
    rest = []
    for degree in DEGREES:
        polynomials = fit_activations(model, calibration, degree)
        found = Approximation(degree, polynomials, approximation_error(model, polynomials, calibration))
        if _is_close(problem, polynomials, calibration):
            yield found
        elif math.isfinite(found.error):
            rest.append(found)
    yield from sorted(rest, key=lambda way: way.error)


def _is_close(problem: PlanningProblem, polynomials: Mapping[str, Polynomial], calibration: NDArray[np.int64]) -> bool:
    """Return whether polynomials move raw outputs little, and what the problem makes of them too."""
    if relative_error_99(problem.model, polynomials, calibration) > APPROXIMATION_BUDGET:
        return False
    return problem.keeps is None or problem.keeps(moved_outputs(problem.model, polynomials, calibration))


def _candidate(way: Way, degree: int) -> Candidate:
    """Return the way in a ring, with its plan if that can be."""
    found = _consider(way, degree)
    plan = found.plan if isinstance(found.plan, BatchedPlan) else None
    program, approximation = way.program, way.approximation
    bits, room = found.scales.total_bits, found.room_bits
    return Candidate(degree, program.depth, approximation.degree, bits, room, plan, found.rejected)


@dataclass(frozen=True, slots=True)
class _Found:
    """A way in a ring: the scales that it takes, and the plan or the reason why there is none."""

    scales: Scales
    room_bits: int
    plan: HePlan | None = None
    rejected: str = ""


def _consider(way: Way, degree: int) -> _Found:
    """With outputs joined if that can be, which asks for a little more precision, else one by one."""
    if not way.packed and way.problem.model.graph.outputs > 1:
        joined = _consider_as_is(replace(way, joined=True), degree)
        if joined.plan is not None:
            return joined
    return _consider_as_is(way, degree)


def _consider_as_is(way: Way, degree: int) -> _Found:
    problem = way.problem
    special_bits = way.special_prime_bits(degree)
    room = MAXIMUM_MODULUS_BITS[problem.policy.security_bits][degree] - way.special_primes * special_bits
    scales = _scales_with_most_flooding(way, degree, room)
    if scales.total_bits > room:
        return _Found(scales, room, rejected=_too_large(way, degree, scales, room))
    if not scales.encode_exactly(way):
        reason = (
            f"inputs up to {problem.input_magnitude:g} at a scale of 2^{scales.input_scale_bits} can't be encoded "
            "exactly enough. Scale the inputs down, or allow a larger error or less flooding."
        )
        return _Found(scales, room, rejected=reason)
    plan = write_plan(way, scales, room, special_bits)
    while missing := missing_bits(way, scales, plan):
        scales = replace(scales, base_bits=scales.base_bits + missing)
        if scales.total_bits > room:
            return _Found(scales, room, rejected=_too_large(way, degree, scales, room))
        plan = write_plan(way, scales, room, special_bits)
    try:
        check_flooding(plan)
    except SecurityError as error:
        return _Found(scales, room, rejected=str(error))
    return _Found(scales, room, plan)


def _too_large(way: Way, degree: int, scales: Scales, room: int) -> str:
    return (
        f"it takes a modulus of {scales.total_bits} bits, ring degree {degree} offers {room} at "
        f"{way.problem.policy.security_bits} bits of security. Use fewer activations, smaller outputs or a larger "
        "error budget."
    )


def _scales_with_most_flooding(way: Way, degree: int, room: int) -> Scales:
    """Scales for as much flooding as the ring has room for, up to `STATISTICAL_BITS`; for the least if for none.

    Packed tests are mostly keys, of a digit per prime: where there is no room for all of it, theirs fills the primes
    that the least takes, and takes no more.
    """
    least = way.problem.least_statistical_bits
    found, low, high = choose_scales(way, degree, least), least + 1, max(least, STATISTICAL_BITS)
    most_primes = found.primes if way.packed else math.inf
    # Mostly there is room for all of it, or not even for the least.
    middle = high
    while low <= high and found.total_bits <= room:
        scales = choose_scales(way, degree, middle)
        fits = scales.total_bits <= room and (middle >= STATISTICAL_BITS or scales.primes <= most_primes)
        if fits and scales.encode_exactly(way):
            found, low = scales, middle + 1
        else:
            high = middle - 1
        middle = (low + high) // 2
    return found


def _approximation_of(plan: BatchedPlan) -> Approximation:
    return Approximation(0, plan.polynomials, plan.approximation_error)


def _add_few_samples(problem: PlanningProblem, plan: BatchedPlan) -> BatchedPlan:
    """Return the plan with a packed one for small tests, or as it is where that doesn't pay or can't be done.

    Packing pays up to the number of samples at which the products and rotations that it costs outweigh the ciphertexts
    that it saves.
    """
    way = _packed_way(problem, plan)
    if way is None:
        return plan
    for degree in MAXIMUM_MODULUS_BITS[problem.policy.security_bits]:
        packed = _pack(way, degree) if degree >= SMALLEST_PACKED_DEGREE else None
        if packed is not None:
            limit = _few_samples_limit(problem.model.graph, plan, packed)
            return plan.model_copy(update={"few_samples": packed, "few_samples_limit": limit}) if limit else plan
    return plan


def _packed_way(problem: PlanningProblem, plan: BatchedPlan) -> Way | None:
    try:
        program = build_program(problem.model.graph, plan.polynomials, staged=True, packed=True)
    except PlanError:
        return None
    steps = [step for step in program.steps if isinstance(step, Affine)]
    entries = (step.size * math.prod(step.shape) for step in steps)
    if max(entries, default=LARGEST_MAP + 1) > LARGEST_MAP or max(program.components.values()) > LARGEST_COMPONENTS:
        return None
    return Way(problem, program, _approximation_of(plan), affine_maps(problem.model, program))


def _pack(way: Way, degree: int) -> PackedPlan | None:
    """Return a packed plan for a ring, with keys of few digits, as they are most of a request; or None.

    Where their primes are many, there are few keys as well. Else larger digits take no room from the flooding.
    """
    plain = None
    if choose_scales(way, degree, way.problem.least_statistical_bits).primes <= MOST_DIGITS:
        plain = _packed_plan(way, degree)
        if plain is None:
            return None
    elif degree < max(SMALLEST_PRIME_BITS):
        return None
    else:
        spaced = [replace(way, key_spacing=spacing) for spacing in KEY_SPACINGS]
        way = min(spaced, key=lambda way: _rotation_cost(way, degree))
    scales = choose_scales(way, degree, way.problem.least_statistical_bits)
    sizes = list(itertools.chain.from_iterable(scales.dropped_bits))
    sizes += [MAXIMUM_PRIME_BITS] * (scales.primes - len(sizes))

    def key_rows(count: int) -> int:
        return len(digit_places(sizes, [MAXIMUM_PRIME_BITS] * count)) * (scales.primes + count)

    for count in sorted(SPECIAL_PRIMES, key=key_rows):
        if plain is not None and key_rows(count) >= plain.key_rows:
            break
        plan = _packed_plan(replace(way, special_primes=count), degree)
        if plan is not None and (plain is None or plan.statistical_bits >= plain.statistical_bits):
            return plan
    return plain


def _packed_plan(way: Way, degree: int) -> PackedPlan | None:
    plan = _consider(way, degree).plan
    return plan if isinstance(plan, PackedPlan) else None


def _rotation_cost(way: Way, degree: int) -> int:
    """Return what rotations of a typical test cost, keys included, in rotations."""
    packing = Packing.tight(degree, TYPICAL_SAMPLES, way.key_spacing)
    layouts = map_layouts(packing, way.map_sizes, spread=way.spread, unfolded=way.unfolded)
    return sum(layout.switchings for layout in layouts) + SWITCHINGS_PER_LARGE_KEY * len(needed_rotations(layouts))


def _few_samples_limit(graph: Graph, plan: BatchedPlan, packed: PackedPlan) -> int:
    """Return the largest power of two of samples at which packing pays, or 0."""
    found, batched = 0, PRODUCTS_PER_CIPHERTEXT * _sent(plan, 1) + _refreshing(graph, plan, 1)
    if plan.joined_features:
        batched += PRODUCTS_PER_SWITCHING * FOLDED_SWITCHINGS * len(plan.visible(1)[0])
    for bits in range(packed.samples_per_batch.bit_length()):
        layouts = packed.map_layouts(1 << bits)
        products = sum(layout.products + PRODUCTS_PER_SWITCHING * layout.switchings for layout in layouts)
        work = products + PRODUCTS_PER_CIPHERTEXT * _sent(packed, 1 << bits) + _refreshing(graph, packed, 1 << bits)
        if work * packed.primes * packed.ring_degree < batched * plan.primes * plan.ring_degree:
            found = 1 << bits
    return found


def _sent(plan: HePlan, samples: int) -> int:
    """Return the ciphertexts of a request of one batch, a digit of a key counted as one."""
    return plan.request_ciphertexts(samples) + plan.switching_keys(samples) * plan.digits


def _refreshing(graph: Graph, plan: HePlan, samples: int) -> int:
    """Return what relinearisations cost, in products."""
    program, packing = plan.tested_program(graph), plan.packing(samples)
    refreshed = (step for step in program.steps if isinstance(step, Refresh))
    relinearised = (step for step in refreshed if program.components[step.inputs[0]] > 2)
    return PRODUCTS_PER_SWITCHING * sum(packing.ciphertexts(math.prod(step.shape)) for step in relinearised)


def _join_features(problem: PlanningProblem, plan: BatchedPlan) -> BatchedPlan:
    """Return the plan with two features per ciphertext, or as it is where that doesn't pay or can't be done.

    It halves the ciphertexts of a request, and costs some keys, and switchings for each ciphertext of the response.
    """
    if plan.refreshes:
        return plan
    try:
        program = build_program(problem.model.graph, plan.polynomials, staged=False, joined_features=True)
    except PlanError:
        return plan
    joined = _consider(Way(problem, program, _approximation_of(plan)), plan.ring_degree).plan
    if not isinstance(joined, BatchedPlan) or joined.statistical_bits < plan.statistical_bits - 1:
        return plan
    keys = joined.switching_keys(1) * joined.digits
    switched = CIPHERTEXTS_PER_SWITCHING * FOLDED_SWITCHINGS * len(joined.visible(1)[0])
    saved = plan.request_ciphertexts(1) - joined.request_ciphertexts(1)
    return joined if saved > keys + switched else plan


def _add_many_samples(problem: PlanningProblem, plan: BatchedPlan) -> BatchedPlan:
    """Return the plan with a paired one for tests that fill more than a batch, or as it is where that doesn't pay.

    Pairing halves the ciphertexts of a request, and costs some switchings for each output, or, where values are split
    by keys, one for each of these.
    """
    for switched in (False, True):
        try:
            program = build_program(
                problem.model.graph, plan.polynomials, staged=plan.refreshes, paired=True, switched=switched
            )
        except PlanError:
            continue
        if CIPHERTEXTS_PER_SWITCHING * _switchings_of_pairs(program) >= plan.features:
            return plan
        paired = _consider(Way(problem, program, _approximation_of(plan)), plan.ring_degree).plan
        return plan.model_copy(update={"many_samples": paired}) if isinstance(paired, PairedPlan) else plan
    return plan


def _switchings_of_pairs(program: Program) -> int:
    """Return the polynomials that are switched, per pair of samples in a slot, since it holds two."""
    output = program.graph.output
    if output in program.conjugate:
        return FOLDED_SWITCHINGS * program.graph.outputs
    return sum(math.prod(step.shape) for step in program.splits)
