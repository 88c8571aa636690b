"""Proofs from the Merkle tree: one entry is in the log, and the log only grew; each a few hashes, whatever its length.

    checkpoint = log.checkpoint()                      # publish it, or keep it
    proof = prove_entry(log, sequence, checkpoint)     # hand it to an auditor, with nothing of the other entries
    record = verify_entry(proof, checkpoint)           # the auditor's side needs no log
    hashes = prove_growth(log, older, newer)
    verify_growth(older, newer, hashes)

The checkpoint must come to the verifier on another way than the proof: from whoever it trusts, or from the chain.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import rfc8785
from sqlalchemy import Connection

from ledger.checkpoint import Checkpoint
from ledger.encoding import encode_entry, from_fields, parse_object
from ledger.entries import Record
from ledger.errors import MalformedEntryError, ProofError
from ledger.log import AuditLog
from ledger.merkle import (
    consistency_ranges,
    cover,
    fold,
    hash_leaf,
    inclusion_ranges,
    verify_consistency,
    verify_inclusion,
)
from ledger.settling import read_frontier, read_head
from ledger.storage.rows import select_entries, select_nodes
from ledger.storage.tables import ENTRIES


@dataclass(frozen=True)
class EntryProof:
    """An entry, and what leads from it to the root of the log's tree.

    Attributes:
        encoded: The entry's canonical bytes (`ledger.encoding.encode_entry`).
        hashes: The siblings from the leaf up to the root; 32 bytes each.
    """

    encoded: bytes
    hashes: tuple[bytes, ...]

    def to_json(self) -> str:
        """Return the proof as a line of canonical JSON."""
        content = {"entry": json.loads(self.encoded), "hashes": [value.hex() for value in self.hashes]}
        return rfc8785.dumps(content).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back `to_json`; whether it proves anything is *not* checked: see `verify_entry`.

        Raises:
            ProofError: Not a proof.
        """
        try:
            content = parse_object(text)
            return cls(rfc8785.dumps(content["entry"]), tuple(bytes.fromhex(value) for value in content["hashes"]))
        except (MalformedEntryError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ProofError(f"this is no proof of an entry: {error}") from error


def prove_entry(log: AuditLog, sequence: int, checkpoint: Checkpoint) -> EntryProof:
    """Prove that the log had entry `sequence` at `checkpoint`.

    Raises:
        ProofError: `checkpoint` is not this log's, or the entry came after it.
        TreeError: The log's tree was damaged.
    """
    with log.reading() as connection:
        check_is_ours(connection, checkpoint)
        hashes = _hash_ranges(connection, inclusion_ranges(sequence, checkpoint.entries))
        entry = select_entries(connection, ENTRIES.c.sequence == sequence)[0]
    return EntryProof(encode_entry(entry.sequence, entry.record), hashes)


def verify_entry(proof: EntryProof, checkpoint: Checkpoint) -> Record:
    """Check that the log had the entry at `checkpoint`, and return what the entry says.

    Raises:
        ProofError: That does not follow from the proof.
        MalformedEntryError: It follows, and the entry can't be read: another version wrote it.
    """
    fields = parse_object(proof.encoded.decode(errors="replace"))
    sequence, record = from_fields(fields)
    verify_inclusion(hash_leaf(proof.encoded), sequence, checkpoint.entries, proof.hashes, checkpoint.root_hash)
    return record


def prove_growth(log: AuditLog, older: Checkpoint, newer: Checkpoint) -> tuple[bytes, ...]:
    """Prove that the log at `newer` begins with all entries that it had at `older`, unchanged.

    Raises:
        ProofError: A checkpoint is not this log's, or they are in the wrong order.
        TreeError: The log's tree was damaged.
    """
    with log.reading() as connection:
        check_is_ours(connection, older)
        check_is_ours(connection, newer)
        return _hash_ranges(connection, consistency_ranges(older.entries, newer.entries))


def prove_sizes(log: AuditLog, older: int, newer: int) -> tuple[bytes, ...]:
    """Prove that the log with `newer` entries begins with all that it had with `older`, whatever it was then.

    Raises:
        ProofError: The log is shorter, or the sizes are in the wrong order.
        TreeError: The log's tree was damaged.
    """
    with log.reading() as connection:
        entries = read_head(connection).entries
        if newer > entries:
            raise ProofError(f"the log has {entries} entries, a proof for {newer} was asked for")
        return _hash_ranges(connection, consistency_ranges(older, newer))


def verify_growth(older: Checkpoint, newer: Checkpoint, hashes: Sequence[bytes]) -> None:
    """Check that the log at `newer` begins with all entries that it had at `older`, unchanged.

    Raises:
        ProofError: That does not follow from `hashes`.
    """
    verify_consistency(older.entries, newer.entries, older.root_hash, newer.root_hash, hashes)


def _hash_ranges(connection: Connection, ranges: Sequence[range]) -> tuple[bytes, ...]:
    hashes = select_nodes(connection, [node for leaves in ranges for node in cover(leaves)])
    return tuple(fold([hashes[node] for node in cover(leaves)]) for leaves in ranges)


def check_is_ours(connection: Connection, checkpoint: Checkpoint) -> None:
    """Check that the log had this root at the checkpoint's size; its origin is *not* looked at.

    Raises:
        ProofError: It had another, or is shorter.
        TreeError: The log's tree was damaged.
    """
    entries = read_head(connection).entries
    if checkpoint.entries > entries:
        message = f"the log has {entries} entries, the checkpoint {checkpoint.entries}: truncated, or another log's"
        raise ProofError(message, expected=checkpoint.entries, actual=entries)
    root_hash = read_frontier(connection, checkpoint.entries).root()
    if root_hash != checkpoint.root_hash:
        message = f"after {checkpoint.entries} entries the log had another root: the checkpoint is another log's"
        raise ProofError(message, expected=checkpoint.root_hash, actual=root_hash)
