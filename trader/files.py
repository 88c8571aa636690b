"""Files that are whole or not there: how a party writes to its own disk.

What is written here survives a crash of the machine. Two other places have guarantees of their own:
`trader.exchange.shared_folder` writes where strangers write too, `zk.storage` makes what may be lost and made again.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_file(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write `data` to `path` atomically and durably: after a crash the file is the old one or the new one.

    Folders are made as needed. A secret file can be read by its owner alone, from its first byte on.

    Raises:
        EnvironmentFaultError: The disk is full, read-only, or the path can't be written.
    """
    with staged_file(path, secret=secret) as temporary:
        temporary.write_bytes(data)


def create_file(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write `data` to a new file, as `write_file` does; what has the name already is left as it is, links too.

    Raises:
        FileExistsError: The name is taken.
        EnvironmentFaultError: The disk is full, read-only, or the path can't be written.
    """
    with staged_file(path, secret=secret, replacing=False) as temporary:
        temporary.write_bytes(data)


@contextmanager
def staged_file(path: Path, *, secret: bool = True, replacing: bool = True) -> Iterator[Path]:
    """Make a file beside `path`, to be written in the block; at its end it is put at `path`, durably.

    Args:
        path: Where the file is to be.
        secret: Whether its owner alone can read it.
        replacing: Whether it takes the place of a file that is there.

    Raises:
        FileExistsError: The name is taken, and it is not `replacing`.
        EnvironmentFaultError: The disk is full, read-only, or the path can't be written, in the block as well.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        os.fchmod(descriptor, SECRET_MODE if secret else PUBLIC_MODE)
        yield temporary
        os.fsync(descriptor)
        if replacing:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # unlike a rename, refuses to replace
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and not replacing:
            raise
        raise _unwritable(path, error) from error
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Run the block while no other process or thread runs one for the same folder; those that do are waited for.

    Raises:
        EnvironmentFaultError: The folder is not there or can't be locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise EnvironmentFaultError(f"{folder} can't be locked: {error.strerror}. Name another folder.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise EnvironmentFaultError(f"{folder} can't be locked: {error.strerror}. Choose another disk.") from error
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: a file's own sync leaves out the name that it was given."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> EnvironmentFaultError:
    return EnvironmentFaultError(f"{path} can't be written: {error.strerror}. Choose another folder or make room.")
