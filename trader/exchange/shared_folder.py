"""Read and write files in a folder where strangers write too: they may have taken any name, with anything.

No link is followed, no pipe waited for, and a message is there whole or not at all. A party's own files are
`trader.files`.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHARED_MODE = 0o644
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def reserve_name(directory: int, name: str) -> None:
    """Put an empty file under `name`, durably, unless something has that name.

    Args:
        directory: The folder's descriptor.
        name: A file name without directories.

    Raises:
        OSError: The folder can't be written.
    """
    try:
        os.close(os.open(name, _CREATE, SHARED_MODE, dir_fd=directory))
    except FileExistsError:
        return
    os.fsync(directory)


def write_over(directory: int, name: str, pieces: Sequence[bytes | memoryview], mode: int) -> os.stat_result:
    """Put a file in the place of whatever is called `name`: file, link, pipe or folder; a folder is moved aside.

    Args:
        directory: The folder's descriptor.
        name: A file name without directories.
        pieces: The contents, one after the other.
        mode: Permissions, from the first byte on.

    Returns:
        The status of the file in its place.

    Raises:
        OSError: The folder can't be written, or does not let us replace what another user put there.
    """
    with _temporary(directory, name, pieces, mode) as (descriptor, temporary):
        try:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except IsADirectoryError:
            os.rename(name, f".{secrets.token_hex(16)}.aside", src_dir_fd=directory, dst_dir_fd=directory)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        return os.fstat(descriptor)


def open_plain(directory: int, name: str) -> int:
    """Open a plain file for reading: a link is not followed, and a pipe in a file's place does not block.

    Raises:
        OSError: It can't be opened, or is none.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise IsADirectoryError("not a plain file")


@contextmanager
def _temporary(directory: int, name: str, pieces: Sequence[bytes | memoryview], mode: int) -> Iterator[tuple[int, str]]:
    """Yield a file with these contents under a name of its own, which is gone at the end of the block."""
    temporary = f".{name}.part"
    try:
        # What a killed process left of an earlier attempt must not add up.
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        descriptor = os.open(temporary, _CREATE, mode, dir_fd=directory)
    except (FileExistsError, IsADirectoryError, PermissionError):  # somebody squats that name
        temporary = f".{name}.{secrets.token_hex(8)}"
        descriptor = os.open(temporary, _CREATE, mode, dir_fd=directory)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask: the other party has to read it
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.writelines(pieces)
        os.fsync(descriptor)
        yield descriptor, temporary
    finally:
        # On a full disk too: what a failed attempt leaves would fill the next one's room.
        # Somebody may have taken the name since it was free: that must not undo a delivery.
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        os.close(descriptor)
