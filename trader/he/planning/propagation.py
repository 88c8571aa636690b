"""How scale, magnitude and noise move through a program; plans are made by it, and the evaluation relies on scales.

Scales are rational numbers: inputs stand at 2^a, parameters at 2^s; products multiply scales, refreshes divide
them by the primes that they drop. Where scales meet, values are multiplied by integers that bring them to a common one:
exactly where the quotient is an integer, else rounded at `COEFFICIENT_BITS` or more. Noise is a standard deviation per
slot in real units, as if the noises that meet were independent (Costache, Curtis, Hales, Murphy, Ogilvie and Player,
"On the precision loss in approximate homomorphic encryption", 2023, for the canonical embedding's factors; Kim,
Polyakov and Zucca, "Revisiting homomorphic encryption schemes for finite fields", 2021, for key switching's).
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from trader.he.layouts.packing import AffineMap
from trader.he.program.steps import Affine, Combine, JoinedLinear, Normalise, Program, Refresh, Split, Step
from trader.he.seal import ERROR_DEVIATION
from trader.model.canonical import CanonicalModel
from trader.model.graph import INPUT
from trader.model.nodes import Add, Linear, Multiply, Rearrange, Square, Sum
from trader.model.reference import rearrange

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Scale = TypeVar("_Scale", Fraction, float)

SCALE_PRECISION_BITS = 256
"""Of the scale of a refreshed value: far beyond any noise."""
EXACT_BITS = 40
"""A product of floats this close to an integer is taken for one: what errors of rounding add up to is far less."""
LEAST_COEFFICIENT_BITS = 16
"""Grid of coefficients of a combination that is aligned with another value."""
COEFFICIENT_BITS = 20
"""Grid of coefficients, and of quotients of scales that aren't integers."""


def value_scales(
    program: Program, input_scale_bits: int, scale_bits: int, dropped: Sequence[int]
) -> dict[str, Fraction]:
    """Return the scale of every value, exactly: what the evaluation relies on.

    Args:
        program: What is carried out.
        input_scale_bits: Scale of inputs.
        scale_bits: Scale of weights: s of integers, or that of encoded ones.
        dropped: Product of the primes that a refresh drops, by level; values of further levels are left out.
    """
    return _scales(program, Fraction(1 << input_scale_bits), 1 << scale_bits, dropped)


def approximate_scales(
    program: Program, input_scale_bits: int, scale_bits: int, dropped: Sequence[int]
) -> dict[str, float]:
    """Return the same as `value_scales` to about 2^-45 of each.

    Exact scales of a deep program are quotients of numbers of thousands of bits, too slow to try many.
    """
    return _scales(program, math.ldexp(1.0, input_scale_bits), 1 << scale_bits, dropped)


def _scales(program: Program, inputs: _Scale, weights: int, dropped: Sequence[int]) -> dict[str, _Scale]:
    scales = {INPUT: inputs}
    for step in program.steps:
        if any(name not in scales for name in step.inputs):
            continue
        read = [scales[name] for name in step.inputs]
        match step:
            case Linear() | Affine() | JoinedLinear():
                scales[step.name] = read[0] * weights * (1 + isinstance(step, JoinedLinear))
            case Square():
                scales[step.name] = read[0] ** 2
            case Multiply():
                scales[step.name] = read[0] * read[1]
            case Normalise():
                scales[step.name] = read[0] * type(read[0])(step.divisor)
            case Split():
                scales[step.name] = 2 * read[0]
            case Refresh():
                level = program.levels[step.inputs[0]]
                if level < len(dropped):
                    scales[step.name] = _shortened(read[0] / dropped[level])
            case _:
                scales[step.name] = _aligned_scale(step, scales) or _common_scale(read, _factors(step))
    return scales


def _aligned_scale(step: Step, scales: Mapping[str, _Scale]) -> _Scale | None:
    """Return the scale with which a combination is aligned, if its factors are exact enough at it."""
    if not isinstance(step, Combine) or step.aligned is None or not scales.keys() >= set(step.aligned):
        return None
    product, operand = step.aligned
    scale = scales[product] / scales[operand]
    finest = max(scales[name] for name in step.inputs)
    return scale if log2(scale / finest) >= LEAST_COEFFICIENT_BITS else None


def _shortened(scale: _Scale) -> _Scale:
    """Return the scale to `SCALE_PRECISION_BITS`: numbers of exact ones would double in length with every product."""
    if isinstance(scale, float):
        return scale
    unit = Fraction(2) ** (math.floor(log2(scale)) - SCALE_PRECISION_BITS)
    return round(scale / unit) * unit


def _factors(step: Step) -> tuple[float, ...]:
    return step.coefficients if isinstance(step, Combine) else (1.0,) * len(step.inputs)


def _common_scale(scales: list[_Scale], factors: Sequence[float]) -> _Scale:
    """Return the largest scale, with as many bits more as it takes to write every factor as an integer."""
    common = max(scales)
    for scale, factor in zip(scales, factors, strict=True):
        if not _is_integer(factor, common / scale):
            missing = COEFFICIENT_BITS - math.floor(log2(common / scale))
            common *= 1 << max(0, missing)
    return common


def _is_integer(factor: float, quotient: Fraction | float) -> bool:
    """Return whether their product is an integer; of a quotient that is not exact, whether it is one but for errors."""
    if isinstance(quotient, Fraction):
        return (Fraction(factor) * quotient).denominator == 1
    product = factor * quotient
    return abs(product - round(product)) <= math.ldexp(abs(product), -EXACT_BITS)


