"""A listed and delivered model without proof system: chunks, trees, sums and ciphertext of random parameters.

A cheating seller gives other columns, sums or ciphertexts where the honest one has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.simulators.escrow_judge import Judge
from trader.delivery import DeliveryTerms, ciphertext_tree, encrypt_artifact
from zk.commitments import ChunkCommitments, ColumnLayout, derive_challenge, running_sums, sums_tree, weights_tree
from zk.commitments.chunks import encode_chunks, salt_of, with_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOGROWS = 9
SHAPES = ((253, 2), (241, 1), (1, 3))
LENGTHS = (506, 241, 3)
PARAMETER_COMMITMENT = bytes(range(32))
KEY = bytes(range(100, 132))


@dataclass(frozen=True)
class ListedModel:
    """What a seller lists, and the artifact behind it."""

    layout: ColumnLayout
    columns: list[NDArray[np.int32]]
    artifact: bytes
    terms: DeliveryTerms

    def judge(self, ciphertext: bytes) -> Judge:
        """The escrow, once the seller has committed to a ciphertext and revealed the key."""
        commitments = self.terms.commitments
        return Judge(
            self.layout.logrows,
            self.layout.lengths,
            self.terms.parameter_commitment,
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


def list_model(columns: list[NDArray[np.int32]], *, forged_sums: dict[int, int] | None = None) -> ListedModel:
    """List columns honestly but for the running sums that are given."""
    layout = ColumnLayout(LOGROWS, LENGTHS)
    blank = encode_chunks(columns, salts())
    weights = weights_tree(blank)
    sums = running_sums(columns, layout, derive_challenge(weights.root, PARAMETER_COMMITMENT))
    for index, forged in (forged_sums or {}).items():
        sums[index] = forged
    artifact = with_sums(blank, sums)
    last_salt = salt_of(artifact, layout.chunk_count - 1)
    terms = DeliveryTerms(
        layout, SHAPES, PARAMETER_COMMITMENT, ChunkCommitments(weights, sums_tree(artifact), last_salt)
    )
    return ListedModel(layout, columns, artifact, terms)
