"""How far a proven output may lie from the one that a buyer committed to: as far as encryption and rounding move it.

A seller sets the tolerance of a listing, and a buyer accepts no larger one than `needed_tolerance`: whatever else fits
into it is room for a model that answers the test without being the one that is proven and delivered.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trader.he import HePlan

COMMIT_SCALE_BITS = 12
"""Committed outputs are multiples of 2^-12."""


def commit_scale_bits(output_scale_bits: int) -> int:
    """Scale of committed outputs: no finer than the circuit's instances, and too coarse to show the encryption's noise.

    Args:
        output_scale_bits: scale of the instances.
    """
    return min(COMMIT_SCALE_BITS, output_scale_bits)


def needed_tolerance(plan: HePlan, output_scale_bits: int) -> int:
    """Return the tolerance that an honest trade needs, in units of the instances.

    It is the plan's bound on the error of a decrypted output (polynomials that stand for activations included), and the
    one step of the grid by which dithered rounding moves it; nothing where outputs are exact.

    Args:
        plan: The encryption plan; its error is what the seller states.
        output_scale_bits: Scale of the instances.
    """
    if plan.is_exact:
        return 0
    # Exact: a hostile plan's error may be the largest float, and must be refused or judged like any other.
    step = Fraction(1, 1 << commit_scale_bits(output_scale_bits))
    return math.ceil((Fraction(plan.largest_error) + step) * (1 << output_scale_bits))
