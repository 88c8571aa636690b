"""Chunks, Merkle trees, running sums and KZG openings: the link between a proof and the bytes that are delivered.

Read `zk.binding.chunks` and `zk.binding.merkle` (what is delivered and how it is committed to), then `zk.binding.sums`
and `zk.binding.kzg` (the two sides of the link), last `zk.binding.bind`, where sellers and buyers start:
`bind_parameters` and `verify_binding`.
"""

from zk.binding.bind import BoundParameters, ChunkCommitments, bind_parameters, verify_binding
from zk.binding.chunks import ColumnLayout, decode_columns, join_columns, split_columns, sums_tree, weights_tree
from zk.binding.errors import BindingError, ChunkError, CommitmentError, MerkleError
from zk.binding.kzg import KzgOpening, verify_opening
from zk.binding.merkle import ChunkTree, verify_path
from zk.binding.sums import Challenge, derive_challenge, running_sums

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
