"""A party's own folder: one account's, and one process's at a time.

Two processes in one folder would write over each other's keys and pay fees twice; another account in a used folder
would answer for a trade that isn't its own. Objects of one process share the folder's lock, which ends with the last of
them, or with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, FolderTakenError, PartyFolderError
from trader.files import write_file
from trader.parties.filenames import LOCK, OWNER

if TYPE_CHECKING:
    from pathlib import Path

AUDIT_LOG = "audit.sqlite"
"""A party's audit log, in its folder: a database of its own, which no vault keeps and which has no secrets."""
_held: weakref.WeakValueDictionary[tuple[int, int], FolderLock] = weakref.WeakValueDictionary()
"""The locks of this process, by device and inode of the lock's file, which stay while it is open."""


class FolderLock:
    """A folder that this process holds, as long as this object lives."""

    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)


def claim_folder(folder: Path, owner: str) -> FolderLock:
    """Take a folder for a party: it is made if it is missing.

    Args:
        folder: The party's own.
        owner: Role and account.

    Raises:
        PartyFolderError: It belongs to another party; FolderTakenError, a subclass, where another process works in it.
        EnvironmentFaultError: It can't be written.
    """
    lock = lock_folder(folder)
    path = folder / OWNER
    if not path.exists():
        write_file(path, owner.encode())
    found = path.read_text(errors="replace")
    if found != owner:
        raise PartyFolderError(f"{folder} belongs to the {found}, this is the {owner}. Name another folder.")
    return lock


def lock_folder(folder: Path) -> FolderLock:
    """Take a folder for this process, as long as the lock lives.

    Raises:
        FolderTakenError: Another process works in it.
        EnvironmentFaultError: It can't be made or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentFaultError(f"{folder} can't be used: {error.strerror}. Choose another folder.") from error
    status = os.fstat(descriptor)
    key = status.st_dev, status.st_ino
    if (held := _held.get(key)) is not None:
        os.close(descriptor)  # of another open file than the lock's own: that one stays locked
        return held
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FolderTakenError(
            f"another process works in {folder}: wait until it has ended, or name another folder with an account and "
            "trade of its own."
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise EnvironmentFaultError(f"{folder} can't be locked: {error.strerror}. Choose another disk.") from error
    _held[key] = lock = FolderLock(descriptor)
    return lock
