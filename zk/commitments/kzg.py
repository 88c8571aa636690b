"""KZG openings of committed columns at a point: made through ezkl's commitments, checked with a pairing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zk.srs import Srs


@dataclass(frozen=True)
class KzgOpening:
    """The combined polynomial's value at r and the proof of it; public.

    Attributes:
        value: y, a canonical field element.
        proof: The quotient's commitment π, 64 bytes (x, y big-endian).
    """

    value: int
    proof: bytes


def verify_opening(points: Sequence[bytes], gamma: int, r: int, opening: KzgOpening, srs: Srs) -> None:
    """Check that the columns combined by powers of gamma take the opening's value at r (one pairing equation).

    Raises:
        BindingError: A point is malformed or not on the curve, or the opening is false.
        SrsError: The SRS file can't be read.
    """
    raise NotImplementedError
