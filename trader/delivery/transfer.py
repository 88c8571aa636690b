"""Mailboxes: how requests, responses and models travel between seller and buyer.

This one is a shared folder: ``root/<channel>/<kind>``. A message is written once, whole, and never changes. What the
other party wrote is not trusted: names are checked, links are not followed, sizes are bounded before anything is read,
and the digest that the chain holds is compared where there is one. Not guaranteed: that the other party delivers at
all; the escrow's deadlines are for that.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Kind(Enum):
    """The messages of a trade and of a listing."""

    PACKAGE = "package"
    REQUEST = "request"
    RESPONSE = "response"
    AUDIT_INPUTS = "audit-inputs"
    MODEL = "model"


def trade_channel(trade_id: int) -> str:
    """The channel of a trade."""
    return f"trade-{trade_id}"


def listing_channel(manifest_hash: bytes) -> str:
    """The channel on which a seller publishes a listing's public package."""
    return f"listing-{manifest_hash.hex()}"


class Mailbox:
    """A shared folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def at(cls, endpoint: str) -> Mailbox:
        """The mailbox at a manifest's endpoint, a ``file://`` URL.

        Raises:
            TransferError: Another scheme, or not an absolute path.
        """
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """The ``file://`` URL for the manifest."""
        return self.root.absolute().as_uri()

    def put(self, channel: str, kind: Kind, data: bytes) -> bytes:
        """Deliver a message; delivering the same bytes again does nothing.

        Returns:
            keccak256 of ``data``: the digest that the chain holds.

        Raises:
            TransferError: Other bytes were delivered before, or the folder can't be written.
        """
        raise NotImplementedError

    def get(self, channel: str, kind: Kind, limit_bytes: int, digest: bytes | None = None) -> bytes:
        """Take a message that has arrived.

        Raises:
            NotDeliveredError: It has not arrived.
            TransferError: It is larger than ``limit_bytes``, not a plain file, or does not have the digest.
        """
        raise NotImplementedError

    def wait(
        self, channel: str, kind: Kind, limit_bytes: int, digest: bytes | None = None, *, timeout_seconds: float
    ) -> bytes:
        """Take a message, waiting until it arrives.

        Raises:
            NotDeliveredError: It has not arrived in time.
            TransferError: As for :meth:`get`.
        """
        raise NotImplementedError
