"""What can go wrong between the seller's model and what the buyer has when the trade ends.

::

    TraderError
    └── DeliveryError
        ├── CiphertextError        the downloaded ciphertext is not the one that the seller committed to
        └── DeliveryFaultError     the delivered model is not the listed one; carries the evidence that wins the dispute
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import TraderError

if TYPE_CHECKING:
    from trader.delivery.claims import Claim


class DeliveryError(TraderError):
    """Root of the errors of `trader.delivery`."""


class CiphertextError(DeliveryError):
    """A ciphertext is not the one that the seller committed to."""


class DeliveryFaultError(DeliveryError):
    """The delivered model is not the listed one.

    Attributes:
        evidence: The claim that the escrow decides for the buyer.
    """

    def __init__(self, message: str, evidence: Claim) -> None:
        super().__init__(message)
        self.evidence = evidence
