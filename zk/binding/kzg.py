"""KZG openings of committed columns at a point: made through ezkl's commitments, checked with a pairing.

A commitment is C = Σ_t v_t [L_t(τ)]G1 over all rows of a column (Kate, Zaverucha, Goldberg 2010, in Lagrange form). The
opening of P = Σ_c gamma^c P_c at r is y = P(r) with π, the commitment to the quotient (P - y)/(X - r); it holds when
e(C - y·G1 + r·π, G2) = e(π, [τ]G2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128.optimized_curve import G1, add, b, field_modulus, is_on_curve, multiply, neg, normalize
from py_ecc.optimized_bn128.optimized_pairing import final_exponentiate, pairing
from py_ecc.typing import Optimized_Point3D

from zk.binding.errors import BindingError
from zk.binding.sums import column_factors, row_weights, value_at_challenge
from zk.circuits.audit import BLINDING_ROWS
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from zk.binding.chunks import ColumnLayout
    from zk.binding.sums import Challenge
    from zk.setup.srs import Srs

POINT_BYTES = 64
"""A G1 point: x, then y, 32 bytes each."""

_G1Point = Optimized_Point3D[FQ]


@dataclass(frozen=True)
class KzgOpening:
    """The combined polynomial's value at r and the proof of it; public.

    Attributes:
        value: y, a canonical field element.
        proof: The quotient's commitment π, 64 bytes (x, y big-endian).
    """

    value: int
    proof: bytes


def open_columns(
    columns: Sequence[NDArray[np.int32]],
    last_sum: int,
    layout: ColumnLayout,
    challenge: Challenge,
    srs: Srs,
    commit: Callable[[Sequence[int]], bytes],
) -> KzgOpening:
    """Open the combined columns at r.

    Args:
        columns: int32 values of each column.
        last_sum: Their last running sum.
        layout: Their layout.
        challenge: r and gamma.
        srs: The commitments' SRS.
        commit: Commits to 2^logrows - 6 field elements, setting the last 6 rows to 1, as ezkl does.
    """
    value = value_at_challenge(last_sum, layout, challenge)
    quotient = _quotient(_combine(columns, layout, challenge), value, challenge.r, layout.logrows)
    point = _decode_point(commit(quotient[: layout.capacity]))
    for row in range(layout.capacity, 1 << layout.logrows):
        # ezkl has put 1 in the rows that halo2 keeps for itself: the difference is added here.
        lagrange = _projective(srs.lagrange_g1(row))
        point = add(point, multiply(lagrange, (quotient[row] - 1) % MODULUS))
    return KzgOpening(value, _encode_point(point))


def verify_opening(
    points: Sequence[bytes], layout: ColumnLayout, challenge: Challenge, opening: KzgOpening, srs: Srs
) -> None:
    """Check that the columns combined by powers of gamma take the opening's value at r; silent on success.

    Raises:
        BindingError: A point is malformed or not on the curve, their number is wrong, or the opening is false.
        SrsError: The SRS file is truncated.
    """
    if len(points) != len(layout.lengths):
        raise BindingError(f"the layout has {len(layout.lengths)} columns, not {len(points)}")
    if not 0 <= opening.value < MODULUS:
        raise BindingError(f"the opened value {opening.value} is not a canonical field element")
    proof = _decode_point(opening.proof)
    left = add(multiply(proof, challenge.r), neg(multiply(G1, opening.value)))
    for point, factor in zip(points, column_factors(layout, challenge), strict=True):
        left = add(left, multiply(_decode_point(point), factor))
    generator, tau = ((FQ2(x), FQ2(y), FQ2.one()) for x, y in (srs.g2, srs.tau_g2))
    # Two pairings that must agree: their quotient, one final exponentiation, is 1.
    product = pairing(generator, left, final_exponentiate=False) * pairing(tau, neg(proof), final_exponentiate=False)
    if final_exponentiate(product) != FQ12.one():
        raise BindingError("the opening of the parameter commitments is false: do not buy from this listing")


def _combine(columns: Sequence[NDArray[np.int32]], layout: ColumnLayout, challenge: Challenge) -> list[int]:
    """P on all rows: Σ_c gamma^c v_{c,t}, where the last 6 rows of every column hold 1."""
    factors = column_factors(layout, challenge)
    combined = [0] * (1 << layout.logrows)
    for column, factor in zip(columns, factors, strict=True):
        for row, parameter in enumerate(column.tolist()):
            combined[row] += factor * parameter
    combined[layout.capacity :] = [sum(factors)] * BLINDING_ROWS
    return combined


def _quotient(combined: list[int], value: int, r: int, logrows: int) -> list[int]:
    """(P - y)/(X - r) on all rows, using 1/(r - ω^t) = (w_t + 1)/r."""
    inverse_r = pow(r, -1, MODULUS)
    scaled = [(weight + 1) * inverse_r % MODULUS for weight in row_weights(r, logrows, range(1 << logrows))]
    return [(value - here) * inverse % MODULUS for here, inverse in zip(combined, scaled, strict=True)]


def _decode_point(data: bytes) -> _G1Point:
    """Return a G1 point from the other party; the group has prime order, so on the curve means in the group."""
    if len(data) != POINT_BYTES:
        raise BindingError(f"a point has {POINT_BYTES} bytes, not {len(data)}")
    x, y = (int.from_bytes(data[start : start + 32], "big") for start in (0, 32))
    if x >= field_modulus or y >= field_modulus or not is_on_curve(_projective((x, y)), b):
        raise BindingError(f"0x{data.hex()} is not a point of the curve")
    return _projective((x, y))


def _projective(point: tuple[int, int]) -> _G1Point:
    x, y = point
    return FQ(x), FQ(y), FQ(1)


def _encode_point(point: _G1Point) -> bytes:
    x, y = normalize(point)
    return bytes(int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big"))
