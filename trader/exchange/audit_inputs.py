"""The audit samples that a buyer sends to the seller, sealed, after the purchase.

Format, big-endian: magic `MSAI`, u16 version, u16 k, u32 F, u16 number of salt elements, then k·F int64 (row-major),
then the salt as 32-byte field elements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trader.exchange.errors import MessageError
from zk.field import MODULUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER = struct.Struct(">4sHHIH")
_MAGIC, _VERSION = b"MSAI", 1
_ELEMENT_BYTES = 32


@dataclass(frozen=True, eq=False)
class AuditInputs:
    """The k samples that the seller must prove, and the salt that hides them in the input commitment.

    Attributes:
        samples: int64 [k, F] at scale 2^scale_bits.
        salt: Canonical field elements.
    """

    samples: NDArray[np.int64] = field(repr=False)
    salt: tuple[int, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Return the message's bytes."""
        audit_samples, features = self.samples.shape
        header = _HEADER.pack(_MAGIC, _VERSION, audit_samples, features, len(self.salt))
        elements = b"".join(element.to_bytes(_ELEMENT_BYTES, "big") for element in self.salt)
        return header + self.samples.astype(">i8").tobytes() + elements

    @classmethod
    def decode(cls, data: bytes, *, audit_samples: int, features: int, salt_elements: int) -> AuditInputs:
        """Read a message from the buyer, whose shape the listing fixes.

        Not checked: that samples and salt are those of the trade's input commitment.

        Raises:
            MessageError: Another length, shape or version, or a salt element outside the field.
        """
        expected = encoded_bytes(audit_samples, features, salt_elements)
        if len(data) != expected:
            raise MessageError(f"the audit inputs have {len(data)} bytes, this listing's have {expected}")
        header = _HEADER.unpack_from(data)
        if header != (_MAGIC, _VERSION, audit_samples, features, salt_elements):
            raise MessageError(f"the audit inputs' header is {header}, not that of this listing")
        values = np.frombuffer(data, dtype=">i8", count=audit_samples * features, offset=_HEADER.size)
        salt_at = range(_HEADER.size + values.nbytes, len(data), _ELEMENT_BYTES)
        salt = tuple(int.from_bytes(data[start : start + _ELEMENT_BYTES], "big") for start in salt_at)
        if any(element >= MODULUS for element in salt):
            raise MessageError("a salt element of the audit inputs is not a canonical field element")
        return cls(values.astype(np.int64).reshape(audit_samples, features), salt)


def encoded_bytes(audit_samples: int, features: int, salt_elements: int) -> int:
    """Return the length of the message."""
    return _HEADER.size + 8 * audit_samples * features + _ELEMENT_BYTES * salt_elements
