"""The scales of a plan, and the sizes of primes that they take, for one ring degree.

Inputs stand at scale 2^a, a linear layer adds s bits, a product adds the scales of its factors. Where nothing is
refreshed, the modulus only has to hold the output:

    log2 Q >= output scale + log2(output bound) + guard.

That serves one product, or two. Deeper programs are staged (`trader.he.program.steps`): each refresh drops as many
primes as bring the smallest scale at its level back to about 2^w, the working scale, and the modulus holds what all
refreshes drop besides. One number decides both: a = w, or a little less, and w is the least at which noise is so far
below the flooding noise as was asked for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from trader.he.planning.guidelines import MAXIMUM_MODULUS_BITS
from trader.he.planning.noise import (
    evaluation_noise,
    flooding,
    flooding_target,
    weight_rounding,
    weight_rounding_target,
)
from trader.he.planning.plan import GUARD_BITS
from trader.he.planning.policy import least_flooding_bits
from trader.he.planning.problem import Way
from trader.he.planning.propagation import log2, value_bounds, value_scales
from trader.he.seal import MAXIMUM_PRIME_BITS

RANGE_BITS = 3
"""Outputs may exceed their bound by this factor, in bits, before they wrap around."""
LARGEST_COEFFICIENT_BITS = 69
"""Larger inputs would be encoded with more error than encryption makes (`trader.he.ring.encoding`)."""
ROTATION_LEAD_BITS = 2
"""Rotations leave about so many bits more noise than encryption, and hide as much more of an encoding's error."""
SMALLEST_DROPPED_BITS = 25
"""There are enough primes of so many bits in every ring."""
INPUT_LEAD_BITS = 4
"""Fresh encryptions are less noisy than refreshed ones by about so many bits."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Scales for one ring degree, and the sizes of primes that they take.

    Attributes:
        degree: N.
        input_scale_bits: a.
        weight_scale_bits: Of encoded weights, 0 where weights are integers.
        output_bits: Modulus that holds an output.
        base_bits: Modulus that is never dropped.
        dropped_bits: Sizes of the primes that each level drops.
    """

    degree: int
    input_scale_bits: int
    weight_scale_bits: int
    output_bits: int
    base_bits: int
    dropped_bits: tuple[tuple[int, ...], ...]

    @property
    def total_bits(self) -> int:
        """Modulus of a fresh ciphertext."""
        return self.base_bits + sum(map(sum, self.dropped_bits))

    @property
    def base_primes(self) -> int:
        """Number of primes that are never dropped."""
        return -(-self.base_bits // MAXIMUM_PRIME_BITS)

    @property
    def primes(self) -> int:
        """Number of primes, the special one left out."""
        return self.base_primes + sum(map(len, self.dropped_bits))

    def encode_exactly(self, way: Way) -> bool:
        """Return whether inputs are encoded with less error than encryption, or a packed plan's rotations, make."""
        magnitude_bits = math.ceil(math.log2(max(way.problem.input_magnitude, 1.0)))
        most_bits = LARGEST_COEFFICIENT_BITS + (ROTATION_LEAD_BITS if way.packed else 0)
        return self.input_scale_bits + magnitude_bits <= most_bits


def choose_scales(way: Way, degree: int, statistical_bits: int) -> Scales:
    """Return the smallest scales that meet budget and flooding in a ring.

    Args:
        way: What is carried out.
        degree: N.
        statistical_bits: Least distance between flooding noise and the noise that it hides.
    """
    weight_bits = _weight_scale_bits(way, degree)
    low, high = way.problem.model.scale_bits, 2 * LARGEST_COEFFICIENT_BITS
    while low < high:
        middle = (low + high) // 2
        if _Trial.at(way, middle, weight_bits).is_hidden(degree, statistical_bits):
            high = middle
        else:
            low = middle + 1
    trial = _Trial.at(way, low, weight_bits)
    output_bits, base_bits = trial.held_bits()
    return Scales(degree, trial.input_bits, weight_bits, output_bits, base_bits, trial.dropped_bits)


def _weight_scale_bits(way: Way, degree: int) -> int:
    """Return the scale at which rounding of encoded weights moves no output by much; 0 where weights are integers."""
    if not way.packed:
        return 0
    bits = math.ceil(math.log2(weight_rounding(way, degree, 0) / weight_rounding_target(way)))
    return max(bits, SMALLEST_DROPPED_BITS)


def scales_of(way: Way, input_bits: int, weight_bits: int, dropped: Sequence[int]) -> dict[str, Fraction]:
    """Return the scale of every value; `dropped` has the product of the primes that each level drops."""
    return value_scales(way.program, input_bits, weight_bits or way.problem.model.scale_bits, dropped)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A working scale, and what follows from it.

    Attributes:
        way: What is carried out.
        input_bits: Scale of inputs.
        weight_bits: Scale of encoded weights, or 0.
        dropped_bits: Sizes of the primes that each level drops.
    """

    way: Way
    input_bits: int
    weight_bits: int
    dropped_bits: tuple[tuple[int, ...], ...]

    @classmethod
    def at(cls, way: Way, working_bits: int, weight_bits: int) -> "_Trial":
        # Rotations, unlike encryption, leave as much noise as refreshes do.
        lead = INPUT_LEAD_BITS if way.program.depth and not way.packed else 0
        trial = cls(way, max(working_bits - lead, way.problem.model.scale_bits), weight_bits, ())
        for level in range(way.program.depth):
            dropped = trial._drop_at(level, working_bits)
            trial = cls(way, trial.input_bits, weight_bits, (*trial.dropped_bits, dropped))
        return trial

    def scales(self) -> dict[str, Fraction]:
        """Return the scales of values, of levels whose drops are known."""
        return scales_of(self.way, self.input_bits, self.weight_bits, _typical_products(self.dropped_bits))

    def _drop_at(self, level: int, working_bits: int) -> tuple[int, ...]:
        """Return primes that bring the smallest refreshed scale down to the working scale, or little above."""
        scales = self.scales()
        refreshed = [log2(scales[step.inputs[0]]) for step in self.way.program.refreshes(level)]
        # Where samples are split, nothing is dropped.
        excess = max(0, math.floor(min(refreshed, default=0.0)) - working_bits)
        count = min(-(-excess // MAXIMUM_PRIME_BITS), excess // SMALLEST_DROPPED_BITS)
        return (min(MAXIMUM_PRIME_BITS, excess // count),) * count if count else ()

    def is_hidden(self, degree: int, statistical_bits: int) -> bool:
        """Return whether flooding is so far above the evaluation's noise as is asked for, and covers proven keys'."""
        scales = self.scales()
        primes = MAXIMUM_MODULUS_BITS[128][degree] // MAXIMUM_PRIME_BITS
        noise = evaluation_noise(self.way, degree, self.input_bits, scales, primes)
        # Where primes are dropped, scales will be a little different, and rounding may take a whole bit.
        added = flooding(self.way, degree, scales[self.way.program.graph.output])
        bits, deviation = added.bits, added.deviation
        if any(self.dropped_bits):
            bits, deviation = bits - 1, flooding_target(self.way) / 2
        least_bits = least_flooding_bits(degree, self.way.output_components)
        return bits >= least_bits and noise <= math.ldexp(deviation, -statistical_bits)

    def held_bits(self) -> tuple[int, int]:
        """Return the modulus for outputs, and one that, with what is dropped later, holds what is refreshed too."""
        # Primes of b bits are a little below 2^b: by less than a hundredth of a bit.
        dropped = [sum(level) - len(level) / 100 for level in self.dropped_bits]
        output_bits, base_bits = held_bits(self.way, self.scales(), dropped)
        return math.ceil(output_bits), math.ceil(base_bits)


def held_bits(way: Way, scales: Mapping[str, Fraction], dropped: Sequence[float]) -> tuple[float, float]:
    """Return the bits of modulus that hold an output, and those of the primes that are never dropped.

    Args:
        way: What is carried out.
        scales: Of every value.
        dropped: Bits of the primes that each level drops: they hold what is refreshed before.
    """
    bounds = value_bounds(way.program, way.problem.bounds)
    # Bounds of trees hold for every sample, those that were measured for samples like the seller's.
    spare = 0 if way.problem.edges else RANGE_BITS
    output_bits = log2(scales[way.program.graph.output]) + _magnitude_bits(way.problem.output_bound, spare)
    needed = [output_bits]
    for level in range(way.program.depth):
        room = sum(dropped[level:])
        needed += [
            log2(scales[step.inputs[0]]) + _magnitude_bits(bounds[step.inputs[0]], spare) - room
            for step in way.program.refreshes(level)
        ]
    return output_bits, max(needed)


def _typical_products(dropped_bits: Sequence[Sequence[int]]) -> list[int]:
    """Return products like those of primes of these sizes: a little below powers of two, and never one."""
    return [math.prod((1 << bits) - (1 << (bits - 10)) + 1 for bits in level) for level in dropped_bits]


def _magnitude_bits(bound: float, spare: int) -> int:
    return max(math.ceil(math.log2(max(bound, 2.0**-100))) + spare + GUARD_BITS, GUARD_BITS)
