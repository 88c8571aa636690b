"""Copies a container from somebody else's file, part by part; a copy that was interrupted is resumed."""

import hashlib
import mmap
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from trader.he.errors import WireError
from trader.he.wire.header import PartHeader, check_field, parse_header, read_frame

_COPY_BYTES = 1 << 20


def fetch_container(source: BinaryIO, target: Path, limit_bytes: int) -> memoryview:
    """Copy a container from a file that somebody else may change, into one of our own; then map that.

    Parts are checked against the header as they come. A copy that was interrupted is resumed by the next call: parts
    that are whole are kept, the others are copied again.

    Args:
        source: The container, from its first byte on; seekable.
        target: Written under another name until it is whole.
        limit_bytes: Largest size that is accepted.

    Returns:
        The container, read-only; `read_container` checks what this doesn't.

    Raises:
        WireError: Not a container, too large, cut off, or a part that doesn't have its digest; good parts are kept.
        OSError: The target can't be written.
    """
    frame = read_frame(partial(_read_at, source))
    parts = parse_header(frame).parts
    size = len(frame) + sum(part.bytes for part in parts)
    if size > limit_bytes:
        raise WireError(f"the container has {size} bytes, more than the {limit_bytes} that the plan allows")
    unfinished = target.with_name(f".{target.name}.partial")
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        _copy_missing(source, file, frame, parts)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
        container = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    unfinished.replace(target)
    return container


def _copy_missing(source: BinaryIO, file: BinaryIO, frame: bytes, parts: Sequence[PartHeader]) -> None:
    """Copy the parts that an earlier, interrupted copy doesn't hold; all of them if it was another container's."""
    if file.read(len(frame)) != frame:
        file.seek(0)
        file.truncate()
        file.write(frame)
    position = len(frame)
    for index, part in enumerate(parts):
        if _digest_at(file, position, part.bytes) != part.sha256:
            source.seek(position)
            file.seek(position)
            found = _copy(source, file, part.bytes)
            check_field(f"SHA-256 of part {index}", found, part.sha256)
        position += part.bytes


def _read_at(source: BinaryIO, position: int, count: int) -> bytes:
    source.seek(position)
    return source.read(count)


def _digest_at(file: BinaryIO, position: int, count: int) -> str:
    """Return the SHA-256 of bytes of a file; of fewer, if it is shorter."""
    file.seek(position)
    hasher = hashlib.sha256()
    while count and (piece := file.read(min(count, _COPY_BYTES))):
        hasher.update(piece)
        count -= len(piece)
    return "0x" + hasher.hexdigest()


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> str:
    """Copy bytes and return their SHA-256."""
    hasher = hashlib.sha256()
    while count:
        piece = source.read(min(count, _COPY_BYTES))
        if not piece:
            raise WireError(f"the container ends {count} bytes before a part does. Fetch it again.")
        hasher.update(piece)
        target.write(piece)
        count -= len(piece)
    return "0x" + hasher.hexdigest()
