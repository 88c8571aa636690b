"""Files that are whole or not there, whatever happens while they are written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def writing_whole(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of `path`, durably, when the block ends; when it raises, nothing changes.

    Raises:
        OSError: It can't be written.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
    _sync_folder(path.parent)


def write_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write `content` in the place of `path`, durably.

    Raises:
        OSError: It can't be written.
    """
    with writing_whole(path, mode=mode) as file:
        file.write(content)


def write_new(path: Path, content: bytes) -> None:
    """Write `content` to a file that is not there yet (mode 0600), durably.

    Raises:
        FileExistsError: It is there.
        OSError: It can't be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
