"""The mailbox that is a folder: shared by both parties, on one machine or mounted on two.

*Anyone* may write into it: one file per message, `root/<label.name>`, its trailer signed by the account that sends it
(`trader.exchange.signing`). A reader opens exactly the names that its trades have and never lists the folder, so
however many files lie there, they cost it nothing. What is read of one message, per step:

- nothing beyond its status, while what lies there is what was skipped the last time (it is looked at again after
  `trader.exchange.skipping.LOOK_AGAIN_SECONDS`, in case a file system shows old status);
- its trailer, if what lies there has no more than the bytes that the message may have;
- its bytes, if the trailer is the counterparty's own for this very label. Whoever puts such a trailer after other bytes
  costs at most one reading of them for each time they change; a look or delivery that took longer than
  a second is followed by a pause of nine times as long, for this message alone (`trader.exchange.pacing`).

A sender reserves a message's name before it tells anybody the anchor in it (`Mailbox.reserve`), and puts the
message in the place of whatever lies there, again whenever that has changed (`Mailbox.needs_delivery`). So in a
folder in which users can't remove each other's files (mode 1777, as /tmp) a stranger can stop nothing. In any other one
who removes messages faster than they are read can: the escrow's deadlines are for that, and for counterparties that
don't deliver.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from trader.exchange.errors import MailboxFaultError, NotDeliveredError, SkippedMessageError, TransferError
from trader.exchange.mailbox import Incoming, Mailbox, keccak_of
from trader.exchange.pacing import Pacing
from trader.exchange.shared_folder import SHARED_MODE, open_plain, reserve_name, write_over
from trader.exchange.signing import TRAILER_BYTES, Label, read_trailer, sign_trailer
from trader.exchange.skipping import Skipping
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trader.signer import Signer

T = TypeVar("T")

_FAULTS = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ESTALE})
"""Errors of reading that are the machine's. All others can be brought about by what somebody puts in a file's place."""


class Identity(NamedTuple):
    """Which file it is, and whether it has been written to since."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity of a file with this status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class FolderMailbox(Mailbox):
    """A shared folder, as one party uses it.

    Attributes:
        root: The folder; made when the first message is put. It is the user's own choice and may be a link.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._delivered: dict[str, Identity] = {}
        self._skipping = Skipping()
        self._pacing = Pacing()

    @classmethod
    def at(cls, endpoint: str) -> FolderMailbox:
        """Return the mailbox at a manifest's endpoint, a `file://` URL.

        Raises:
            TransferError: Another scheme, a remote host, or not an absolute path.
        """
        parts = urlsplit(endpoint)
        path = unquote(parts.path)
        if parts.scheme != "file" or parts.netloc or not path.startswith("/") or "\0" in path:
            raise TransferError(
                f"the endpoint {endpoint!r} is no mailbox: expected file:///path/to/folder or https://…"
            )
        return cls(Path(path))

    @property
    def endpoint(self) -> str:
        """The `file://` URL for the manifest."""
        return self.root.absolute().as_uri()

    # ------------------------------------------------------------------------------------------------------ sending

    def reserve(self, label: Label) -> None:
        """Take a message's name before others learn it, with an empty file; what has the name already is left.

        Raises:
            MailboxFaultError: The folder can't be written.
        """
        with self._writing(label) as directory:
            reserve_name(directory, label.name)

    def needs_delivery(self, label: Label) -> bool:
        """Return whether a message does not lie there as this process left it; costs a look at the file's status."""
        if self._pacing.pausing("send", label):
            return False
        left = self._delivered.get(label.name)
        return left is None or left != self._identity(label)

    def holds(self, label: Label, sender: str, limit_bytes: int) -> bytes | None:
        """Return the digest of the sender's message if it lies there, whole and of at most `limit_bytes`; else None."""
        try:
            with self._pacing.around("send", label), self._open(label) as file:
                status = os.fstat(file.fileno())
                if status.st_size > limit_bytes + TRAILER_BYTES:
                    return None
                digest = read_trailer(label, _trailer(file, status.st_size), sender)
                if keccak_of(file, status.st_size - TRAILER_BYTES) != digest:
                    return None
        except TransferError:
            return None
        self._delivered[label.name] = Identity.of(status)
        return digest

    def put(self, label: Label, message: bytes | memoryview, account: Signer) -> bool:
        """Deliver a message, unless it lies there whole; anything else that has its name is replaced.

        Returns:
            Whether it had to be written.

        Raises:
            MailboxFaultError: The folder can't be written, or does not let us replace what another user put there.
        """
        digest = keccak256(message)
        if self.holds(label, account.address, len(message)) == digest:
            return False
        pieces = (message, sign_trailer(label, digest, account))
        with self._pacing.around("send", label), self._writing(label) as directory:
            self._delivered[label.name] = Identity.of(write_over(directory, label.name, pieces, SHARED_MODE))
        return True

    # ---------------------------------------------------------------------------------------------------- receiving

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
            MailboxFaultError: The folder can't be read.
            EnvironmentFaultError: From `read`, which is tried again.
        """
        with self._open(label) as file:
            size_bytes = os.fstat(file.fileno()).st_size - TRAILER_BYTES
            if size_bytes > limit_bytes:
                text = f"what lies there for the {label} has {size_bytes} bytes, more than the {limit_bytes} allowed"
                raise SkippedMessageError(text)
            identity = Identity.of(os.fstat(file.fileno()))
            self._skipping.raise_if_skipped(
                label, sender, identity, pausing=self._pacing.pausing("read", label, sender)
            )
            with self._skipping.judging(label, sender, identity), self._pacing.around("read", label, sender):
                digest = read_trailer(label, _trailer(file, size_bytes + TRAILER_BYTES), sender)
                return read(Incoming(file, size_bytes, digest))

    # ------------------------------------------------------------------------------------------------------- inside

    def _identity(self, label: Label) -> Identity | None:
        try:
            return Identity.of((self.root / label.name).lstat())
        except OSError:
            return None

    @contextmanager
    def _open(self, label: Label) -> Iterator[BinaryIO]:
        """Yield the file that lies there for a message.

        Raises:
            NotDeliveredError: There is none, or it is reserved only; SkippedMessageError where it can't be one.
            MailboxFaultError: The folder can't be read.
        """
        try:
            with self._directory() as directory, os.fdopen(open_plain(directory, label.name), "rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    raise NotDeliveredError(f"the {label} has not arrived in {self.root}")
                yield file
        except FileNotFoundError as error:
            raise NotDeliveredError(f"the {label} has not arrived in {self.root}") from error
        except OSError as error:
            text = error.strerror or str(error)
            if error.errno in _FAULTS:
                raise MailboxFaultError(f"the folder {self.root} can't be read: {text}. Trying again.") from error
            raise SkippedMessageError(f"what lies there for the {label} can't be opened: {text}") from error

    @contextmanager
    def _writing(self, label: Label) -> Iterator[int]:
        """Yield the folder's descriptor, to write a message.

        Raises:
            MailboxFaultError: The folder can't be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._directory() as directory:
                yield directory
        except OSError as error:
            raise MailboxFaultError(
                f"the {label} can't be put into {self.root}: {error.strerror}. Nothing is lost: make room, or let this "
                "user write and replace files there; it is tried again."
            ) from error

    @contextmanager
    def _directory(self) -> Iterator[int]:
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            os.close(directory)


def _trailer(file: BinaryIO, size_bytes: int) -> bytes:
    """Return the last bytes of a file of this size; the file then stands at its beginning."""
    file.seek(max(0, size_bytes - TRAILER_BYTES))
    trailer = file.read(TRAILER_BYTES)
    file.seek(0)
    return trailer
