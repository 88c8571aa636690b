"""Multiples of points of alt_bn128's G1 on plain integers, ten times as fast as py_ecc's objects.

Jacobian coordinates, x = X/Z² and y = Y/Z³; formulas dbl-2009-l and madd-2007-bl of the Explicit-Formulas Database.
"""

from __future__ import annotations

from py_ecc.optimized_bn128 import curve_order, field_modulus

Point = tuple[int, int]
"""Affine; (0, 0) is the point at infinity, as in the precompiles (EIP-196)."""
INFINITY = (0, 0)
_P = field_modulus


def multiply(point: Point, factor: int) -> Point:
    """The multiple of a point of the curve."""
    total = (1, 1, 0)
    if point != INFINITY:
        for bit in f"{factor % curve_order:b}":
            total = _double(*total)
            if bit == "1":
                total = _add(*total, *point)
    x, y, z = total
    inverse = pow(z, -1, _P) if z else 0
    return x * inverse**2 % _P, y * inverse**3 % _P


def _double(x: int, y: int, z: int) -> tuple[int, int, int]:
    a, b = x * x % _P, y * y % _P
    c = b * b
    d = 2 * ((x + b) ** 2 - a - c)
    e = 3 * a
    doubled = (e * e - 2 * d) % _P
    return doubled, (e * (d - doubled) - 8 * c) % _P, 2 * y * z % _P


def _add(x: int, y: int, z: int, other_x: int, other_y: int) -> tuple[int, int, int]:
    """A Jacobian point plus an affine one; never infinity."""
    if not z:
        return other_x, other_y, 1
    square = z * z % _P
    h, r = (other_x * square - x) % _P, 2 * (other_y * z * square - y) % _P
    if not h:
        return (1, 1, 0) if r else _double(x, y, z)
    i = 4 * h * h % _P
    j, v = h * i, x * i
    added = (r * r - j - 2 * v) % _P
    return added, (r * (v - added) - 2 * y * j) % _P, 2 * z * h % _P
