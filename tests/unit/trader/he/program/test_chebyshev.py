"""Polynomials in Chebyshev form: cut up and carried out by a program, they are what they were."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval
from pydantic import ValidationError

from trader.he.planning.fields import ActivationPlan
from trader.he.planning.propagation import value_bounds
from trader.he.program.activations import DEGREES, Polynomial, fit
from trader.he.program.build import build_program
from trader.he.program.chebyshev import block_size, divide
from trader.he.program.steps import Combine, Multiply, Normalise, Refresh
from trader.model import Graph
from trader.model.functions import ActivationKind
from trader.model.nodes import Activation, Square

NODE = Activation("act", ("input",), (3,), ActivationKind.RELU)
GRAPH = Graph((3,), (NODE,), "act", ())


def _run(program, x):
    """Carry the steps out in real numbers, with every value."""
    values = {"input": x}
    for step in program.steps:
        read = [values[name] for name in step.inputs]
        match step:
            case Normalise():
                value = read[0] / step.divisor
            case Square():
                value = read[0] ** 2
            case Multiply():
                value = read[0] * read[1]
            case Refresh():
                value = read[0]
            case Combine():
                value = sum(c * y for c, y in zip(step.coefficients, read, strict=True)) + step.constant
        values[step.name] = value
    return values


@pytest.mark.parametrize("degree", [1, 2, 3, 6, 7, 15, 20, 31, 62, 63, 127, 255])
@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("staged", [False, True])
def test_a_program_computes_the_polynomial_within_its_bounds(degree, even, staged):
    coefficients = np.random.default_rng(degree).normal(size=degree + 1)
    if even:
        coefficients[3::2] = 0
    polynomial = Polynomial(tuple(coefficients), 2.5)
    x = np.random.default_rng(1).uniform(-2.5, 2.5, (50, 3))
    program = build_program(GRAPH, {"act": polynomial}, staged=staged)
    values = _run(program, x)
    assert values["act"] == pytest.approx(chebval(x / 2.5, coefficients), abs=1e-9)
    assert polynomial(x) == pytest.approx(chebval(x / 2.5, coefficients))
    bounds = value_bounds(program, {"input": 2.5})
    assert all(np.abs(values[name]).max() <= bound + 1e-9 for name, bound in bounds.items())


@pytest.mark.parametrize(
    "change",
    [
        {"coefficients": (0.5,) * 257},
        {"coefficients": ()},
        {"coefficients": (float("nan"),)},
        {"radius": 2.0**65},
        {"radius": 2.0**-65},
        {"radius": float("inf")},
        {"unit_bits": 1},
    ],
)
def test_a_plan_with_a_polynomial_beyond_limits_is_refused(change):
    stated = {"node": "act", "coefficients": (0.5,) * 256, "radius": 2.0}
    assert ActivationPlan(**stated).radius == 2.0
    with pytest.raises(ValidationError):
        ActivationPlan(**stated | change)


@pytest.mark.parametrize("n", [2, 4, 32])
def test_quotient_and_rest_make_the_dividend(n):
    coefficients = np.random.default_rng(n).normal(size=2 * n)
    u = np.linspace(-1, 1, 99)
    quotient, rest = divide(coefficients, n)
    assert len(quotient) == len(rest) == n
    made = chebval(u, quotient) * chebval(u, np.eye(n + 1)[n]) + chebval(u, rest)
    assert made == pytest.approx(chebval(u, coefficients))


@pytest.mark.parametrize(
    ("degree", "products", "depth"), [(7, 3, 3), (15, 5, 4), (31, 8, 5), (63, 12, 6), (127, 17, 7), (255, 26, 8)]
)
def test_an_even_function_takes_so_few_products(degree, products, depth):
    polynomial = fit(NODE, np.linspace(-1, 1, 500)[:, np.newaxis], degree)
    program = build_program(GRAPH, {"act": polynomial}, staged=True)
    assert sum(isinstance(step, Square | Multiply) for step in program.steps) == products
    assert program.depth < depth


def test_blocks_of_the_best_size_take_no_more_products_than_others(monkeypatch):
    polynomial = fit(NODE, np.linspace(-1, 1, 500)[:, np.newaxis], 63)
    counts = {}
    for block in (2, 4, 8, 16):
        monkeypatch.setattr("trader.he.program.build.block_size", lambda _coefficients, block=block: block)
        program = build_program(GRAPH, {"act": polynomial}, staged=True)
        counts[block] = sum(isinstance(step, Square | Multiply) for step in program.steps)
    assert counts[block_size(polynomial.coefficients)] == min(counts.values())


def test_a_higher_degree_comes_closer_to_relu_everywhere_in_the_range():
    x = np.linspace(-1, 1, 2001)[:, np.newaxis]
    errors = [np.abs(fit(NODE, x, degree)(x) - np.maximum(x, 0)).max() for degree in DEGREES[2:]]
    assert all(more > 1.5 * less for more, less in pairwise(errors))
    assert errors[-1] < 0.003
