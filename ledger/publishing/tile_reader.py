"""Reads a log that somebody publishes as tiles (`ledger.publishing.tiles`), from a folder or over HTTP.

Nothing of it is trusted: tiles give the hashes of proofs, and a proof holds or not, whoever wrote it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import Checkpoint
from ledger.encoding import from_fields, parse_object
from ledger.errors import EntryHashError, LedgerUnavailableError, MalformedEntryError, NoteError, ProofError
from ledger.merkle import Node, consistency_ranges, cover, fold, hash_children, hash_leaf, verify_consistency
from ledger.notes.note import SignedNote
from ledger.publishing.tiles import CHECKPOINT, ENTRIES_LEVEL, HEIGHT, WIDTH, tile_path, tiles_of

if TYPE_CHECKING:
    import httpx

HASH_BYTES: Final = 32
MAXIMUM_TILE_BYTES: Final = WIDTH * (2 + 2**16)

Fetch = Callable[[str], bytes]
"""Returns what stands under a path below the log's prefix."""


class TileReader:
    """A published log."""

    def __init__(self, fetch: Fetch, name: str):
        """Read with `fetch`; `name` is what the log is called in messages."""
        self._fetch = fetch
        self.name = name

    @classmethod
    def of_folder(cls, folder: Path) -> "TileReader":
        """Return a reader of a folder."""

        def fetch(path: str) -> bytes:
            try:
                with (folder / path).open("rb") as file:
                    return file.read(MAXIMUM_TILE_BYTES)
            except OSError as error:
                reason = error.strerror or error
                raise LedgerUnavailableError(f"{folder / path} can't be read: {reason}") from error

        return cls(fetch, str(folder))

    @classmethod
    def of_url(cls, url: str, client: "httpx.Client") -> "TileReader":
        """Return a reader of what a web server shows under a prefix."""

        def fetch(path: str) -> bytes:
            return fetch_url(client, f"{url.rstrip('/')}/{path}")

        return cls(fetch, url)

    def note(self) -> SignedNote:
        """Return the newest signed checkpoint; the signatures are *not* checked.

        Raises:
            NoteError: It can't be read as one.
            LedgerUnavailableError: It can't be read.
        """
        try:
            return SignedNote.parse(self._fetch(CHECKPOINT).decode())
        except UnicodeDecodeError as error:
            raise NoteError(f"the checkpoint of {self.name} is no text") from error

    def prove_growth(self, older: Checkpoint, newer: Checkpoint) -> None:
        """Check that the log at `newer` begins with all that it had at `older`.

        Raises:
            ProofError: It does not, or the tiles don't show it.
            LedgerUnavailableError: The tiles can't be read.
        """
        hashes = cache(lambda level, number: self._tile(level, number, newer.entries))
        proof = [
            fold([_node(hashes, node) for node in cover(leaves)])
            for leaves in consistency_ranges(older.entries, newer.entries)
        ]
        verify_consistency(older.entries, newer.entries, older.root_hash, newer.root_hash, proof)

    def entries(self, entries: int) -> Iterator[tuple[int, bytes]]:
        """Return sequence and bytes of the first entries, each checked against its hash in the tiles.

        Raises:
            EntryHashError: An entry is not the one whose hash stands in the tile.
            MalformedEntryError: An entry can't be read.
            LedgerUnavailableError: The tiles can't be read.
        """
        for level, number, width in tiles_of(entries):
            if level == 0:
                first = number * WIDTH
                bundle = _split(self._fetch(tile_path(ENTRIES_LEVEL, number, width)), first, width)
                hashes = self._tile(0, number, entries)
                for sequence, (encoded, leaf_hash) in enumerate(zip(bundle, hashes, strict=True), start=first):
                    if hash_leaf(encoded) != leaf_hash:
                        message = f"entry {sequence} is not the one whose hash stands in its tile"
                        raise EntryHashError(message, sequence=sequence, expected=leaf_hash)
                    _check_is_entry(sequence, encoded)
                    yield sequence, encoded

    def _tile(self, level: int, number: int, entries: int) -> Sequence[bytes]:
        width = min(WIDTH, (entries >> (HEIGHT * level)) - number * WIDTH)
        content = self._fetch(tile_path(level, number, width))
        if len(content) != width * HASH_BYTES:
            raise ProofError(f"{tile_path(level, number, width)} must have {width} hashes of {HASH_BYTES} bytes")
        return [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]


def fetch_url(client: "httpx.Client", url: str) -> bytes:
    """Return what stands under a URL, of at most the size of a tile.

    Raises:
        LedgerUnavailableError: It can't be read.
    """
    import httpx

    try:
        with client.stream("GET", url) as response:
            response.raise_for_status()
            content = bytearray()
            for part in response.iter_bytes():
                content += part
                if len(content) > MAXIMUM_TILE_BYTES:
                    raise LedgerUnavailableError(f"{url} is larger than a tile can be")
            return bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LedgerUnavailableError(f"{url} can't be read: {error}") from error


def _node(tile: Callable[[int, int], Sequence[bytes]], node: Node) -> bytes:
    """Return the hash of a node from the tile that it stands in, or whose hashes it is made of."""
    level, position = node
    tile_level, above = divmod(level, HEIGHT)
    number, start = divmod(position << above, WIDTH)
    hashes = list(tile(tile_level, number)[start : start + (1 << above)])
    if len(hashes) != 1 << above:
        raise ProofError(f"node {node} is not in the tiles")
    while len(hashes) > 1:
        hashes = [hash_children(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def _split(content: bytes, first: int, width: int) -> list[bytes]:
    entries = []
    while content:
        end = 2 + int.from_bytes(content[:2], "big")
        entries.append(content[2:end])
        if len(content) < end:
            raise MalformedEntryError(f"entry {first + len(entries) - 1} is cut", sequence=first + len(entries) - 1)
        content = content[end:]
    if len(entries) != width:
        bad = first + min(len(entries), width)
        raise MalformedEntryError(f"entry {bad}: its bundle has {len(entries)} entries, not {width}", sequence=bad)
    return entries


def _check_is_entry(sequence: int, encoded: bytes) -> None:
    found, _ = from_fields(parse_object(encoded.decode(errors="replace")))
    if found != sequence:
        message = f"entry {sequence} is missing or out of order: found entry {found} in its place"
        raise MalformedEntryError(message, sequence=sequence, expected=sequence, actual=found)
