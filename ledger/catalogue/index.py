"""The authenticated index of a log: one root for what stands under each key. Pure: no IO.

For each key (`ledger.catalogue.keys`) a Merkle tree over its entries in log order, with the same leaves as the log's
own tree; and over all keys a map (`ledger.catalogue.merkle_map`) from a key to length and root of its tree. Whoever
knows the root can be shown all entries of a key: a list with one left out, added, changed or moved has another root.

A log commits itself to the root by an entry, `IndexCommitted`, that states for how many entries it is. The root is no
better than whoever wrote it; but it follows from the entries alone, so that anybody who has them (an export) finds a
wrong one: `Index` computes it, and `ledger.reading.fsck` compares every root that a log states.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from ledger.catalogue.keys import AUTHENTICATED, Key, Parties, keys_of
from ledger.catalogue.merkle_map import root_of, update_map
from ledger.entries import ActorRole, EntryKind, Record
from ledger.errors import IndexRootError, ProofError
from ledger.merkle import Frontier

KEY_DOMAIN: Final = b"modelseal/ledger/index/key/v1\x00"
VALUE_DOMAIN: Final = b"modelseal/ledger/index/value/v1\x00"
NOBODY: Final = "0x" + "00" * 20


def hash_key(key: Key) -> bytes:
    """Hash of a key, which is its path in the map; 32 bytes."""
    return hashlib.sha256(KEY_DOMAIN + f"{key.kind.value}\x00{key.value}".encode()).digest()


def hash_value(entries: int, root: bytes) -> bytes:
    """Hash of what a key stands for, the number of its entries and the root of their tree; 32 bytes."""
    return hashlib.sha256(VALUE_DOMAIN + entries.to_bytes(8, "big") + root).digest()


@dataclass(frozen=True)
class Commitment:
    """What an `IndexCommitted` entry says.

    Attributes:
        entries: The first so many entries of the log are in the index.
        root: Root of the index over them; 32 bytes.
    """

    entries: int
    root: bytes

    def to_record(self, occurred_at_seconds: int) -> Record:
        """Return the record by which a log commits itself to this."""
        return Record(
            kind=EntryKind.INDEX_COMMITTED,
            actor=NOBODY,
            role=ActorRole.ANYONE,
            occurred_at_seconds=occurred_at_seconds,
            details={"entries": self.entries, "root": f"0x{self.root.hex()}"},
        )

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Read back `to_record`.

        Raises:
            ProofError: The record is no commitment.
        """
        entries, root = record.details.get("entries"), record.details.get("root")
        if record.kind is not EntryKind.INDEX_COMMITTED or type(entries) is not int or not isinstance(root, str):
            raise ProofError(f"a {record.kind} is no commitment to an index")
        try:
            root_bytes = bytes.fromhex(root.removeprefix("0x"))
        except ValueError as error:
            raise ProofError(f"a commitment's root is hex, got {root!r:.80}") from error
        return cls(entries, root_bytes)


class Index:
    """The index over a log that is read from its beginning, in memory; for checking what a log states."""

    def __init__(self) -> None:
        self._parties = Parties()
        self._trees: dict[Key, Frontier] = {}
        self._nodes: dict[str, bytes] = {}
        self._changed: set[Key] = set()
        self._roots: dict[int, bytes] = {}
        self.entries = 0

    def append(self, record: Record, leaf_hash: bytes) -> None:
        """Take in the next entry of the log; `leaf_hash` is that of the log's tree.

        Raises:
            IndexRootError: It commits the log to an index that does not follow from the entries.
        """
        if record.kind is EntryKind.INDEX_COMMITTED:
            self._check(record)
        self._parties.note(record)
        for key in keys_of(record, self._parties):
            if key.kind in AUTHENTICATED:
                self._trees[key] = self._trees.get(key, Frontier()).grow([leaf_hash])
                self._changed.add(key)
        self.entries += 1

    def root(self) -> bytes:
        """Return the root over all entries so far."""
        values = {hash_key(key): hash_value(self._trees[key].leaves, self._trees[key].root()) for key in self._changed}
        self._changed.clear()
        return update_map(self._nodes, values) if values else root_of(self._nodes)

    def tree(self, key: Key) -> Frontier:
        """Return the tree over the entries of a key."""
        return self._trees.get(key, Frontier())

    def keys(self) -> Sequence[Key]:
        """Return all keys so far."""
        return tuple(self._trees)

    def _check(self, record: Record) -> None:
        try:
            commitment = Commitment.from_record(record)
        except ProofError as error:
            raise IndexRootError(f"entry {self.entries}: {error}", sequence=self.entries) from error
        if commitment.entries != self.entries:
            raise IndexRootError(
                f"entry {self.entries} commits to an index of {commitment.entries} entries: it is for all before it",
                sequence=self.entries,
                expected=self.entries,
                actual=commitment.entries,
            )
        if commitment.root != self.root():
            raise IndexRootError(
                f"entry {self.entries} commits to an index that does not follow from the entries before it: answers"
                " that were proven with it may lack some",
                sequence=self.entries,
                expected=self.root(),
                actual=commitment.root,
            )
