"""Mailboxes: how packages, requests, responses and models travel between seller and buyer.

`Mailbox` is what a party uses; `open_mailbox` makes the one that a URL names:

- `file://`: a folder that both parties reach and anyone may write to (`trader.exchange.folder`);
- `http(s)://`: the seller's service, as a buyer uses it (`trader.exchange.http`).

The seller's own side of its service is `trader.service.store`. Whichever it is, it is not trusted: what a reader
takes carries its sender's signature for this very label (`trader.exchange.signing`), and whatever else lies in a
message's place is skipped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

from Crypto.Hash import keccak

from trader.exchange.errors import SkippedMessageError
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.exchange.signing import Label
    from trader.signer import Signer

T = TypeVar("T")

PIECE_BYTES = 1 << 20
"""As much of a message is in memory at once where it is only passed on."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message whose trailer is its sender's; the bytes may still be anything, and change at any time.

    Attributes:
        file: From the message's first byte on; the trailer follows its last.
        size_bytes: Size of the message.
        digest: keccak256 of the message, as its sender has signed it.
    """

    file: BinaryIO
    size_bytes: int
    digest: bytes

    def read(self) -> bytes:
        """Return the message as it was signed.

        Raises:
            SkippedMessageError: The bytes are others.
        """
        data = self.file.read(self.size_bytes)
        if keccak256(data) != self.digest:
            raise SkippedMessageError(
                "the bytes are not those that its sender has signed: cut off, damaged or replaced"
            )
        return data


class Mailbox(ABC):
    """Where a party leaves messages for its counterparties, and takes theirs; as a context, closed at its end."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The URL for the manifest, from which `open_mailbox` makes a buyer's mailbox."""

    # ------------------------------------------------------------------------------------------------------ sending

    @abstractmethod
    def reserve(self, label: Label) -> None:
        """Take a message's name before others learn it; what has the name already is left.

        Raises:
            MailboxFaultError: Nothing can be written.
        """

    @abstractmethod
    def needs_delivery(self, label: Label) -> bool:
        """Return whether a message does not lie there as this process left it; cheap, as it is asked at each step."""

    @abstractmethod
    def holds(self, label: Label, sender: str, limit_bytes: int) -> bytes | None:
        """Return the keccak256 of the sender's message if it lies there, whole and of at most `limit_bytes`."""

    @abstractmethod
    def put(self, label: Label, message: bytes | memoryview, account: Signer) -> bool:
        """Deliver a message, unless it lies there whole.

        Returns:
            Whether it had to be written.

        Raises:
            MailboxFaultError: It can't be written now; it is tried again.
            TransferError: It is refused.
        """

    # ---------------------------------------------------------------------------------------------------- receiving

    @abstractmethod
    def take(self, label: Label, sender: str, limit_bytes: int, read: Callable[[Incoming], T]) -> T:
        """Take a message that has arrived from its sender.

        Args:
            label: Which.
            sender: Account that must have signed it, 0x-hex.
            limit_bytes: Most bytes that it may have.
            read: Makes something of it, or raises a TraderError if it is not the message after all. It is then skipped
                until other bytes lie there.

        Raises:
            NotDeliveredError: It has not arrived; SkippedMessageError, a subclass, where something else lies there.
            MailboxFaultError: Nothing can be read now; it is tried again.
            EnvironmentFaultError: From `read`, which is tried again.
        """

    def get(self, label: Label, sender: str, limit_bytes: int) -> bytes:
        """Take a message that has arrived; as `take` with all of its bytes."""
        return self.take(label, sender, limit_bytes, lambda message: message.read())

    # ------------------------------------------------------------------------------------------------------ closing

    def close(self) -> None:  # noqa: B027 - most have nothing to let go
        """Let connections go, where there are any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_mailbox(
    endpoint: str, account: Signer | None = None, *, plain_http: bool = False, folder: Path | None = None
) -> Mailbox:
    """Return the mailbox at a manifest's endpoint, as a buyer uses it.

    Args:
        endpoint: `file:///path/to/folder` or `https://host[:port][/path]`.
        account: Signs requests to a service; without one only packages can be read there.
        folder: Where downloads from a service lie until they are read: the user's own; None for temporary files.
        plain_http: Whether `http://` is allowed to other machines than this one: everybody on the way sees who trades.

    Raises:
        TransferError: The URL is none of these.
    """
    # Each brings its libraries along, and a party uses one of them.
    if urlsplit(endpoint).scheme in ("http", "https"):
        from trader.exchange.http import HttpMailbox

        return HttpMailbox(endpoint, account, plain_http=plain_http, folder=folder)
    from trader.exchange.folder import FolderMailbox

    return FolderMailbox.at(endpoint)


def keccak_of(file: BinaryIO, count: int) -> bytes:
    """keccak256 of the next bytes, of which no more than a piece is in memory."""
    hasher = keccak.new(digest_bits=256)
    while count > 0 and (piece := file.read(min(count, PIECE_BYTES))):
        hasher.update(piece)
        count -= len(piece)
    return hasher.digest()
