"""Where a download lies until it is read: a file that another process goes on with, if this one is killed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from trader.exchange.mailbox import keccak_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TAG_CHARACTERS = 16


class Download:
    """The first bytes of a message, more or less of them."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size_bytes = file.seek(0, os.SEEK_END)
        self.resumed = self.size_bytes > 0

    def append(self, pieces: Iterable[bytes]) -> None:
        """Write what follows.

        Raises:
            OSError: It can't be kept.
        """
        for piece in pieces:
            self.file.write(piece)
            self.size_bytes += len(piece)
        self.file.flush()

    def holds(self, size_bytes: int, digest: bytes) -> bool:
        """Return whether it is the whole message with this keccak256."""
        if self.size_bytes != size_bytes:
            return False
        self.file.seek(0)
        return keccak_of(self.file, size_bytes) == digest

    def restart(self) -> None:
        """Forget what is there: it is another message's, or was torn by a crash."""
        self.file.truncate(0)
        self.size_bytes = self.file.seek(0)
        self.resumed = False


@contextmanager
def open_download(folder: Path | None, name: str, tag: str) -> Iterator[Download]:
    """Open the download of a message where an earlier process left it; it is gone once the block has ended well.

    Args:
        folder: A folder that no other process uses; None for a temporary file, which ends with the process.
        name: Of the message.
        tag: Of its bytes: others have another.

    Raises:
        OSError: The folder can't be used.
    """
    if folder is None:
        with tempfile.TemporaryFile() as temporary:
            yield Download(cast("BinaryIO", temporary))
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{hashlib.sha256(tag.encode()).hexdigest()[:_TAG_CHARACTERS]}.part"
    for stale in set(folder.glob(f"{name}.*.part")) - {path}:
        stale.unlink()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        yield Download(file)
    path.unlink()
