"""Files that are whole or not there: the one way in which a party writes to its disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from trader.errors import EnvironmentFaultError

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_file(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write `data` to `path` atomically and durably: after a crash the file is the old one or the new one.

    Folders are made as needed. A secret file can be read by its owner alone, from its first byte on.

    Raises:
        EnvironmentFaultError: the disk is full, read-only, or the path can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), SECRET_MODE if secret else PUBLIC_MODE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> EnvironmentFaultError:
    return EnvironmentFaultError(f"{path} can't be written: {error.strerror}. Choose another folder or make room.")
