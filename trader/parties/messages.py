"""How large the messages of a trade may be, and the one that carries a key with it.

The receiver knows every bound before it reads: sizes follow from the encryption plan, the circuit and the layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from trader.exchange import AuditInputs, MessageError
from trader.exchange.envelope import OVERHEAD_BYTES, PUBLIC_KEY_BYTES
from zk.binding.chunks import CHUNK_BYTES

if TYPE_CHECKING:
    from trader.he import HePlan
    from zk import AuditCircuit

MAX_PACKAGE_BYTES = MAX_MESSAGE_BYTES = 1 << 30
_CONTAINER_OVERHEAD_BYTES = 1 << 21
"""Room for a container's header."""
_AUDIT_HEADER_BYTES = 64


def request_limit_bytes(plan: HePlan, samples: int) -> int:
    """Return the most bytes of an encrypted request for `samples` samples."""
    return plan.for_samples(samples).request_bytes(samples) + _CONTAINER_OVERHEAD_BYTES


def response_limit_bytes(plan: HePlan, samples: int) -> int:
    """Return the most bytes of the response to it."""
    return plan.for_samples(samples).response_bytes(samples) + _CONTAINER_OVERHEAD_BYTES


def order_limit_bytes(circuit: AuditCircuit) -> int:
    """Return the most bytes of a sealed order."""
    return PUBLIC_KEY_BYTES + 32 * circuit.input_elements + _AUDIT_HEADER_BYTES + OVERHEAD_BYTES


def delivery_bytes(chunk_count: int) -> int:
    """Return the exact size of a sealed delivery, in bytes."""
    return chunk_count * CHUNK_BYTES + OVERHEAD_BYTES


@dataclass(frozen=True, eq=False)
class Order:
    """What a buyer sends to the seller, sealed, after it has locked the price.

    The seller checks that samples and salt are those of the trade's input commitment. Nobody else knows the salt, so
    the public key that travels in the same envelope is the buyer's own.

    Attributes:
        reply_key: The buyer's public encryption key, to which the model will be sealed.
        inputs: The audit samples and their salt.
    """

    reply_key: bytes
    inputs: AuditInputs = field(repr=False)

    def encode(self) -> bytes:
        """Return the message's bytes, in clear."""
        return self.reply_key + self.inputs.encode()

    @classmethod
    def decode(cls, data: bytes, circuit: AuditCircuit) -> Self:
        """Read a message from the buyer, whose shape the circuit fixes.

        Raises:
            MessageError: Another length, shape or version.
        """
        if len(data) < PUBLIC_KEY_BYTES:
            raise MessageError(f"the order has {len(data)} bytes, less than an encryption key")
        inputs = AuditInputs.decode(
            data[PUBLIC_KEY_BYTES:],
            audit_samples=circuit.audit_samples,
            features=circuit.features,
            salt_elements=circuit.salt_elements,
        )
        return cls(data[:PUBLIC_KEY_BYTES], inputs)
