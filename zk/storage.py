"""Folders on disk for what may be lost and made again: the user's cache, and scratch that no crash leaves.

Things appear in the cache whole or not at all where processes are killed: they are made in a `scratch_folder` and
renamed. Nothing is synced to the disk, so that a crash of the machine may take what was just made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY_PREFIX = "modelseal-"
SWEPT_AFTER_SECONDS = 60.0


def cache_folder(*names: str) -> Path:
    """Return a folder of the cache (not created); the cache may be removed at any time."""
    return platformdirs.user_cache_path("modelseal").joinpath(*names)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield a private folder next to `beside`: make a thing there, then rename it to `beside`; removed at the end."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    with _folder_of_this_process(beside.parent, ".making-") as scratch:
        yield scratch


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yield a private folder in the system's place for such; removed at the end, or after this process was killed.

    What it holds may be secret (a witness holds the parameters), and large.
    """
    with _folder_of_this_process(Path(tempfile.gettempdir()), TEMPORARY_PREFIX, f"{purpose}-") as folder:
        yield folder


@contextmanager
def _folder_of_this_process(parent: Path, prefix: str, purpose: str = "") -> Iterator[Path]:
    """Yield a folder that is locked as long as this process lives, after those of killed ones were removed."""
    _sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix + purpose, dir=parent))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _try_lock(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove folders whose processes were killed. A fresh one may not be locked yet: it is left for the next time."""
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                old = abs(time.time() - status.st_mtime) > SWEPT_AFTER_SECONDS
                if old and status.st_uid == os.getuid() and _try_lock(descriptor):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock a folder; whether that was possible: not where another process has it, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
