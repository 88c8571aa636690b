"""Looks for secrets wherever somebody may see them, in every form in which they are commonly written."""

from __future__ import annotations

import base64
import dataclasses
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

OURS = ("trader.", "zk.", "ledger.", "contracts.")
SHORTEST = 12
"""Bytes of a secret: what is shorter stands somewhere by chance."""


def forms(secret: bytes) -> set[bytes]:
    """A secret as bytes, hex, base64 at each alignment, numbers, and as Python shows it."""
    assert len(secret) >= SHORTEST, secret
    encoded = {secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode(), secret[::-1].hex().encode()}
    for shift in range(3):
        # The characters that neighbours have a part in are left out.
        whole = base64.b64encode(bytes(shift) + secret)[(0, 2, 3)[shift] :]
        inner = whole[: len(whole) // 4 * 4 - 4]
        encoded |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    encoded |= {str(int.from_bytes(secret, order)).encode() for order in ("big", "little")}  # type: ignore[arg-type]
    encoded |= {repr(secret)[2:-1].encode(), str(list(secret))[1:-1].encode()}
    return {form for form in encoded if len(form) >= SHORTEST}


def find_secrets(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> list[str]:
    """Which secrets stand in which places."""
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    return sorted({f"{name} in {place}" for place, data in places.items() for name, form in wanted if form in data})


def files_of(*folders: Path) -> dict[str, bytes]:
    """Every file below some folders, with its name: that is seen as well."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): str(path).encode() + path.read_bytes() for path in paths}


def shown_objects() -> dict[str, bytes]:
    """What Python shows of every dataclass of ours that is alive."""
    alive: Iterable[object] = gc.get_objects()
    shown: dict[str, bytes] = {}
    for thing in alive:
        # A proxy asked for what it stands for, which may be gone, raises; its type is that of proxies.
        kind = type(thing)
        if dataclasses.is_dataclass(kind) and kind.__module__.startswith(OURS):
            name = f"repr of {kind.__module__}.{kind.__name__}"
            shown[name] = shown.get(name, b"") + repr(thing).encode()
    return shown
