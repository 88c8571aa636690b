"""A mailbox that believes the folder: what protects messages from strangers, left out.

It asks for no signature, never mends what it has delivered, takes no name back, and passes on what a reader makes of a
stranger's bytes as if the counterparty had sent them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from trader.exchange import FolderMailbox, Incoming, TransferError
from trader.exchange.signing import TRAILER_BYTES
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount

    from trader.exchange import Label

T = TypeVar("T")


class Unchecked(Incoming):
    """A message that is read as it lies there."""

    def read(self) -> bytes:
        return self.file.read(self.size_bytes)


class TrustingMailbox(FolderMailbox):
    """Write once, read whatever lies there."""

    def reserve(self, label: Label) -> None:
        """Names are free until something is delivered."""

    def needs_delivery(self, label: Label) -> bool:
        return label.name not in self._delivered

    def put(self, label: Label, message: bytes | memoryview, account: LocalAccount) -> bool:
        if os.path.lexists(self.root / label.name):
            raise TransferError(f"{label.name} is taken")
        return super().put(label, message, account)

    def take(self, label: Label, sender: str, limit_bytes: int, read: Callable[[Incoming], T]) -> T:
        with self._open(label) as file:
            size_bytes = max(0, os.fstat(file.fileno()).st_size - TRAILER_BYTES)
            return read(Unchecked(file, size_bytes, keccak256(b"")))
