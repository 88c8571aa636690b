"""How messages travel between the two parties: whose they are, who can read them, and where they lie meanwhile.

A `Mailbox` (`open_mailbox`) carries messages, each with its `Label` and signed by its sender; what only the receiver
may read is in an envelope (`seal`, `EncryptionKey`), as are the `AuditInputs` that a buyer sends its seller.
"""

from trader.exchange.audit_inputs import AuditInputs
from trader.exchange.envelope import Context, EncryptionKey, Purpose, seal
from trader.exchange.errors import (
    EnvelopeError,
    ExchangeError,
    KeyFileError,
    MailboxFaultError,
    MessageError,
    NotDeliveredError,
    SkippedMessageError,
    TransferError,
)
from trader.exchange.folder import FolderMailbox
from trader.exchange.mailbox import Incoming, Mailbox, open_mailbox
from trader.exchange.signing import PUBLIC_KINDS, Kind, Label

__all__ = [
    "PUBLIC_KINDS",
    "AuditInputs",
    "Context",
    "EncryptionKey",
    "EnvelopeError",
    "ExchangeError",
    "FolderMailbox",
    "Incoming",
    "KeyFileError",
    "Kind",
    "Label",
    "Mailbox",
    "MailboxFaultError",
    "MessageError",
    "NotDeliveredError",
    "Purpose",
    "SkippedMessageError",
    "TransferError",
    "open_mailbox",
    "seal",
]
