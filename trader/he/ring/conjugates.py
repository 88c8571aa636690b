"""Conjugate form on tiles of centred residues, in compiled loops; `trader.he.evaluation.splitting` says what it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.he.ring.compiling import inlined, kernel
from trader.he.ring.kernels import multiply_centred


@inlined
def _multiply_into(left: Any, right: Any, q: Any, inverse: Any, result: Any) -> None:
    """Write left·right modulo q, centred; loops of one product each are what the compiler vectorises best."""
    for i in range(result.size):
        result[i] = multiply_centred(left[i], right[i], q, inverse)


@inlined
def _mirror_into(values: Any, result: Any) -> None:
    for i in range(result.size):
        result[i] = values[values.size - 1 - i]


@kernel
def split_conjugates(values: NDArray[np.float64], unit: float, prime: int, halves: NDArray[np.float64]) -> None:
    """Write the two values of a ciphertext's slots in conjugate form, each at twice the scale.

    Args:
        values: [e, 2, t], with t - 1 - i the mirror image of position i (`trader.he.evaluation.splitting`).
        unit: J in the first half of positions, centred; -J in the others.
        prime: q.
        halves: [e, 2, 2t]: x + x̄, then (x - x̄)/J.
    """
    q = np.float64(prime)
    inverse = 1.0 / q
    count = values.shape[2]
    mirrored = np.empty(count)
    for element in range(values.shape[0]):
        first, second = values[element, 0], values[element, 1]
        _mirror_into(first, mirrored)
        sums, rest = halves[element, 0, :count], halves[element, 1, :count]
        for i in range(count):
            total = first[i] + mirrored[i]
            sums[i] = total - q * np.rint(total * inverse)
            mirrored[i] = first[i] - mirrored[i]
            rest[i] = second[i]
        for half in range(2):
            # 1/J is -J.
            factor = unit if half else -unit
            own = slice(half * (count // 2), (half + 1) * (count // 2))
            for component, source in enumerate((mirrored, second)):
                target, part = halves[element, component, count:][own], source[own]
                for i in range(target.size):
                    target[i] = multiply_centred(part[i], factor, q, inverse)


@kernel
def join_conjugates(values: NDArray[np.float64], unit: float, prime: int, joined: NDArray[np.float64]) -> None:
    """Write u + ū + (v - v̄)/J, twice Re u + Im v, in conjugate form.

    Args:
        values: u, then v, [2e, 2, t], mirrored as in `split_conjugates`.
        unit: J in the first half of positions, centred; -J in the others.
        prime: q.
        joined: [e, 2, t].
    """
    q = np.float64(prime)
    inverse = 1.0 / q
    elements, count = joined.shape[0], joined.shape[2]
    mirrored, parts = np.empty(count), np.empty(count)
    for element in range(elements):
        for component in range(2):
            u, v, target = values[element, component], values[elements + element, component], joined[element, component]
            if component == 0:
                _mirror_into(v, mirrored)
                for i in range(count):
                    parts[i] = v[i] - mirrored[i]
                _mirror_into(u, mirrored)
            else:
                parts[:] = v
                mirrored[:] = 0.0
            for half in range(2):
                # 1/J is -J.
                factor = unit if half else -unit
                for i in range(half * (count // 2), (half + 1) * (count // 2)):
                    total = u[i] + mirrored[i] + multiply_centred(parts[i], factor, q, inverse)
                    target[i] = total - q * np.rint(total * inverse)


@kernel
def multiply_conjugates(
    left: NDArray[np.float64], right: NDArray[np.float64], halves: int, prime: int, result: NDArray[np.float64]
) -> None:
    """Products of values in conjugate form, [e, 2, t·halves] each, to [e, 4, t·halves]: of 1, s, s² and s·s̄."""
    q = np.float64(prime)
    inverse = 1.0 / q
    count = left.shape[2] // halves
    mirrored, product = np.empty(count), np.empty(count)
    for element in range(left.shape[0]):
        for half in range(halves):
            own = slice(half * count, (half + 1) * count)
            l0, l1 = left[element, 0, own], left[element, 1, own]
            r0, r1 = right[element, 0, own], right[element, 1, own]
            _multiply_into(l0, r0, q, inverse, result[element, 0, own])
            _multiply_into(l1, r1, q, inverse, result[element, 2, own])
            _multiply_into(l1, r0, q, inverse, product)
            cross = result[element, 1, own]
            for i in range(count):
                total = product[i] + multiply_centred(l0[i], r1[i], q, inverse)
                cross[i] = total - q * np.rint(total * inverse)
            _mirror_into(r1, mirrored)
            _multiply_into(l1, mirrored, q, inverse, product)
            # With its own image it is l1·r̄1 + l̄1·r1.
            _mirror_into(product, mirrored)
            cross = result[element, 3, own]
            for i in range(count):
                total = product[i] + mirrored[i]
                cross[i] = total - q * np.rint(total * inverse)


@kernel
def square_conjugates(values: NDArray[np.float64], halves: int, prime: int, result: NDArray[np.float64]) -> None:
    """`multiply_conjugates` of values by themselves."""
    q = np.float64(prime)
    inverse = 1.0 / q
    count = values.shape[2] // halves
    doubled, mirrored = np.empty(count), np.empty(count)
    for element in range(values.shape[0]):
        for half in range(halves):
            own = slice(half * count, (half + 1) * count)
            v0, v1 = values[element, 0, own], values[element, 1, own]
            for i in range(count):
                doubled[i] = 2.0 * v1[i]
            _mirror_into(v1, mirrored)
            _multiply_into(v0, v0, q, inverse, result[element, 0, own])
            _multiply_into(v0, doubled, q, inverse, result[element, 1, own])
            _multiply_into(v1, v1, q, inverse, result[element, 2, own])
            _multiply_into(doubled, mirrored, q, inverse, result[element, 3, own])
