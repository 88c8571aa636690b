"""Chunks, Merkle trees, running sums and KZG openings: the link between a proof and the bytes that are delivered.

Read :mod:`~zk.commitments.chunks` and :mod:`~zk.commitments.merkle` (what is delivered and how it is committed to),
then :mod:`~zk.commitments.sums` and :mod:`~zk.commitments.kzg` (the two sides of the link), last
:mod:`~zk.commitments.binding`, where sellers and buyers start: :func:`bind_parameters` and :func:`verify_binding`.
"""

from zk.commitments.binding import BoundParameters, ChunkCommitments, bind_parameters, verify_binding
from zk.commitments.chunks import ColumnLayout, decode_columns, join_columns, split_columns, sums_tree, weights_tree
from zk.commitments.errors import BindingError, ChunkError, CommitmentError, MerkleError
from zk.commitments.kzg import KzgOpening, verify_opening
from zk.commitments.merkle import ChunkTree, verify_path
from zk.commitments.sums import Challenge, derive_challenge, running_sums

__all__ = [
    "BindingError",
    "BoundParameters",
    "Challenge",
    "ChunkCommitments",
    "ChunkError",
    "ChunkTree",
    "ColumnLayout",
    "CommitmentError",
    "KzgOpening",
    "MerkleError",
    "bind_parameters",
    "decode_columns",
    "derive_challenge",
    "join_columns",
    "running_sums",
    "split_columns",
    "sums_tree",
    "verify_binding",
    "verify_opening",
    "verify_path",
    "weights_tree",
]
