"""Checks a log in whatever form it is shown, and compares two forms of one log.

A *view* is a database file, an export (`.jsonl`), or a folder of tiles. Two views of one log tell the same story as far
as both go, or somebody was shown something else: then `compare_views` names the first entry that differs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from ledger.checkpoint import Checkpoint, Head
from ledger.errors import ForkError, SignatureError
from ledger.merkle import Frontier, hash_leaf
from ledger.notes.note import SignedNote, Verified
from ledger.notes.policy import Policy
from ledger.publishing.tile_reader import TileReader
from ledger.reading.fsck import is_export, read_export_note, read_stored, verify_export, verify_log
from ledger.storage.location import is_server


@dataclass(frozen=True)
class Verdict:
    """What holds of a view.

    Attributes:
        entries: How many entries it has, unbroken.
        head: The end of its hash chain; None of tiles, which have none.
        signed: The newest checkpoint that counts, None if none was asked for.
        signers: The known keys that signed it, and when.
    """

    entries: int
    head: Head | None
    signed: Checkpoint | None = None
    signers: Verified = field(default_factory=dict)


def verify_view(
    location: str,
    *,
    policy: Policy | None = None,
    notes: Sequence[SignedNote] = (),
    anchors: Sequence[Checkpoint] = (),
    known_head: Head | None = None,
) -> Verdict:
    """Check a view of a log: that it is whole, and what its keeper and its witnesses have signed.

    Args:
        location: The view, or the URL of a database.
        policy: Whose signatures count; None if none are asked for.
        notes: Signed checkpoints from elsewhere; that of an export or of tiles counts as well.
        anchors: Checkpoints that count without a signature: those that the keeper has anchored on a chain.
        known_head: A head that the caller wrote down.

    Raises:
        TamperedError: The first fault: entries, then signatures, then roots.
        NotALedgerError: It is no view of a log.
        LedgerUnavailableError: It can't be read.
    """
    shown = _shown_note(location)
    checked = [] if policy is None else [policy.verify(note) for note in (*notes, *([] if shown is None else [shown]))]
    if policy is not None and not checked:
        raise SignatureError(f"{location} has no signed checkpoint: ask for one, and give it with --checkpoint")
    checkpoints = [*anchors, *(checkpoint for checkpoint, _ in checked)]
    signed, signers = max(checked, key=lambda one: one[0].entries, default=(None, {}))
    if not is_server(location) and Path(location).is_dir():
        entries = _verify_tiles(TileReader.of_folder(Path(location)), shown, checkpoints)
        return Verdict(entries, None, signed, signers)
    export = not is_server(location) and is_export(Path(location))
    verify = verify_export if export else verify_log
    head = verify(location, known_head=known_head, checkpoints=checkpoints)
    return Verdict(head.entries, head, signed, signers)


@dataclass(frozen=True)
class Comparison:
    """How two views of one log stand to each other.

    Attributes:
        common: Entries that both begin with.
        left_entries: Entries of the first.
        right_entries: Entries of the second.
    """

    common: int
    left_entries: int
    right_entries: int

    @property
    def forked(self) -> bool:
        """Whether neither begins with the other: entry `common` differs."""
        return self.common < min(self.left_entries, self.right_entries)


def compare_views(left: Path, right: Path) -> Comparison:
    """Compare two views, entry by entry; each is checked by itself as it is read, without signatures.

    Raises:
        TamperedError: One of them is not whole: that is to be settled first.
        NotALedgerError: One of them is no view of a log.
        LedgerUnavailableError: One of them can't be read.
    """
    for view in (left, right):
        if not view.is_dir():
            verify_view(str(view))
    common = left_entries = right_entries = 0
    for ours, theirs in zip_longest(_read(left), _read(right)):
        left_entries += ours is not None
        right_entries += theirs is not None
        if common == max(left_entries, right_entries) - 1 and ours == theirs:
            common += 1
    return Comparison(common, left_entries, right_entries)


def _read(view: Path) -> Iterator[bytes]:
    if view.is_dir():
        reader = TileReader.of_folder(view)
        return (encoded for _, encoded in reader.entries(reader.note().checkpoint().entries))
    return (encoded for _, encoded in read_stored(view))


def _shown_note(location: str) -> SignedNote | None:
    if is_server(location):
        return None
    path = Path(location)
    if path.is_dir():
        return TileReader.of_folder(path).note()
    text = read_export_note(path) if is_export(path) else None
    return None if text is None else SignedNote.parse(text)


def _verify_tiles(reader: TileReader, shown: SignedNote | None, checkpoints: Sequence[Checkpoint]) -> int:
    """Check that the entries in tiles give the root of each checkpoint, the one that is shown with them included."""
    newest = reader.note().checkpoint() if shown is None else shown.checkpoint()
    roots = {checkpoint.entries: checkpoint for checkpoint in (*checkpoints, newest)}
    frontier, good = Frontier(), 0
    for sequence, encoded in reader.entries(newest.entries):
        frontier = frontier.grow([hash_leaf(encoded)])
        if sequence + 1 in roots and roots[sequence + 1].root_hash != frontier.root():
            raise ForkError(f"one of the entries {good} to {sequence} is not what was signed", sequence=good)
        good = sequence + 1 if sequence + 1 in roots else good
    if max(roots) > newest.entries:
        raise ForkError(f"the tiles end after {newest.entries} entries, {max(roots)} are signed")
    return newest.entries
