"""The package's part of the user's cache, where things appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder(*names: str) -> Path:
    """A folder of the cache (not created); the cache may be removed at any time."""
    return platformdirs.user_cache_path("modelseal").joinpath(*names)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A private folder next to ``beside``: make a thing there, then rename it to ``beside``; removed at the end."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=beside.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
