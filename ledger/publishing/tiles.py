"""The log as files that standard clients read (c2sp.org/tlog-tiles v0.1.0, as of 2026-07-22), served by any web server.

    checkpoint                 the signed checkpoint
    tile/<level>/<number>      256 hashes of 32 bytes: of the entries (level 0), of whole tiles below (level 1, …)
    tile/entries/<number>      256 entries, each after its length (2 bytes, big-endian)

A number is written in groups of three digits (`x001/x234/067`); the last tile of a level is partial and has its width
behind its name (`067.p/12`). A tile never changes once it is written; the checkpoint is replaced when all of its tiles
are there, so that whoever reads it finds them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from ledger.checkpoint import Checkpoint
from ledger.encoding import encode_entry
from ledger.errors import InvalidRecordError, LedgerUnavailableError, NoteError, ProofError, TreeError
from ledger.files import write_whole
from ledger.log import AuditLog
from ledger.notes.note import SignedNote
from ledger.reading.merkle_proofs import check_is_ours
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES, NODES

CHECKPOINT: Final = "checkpoint"
HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAXIMUM_BUNDLED_BYTES: Final = 2**16 - 1
ENTRIES_LEVEL: Final = "entries"
PUBLIC_MODE: Final = 0o644


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return where a tile stands below the log's prefix.

    Args:
        level: Of the tree, in steps of 8; `entries` for the entries themselves.
        number: Of the tile in its level, from 0.
        width: How many hashes it has, 1 to 256.
    """
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def tiles_of(entries: int) -> Iterator[tuple[int, int, int]]:
    """Return level, number and width of every tile of a tree of this size, the lowest level first."""
    level = 0
    while width := entries >> (HEIGHT * level):
        for number in range(-(-width // WIDTH)):
            yield level, number, min(WIDTH, width - number * WIDTH)
        level += 1


def write_tiles(log: AuditLog, note: SignedNote, folder: Path) -> int:
    """Write the log, up to a checkpoint, as tiles; what is there already stays. Return how many files were written.

    Args:
        log: The log.
        note: The signed checkpoint; the signatures are *not* checked.
        folder: What a web server is to show.

    Raises:
        ProofError: The checkpoint is not this log's.
        NoteError: The folder has the tiles of another log, or of more entries.
        LedgerUnavailableError: The folder can't be written.
        TreeError: The log's tree was damaged.
    """
    checkpoint = note.checkpoint()
    with log.reading() as connection:
        check_is_ours(connection, checkpoint)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_continues(connection, folder / CHECKPOINT, checkpoint)
            written = sum(_write_missing(connection, folder, *tile) for tile in tiles_of(checkpoint.entries))
            write_whole(folder / CHECKPOINT, str(note).encode(), mode=PUBLIC_MODE)
        except OSError as error:
            raise LedgerUnavailableError(f"{folder} can't be written: {error.strerror or error}") from error
    return written + 1


def _write_missing(connection: Connection, folder: Path, level: int, number: int, width: int) -> int:
    tile, bundle = folder / tile_path(level, number, width), folder / tile_path(ENTRIES_LEVEL, number, width)
    missing_tile, missing_bundle = not tile.exists(), level == 0 and not bundle.exists()
    if missing_tile:
        _write(tile, _hashes(connection, level, number, width))
    if missing_bundle:
        _write(bundle, _bundle(connection, number, width))
    return missing_tile + missing_bundle


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content, mode=PUBLIC_MODE)


def _hashes(connection: Connection, level: int, number: int, width: int) -> bytes:
    first = number * WIDTH
    in_tile = NODES.c.position.between(first, first + width - 1), NODES.c.level == HEIGHT * level
    hashes = list(connection.scalars(select(NODES.c.hash).where(*in_tile).order_by(NODES.c.position)))
    if len(hashes) != width:
        raise TreeError(f"the tree lacks hashes of level {HEIGHT * level}: the log was damaged or changed")
    return b"".join(hashes)


def _bundle(connection: Connection, number: int, width: int) -> bytes:
    first = number * WIDTH
    entries = select_entries(connection, ENTRIES.c.sequence.between(first, first + width - 1))
    return b"".join(_prefixed(encode_entry(entry.sequence, entry.record)) for entry in entries)


def _prefixed(encoded: bytes) -> bytes:
    if len(encoded) > MAXIMUM_BUNDLED_BYTES:
        raise InvalidRecordError(f"an entry has {len(encoded)} bytes, tiles hold entries of {MAXIMUM_BUNDLED_BYTES}")
    return len(encoded).to_bytes(2, "big") + encoded


def _check_continues(connection: Connection, path: Path, checkpoint: Checkpoint) -> None:
    """Check that what stands in the folder is an earlier state of the same log."""
    try:
        shown = SignedNote.parse(path.read_text()).checkpoint()
    except FileNotFoundError:
        return
    try:
        if shown.origin != checkpoint.origin or shown.entries > checkpoint.entries:
            raise ProofError("it is newer, or of a log of another name")
        check_is_ours(connection, shown)
    except ProofError as error:
        message = f"{path} is no earlier checkpoint of this log ({error}): choose an empty folder"
        raise NoteError(message, expected=checkpoint, actual=shown) from error
