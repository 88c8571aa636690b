"""Write a file once: whole or not at all, and never over another one."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_MODE = 0o600
SHARED_MODE = 0o644


def write_new(folder: Path | int, name: str, data: bytes | memoryview, mode: int) -> None:
    """Create ``name`` in ``folder`` with ``data``.

    A crash leaves either nothing under that name or the whole file, on disk; a link of that name is not followed.

    Args:
        folder: A path, or a directory's file descriptor.
        name: A file name without directories.
        data: The contents.
        mode: Permissions, from the first byte on.

    Raises:
        FileExistsError: The name is taken.
        OSError: The folder can't be written.
    """
    directory = folder if isinstance(folder, int) else os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    temporary = f".{name}.{secrets.token_hex(8)}"
    try:
        _write(directory, temporary, data, mode)
        try:
            # A hard link, unlike a rename, refuses to replace an existing file.
            os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.unlink(temporary, dir_fd=directory)
        os.fsync(directory)
    finally:
        if directory is not folder:
            os.close(directory)


def _write(directory: int, name: str, data: bytes | memoryview, mode: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
