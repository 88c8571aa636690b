"""What can go wrong between one party's message and the other's disk.

::

    TraderError
    └── ExchangeError
        ├── EnvelopeError          a sealed message that this key, in this context, does not open
        ├── KeyFileError           an encryption key file can't be used, or the password is wrong
        ├── MessageError           a message from the other party is malformed
        └── TransferError          a mailbox refused or could not deliver
            ├── MailboxFaultError    its disk failed or is full; an EnvironmentFaultError as well: try again
            └── NotDeliveredError    the message has not arrived
                └── SkippedMessageError  what lies in its place is not the message
"""

from __future__ import annotations

from trader.errors import EnvironmentFaultError, TraderError


class ExchangeError(TraderError):
    """Root of the errors of `trader.exchange`."""


class EnvelopeError(ExchangeError):
    """A sealed message does not open: damaged, for another key, or for another trade or purpose."""


class KeyFileError(ExchangeError):
    """An encryption key file is missing, damaged, or its password is wrong."""


class MessageError(ExchangeError):
    """A message from the other party is malformed."""


class TransferError(ExchangeError):
    """A message can't be put into or taken from a mailbox."""


class MailboxFaultError(TransferError, EnvironmentFaultError):
    """The shared folder can't be read or written: full, read-only or gone. Nothing is lost; it is tried again."""


class NotDeliveredError(TransferError):
    """A message has not arrived (yet)."""


class SkippedMessageError(NotDeliveredError):
    """What lies in a message's place is not the message: a stranger's bytes, or damaged ones. It may still arrive."""
