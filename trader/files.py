"""Files that are whole or not there: the one way in which a party writes to its disk."""

from __future__ import annotations

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
        EnvironmentFaultError: the disk is full, read-only, or the path can't be written.
    """
    with staged_file(path, secret=secret) as temporary:
        temporary.write_bytes(data)


@contextmanager
def staged_file(path: Path, *, secret: bool = True) -> Iterator[Path]:
    """A new file beside `path`, to be written in the block; at its end it takes the place of `path`, durably.

    Raises:
        EnvironmentFaultError: the disk is full, read-only, or the path can't be written, in the block as well.
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
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> EnvironmentFaultError:
    return EnvironmentFaultError(f"{path} can't be written: {error.strerror}. Choose another folder or make room.")
