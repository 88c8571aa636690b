"""Whose signatures make a checkpoint count (c2sp.org/tlog-policy, as of 2026-07-22). Pure.

    log example.com/log+5a4b…+AW…
    witness w1 witness.example/w1+9a1b…+BA…
    witness w2 witness.example/w2+77c0…+BA…
    witness w3 other.example/w3+0d11…+BA…
    group most 2 w1 w2 w3
    quorum most

A witness with two keys, one for each algorithm, is a group of its own (`group w1 any w1-ed25519 w1-ml-dsa-44`), so that
it counts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.errors import NoteError, SignatureError
from ledger.notes.keys import SignatureType, VerifierKey
from ledger.notes.note import SignedNote, Verified

NO_QUORUM: Final = "none"
MAXIMUM_POLICY_CHARACTERS: Final = 1024 * 1024


@dataclass(frozen=True)
class Group:
    """So many of its members must have witnessed a checkpoint.

    Attributes:
        needed: How many.
        members: Names of witnesses and groups.
    """

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """The keys that are known, and how many of them must have signed.

    Attributes:
        logs: Keys of logs: one signature of one of them is needed, of each of them if `all_logs`.
        witnesses: Name in the policy of each witness's key.
        groups: Name in the policy of each group.
        quorum: The witness or group that must have witnessed a checkpoint; `none` if that isn't needed.
        all_logs: Whether each key in `logs` must have signed: against someone who breaks the weaker algorithm.
        urls: Where witnesses take checkpoints, by their name in the policy.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NO_QUORUM
    all_logs: bool = False
    urls: Mapping[str, str] = field(default_factory=dict)

    def verify(self, note: SignedNote) -> tuple[Checkpoint, Verified]:
        """Check that a signed checkpoint counts, and return it with the known keys that signed it.

        Raises:
            NoteError: It is no checkpoint, or another log's.
            SignatureError: A known key's signature is not on it, or too few have signed.
        """
        checkpoint = note.checkpoint()
        verified = note.verify((*self.logs, *self.witnesses.values()))
        ours = [key for key in self.logs if key.name == checkpoint.origin]
        if not ours:
            raise NoteError(f"the checkpoint is of the log {checkpoint.origin!r:.80}, whose key is not known")
        missing = [key for key in ours if key not in verified]
        if len(missing) == len(ours) or (self.all_logs and missing):
            lacking = " and ".join(key.type.label for key in missing)
            raise SignatureError(f"the log {checkpoint.origin} has not signed this checkpoint ({lacking})")
        if not self.is_witnessed(verified):
            have = [name for name, key in self.witnesses.items() if key in verified]
            raise SignatureError(
                f"too few witnesses: quorum {self.quorum!r} is not met by {', '.join(have) or 'nobody'}",
                expected=self.quorum,
                actual=have,
            )
        return checkpoint, verified

    def is_witnessed(self, verified: Verified) -> bool:
        """Whether the quorum is met by the keys that have signed."""
        met = {name: key in verified for name, key in self.witnesses.items()} | {NO_QUORUM: True}
        for name, group in self.groups.items():  # a group's members stand above it
            met[name] = sum(met[member] for member in group.members) >= group.needed
        return met[self.quorum]


def parse_policy(text: str) -> Policy:
    """Read a policy file.

    Raises:
        NoteError: It has another form; says which line.
    """
    if len(text) > MAXIMUM_POLICY_CHARACTERS:
        raise NoteError(f"a policy has at most {MAXIMUM_POLICY_CHARACTERS} characters")
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            reader.read(line)
        except (NoteError, ValueError) as error:
            raise NoteError(f"line {number} of the policy can't be read: {error}") from error
    if reader.quorum is None:
        raise NoteError(f"the policy has no line `quorum`: write `quorum {NO_QUORUM}` if no witness is needed")
    return Policy(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum, urls=reader.urls)


class _Reader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self.urls: dict[str, str] = {}
        self._members: set[str] = set()
        self._public: set[bytes] = set()

    def read(self, line: str) -> None:
        """Read one line; what it names must stand above it."""
        if any(character < " " and character != "\t" for character in line):
            raise NoteError("it has control characters")
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        match words:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", key] | ["log", key, _]:
                self.logs.append(self._unused(VerifierKey.parse(key)))
            case ["witness", name, key, *url] if len(url) <= 1:
                self.witnesses[self._new(name)] = self._witness(VerifierKey.parse(key))
                self.urls |= dict.fromkeys([name], *url) if url else {}
            case ["group", name, needed, *members] if members:
                self.groups[self._new(name)] = self._group(needed, members)
            case ["quorum", name] if self.quorum is None and (name == NO_QUORUM or self._known(name)):
                self.quorum = name
            case _:
                raise NoteError(f"it is no line of a policy: {line!r:.80}")

    def _group(self, needed: str, members: list[str]) -> Group:
        count = {"all": len(members), "any": 1}.get(needed) or _parse_count(needed, len(members))
        for member in members:
            if not self._known(member) or member in self._members:
                raise NoteError(f"{member!r:.80} is not defined above, or counts already")
            self._members.add(member)
        return Group(count, tuple(members))

    def _new(self, name: str) -> str:
        if name == NO_QUORUM or self._known(name):
            raise NoteError(f"the name {name!r:.80} is taken")
        return name

    def _known(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _witness(self, key: VerifierKey) -> VerifierKey:
        if not key.type.timestamped:
            raise NoteError(f"{key.name} is a log's key: a witness has one of type {SignatureType.ED25519_COSIGNATURE}")
        return self._unused(key)

    def _unused(self, key: VerifierKey) -> VerifierKey:
        if key.public in self._public:
            raise NoteError(f"the key of {key.name} stands twice")
        self._public.add(key.public)
        return key


def _parse_count(text: str, members: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= members):
        raise NoteError(f"of {members} members, 1 to {members} can be needed, got {text!r:.20}")
    return int(text)
