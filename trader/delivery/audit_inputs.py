"""The audit samples that a buyer sends to the seller, sealed, after the purchase.

Format: magic ``MSAI``, u16 version, u16 k, u32 F, u16 salt elements, then k·F int64 (row-major), then the salt elements
as 32-byte field elements; all big-endian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AuditInputs:
    """The k samples that the seller must prove, and the salt that hides them in the input commitment.

    Attributes:
        samples: int64 [k, F] at scale 2^scale_bits.
        salt: Field elements.
    """

    samples: NDArray[np.int64] = field(repr=False)
    salt: tuple[int, ...] = field(repr=False)

    def encode(self) -> bytes:
        """The message's bytes."""
        raise NotImplementedError

    @classmethod
    def decode(cls, data: bytes, *, audit_samples: int, features: int, salt_elements: int) -> AuditInputs:
        """Read a message from the buyer, whose shape the listing fixes.

        Raises:
            MessageError: Another length, shape, version, or a salt element outside the field.
        """
        raise NotImplementedError
