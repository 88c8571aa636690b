"""Mailboxes: how requests, responses and models travel between seller and buyer.

This one is a shared folder: ``root/<channel>/<kind>``. A message is written once, whole, and never changes. What the
other party wrote is not trusted: names are checked, links are not followed, sizes are bounded before anything is read,
and the digest that the chain holds is compared where there is one. Not guaranteed: that the other party delivers at
all, or leaves in place what was delivered; the escrow's deadlines are for that.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from trader.delivery.errors import NotDeliveredError, TransferError
from trader.delivery.files import SHARED_MODE, write_new
from zk.commitments.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
_POLL_SECONDS = 0.1
_PLAIN_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link is not followed, and a pipe in a file's place does not block."""


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
    """A shared folder.

    Attributes:
        root: The folder; made when the first message is put. It is the user's own choice and may be a link.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def at(cls, endpoint: str) -> Mailbox:
        """The mailbox at a manifest's endpoint, a ``file://`` URL.

        Raises:
            TransferError: Another scheme, a remote host, or not an absolute path.
        """
        parts = urlsplit(endpoint)
        path = unquote(parts.path)
        if parts.scheme != "file" or parts.netloc or not path.startswith("/") or "\0" in path:
            raise TransferError(f"the endpoint {endpoint!r} is not a local folder: expected file:///path/to/folder")
        return cls(Path(path))

    @property
    def endpoint(self) -> str:
        """The ``file://`` URL for the manifest."""
        return self.root.absolute().as_uri()

    def put(self, channel: str, kind: Kind, data: bytes | memoryview) -> bytes:
        """Deliver a message; delivering the same bytes again does nothing.

        Returns:
            keccak256 of ``data``: the digest that the chain holds.

        Raises:
            TransferError: Other bytes were delivered before, or the folder can't be written.
        """
        digest = keccak256(data)
        try:
            (self.root / _checked(channel)).mkdir(parents=True, exist_ok=True)
            with self._open_channel(channel) as directory:
                write_new(directory, kind.value, data, SHARED_MODE)
        except FileExistsError:
            # A repeated delivery, after a crash for instance, is fine; a different one is not.
            self.get(channel, kind, len(data), digest)
        except OSError as error:
            raise TransferError(f"{self.root}/{channel} cannot be written: {error.strerror}") from error
        return digest

    def get(self, channel: str, kind: Kind, limit_bytes: int, digest: bytes | None = None) -> bytes:
        """Take a message that has arrived.

        Raises:
            NotDeliveredError: It has not arrived.
            TransferError: It is larger than ``limit_bytes``, not a plain file, or does not have the digest.
        """
        with self.open(channel, kind, limit_bytes) as file:
            data = _read_whole(file, f"{kind.value} of {channel}")
        if digest is not None and keccak256(data) != digest:
            name = f"{kind.value} of {channel}"
            raise TransferError(f"{name} has the digest 0x{keccak256(data).hex()}, expected 0x{digest.hex()}")
        return data

    @contextmanager
    def open(self, channel: str, kind: Kind, limit_bytes: int) -> Iterator[BinaryIO]:
        """A message that has arrived, as a file that its sender may still change.

        Raises:
            NotDeliveredError: It has not arrived.
            TransferError: It is larger than ``limit_bytes``, not a plain file, or can't be read.
        """
        name = f"{kind.value} of {_checked(channel)}"
        try:
            with self._open_channel(channel) as directory:
                file = _open_plain(directory, kind.value, limit_bytes, name)
        except FileNotFoundError as error:
            raise NotDeliveredError(f"{name} has not arrived in {self.root}") from error
        except OSError as error:
            raise TransferError(f"{name} cannot be read: {error.strerror}") from error
        with file:
            yield file

    def wait(
        self, channel: str, kind: Kind, limit_bytes: int, digest: bytes | None = None, *, timeout_seconds: float
    ) -> bytes:
        """Take a message, waiting until it arrives.

        Raises:
            NotDeliveredError: It has not arrived in time.
            TransferError: As for :meth:`get`.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self.get(channel, kind, limit_bytes, digest)
            except NotDeliveredError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def _open_channel(self, channel: str) -> Iterator[int]:
        """The channel's folder, never through a link below the root."""
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            directory = os.open(channel, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        finally:
            os.close(root)
        try:
            yield directory
        finally:
            os.close(directory)


def _checked(channel: str) -> str:
    if not _CHANNEL.fullmatch(channel):
        raise TransferError(f"{channel!r} is not the name of a channel")
    return channel


def _open_plain(directory: int, name: str, limit_bytes: int, description: str) -> BinaryIO:
    """Open a plain file of at most ``limit_bytes``."""
    file = os.fdopen(os.open(name, _PLAIN_READ, dir_fd=directory), "rb")
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= limit_bytes:
        return file
    file.close()
    if not stat.S_ISREG(status.st_mode):
        raise TransferError(f"{description} is not a plain file")
    raise TransferError(f"{description} has {status.st_size} bytes, more than the {limit_bytes} allowed")


def _read_whole(file: BinaryIO, description: str) -> bytes:
    """The contents of a file that does not grow meanwhile."""
    size = os.fstat(file.fileno()).st_size
    data = file.read(size + 1)
    if len(data) != size:
        raise TransferError(f"{description} changes while it is read: messages are delivered whole")
    return data
