"""The scales of a plan, and the sizes of primes that they take, for one ring degree.

Inputs stand at scale 2^a, a linear layer adds s bits, a product adds the scales of its factors. Where nothing is
refreshed, the modulus only has to hold the output:

    log2 Q >= output scale + log2(output bound) + guard.

That serves one product, or two. Deeper programs are staged (`trader.he.program.steps`): each refresh drops as many
primes as bring the smallest scale at its level back to about 2^w, the working scale, and the modulus holds what all
refreshes drop besides. One number decides both: a = w, or a little less, and w is the least at which noise is so far
below the flooding noise as was asked for. Scales follow from the primes that there are, not from their sizes: products
double by how much a prime is below its power of two, which after some levels is whole bits.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from trader.he.planning.guidelines import MAXIMUM_MODULUS_BITS
from trader.he.planning.noise import (
    evaluation_noise,
    flooding,
    weight_rounding,
    weight_rounding_target,
)
from trader.he.planning.plan import GUARD_BITS
from trader.he.planning.policy import least_flooding_bits
from trader.he.planning.problem import Way
from trader.he.planning.propagation import approximate_scales, log2, value_bounds, value_scales
from trader.he.seal import MAXIMUM_PRIME_BITS, largest_prime

RANGE_BITS = 3
"""Outputs may exceed their bound by this factor, in bits, before they wrap around."""
LARGEST_COEFFICIENT_BITS = 69
"""Larger inputs would be encoded with more error than encryption makes (`trader.he.ring.encoding`)."""
ROTATION_LEAD_BITS = 2
"""Rotations leave about so many bits more noise than encryption, and hide as much more of an encoding's error."""
SMALLEST_DROPPED_BITS = 25
"""Of smaller primes there are too few in a large ring."""
WORKING_BITS_TRIED = 6
"""Working scales above the least one that are considered, too: primes come in whole bits, and none below
`SMALLEST_DROPPED_BITS`, so that a larger scale may take a smaller modulus."""
WEIGHT_BITS_TRIED = 2
"""The same of encoded weights."""
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
        if _Trial.at(way, degree, middle, weight_bits).is_hidden(statistical_bits):
            high = middle
        else:
            low = middle + 1
    least = _Trial.at(way, degree, low, weight_bits)
    tried = [
        _Trial.at(way, degree, low + more, weight_bits + of_weights)
        for more in range(1 + WORKING_BITS_TRIED * bool(least.dropped_bits))
        for of_weights in range(1 + WEIGHT_BITS_TRIED * way.packed)
    ]
    hiding = [trial.written() for trial in tried[1:] if trial.is_hidden(statistical_bits)]
    return min([least.written(), *hiding], key=lambda scales: scales.total_bits)


def _weight_scale_bits(way: Way, degree: int) -> int:
    """Return the scale at which rounding of encoded weights moves no output by much; 0 where weights are integers."""
    if not way.packed:
        return 0
    bits = math.ceil(math.log2(weight_rounding(way, degree, 0) / weight_rounding_target(way)))
    return max(bits, SMALLEST_DROPPED_BITS)


def scales_of(way: Way, input_bits: int, weight_bits: int, dropped: Sequence[int]) -> dict[str, Fraction]:
    """Return the scale of every value; `dropped` has the product of the primes that each level drops."""
    return value_scales(way.program, input_bits, weight_bits or way.problem.model.scale_bits, dropped)


