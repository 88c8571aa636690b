"""The buyer's check of a delivered model: the parameters, or the evidence that wins the dispute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trader.delivery.cipher import ciphertext_tree, decrypt_artifact
from trader.delivery.claims import (
    CiphertextChunk,
    RangeClaim,
    SumChunkClaim,
    SumLeaf,
    SumStepClaim,
    WeightsChunkClaim,
)
from trader.delivery.errors import CiphertextError, DeliveryFaultError
from zk.binding import decode_columns, derive_challenge, join_columns, running_sums, sums_tree, weights_tree
from zk.binding.chunks import CHUNK_BYTES, salt_of, stored_sums, values_of
from zk.circuits.audit import VALUE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from zk.binding import ChunkCommitments, ChunkTree, ColumnLayout


@dataclass(frozen=True)
class DeliveryTerms:
    """What the listing says about the delivered bytes; all public and verified before the purchase.

    Attributes:
        layout: Parameters in each committed column.
        shapes: Shape of each parameter tensor.
        parameter_commitment: keccak256 over the proof's parameter points.
        commitments: Published leaves under the listed roots.
        seller: The listing's seller, 20 bytes.
    """

    layout: ColumnLayout
    shapes: tuple[tuple[int, ...], ...]
    parameter_commitment: bytes
    commitments: ChunkCommitments
    seller: bytes


def check_delivery(ciphertext: bytes, key: bytes, terms: DeliveryTerms) -> tuple[NDArray[np.int32], ...]:
    """Decrypt a delivered model and check every chunk against the listing.

    `ciphertext` must have passed `trader.delivery.cipher.verify_ciphertext`, `key` the escrow's key hash,
    and the listing `zk.binding.verify_binding`: then the result is the proven model.

    Returns:
        The parameter tensors (int32).

    Raises:
        CiphertextError: The length is not that of the layout.
        DeliveryFaultError: A chunk is not the listed one, or the sums do not follow; `evidence` wins the dispute.
            Weights chunks are searched first, then sum chunks, then sum steps, then parameters out of range; the first
            in each is reported.
    """
    expected_bytes = terms.layout.chunk_count * CHUNK_BYTES
    if len(ciphertext) != expected_bytes:
        raise CiphertextError(f"the ciphertext has {len(ciphertext)} bytes, the listed model {expected_bytes}")
    delivered = _Delivered(ciphertext, decrypt_artifact(ciphertext, key))
    # (1) Salts and values are those of the weights tree.
    delivered.check_weights(terms.commitments.weights)
    # (2) The running sums are those of the sums tree.
    delivered.check_sums(terms.commitments.sums)
    # (3) Each running sum follows from the one before and the values.
    columns = decode_columns(delivered.artifact, terms.layout)
    challenge = derive_challenge(terms.commitments.weights.root, terms.parameter_commitment, terms.seller)
    delivered.check_steps(running_sums(columns, terms.layout, challenge))
    # (4) No parameter is out of range: the circuit's sums don't wrap around, and float32 holds what was proven.
    delivered.check_range()
    return join_columns(columns, terms.shapes)


@dataclass(frozen=True)
class _Delivered:
    """A ciphertext and what it decrypts to."""

    ciphertext: bytes
    artifact: bytes = field(repr=False)

    def check_weights(self, listed: ChunkTree) -> None:
        index = _first_difference(weights_tree(self.artifact).leaves, listed.leaves)
        if index is not None:
            evidence = WeightsChunkClaim(index, self._chunk(index), listed.leaves[index], listed.path(index))
            raise DeliveryFaultError(f"the parameters in chunk {index} are not the listed ones: dispute it", evidence)

    def check_sums(self, listed: ChunkTree) -> None:
        index = _first_difference(sums_tree(self.artifact).leaves, listed.leaves)
        if index is not None:
            evidence = SumChunkClaim(index, self._chunk(index), listed.leaves[index], listed.path(index))
            raise DeliveryFaultError(f"the running sum in chunk {index} is not the listed one: dispute it", evidence)

    def check_steps(self, recomputed: Sequence[int]) -> None:
        index = _first_difference(stored_sums(self.artifact), recomputed)
        if index is not None:
            raise DeliveryFaultError(
                f"the parameters in chunk {index} are not the proven ones: dispute it", self._step_evidence(index)
            )

    def check_range(self) -> None:
        """No parameter has more than 24 bits."""
        for index in range(len(self.artifact) // CHUNK_BYTES):
            parameters = values_of(self.artifact, index)
            outside = np.abs(np.frombuffer(parameters, dtype=">i4").astype(np.int64)) >= 1 << VALUE_BITS
            if outside.any():
                path = weights_tree(self.artifact).path(index)
                position = int(outside.argmax())
                evidence = RangeClaim(index, position, salt_of(self.artifact, index), parameters, path)
                raise DeliveryFaultError(f"a parameter in chunk {index} has more than 24 bits: dispute it", evidence)

    def _step_evidence(self, index: int) -> SumStepClaim:
        """Chunks that agree with both trees, so that their contents open the trees' leaves."""
        sums = sums_tree(self.artifact)

        def leaf(at: int) -> SumLeaf:
            return SumLeaf(stored_sums(self.artifact)[at], salt_of(self.artifact, at), sums.path(at))

        return SumStepClaim(
            index,
            previous=leaf(index - 1) if index else None,
            current=leaf(index),
            parameters=values_of(self.artifact, index),
            weights_path=weights_tree(self.artifact).path(index),
        )

    def _chunk(self, index: int) -> CiphertextChunk:
        data = self.ciphertext[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        tree = ciphertext_tree(self.ciphertext)
        return CiphertextChunk(tree.root, data, tree.path(index))


def _first_difference(delivered: Iterable[object], expected: Iterable[object]) -> int | None:
    pairs = enumerate(zip(delivered, expected, strict=True))
    return next((index for index, (here, there) in pairs if here != there), None)
