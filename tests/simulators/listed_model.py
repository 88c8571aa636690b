"""A listed and delivered model without proof system: chunks, trees, sums and ciphertext of random parameters.

A cheating seller gives other columns, sums or ciphertexts where the honest one has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.simulators.escrow_judge import Judge
from trader.delivery import (
    CiphertextChunk,
    Claim,
    DeliveryTerms,
    RangeClaim,
    SumLeaf,
    SumStepClaim,
    WeightsChunkClaim,
    ciphertext_tree,
    encrypt_artifact,
)
from zk.binding import ChunkCommitments, ColumnLayout, derive_challenge, running_sums, sums_tree, weights_tree
from zk.binding.chunks import CHUNK_BYTES, encode_chunks, salt_of, stored_sums, sum_salt, values_of, with_sums
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOGROWS = 9
SHAPES = ((253, 2), (241, 1), (1, 3))
LENGTHS = (506, 241, 3)
PARAMETER_COMMITMENT = bytes(range(32))
SELLER = bytes.fromhex("2b5ad5c4795c026514f8317c7a215e218dccd6cf")
"""eth-tester's account that sells in the tests of the contract."""
KEY = keccak256(b"delivery key")


@dataclass(frozen=True)
class ListedModel:
    """What a seller lists, and the artifact behind it."""

    layout: ColumnLayout
    columns: list[NDArray[np.int32]]
    artifact: bytes
    terms: DeliveryTerms

    def evidence(self, ciphertext: bytes, kind: type[Claim], index: int) -> Claim:
        """What a buyer shows about chunk `index`, whether there is anything wrong with it or not."""
        weights, sums = self.terms.commitments.weights, self.terms.commitments.sums
        if kind is SumStepClaim:
            previous = self._sum_leaf(index - 1) if index else None
            values = values_of(self.artifact, index)
            return SumStepClaim(index, previous, self._sum_leaf(index), values, weights.path(index))
        if kind is RangeClaim:
            values = values_of(self.artifact, index)
            position = int(np.abs(np.frombuffer(values, dtype=">i4").astype(np.int64)).argmax())
            return RangeClaim(index, position, salt_of(self.artifact, index), values, weights.path(index))
        data = ciphertext[CHUNK_BYTES * index : CHUNK_BYTES * (index + 1)]
        delivered = ciphertext_tree(ciphertext)
        chunk = CiphertextChunk(delivered.root, data, delivered.path(index))
        tree = weights if kind is WeightsChunkClaim else sums
        return kind(index, chunk, tree.leaves[index], tree.path(index))

    def _sum_leaf(self, index: int) -> SumLeaf:
        path = self.terms.commitments.sums.path(index)
        return SumLeaf(stored_sums(self.artifact)[index], salt_of(self.artifact, index), path)

    def judge(self, ciphertext: bytes) -> Judge:
        """The escrow, once the seller has committed to a ciphertext and revealed the key."""
        commitments = self.terms.commitments
        return Judge(
            self.layout.logrows,
            self.layout.lengths,
            self.terms.parameter_commitment,
            SELLER,
            commitments.weights.root,
            commitments.sums.root,
            ciphertext_tree(ciphertext).root,
            KEY,
        )

    def ciphertext(self) -> bytes:
        return encrypt_artifact(self.artifact, KEY)


def random_columns(seed: int = 0) -> list[NDArray[np.int32]]:
    random = np.random.default_rng(seed)
    return [random.integers(-(2**23), 2**23, length).astype(np.int32) for length in LENGTHS]


def salts(seed: int = 0) -> bytes:
    return np.random.default_rng(seed + 1000).bytes(32 * ColumnLayout(LOGROWS, LENGTHS).chunk_count)


def list_model(
    columns: list[NDArray[np.int32]],
    *,
    forged_sums: dict[int, int] | None = None,
    parameter_commitment: bytes = PARAMETER_COMMITMENT,
) -> ListedModel:
    """List columns honestly but for the running sums that are given."""
    layout = ColumnLayout(LOGROWS, LENGTHS)
    blank = encode_chunks(columns, salts())
    weights = weights_tree(blank)
    sums = running_sums(columns, layout, derive_challenge(weights.root, parameter_commitment, SELLER))
    for index, forged in (forged_sums or {}).items():
        sums[index] = forged
    artifact = with_sums(blank, sums)
    last_sum_salt = sum_salt(salt_of(artifact, layout.chunk_count - 1))
    terms = DeliveryTerms(
        layout, SHAPES, parameter_commitment, ChunkCommitments(weights, sums_tree(artifact), last_sum_salt), SELLER
    )
    return ListedModel(layout, columns, artifact, terms)
