"""Plans of several features per ciphertext, for small tests."""

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trader.he.layouts.packing import MapLayout, Packing, map_layouts, needed_rotations
from trader.he.layouts.visible import Visible, period_of
from trader.he.planning.fields import No, Zero
from trader.he.planning.plan import HePlan
from trader.he.ring.encoding import Slots
from trader.he.seal import Secret, rotation_element

_Size = Annotated[int, Field(ge=1, le=1 << 20)]


class PackedPlan(HePlan):
    """Several features per ciphertext (`trader.he.layouts.packing`), for small tests.

    Attributes:
        special_primes: Number of primes, the last ones, that are of keys only: the more of them, the fewer digits, and
            bytes, a key has, and the less modulus is left.
        weight_scale_bits: Scale of encoded weights.
        key_spacing: Rotations by powers of two of blocks have a key where the exponent is a multiple of this; others
            are several rotations. Above 2, nothing is rotated before it is multiplied.
        maps: (inputs, outputs) of the affine maps: they say which rotations need keys.
        spread: Whether copies of the features in a request are rotated against each other, so that each serves a part
            of the first map's diagonals.
        unfolded: Whether the plan ends with an affine map, whose folds are left to the reader: the visible coefficients
            average what they would add up.
    """

    special_primes: Annotated[int, Field(ge=1, le=8)]
    weight_scale_bits: Annotated[int, Field(ge=1, le=48)]
    key_spacing: Annotated[int, Field(ge=1, le=15)]
    maps: Annotated[tuple[tuple[_Size, _Size], ...], Field(min_length=1, max_length=256)]
    paired: No = False
    joined_features: No = False
    spread: bool = False
    joined: No = False
    unfolded: bool = False
    few_samples: None = None
    few_samples_limit: Zero = 0
    many_samples: None = None
    packed: ClassVar[bool] = True

    def packing(self, samples: int) -> Packing:
        """Return as many blocks as there is room for."""
        return Packing.tight(self.ring_degree, min(samples, self.slots), self.key_spacing)

    def map_layouts(self, samples: int) -> tuple[MapLayout, ...]:
        """Return how the affine maps are evaluated for `samples` samples."""
        return map_layouts(self.packing(samples), self.maps, spread=self.spread, unfolded=self.unfolded)

    def switched_secrets(self, samples: int) -> tuple[Secret, ...]:
        """Return also the elements of the rotations that the maps need, by ascending rotation."""
        rotations = needed_rotations(self.map_layouts(samples))
        elements = ((rotation_element(rotation, self.ring_degree),) for rotation in rotations)
        return (*super().switched_secrets(samples), *elements)

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Return samples [n, F] as slots [ciphertexts, N/2], rotated as the first map reads them."""
        return self.map_layouts(len(values))[0].pack(values) if self.spread else super().pack(values)

    def _visible_of_part(self, count: int) -> list[Visible]:
        packing = self.packing(count)
        blocks = packing.period(self.outputs)
        return [Visible(blocks * packing.stride, joined=False)] * packing.ciphertexts(self.outputs)

    @property
    def values_per_answer(self) -> int:
        """The period of the outputs; in an honest response the numbers beyond the outputs are copies of these."""
        return period_of(self.outputs)
