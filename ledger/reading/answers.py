"""Answers that show that nothing was left out: all entries of a key, up to a checkpoint.

    answer = prove_answer(log, Key(KeyKind.SELLER_TRADES, seller))
    Path("answer.json").write_text(answer.to_json())
    found = verify_answer(answer, checkpoint)            # the auditor's side needs no log

The answer brings the entries, a proof for each that it is in the log, the entry by which the log committed itself to
its index, and the way from the key to the index's root. Checks, in this order:

(1) the commitment is in the log at the checkpoint;
(2) each entry is in the log at the checkpoint, in log order, before the commitment;
(3) number and tree of the entries are what the key stands for under the committed root: none left out, none added.

What the caller must still check: that the checkpoint is the log's, which it has from elsewhere; and, by whoever has all
the entries (`ledger.reading.fsck`), that the index that the log committed itself to follows from them. Until somebody
has, (3) is the log's word, signed with its checkpoint. Entries after the commitment are not in the answer.
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import rfc8785
from sqlalchemy import Connection, select

from ledger.catalogue.index import Commitment, hash_key, hash_value
from ledger.catalogue.keys import AUTHENTICATED, Key, KeyKind
from ledger.catalogue.merkle_map import MapProof, prove_key, verify_key
from ledger.catalogue.upkeep import StoredNodes, carry_map, read_entries, read_keys, read_map_size
from ledger.checkpoint import Checkpoint
from ledger.encoding import encode_entry, from_fields, parse_object
from ledger.entries import Entry, EntryKind, Record
from ledger.errors import MalformedEntryError, ProofError
from ledger.log import AuditLog
from ledger.merkle import Frontier, cover, fold, hash_leaf, inclusion_ranges, verify_inclusion
from ledger.reading.merkle_proofs import EntryProof
from ledger.settling import read_frontier, read_head
from ledger.storage.rows import select_entries, select_nodes
from ledger.storage.tables import ENTRIES, POSTINGS

ANSWER_FORMAT: Final = "modelseal-audit-answer"
ANSWER_VERSION: Final = 1
LARGEST_ANSWER: Final = 256 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """All entries of a key, and what shows that they are all.

    Attributes:
        key: What was asked.
        checkpoint: The log's checkpoint for which the proofs are; its origin is not part of the answer.
        commitment: The entry that commits the log to its index.
        entries: The entries of the key, in log order.
        proof: What leads from the key to the root of the index.
    """

    key: Key
    checkpoint: Checkpoint
    commitment: EntryProof
    entries: tuple[EntryProof, ...]
    proof: MapProof

    def to_json(self) -> str:
        """Return the answer as a line of canonical JSON; hashes that several proofs share stand in it once."""
        table: dict[bytes, int] = {}

        def places(hashes: Sequence[bytes]) -> list[int]:
            return [table.setdefault(one, len(table)) for one in hashes]

        def proven(one: EntryProof) -> dict[str, Any]:
            return {"entry": json.loads(one.encoded), "proof": places(one.hashes)}

        content: dict[str, Any] = {
            "format": ANSWER_FORMAT,
            "version": ANSWER_VERSION,
            "key": {"kind": self.key.kind.value, "value": self.key.value},
            "checkpoint": {"entries": self.checkpoint.entries, "root": _to_text(self.checkpoint.root_hash)},
            "commitment": proven(self.commitment),
            "entries": [proven(entry) for entry in self.entries],
            "index": places(self.proof.siblings),
        }
        if self.proof.other is not None:
            content["other"] = _to_text(self.proof.other)
        return rfc8785.dumps(content | {"hashes": [_to_text(one) for one in table]}).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back `to_json`; whether it proves anything is *not* checked: see `verify_answer`.

        Raises:
            ProofError: Not an answer.
        """
        try:
            content = _parse(text)
            table = [_to_bytes(one) for one in content["hashes"]]

            def hashes(places: Sequence[int]) -> tuple[bytes, ...]:
                return tuple(table[place] for place in places if place >= 0 or _refuse())

            def proven(one: Mapping[str, Any]) -> EntryProof:
                return EntryProof(rfc8785.dumps(one["entry"]), hashes(one["proof"]))

            other = content.get("other")
            answer = cls(
                Key(KeyKind(content["key"]["kind"]), content["key"]["value"]),
                Checkpoint(content["checkpoint"]["entries"], _to_bytes(content["checkpoint"]["root"])),
                proven(content["commitment"]),
                tuple(proven(entry) for entry in content["entries"]),
                MapProof(None if other is None else _to_bytes(other), hashes(content["index"])),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ProofError(f"this is no answer: {error}") from error
        if answer.to_json() != text:
            raise ProofError("the answer is not in the form in which it is written: it was changed")
        return answer


@dataclass(frozen=True)
class VerifiedAnswer:
    """What was checked.

    Attributes:
        key: What the answer is about.
        records: All of the key's entries, by their place in the log.
        complete_up_to: The answer is complete for so many entries from the beginning of the log.
        of_entries: Length of the log at the checkpoint.
    """

    key: Key
    records: Mapping[int, Record]
    complete_up_to: int
    of_entries: int


def prove_answer(log: AuditLog, *keys: Key, checkpoint: Checkpoint | None = None) -> list[Answer]:
    """Return all entries of each key with proofs.

    Args:
        log: The log.
        keys: What is asked.
        checkpoint: Of this log, signed after its last commitment: the answer is for it. Without one, the log commits
            itself to what is new, and the answer is for the log's present end.

    Raises:
        ProofError: A key's kind is not in the authenticated index, or the checkpoint is not this log's or before its
            last commitment.
        LedgerUnavailableError: The log can't be locked.
    """
    for key in keys:
        if key.kind not in AUTHENTICATED:
            raise ProofError(f"answers by {key.kind} can't be proven complete: the index has no such keys")
    with log.writing() as connection:  # nobody appends in between: index, entries and checkpoint are of one moment
        commitment = _commit(log, connection) if checkpoint is None else _find_commitment(connection, checkpoint)
        entries = read_head(connection).entries if checkpoint is None else checkpoint.entries
        proven_for = Checkpoint(entries, read_frontier(connection, entries).root())
        return [_prove(connection, proven_for, commitment, key) for key in keys]


def commit_index(log: AuditLog) -> Entry:
    """Let the log commit itself to its index over all entries so far, unless it has; return the entry that does."""
    with log.writing() as connection:
        return _commit(log, connection)


def _commit(log: AuditLog, connection: Connection) -> Entry:
    newest = select_entries(connection, newest_first=True, limit=1)
    committed = newest and newest[0].record.kind is EntryKind.INDEX_COMMITTED
    if committed and read_map_size(connection) == newest[0].sequence:
        return newest[0]
    root = carry_map(connection)
    commitment = Commitment(newest[0].sequence + 1 if newest else 0, root)
    return log.append_within(connection, [commitment.to_record(int(time.time()))])[0]


def _find_commitment(connection: Connection, checkpoint: Checkpoint) -> Entry:
    """Return the entry that commits the log to the map as it is, if it is in the checkpoint."""
    place = read_map_size(connection)
    if not place < checkpoint.entries <= read_head(connection).entries:
        raise ProofError(
            f"the log's last commitment is entry {place}, the checkpoint is for {checkpoint.entries} entries: sign the"
            " log as it is now, and prove the answer for that"
        )
    if read_frontier(connection, checkpoint.entries).root() != checkpoint.root_hash:
        raise ProofError(f"after {checkpoint.entries} entries the log had another root: the checkpoint is another's")
    (commitment,) = select_entries(connection, ENTRIES.c.sequence == place)
    if commitment.record.kind is not EntryKind.INDEX_COMMITTED:
        raise ProofError("the log has not committed itself to its index yet: sign it as it is now")
    return commitment


def _prove(connection: Connection, checkpoint: Checkpoint, commitment: Entry, key: Key) -> Answer:
    found = read_keys(connection, [key]).get(key)
    entries: list[Entry] = []
    if found is not None:
        of_key = POSTINGS.c.key_id == found[0], POSTINGS.c.sequence < commitment.sequence
        query = select(POSTINGS.c.sequence).where(*of_key)
        by_place = read_entries(connection, list(connection.execute(query).scalars()))
        entries = [by_place[sequence] for sequence in sorted(by_place)]
    proven = _prove_entries(connection, checkpoint, [commitment, *entries])
    nodes = StoredNodes(connection)
    nodes.load([hash_key(key)])
    return Answer(key, checkpoint, proven[0], tuple(proven[1:]), prove_key(nodes, hash_key(key)))


def _prove_entries(connection: Connection, checkpoint: Checkpoint, entries: Sequence[Entry]) -> list[EntryProof]:
    """Return the entries with their proofs; nodes that several need are read once."""
    ranges = {entry.sequence: inclusion_ranges(entry.sequence, checkpoint.entries) for entry in entries}
    nodes = {node for some in ranges.values() for leaves in some for node in cover(leaves)}
    hashes = select_nodes(connection, nodes)
    return [
        EntryProof(
            encode_entry(entry.sequence, entry.record),
            tuple(fold([hashes[node] for node in cover(leaves)]) for leaves in ranges[entry.sequence]),
        )
        for entry in entries
    ]


def verify_answer(answer: Answer, checkpoint: Checkpoint, key: Key | None = None) -> VerifiedAnswer:
    """Check that an answer holds all entries of its key up to its commitment, and return them; offline.

    Args:
        answer: The answer.
        checkpoint: The log's checkpoint, from elsewhere than the answer.
        key: What was asked, if the caller asked; else see the answer's.

    Raises:
        ProofError: That does not follow.
        MalformedEntryError: It follows, and an entry can't be read: another version wrote it.
    """
    if (answer.checkpoint.entries, answer.checkpoint.root_hash) != (checkpoint.entries, checkpoint.root_hash):
        raise ProofError(
            f"the answer is proven for a checkpoint of {answer.checkpoint.entries} entries, not for yours of"
            f" {checkpoint.entries}: get the checkpoint that it names from whom you trust, and prove that yours grew"
            " into it",
            expected=checkpoint,
            actual=answer.checkpoint,
        )
    if key is not None and key != answer.key:
        raise ProofError(f"the answer is about {answer.key}, {key} was asked", expected=key, actual=answer.key)
    place, record, _ = _verify_entry(answer.commitment, checkpoint)  # (1)
    commitment = Commitment.from_record(record)
    if commitment.entries != place:
        raise ProofError(f"the index is for {commitment.entries} entries, its commitment is entry {place}")
    records: dict[int, Record] = {}
    tree, newest = Frontier(), -1
    for proven in answer.entries:  # (2)
        sequence, record, leaf_hash = _verify_entry(proven, checkpoint)
        if sequence >= place or sequence <= newest:
            raise ProofError(f"entry {sequence} is out of order, or doubled, or after the commitment")
        records[sequence], newest = record, sequence
        tree = tree.grow([leaf_hash])
    value = hash_value(tree.leaves, tree.root()) if records else None
    try:
        verify_key(commitment.root, hash_key(answer.key), value, answer.proof)  # (3)
    except ProofError as error:
        raise ProofError(
            f"these are not all entries of {answer.key}, or not only those: {error}",
            expected=error.expected,
            actual=error.actual,
        ) from error
    return VerifiedAnswer(answer.key, records, commitment.entries, checkpoint.entries)


def _verify_entry(proven: EntryProof, checkpoint: Checkpoint) -> tuple[int, Record, bytes]:
    sequence, record = from_fields(parse_object(proven.encoded.decode(errors="replace")))
    leaf_hash = hash_leaf(proven.encoded)
    verify_inclusion(leaf_hash, sequence, checkpoint.entries, proven.hashes, checkpoint.root_hash)
    return sequence, record, leaf_hash


def _parse(text: str) -> dict[str, Any]:
    if len(text) > LARGEST_ANSWER:
        raise ProofError(f"an answer has at most {LARGEST_ANSWER} characters")
    content = json.loads(text)
    if not isinstance(content, dict) or (content["format"], content["version"]) != (ANSWER_FORMAT, ANSWER_VERSION):
        raise MalformedEntryError("another format or version")
    return content


def _refuse() -> bool:
    raise IndexError("a hash that is not there")


def _to_text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _to_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
