"""How much noise a way to evaluate a model makes, and how the error budget is shared out.

All noises are standard deviations of one slot of an output, in real units; `trader.he.planning.propagation` says how
they move through a program, this module where they come from: fresh encryptions, refreshes, rotations, splits, and
outputs that are switched from conjugate form; the flooding noise that hides all of these; and the rounding of a packed
plan's weights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from trader.he.layouts.packing import Packing, encoding_error, map_layouts
from trader.he.planning.problem import Way
from trader.he.planning.propagation import (
    fresh_noise,
    log2,
    output_noise,
    rounding_noise,
    switching_noise,
    value_bounds,
)
from trader.he.program.steps import FOLDED_SWITCHINGS, Affine
from trader.he.seal import MAXIMUM_PRIME_BITS

DEVIATIONS = 6.0
"""Bounds are stated at this many standard deviations: exceeded by one normal value in 2^28."""
FLOODING_SHARE = 0.5
"""Part of the error budget that flooding may use up. Its bits are rounded down, so that it uses a quarter or more.

The noises are independent, so that shares add by their squares: with `ENCODING_SHARE` they make 0.34, and what is
hidden under the flooding is 2^20 times smaller. That neither share is larger is a choice, not a measurement: it leaves
room for scales that come out a little different than planned, as primes do. `HePlan.expected_error` is computed from
what a plan came to, not from shares."""
ENCODING_SHARE = 0.3
"""Part of the error budget that rounding of encoded weights may use up; see `FLOODING_SHARE`."""


def evaluation_noise(
    way: Way, degree: int, input_scale_bits: int, scales: Mapping[str, Fraction] | Mapping[str, float], primes: int
) -> float:
    """Return the deviation of an output before flooding, real units.

    Args:
        way: What is carried out.
        degree: N.
        input_scale_bits: Scale of fresh encryptions.
        scales: Of every value (`trader.he.planning.propagation.value_scales`).
        primes: Number of primes of a ciphertext.
    """
    program = way.program
    switching, rounding = switching_noise(degree, primes), rounding_noise(degree)
    added = {
        step.name: math.hypot(switching / float(scales[step.inputs[0]]), rounding / float(scales[step.name]))
        for level in range(program.depth)
        for step in program.refreshes(level)
    }
    added |= {
        step.name: _rotation_noise(way, step, degree, scales, switching)
        for step in program.steps
        if isinstance(step, Affine)
    }
    added |= {step.name: switching / float(scales[step.inputs[0]]) for step in program.splits if step.switched}
    output = program.graph.output
    if output in program.conjugate:
        # Digits are larger than the special prime by so much.
        excess = 2.0 ** (MAXIMUM_PRIME_BITS - way.special_prime_bits(degree))
        added[output] = math.sqrt(FOLDED_SWITCHINGS) * excess * switching / float(scales[output])
    fresh = math.ldexp(fresh_noise(degree), -input_scale_bits)
    bounds = value_bounds(program, way.problem.bounds)
    # Where two outputs share a slot, magnitudes and deviations are those of a complex number.
    joining = math.sqrt(2) if way.joined else 1.0
    return joining * output_noise(program, way.problem.model, bounds, fresh, added, way.maps)


def _rotation_noise(
    way: Way, step: Affine, degree: int, scales: Mapping[str, Fraction] | Mapping[str, float], switching: float
) -> float:
    """Return what rotations add to an affine map, real units, for the number of samples at which it is most."""
    matrix = way.maps[step.name].matrix
    norm = float(np.sqrt((matrix**2).sum(axis=0).max(initial=0.0)))
    place = list(way.maps).index(step.name)
    return max(
        switching
        * math.hypot(
            math.sqrt(babies) * norm / float(scales[step.inputs[0]]), math.sqrt(giants) / float(scales[step.name])
        )
        for babies, giants in _rotations(degree, way.map_sizes, way.spread, way.unfolded, way.key_spacing)[place]
    )


@lru_cache(maxsize=64)
def _rotations(
    degree: int, maps: tuple[tuple[int, int], ...], spread: bool, unfolded: bool, key_spacing: int
) -> tuple[frozenset[tuple[int, int]], ...]:
    """Return, for each map, switchings before its products and after them, for all numbers of samples."""
    found: list[set[tuple[int, int]]] = [set() for _ in maps]
    for bits in range((degree // 2).bit_length()):
        packing = Packing.tight(degree, 1 << bits, key_spacing)
        for pairs, layout in zip(found, map_layouts(packing, maps, spread=spread, unfolded=unfolded), strict=True):
            # A rotation is some switchings, and a fold adds up what was there before; a fold that is left to the
            # reader averages it.
            turns = max(len(packing.turns(rotation)) for rotation in (layout.giant_rotation, *layout.folds))
            pairs.add((layout.baby_steps - 1, turns * layout.giant_steps << len(layout.folds)))
    return tuple(map(frozenset, found))


def weight_rounding(way: Way, degree: int, weight_scale_bits: int) -> float:
    """Return the deviation of an output by the rounding of encoded weights, real units; 0 where weights are integers.

    Args:
        way: What is carried out.
        degree: N.
        weight_scale_bits: Scale of encoded weights.
    """
    if not way.packed:
        return 0.0
    bounds = value_bounds(way.program, way.problem.bounds)
    errors = {
        step.name: math.ldexp(encoding_error(degree) * math.sqrt(2 * step.size), -weight_scale_bits)
        * bounds[step.inputs[0]]
        for step in way.program.steps
        if isinstance(step, Affine)
    }
    return output_noise(way.program, way.problem.model, bounds, 0.0, errors, way.maps)


def weight_rounding_target(way: Way) -> float:
    """Return the deviation that rounding of encoded weights may have, real units."""
    return ENCODING_SHARE * way.error_budget / DEVIATIONS


@dataclass(frozen=True, slots=True)
class Flooding:
    """Flooding noise of a plan.

    Attributes:
        bits: It is uniform in [-2^b, 2^b) per coefficient.
        deviation: Of a slot of an output, real units.
    """

    bits: int
    deviation: float


def flooding_target(way: Way) -> float:
    """Return the deviation that flooding noise may have, real units."""
    return FLOODING_SHARE * way.error_budget / DEVIATIONS


def flooding(way: Way, degree: int, output_scale: Fraction | float) -> Flooding:
    """Return as much flooding as the error budget allows, rounded down to whole bits."""
    per_slot = math.sqrt(degree / 6)
    bits = math.floor(math.log2(flooding_target(way) / per_slot) + log2(output_scale))
    return Flooding(bits, 2.0 ** (bits - log2(output_scale)) * per_slot)