def multipliers(step: Step, scales: Mapping[str, Fraction]) -> list[int]:
    """Return integers that bring what a step reads to the step's scale, coefficients included."""
    target = scales[step.name]
    pairs = zip(step.inputs, _factors(step), strict=True)
    return [round(Fraction(factor) * target / scales[name]) for name, factor in pairs]


def log2(value: Fraction | float) -> float:
    """Return the logarithm of a positive fraction of any size."""
    if isinstance(value, float):
        return math.log2(value)
    excess = value.numerator.bit_length() - value.denominator.bit_length()
    return excess + math.log2(value / Fraction(2) ** excess)


def value_bounds(program: Program, bounds: Mapping[str, float]) -> dict[str, float]:
    """Return the largest |value| of every value, real units: the graph's are given, polynomials' units are within 1."""
    known = dict(bounds)
    for step in program.steps:
        if step.name in known:
            continue
        read = [known[name] for name in step.inputs]
        match step:
            case Normalise():
                known[step.name] = 1.0
            case Square():
                known[step.name] = read[0] ** 2
            case Multiply():
                known[step.name] = read[0] * read[1]
            case Combine(bound=float(bound)):
                known[step.name] = bound
            case Combine():
                terms = zip(step.coefficients, read, strict=True)
                known[step.name] = abs(step.constant) + sum(abs(factor) * bound for factor, bound in terms)
            case _:
                known[step.name] = max(read)
    return known


def fresh_noise(degree: int) -> float:
    """Return the deviation of a slot of a fresh symmetric encryption, message rounding included, at scale 1."""
    return math.sqrt((ERROR_DEVIATION**2 + 1 / 12) * degree / 2)


def rounding_noise(degree: int) -> float:
    """Return the deviation of a slot after a ciphertext was divided by a prime, at the scale that it then has.

    It has two components. Both are rounded, the second meets a ternary secret: variance (1 + 2N/3)/12 per coefficient.
    """
    return math.sqrt((1 + 2 * degree / 3) / 12 * degree / 2)


def switching_noise(degree: int, primes: int) -> float:
    """Return the deviation of a slot that switching a key adds, at scale 1.

    One error per prime, times digits below the prime, divided by a special prime that is at least half as large.
    """
    return math.sqrt(primes * degree / 3 * 4 * ERROR_DEVIATION**2 * degree / 2) + rounding_noise(degree)


def output_noise(
    program: Program,
    model: CanonicalModel,
    bounds: Mapping[str, float],
    input_noise: float,
    added_noise: Mapping[str, float],
    maps: Mapping[str, AffineMap] = MappingProxyType({}),
) -> float:
    """Return the largest deviation of an output, real units, for inputs of deviation `input_noise`.

    Args:
        program: What is carried out.
        model: Its parameters.
        bounds: Largest |value| of every value, real units (`value_bounds`).
        input_noise: Real units.
        added_noise: What each refresh and affine map adds, by its name, real units.
        maps: Of a packed program.
    """
    noises: dict[str, NDArray[np.float64]] = {INPUT: np.full(program.graph.features, input_noise)}
    for step in program.steps:
        noise = _step_noise(step, [noises[name] for name in step.inputs], model, bounds, maps)
        noises[step.name] = np.hypot(noise, added_noise.get(step.name, 0.0))
    return max(float(noises[program.graph.output].max()), 2.0**-1000)


def _step_noise(
    step: Step,
    read: "list[NDArray[np.float64]]",
    model: CanonicalModel,
    bounds: Mapping[str, float],
    maps: Mapping[str, AffineMap],
) -> "NDArray[np.float64]":
    """Deviations of a step's elements, if it adds no noise of its own."""
    match step:
        case Linear() | JoinedLinear():
            return _through_weights(model, step, read[0])
        case Affine():
            return np.asarray(np.sqrt(read[0] ** 2 @ maps[step.name].matrix ** 2))
        case Square():
            # To first order: the noise's own square is smaller by the statistical distance that is asked for.
            return np.asarray(2 * bounds[step.inputs[0]] * read[0])
        case Multiply():
            return np.hypot(bounds[step.inputs[1]] * read[0], bounds[step.inputs[0]] * read[1])
        case Sum():
            return np.asarray(np.sqrt((read[0].reshape(-1, step.terms) ** 2).sum(axis=1)))
        case Rearrange():
            return np.asarray(rearrange([noise[np.newaxis] for noise in read], step.indices)[0])
        case Normalise():
            return read[0] / step.divisor
        case Refresh() | Split():
            return read[0]
        case Combine() | Add():
            scaled = [(c * x) ** 2 for c, x in zip(_factors(step), read, strict=True)]
            return np.asarray(np.sqrt(np.sum(scaled, axis=0)))


def _through_weights(
    model: CanonicalModel, node: Linear | JoinedLinear, noise: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    spec = model.graph.parameters[node.parameter]
    weights = np.ldexp(model.weights(node.parameter).astype(np.float64), -model.scale_bits)
    squares = weights.reshape(spec.groups, spec.inputs, spec.outputs) ** 2
    variances = noise.reshape(-1, spec.groups, spec.inputs).swapaxes(0, 1) ** 2 @ squares
    deviations: NDArray[np.float64] = np.sqrt(variances.swapaxes(0, 1).reshape(-1))
    return deviations