@dataclass(frozen=True)
class _Trial:
    """A working scale, and what follows from it.

    Attributes:
        way: What is carried out.
        degree: N.
        input_bits: Scale of inputs.
        weight_bits: Scale of encoded weights, or 0.
        dropped_bits: Sizes of the primes that each level drops.
    """

    way: Way
    degree: int
    input_bits: int
    weight_bits: int
    dropped_bits: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def at(cls, way: Way, degree: int, working_bits: int, weight_bits: int) -> "_Trial":
        # Rotations, unlike encryption, leave as much noise as refreshes do.
        lead = INPUT_LEAD_BITS if way.program.depth and not way.packed else 0
        trial = cls(way, degree, max(working_bits - lead, way.problem.model.scale_bits), weight_bits)
        for level in range(way.program.depth):
            dropped = trial._drop_at(level, working_bits)
            trial = replace(trial, dropped_bits=(*trial.dropped_bits, dropped))
        return trial

    @cached_property
    def scales(self) -> dict[str, float]:
        """Return the scales of values, of levels whose drops are known."""
        way, products = self.way, [math.prod(level) for level in self.dropped_primes]
        bits = self.weight_bits or way.problem.model.scale_bits
        return approximate_scales(way.program, self.input_bits, bits, products)

    @property
    def dropped_primes(self) -> list[list[int]]:
        """Primes that each level drops: of each size the largest are the special one, then those that go first."""
        taken = Counter([MAXIMUM_PRIME_BITS] * self.way.special_primes)
        primes = []
        for level in self.dropped_bits:
            primes.append([largest_prime(self.degree, bits, taken[bits] + place) for place, bits in enumerate(level)])
            taken.update(level)
        return primes

    def _drop_at(self, level: int, working_bits: int) -> tuple[int, ...]:
        """Return primes that bring the smallest refreshed scale down to the working scale, or little above."""
        refreshed = [log2(self.scales[step.inputs[0]]) for step in self.way.program.refreshes(level)]
        # Where samples are split, nothing is dropped.
        excess = max(0, math.floor(min(refreshed, default=0.0)) - working_bits)
        count = min(-(-excess // MAXIMUM_PRIME_BITS), excess // SMALLEST_DROPPED_BITS)
        taken = Counter([MAXIMUM_PRIME_BITS] * self.way.special_primes)
        taken.update(itertools.chain.from_iterable(self.dropped_bits))
        sizes = range(min(MAXIMUM_PRIME_BITS, excess // count), SMALLEST_DROPPED_BITS - 1, -1) if count else ()
        there = (bits for bits in sizes if largest_prime(self.degree, bits, taken[bits] + count - 1))
        bits = next(there, 0)
        # Where a ring has no such primes left nothing is dropped, and scales grow beyond what it holds.
        return (bits,) * count if bits else ()

    def is_hidden(self, statistical_bits: int) -> bool:
        """Return whether flooding is so far above the evaluation's noise as is asked for, and covers proven keys'."""
        primes = MAXIMUM_MODULUS_BITS[128][self.degree] // MAXIMUM_PRIME_BITS
        noise = evaluation_noise(self.way, self.degree, self.input_bits, self.scales, primes)
        added = flooding(self.way, self.degree, self.scales[self.way.program.graph.output])
        least_bits = least_flooding_bits(self.degree, self.way.output_components)
        return added.bits >= least_bits and noise <= math.ldexp(added.deviation, -statistical_bits)

    def written(self) -> Scales:
        """Return the scales and sizes of primes."""
        output_bits, base_bits = self._held_bits()
        return Scales(self.degree, self.input_bits, self.weight_bits, output_bits, base_bits, self.dropped_bits)

    def _held_bits(self) -> tuple[int, int]:
        """Return the modulus for outputs, and one that, with what is dropped later, holds what is refreshed too."""
        dropped = [sum(map(math.log2, level)) for level in self.dropped_primes]
        output_bits, base_bits = held_bits(self.way, self.scales, dropped)
        return math.ceil(output_bits), math.ceil(base_bits)


def held_bits(
    way: Way, scales: Mapping[str, Fraction] | Mapping[str, float], dropped: Sequence[float]
) -> tuple[float, float]:
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


def _magnitude_bits(bound: float, spare: int) -> int:
    return max(math.ceil(math.log2(max(bound, 2.0**-100))) + spare + GUARD_BITS, GUARD_BITS)
