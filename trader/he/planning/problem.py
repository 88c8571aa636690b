"""What is asked of an encryption plan, and one way to answer it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import PlanError
from trader.he.layouts.packing import AffineMap
from trader.he.planning.policy import DEFAULT_POLICY, SecurityPolicy
from trader.he.program.activations import Polynomial
from trader.he.program.steps import Program
from trader.he.seal import MAXIMUM_PRIME_BITS
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT

ERROR_BUDGET = 2.0**-12
"""Bound on the error of an output that noise makes, real units: the grid on which outputs are committed."""
LEAST_STATISTICAL_BITS = 20
"""Distance between flooding noise and the noise that it hides: for a larger one no larger ring is taken, unless it is
asked for."""
APPROXIMATION_NOISE_SHARE = 1 / 2
"""Noise may make this part of the error that polynomials for activations make, if that is more than the error budget:
at six deviations it then raises the bound on the error by half, and less noise would cost modulus that nobody sees the
use of."""
LEAST_OUTPUT_BOUND = 2.0**-10
"""Real units: outputs of a model that gives next to nothing are planned for as if they were so large."""


SMALLEST_PRIME_BITS = {1024: 14, 2048: 14, 4096: 16, 8192: 17, 16384: 17, 32768: 17}
"""Of the primes that SEAL finds for a ring."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanningProblem:
    """What the seller asks of a plan.

    Attributes:
        model: Graph, parameters and their scale.
        bounds: Largest |value| (real units) that each value of the graph takes (`trader.model.measured_bounds`).
        input_magnitude: Largest |input| that buyers may encrypt, real units.
        calibration: Quantised inputs [n, F] like those of buyers; models with activations need them.
        error_budget: Bound on the part of an output's error that noise makes, real units; where polynomials stand for
            activations, half of their error if that is larger.
        statistical_bits: Least distance between flooding noise and the noise that it hides; it is larger, up to
            `trader.he.planning.search.STATISTICAL_BITS`, where the ring has room.
        policy: Security that the seller itself asks for.
        edges: Of an ensemble of trees, by column; `model` and everything else is then about its form over bits.
        keeps: Whether raw outputs [n, O] for the calibration data, real units, as polynomials in the place of
            activations give them, still say what they are to say (`trader.package.fidelity`): a class or a
            probability may be lost where a raw output hardly moves. None if any that hardly moves will do.

    Raises:
        PlanError: A bound is not finite.
    """

    model: CanonicalModel
    bounds: Mapping[str, float]
    _: KW_ONLY
    input_magnitude: float
    calibration: NDArray[np.int64] | None = None
    error_budget: float = ERROR_BUDGET
    statistical_bits: int = LEAST_STATISTICAL_BITS
    policy: SecurityPolicy = DEFAULT_POLICY
    edges: tuple[int, ...] = ()
    keeps: Callable[[NDArray[np.float64]], bool] | None = None

    def __post_init__(self) -> None:
        """Refuse bounds for which there is no plan."""
        if not all(math.isfinite(bound) for bound in self.bounds.values()):
            raise PlanError("the model's values have no finite bound; give calibration data, or scale its inputs down")

    @property
    def least_statistical_bits(self) -> int:
        """What the problem and its policy ask for, both."""
        return max(self.statistical_bits, self.policy.statistical_bits)

    @property
    def output_bound(self) -> float:
        """Largest |output|, real units."""
        return max(self.bounds[self.model.graph.output], LEAST_OUTPUT_BOUND)


@dataclass(frozen=True, slots=True)
class Approximation:
    """Polynomials for activations.

    Attributes:
        degree: Of all of them; 0 where there are none.
        polynomials: By the name of their node.
        error: That they make in an output, real units.
    """

    degree: int
    polynomials: Mapping[str, Polynomial]
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to answer a problem, whatever the ring.

    Attributes:
        problem: What is asked.
        program: What is carried out.
        approximation: What stands for activations in it.
        maps: Numbers of the affine maps by name, of a packed program; empty for others.
        joined: Whether two outputs share each slot of a response.
        special_primes: Number of primes of keys only.
        key_spacing: Of a packed plan, see there.
    """

    problem: PlanningProblem
    program: Program
    approximation: Approximation
    maps: Mapping[str, AffineMap] = field(default_factory=dict)
    joined: bool = False
    special_primes: int = 1
    key_spacing: int = 2

    @property
    def packed(self) -> bool:
        """Whether ciphertexts hold several features each."""
        return bool(self.maps)

    def special_prime_bits(self, degree: int) -> int:
        """Return the size of special primes: as large as digits, where keys are switched below the outputs' scale."""
        return MAXIMUM_PRIME_BITS if self.packed or self.program.depth else SMALLEST_PRIME_BITS[degree]

    @property
    def error_budget(self) -> float:
        """Bound on the part of an output's error that noise makes, real units."""
        return max(self.problem.error_budget, self.approximation.error * APPROXIMATION_NOISE_SHARE)

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

    @property
    def output_components(self) -> int:
        """Polynomials per ciphertext of the response."""
        return self.program.response_components
