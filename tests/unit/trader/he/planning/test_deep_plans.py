"""Deep plans hold what they compute: scales drift from those that were planned, since primes are what they are."""

import math

import numpy as np
import pytest

from tests.simulators.activation_network import activation_network
from trader.he import PlanningProblem, candidates
from trader.he.planning import scales as planned_scales
from trader.he.planning import search
from trader.he.planning.plan import dropped_products
from trader.he.planning.propagation import approximate_scales, log2, value_bounds, value_scales
from trader.he.seal import parameters
from trader.model import ActivationKind, CanonicalModel, canonicalise, measured_bounds

FEATURES, WIDTH = 3, 2


def network(activations: int) -> CanonicalModel:
    widths = [FEATURES, *[WIDTH] * (activations + 1)]
    return canonicalise(activation_network(ActivationKind.TANH, widths, np.random.default_rng(activations)))


def test_scales_that_are_planned_with_are_those_of_the_primes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "DEGREES", (7,))
    model = network(2)
    data = np.random.default_rng(1).integers(-(3 << 13), 3 << 13, (100, FEATURES))
    problem = PlanningProblem(model, measured_bounds(model, data), input_magnitude=4.0, calibration=data)
    found = next(candidate for candidate in candidates(problem) if candidate.plan is not None)
    plan, program = found.plan, found.plan.program(model.graph)
    products = dropped_products(parameters(found.ring_degree, plan.modulus_bits).primes, plan.dropped_primes)
    exact = value_scales(program, plan.input_scale_bits, model.scale_bits, products)
    close = approximate_scales(program, plan.input_scale_bits, model.scale_bits, products)
    assert all(abs(close[name] / float(scale) - 1) < 2**-40 for name, scale in exact.items())


@pytest.mark.parametrize(("activations", "degree"), [(2, 7), (4, 3), (5, 3)])
def test_every_plan_has_room_for_all_that_it_computes(
    activations: int, degree: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With five activations of degree 3 outputs wrapped around a modulus that was 14 bits too small."""
    monkeypatch.setattr(search, "DEGREES", (degree,))
    model = network(activations)
    data = np.random.default_rng(1).integers(-(3 << 13), 3 << 13, (100, FEATURES))
    problem = PlanningProblem(model, measured_bounds(model, data), input_magnitude=4.0, calibration=data)
    found = list(candidates(problem))
    for candidate in found:
        if candidate.plan is None:
            assert candidate.rejected
            continue
        plan = candidate.plan
        primes = parameters(plan.ring_degree, plan.modulus_bits).primes
        program = plan.program(model.graph)
        products = dropped_products(primes, plan.dropped_primes)
        scales = value_scales(program, plan.input_scale_bits, plan.scale_bits, products)
        bounds = value_bounds(program, problem.bounds)

        def room(count: int, name: str, primes: tuple[int, ...] = primes, scales=scales, bounds=bounds) -> float:
            return sum(map(math.log2, primes[:count])) - log2(scales[name]) - math.log2(bounds[name])

        # Twice the bound either way, in an interval around zero.
        assert room(plan.response_primes, model.graph.output) >= 2
        for level in range(program.depth):
            for step in program.refreshes(level):
                assert room(plan.level_primes(level), step.inputs[0]) >= 2


def test_nothing_is_dropped_where_a_ring_has_no_primes_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A maximum over all pixels took all that there are, and planning broke off."""
    monkeypatch.setattr(search, "DEGREES", (3,))
    monkeypatch.setattr(planned_scales, "largest_prime", lambda *_: 0)
    model = network(1)
    data = np.random.default_rng(1).integers(-(3 << 13), 3 << 13, (100, FEATURES))
    problem = PlanningProblem(model, measured_bounds(model, data), input_magnitude=4.0, calibration=data)
    for candidate in candidates(problem):
        assert candidate.rejected if candidate.plan is None else not any(candidate.plan.dropped_primes)
