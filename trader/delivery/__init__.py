"""Delivery: the encrypted model, sealed messages, and how they travel.

In the order of a trade: :class:`Mailbox` carries messages, each with its :class:`Label` and signed by its sender;
:class:`AuditInputs` go to the seller and the encrypted
model to the buyer in envelopes (:func:`seal`, :class:`EncryptionKey`); :func:`encrypt_artifact` makes the ciphertext
that :func:`verify_ciphertext` checks before it is accepted; :func:`check_delivery` ends in the model or in evidence.
"""

from trader.delivery.audit_inputs import AuditInputs
from trader.delivery.check import DeliveryTerms, check_delivery
from trader.delivery.cipher import (
    ciphertext_tree,
    decrypt_artifact,
    encrypt_artifact,
    generate_key,
    key_hash,
    verify_ciphertext,
)
from trader.delivery.envelope import Context, EncryptionKey, Purpose, seal
from trader.delivery.errors import (
    CiphertextError,
    DeliveryError,
    DeliveryFaultError,
    EnvelopeError,
    KeyFileError,
    MailboxFaultError,
    MessageError,
    NotDeliveredError,
    SkippedMessageError,
    TransferError,
)
from trader.delivery.evidence import (
    CiphertextChunk,
    Evidence,
    RangeEvidence,
    SumChunkEvidence,
    SumLeaf,
    SumStepEvidence,
    WeightsChunkEvidence,
)
from trader.delivery.signing import Kind, Label
from trader.delivery.transfer import Incoming, Mailbox

__all__ = [
    "AuditInputs",
    "CiphertextChunk",
    "CiphertextError",
    "Context",
    "DeliveryError",
    "DeliveryFaultError",
    "DeliveryTerms",
    "EncryptionKey",
    "EnvelopeError",
    "Evidence",
    "Incoming",
    "KeyFileError",
    "Kind",
    "Label",
    "Mailbox",
    "MailboxFaultError",
    "MessageError",
    "NotDeliveredError",
    "Purpose",
    "RangeEvidence",
    "SkippedMessageError",
    "SumChunkEvidence",
    "SumLeaf",
    "SumStepEvidence",
    "TransferError",
    "WeightsChunkEvidence",
    "check_delivery",
    "ciphertext_tree",
    "decrypt_artifact",
    "encrypt_artifact",
    "generate_key",
    "key_hash",
    "seal",
    "verify_ciphertext",
]
