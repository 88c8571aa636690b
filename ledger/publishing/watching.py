"""Is what this log shows me what it shows to others? Asked again and again, by somebody who need not trust it.

Each look (1) reads the log's signed checkpoint and checks the signatures; (2) checks that it begins with all that was
seen before; (3) asks each witness whose URL is known for the newest checkpoint that it signed, and checks that the log
begins with that; then (4) remembers what the log has shown, in a file. A log that showed me a story of my own can't go
on with it without contradicting a witness, and one that goes back contradicts the file.

What is ahead of the log is no fork yet: the log may be slow, or I may be shown an old state. It is remembered too, and
the log must begin with it when it gets there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ledger.checkpoint import Checkpoint
from ledger.errors import ForkError, InvalidRecordError, LedgerUnavailableError, NoteError, ProofError, SignatureError
from ledger.files import write_whole
from ledger.notes.note import SignedNote
from ledger.notes.policy import Policy
from ledger.publishing.tile_reader import TileReader
from ledger.witness.state import hash_origin


@dataclass(frozen=True)
class Sight:
    """What one look has found.

    Attributes:
        log: What the log shows.
        ahead: What others have seen, or I have seen before, of a later state of the log.
        witnesses: Size of what each witness has signed last, by its name in the policy; None if it can't be reached.
    """

    log: Checkpoint
    ahead: tuple[Checkpoint, ...]
    witnesses: dict[str, int | None]

    @property
    def lagging(self) -> int:
        """How many entries others have seen that the log doesn't show."""
        return max((one.entries - self.log.entries for one in self.ahead), default=0)


def look(reader: TileReader, policy: Policy, memory: Path, fetch: Callable[[str], bytes]) -> Sight:
    """Look at a log and its witnesses once.

    Args:
        reader: The log.
        policy: Whose signatures count, and where witnesses are.
        memory: The file that remembers what was seen; made by the first look.
        fetch: Returns what stands under a URL, and raises `LedgerUnavailableError` otherwise.

    Raises:
        ForkError: Two checkpoints of this log contradict each other.
        SignatureError: Signatures are missing, or are not what they should be.
        NoteError: What is shown is no checkpoint of a known log.
        LedgerUnavailableError: The log can't be read.
    """
    shown, _ = policy.verify(reader.note())  # (1)
    known = [("what was seen before", checkpoint) for checkpoint in _read_memory(memory, shown.origin)]  # (2)
    sizes: dict[str, int | None] = {}
    for name, theirs in _ask_witnesses(policy, shown.origin, fetch):  # (3)
        sizes[name] = None if theirs is None else theirs.entries
        if theirs is not None:
            known.append((f"what the witness {name} has signed", theirs))
    ahead: dict[int, Checkpoint] = {}
    for what, checkpoint in known:
        if checkpoint.entries <= shown.entries:
            _check_begins(reader, shown, checkpoint, what)
        elif ahead.setdefault(checkpoint.entries, checkpoint).root_hash != checkpoint.root_hash:
            raise ForkError(f"{what} contradicts what others have seen of {checkpoint.entries} entries")
    remembered = (shown, *ahead.values())
    write_whole(memory, "\n".join(map(str, remembered)).encode())  # (4)
    return Sight(shown, tuple(ahead.values()), sizes)


def _check_begins(reader: TileReader, shown: Checkpoint, older: Checkpoint, what: str) -> None:
    try:
        reader.prove_growth(older, shown)
    except ProofError as error:
        raise ForkError(
            f"{reader.name} contradicts {what}: its {shown.entries} entries don't begin with those {older.entries}."
            " Keep both checkpoints: they are signed, and prove it",
            expected=older,
            actual=shown,
        ) from error


def _ask_witnesses(
    policy: Policy, origin: str, fetch: Callable[[str], bytes]
) -> Iterator[tuple[str, Checkpoint | None]]:
    for name, url in policy.urls.items():
        try:
            note = SignedNote.parse(fetch(f"{url.rstrip('/')}/{hash_origin(origin)}/checkpoint").decode())
        except (LedgerUnavailableError, UnicodeDecodeError):
            yield name, None
            continue
        alone = Policy(policy.logs, {name: policy.witnesses[name]}, quorum=name)
        checkpoint, _ = alone.verify(note)
        if checkpoint.origin != origin:
            raise SignatureError(f"the witness {name} answers with a checkpoint of {checkpoint.origin!r:.80}")
        yield name, checkpoint


def _read_memory(memory: Path, origin: str) -> list[Checkpoint]:
    try:
        remembered = [Checkpoint.parse(f"{text.rstrip()}\n") for text in memory.read_text().split("\n\n")]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, InvalidRecordError) as error:
        raise LedgerUnavailableError(
            f"{memory} should say what was seen last, and can't be read: restore it, or remove it to begin anew"
        ) from error
    if any(checkpoint.origin != origin for checkpoint in remembered):
        raise NoteError(f"{memory} is of another log than {origin}: choose another file")
    return remembered
