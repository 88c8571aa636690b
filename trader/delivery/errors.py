"""What can go wrong between the seller's model and the buyer's disk.

::

    TraderError
    └── DeliveryError
        ├── EnvelopeError          a sealed message that this key, in this context, does not open
        ├── KeyFileError           an encryption key file can't be used, or the password is wrong
        ├── MessageError           a message from the other party is malformed
        ├── CiphertextError        the downloaded ciphertext is not the one that the seller committed to
        ├── DeliveryFaultError     the delivered model is not the listed one; carries the evidence that wins the dispute
        └── TransferError          a mailbox refused or could not deliver
            ├── MailboxFaultError    its disk failed or is full; an EnvironmentFaultError as well: try again
            └── NotDeliveredError    the message has not arrived
                └── SkippedMessageError  what lies in its place is not the message
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, TraderError

if TYPE_CHECKING:
    from trader.delivery.evidence import Evidence


class DeliveryError(TraderError):
    """Root of the errors of :mod:`trader.delivery`."""


class EnvelopeError(DeliveryError):
    """A sealed message does not open: damaged, for another key, or for another trade or purpose."""


class KeyFileError(DeliveryError):
    """An encryption key file is missing, damaged, or its password is wrong."""


class MessageError(DeliveryError):
    """A message from the other party is malformed."""


class CiphertextError(DeliveryError):
    """A ciphertext is not the one that the seller committed to."""


class DeliveryFaultError(DeliveryError):
    """The delivered model is not the listed one.

    Attributes:
        evidence: What the escrow needs to decide the dispute for the buyer.
    """

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.evidence = evidence


class TransferError(DeliveryError):
    """A message can't be put into or taken from a mailbox."""


class MailboxFaultError(TransferError, EnvironmentFaultError):
    """The shared folder can't be read or written: full, read-only or gone. Nothing is lost; it is tried again."""


class NotDeliveredError(TransferError):
    """A message has not arrived (yet)."""


class SkippedMessageError(NotDeliveredError):
    """What lies in a message's place is not the message: a stranger's bytes, or damaged ones. It may still arrive."""
