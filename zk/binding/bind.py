"""Bind the delivered chunks to the proven commitments.

Seller: `bind_parameters` makes chunks, trees and the opening. Buyer, before paying: `verify_binding`.
After decryption the buyer recomputes every running sum (`zk.binding.sums.running_sums`).

Two facts meet in the sums tree. The KZG opening says what the proven parameters sum to, and the tree's last leaf holds
that sum. The sum step dispute lets the buyer show any chunk whose values do not lead from the sum before it to its own.
So chunks that survive all disputes sum to what the proven parameters sum to, and hence are these parameters.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zk.binding.chunks import (
    SALT_BYTES,
    SUM_BYTES,
    ColumnLayout,
    encode_chunks,
    salt_of,
    split_columns,
    sum_salt,
    sums_leaf,
    sums_tree,
    weights_tree,
    with_sums,
)
from zk.binding.errors import BindingError, ChunkError, MerkleError
from zk.binding.kzg import open_columns, verify_opening
from zk.binding.merkle import HASH_BYTES, ChunkTree
from zk.binding.sums import derive_challenge, last_sum_of, running_sums
from zk.binding.tensors import commit_elements, commitment_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from zk.binding.kzg import KzgOpening
    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs


@dataclass(frozen=True)
class ChunkCommitments:
    """The public half of the chunks: both trees' leaves, and the salt that opens the last sum.

    What is published of the last chunk's salt is its hash. The salt itself stands before the chunk's values in the
    weights tree: were it public, a last column of one value more than whole chunks would leave 24 bits to try.

    Attributes:
        weights: Tree whose root is `weightsRoot`.
        sums: Tree whose root is `sumsRoot`.
        last_sum_salt: Hash of the last chunk's salt, with which the buyer finds S_last in `sums` before it pays.
    """

    weights: ChunkTree
    sums: ChunkTree
    last_sum_salt: bytes

    def to_bytes(self) -> bytes:
        """Return the form in which the package publishes them: `last_sum_salt ‖ weights leaves ‖ sums leaves`."""
        return b"".join((self.last_sum_salt, *self.weights.leaves, *self.sums.leaves))

    @classmethod
    def from_bytes(
        cls, data: bytes, layout: ColumnLayout, *, weights_root: bytes, sums_root: bytes
    ) -> ChunkCommitments:
        """Read published leaves and check them against the listed roots.

        Raises:
            ChunkError: The length is not that of the layout.
            MerkleError: A root is not the listed one.
        """
        leaves_bytes = layout.chunk_count * HASH_BYTES
        if len(data) != SALT_BYTES + 2 * leaves_bytes:
            raise ChunkError(
                f"{layout.chunk_count} chunks have {SALT_BYTES + 2 * leaves_bytes} bytes of leaves, not {len(data)}"
            )
        words = [data[start : start + HASH_BYTES] for start in range(SALT_BYTES, len(data), HASH_BYTES)]
        trees = (ChunkTree(words[: layout.chunk_count]), ChunkTree(words[layout.chunk_count :]))
        for tree, root, name in zip(trees, (weights_root, sums_root), ("weights", "sums"), strict=True):
            if tree.root != root:
                raise MerkleError(f"the {name} leaves have the root 0x{tree.root.hex()}, listed is 0x{root.hex()}")
        return cls(*trees, last_sum_salt=data[:SALT_BYTES])


@dataclass(frozen=True)
class BoundParameters:
    """What a seller keeps and lists.

    Attributes:
        artifact: Secret: all chunks, `layout.chunk_count` x 1024 bytes; what is encrypted and delivered.
        layout: Parameters in each column.
        commitments: Public leaves; their roots are listed.
        opening: Public; goes into the manifest.
    """

    artifact: bytes = field(repr=False)
    layout: ColumnLayout
    commitments: ChunkCommitments
    opening: KzgOpening


def bind_parameters(
    circuit: AuditCircuit,
    parameters: Sequence[NDArray[np.int32]],
    points: Sequence[bytes],
    srs: Srs,
    *,
    seller: bytes,
) -> BoundParameters:
    """Cut parameters into salted chunks, compute running sums and trees, and open the commitments.

    Args:
        circuit: Gives the column layout and commits the quotient.
        parameters: The canonical tensors.
        points: Their commitments, from `zk.parameter_commitment`.
        srs: The circuit's SRS.
        seller: Address of the account that will list them, 20 bytes: the opening is valid for it alone.

    Raises:
        ChunkError: The tensors do not fit the circuit.
        BindingError: `points` are not the commitments of `parameters`.
    """
    layout = ColumnLayout(circuit.logrows, circuit.column_lengths)
    columns = split_columns(parameters, layout)
    return bind_columns(
        columns, layout, points, srs, lambda elements: commit_elements(circuit, elements, srs)[0], seller=seller
    )


def bind_columns(
    columns: Sequence[NDArray[np.int32]],
    layout: ColumnLayout,
    points: Sequence[bytes],
    srs: Srs,
    commit: Callable[[Sequence[int]], bytes],
    *,
    seller: bytes,
) -> BoundParameters:
    """Do what `bind_parameters` does, with any `commit` that `zk.binding.kzg.open_columns` takes."""
    blank = encode_chunks(columns, secrets.token_bytes(SALT_BYTES * layout.chunk_count))
    weights = weights_tree(blank)
    challenge = derive_challenge(weights.root, commitment_digest(points), seller)
    sums = running_sums(columns, layout, challenge)
    opening = open_columns(columns, sums[-1], layout, challenge, srs, commit)
    artifact = with_sums(blank, sums)
    commitments = ChunkCommitments(weights, sums_tree(artifact), sum_salt(salt_of(artifact, layout.chunk_count - 1)))
    verify_binding(layout, points, commitments, opening, srs, seller=seller)
    return BoundParameters(artifact, layout, commitments, opening)


def verify_binding(
    layout: ColumnLayout,
    points: Sequence[bytes],
    commitments: ChunkCommitments,
    opening: KzgOpening,
    srs: Srs,
    *,
    seller: bytes,
) -> None:
    """Check before paying that the sums tree ends in the sum that the proof's commitments open to; silent on success.

    Not checked: that `points`, the trees' roots and `seller` (20 bytes) are the listed ones, and that `layout` is
    the circuit's.

    Raises:
        BindingError: The opening is false, or the last sum is not the one in the sums tree.
        SrsError: The SRS file is truncated.
    """
    challenge = derive_challenge(commitments.weights.root, commitment_digest(points), seller)
    verify_opening(points, layout, challenge, opening, srs)
    last_sum = last_sum_of(opening.value, layout, challenge)
    leaf = sums_leaf(layout.chunk_count - 1, last_sum.to_bytes(SUM_BYTES, "big"), commitments.last_sum_salt)
    if commitments.sums.leaves[-1] != leaf:
        raise BindingError(
            f"the sums tree ends in 0x{commitments.sums.leaves[-1].hex()}, the opened sum needs 0x{leaf.hex()}: "
            "do not buy from this listing"
        )
