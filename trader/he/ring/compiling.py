"""How kernels are compiled, and when what Numba keeps of them on disk is compiled again.

Numba keeps machine code as long as the file that a function stands in is the same. But that code holds all that the
function calls, and what `trader.he.ring.vectors` wrote into it: after an upgrade that mends one module, the others
would go on with what they were once compiled with. So all files of this folder count for each kernel, beside its own;
what is compiled calls nothing from other folders.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core import caching


def _digest(folder: Path) -> bytes:
    """SHA-256 of all modules in a folder, by name and content."""
    hasher = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        content = source.read_bytes()
        hasher.update(f"{source.name} {len(content)} ".encode() + content)
    return hasher.digest()


SOURCES = _digest(Path(__file__).parent)


class _Stamped:
    """Adds this folder to what Numba asks about the age of machine code."""

    def get_source_stamp(self) -> tuple[Any, bytes]:
        """Return what changes when a kernel has to be compiled again."""
        return super().get_source_stamp(), SOURCES  # type: ignore[misc]


class GivenFolder(_Stamped, caching.UserProvidedCacheLocator):
    """Machine code in the folder that `NUMBA_CACHE_DIR` names."""


class BesideSources(_Stamped, caching.InTreeCacheLocator):
    """Machine code beside the modules."""


class UsersCache(_Stamped, caching.UserWideCacheLocator):
    """Machine code in the user's cache, where modules can't be written beside."""


LOCATORS = (GivenFolder, BesideSources, UsersCache)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile without the interpreter lock and keep the machine code on disk."""
    with _own_locators():
        return njit(cache=True, nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Part of a kernel."""
    return njit(inline="always", error_model="numpy")(function)


def is_compiled(function: Any) -> bool:
    """Whether the machine code of a kernel lies on disk, for some processor and as the sources are now."""
    # Numba's public ways tell where it would lie alone; a file's age says nothing, as content counts.
    return bool(function._cache._cache_file._load_index())


@contextmanager
def _own_locators() -> Iterator[None]:
    """Have Numba ask ours, unless the user has named others (`NUMBA_CACHE_LOCATOR_CLASSES`)."""
    settings: Any = config
    named = settings.CACHE_LOCATOR_CLASSES
    settings.CACHE_LOCATOR_CLASSES = named or ",".join(f"{__name__}.{locator.__name__}" for locator in LOCATORS)
    try:
        yield
    finally:
        settings.CACHE_LOCATOR_CLASSES = named
