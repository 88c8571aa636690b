"""Disputes that a buyer wins against a model of any size, with trees that are known along one path only.

What a dispute costs depends on the sizes in its evidence: the chunk, the length of the paths, the columns of the
layout. So no model of that size is needed: one leaf per tree, random siblings, and the roots to which they lead.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contracts import ChunkEvidence, RangeEvidence, Statement, SumStepEvidence
from zk.binding import ColumnLayout
from zk.binding.chunks import CHUNK_BYTES, CHUNK_PARAMETERS, sum_salt, sums_leaf
from zk.binding.merkle import HASH_BYTES, keccak256, path_length
from zk.circuits.audit import column_capacity, column_lengths_of
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


LOGROWS = 15
"""Of the circuit whose columns hold the model: 32,762 parameters in each."""


@dataclass(frozen=True)
class Dispute:
    """A dispute, and the listing and delivery against which it stands.

    Attributes:
        function: Name of the contract's function.
        evidence: What it takes.
        weights_root: Of the listing.
        sums_root: Of the listing.
        ciphertext_root: Of the delivery.
        statement: Of the listing.
    """

    function: str
    evidence: ChunkEvidence | SumStepEvidence | RangeEvidence
    weights_root: bytes
    sums_root: bytes
    ciphertext_root: bytes
    statement: Statement


def disputes(parameters: int, audited: Statement, key: bytes) -> Iterator[Dispute]:
    """One dispute of each kind about a model of so many parameters.

    Args:
        parameters: Size of the model, at least three full chunks.
        audited: Statement of the proof with which a trade gets so far; the columns of its layout are replaced by
            those of the model.
        key: The delivery key.
    """
    generator = random.Random(0)
    lengths = column_lengths_of(parameters, column_capacity(LOGROWS))
    statement = replace(audited, layout=replace(audited.layout, logrows=LOGROWS, column_lengths=lengths))
    count = ColumnLayout(LOGROWS, lengths).chunk_count
    index = count - 3 | 1  # a full chunk, and odd: its predecessor is its sibling
    path = [generator.randbytes(HASH_BYTES) for _ in range(path_length(count))]
    yield from _chunk_disputes(generator, statement, key, index, path)
    yield _step_dispute(generator, statement, index, path)
    yield _range_dispute(generator, statement, index, path)


def _chunk_disputes(
    generator: random.Random, statement: Statement, key: bytes, index: int, path: Sequence[bytes]
) -> Iterator[Dispute]:
    """Show a delivered chunk of noise, which decrypts to another one than was listed."""
    ciphertext, listed = generator.randbytes(CHUNK_BYTES), generator.randbytes(HASH_BYTES)
    root, delivered = _root(listed, index, path), _root(keccak256(ciphertext), index, path)
    evidence = ChunkEvidence(delivered, key, index, ciphertext, path, listed, path, statement)
    for function in ("disputeWeightsChunk", "disputeSumChunk"):
        yield Dispute(function, evidence, root, root, delivered, statement)


def _step_dispute(generator: random.Random, statement: Statement, index: int, path: Sequence[bytes]) -> Dispute:
    """List sums of noise, so that one does not follow from the other."""
    salt = generator.randbytes(HASH_BYTES)
    values = (generator.randrange(-(1 << 14), 1 << 14) for _ in range(CHUNK_PARAMETERS))
    parameters = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    before, after = generator.randrange(MODULUS), generator.randrange(MODULUS)
    leaf_before, leaf_after = (
        sums_leaf(at, value.to_bytes(32, "big"), sum_salt(salt)) for at, value in ((index - 1, before), (index, after))
    )
    evidence = SumStepEvidence(
        index=index,
        previous_sum=before,
        previous_salt=salt,
        previous_path=[leaf_after, *path[1:]],
        sum=after,
        salt=salt,
        sum_path=[leaf_before, *path[1:]],
        parameters=parameters,
        weights_path=path,
        statement=statement,
    )
    weights_root = _root(keccak256(salt + parameters), index, path)
    sums_root = _root(leaf_after, index, evidence.sum_path)
    return Dispute("disputeSumStep", evidence, weights_root, sums_root, bytes(HASH_BYTES), statement)


def _range_dispute(generator: random.Random, statement: Statement, index: int, path: Sequence[bytes]) -> Dispute:
    """List a chunk whose last parameter is out of range."""
    salt, parameters = generator.randbytes(HASH_BYTES), generator.randbytes(4 * CHUNK_PARAMETERS - 4) + b"\x01\0\0\0"
    evidence = RangeEvidence(index, CHUNK_PARAMETERS - 1, salt, parameters, path, statement)
    weights_root = _root(keccak256(salt + parameters), index, path)
    return Dispute("disputeRange", evidence, weights_root, bytes(HASH_BYTES), bytes(HASH_BYTES), statement)


def _root(leaf: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """Where the path of a leaf leads."""
    node = leaf
    for height, sibling in enumerate(path):
        node = keccak256(sibling + node if index >> height & 1 else node + sibling)
    return node
