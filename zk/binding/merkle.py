"""Binary keccak Merkle trees over chunk indices, with the shape that the dispute contract checks.

Leaves are padded with zero words to the next power of two, a node is keccak256(left ‖ right), and the side of each
sibling follows from the leaf's index, never from the caller. Leaves are hashes of 96, 992 or 1024 bytes, inner nodes of
64: a node can't be passed off as a leaf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from Crypto.Hash import keccak as _keccak

from zk.binding.errors import MerkleError

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32
_EMPTY_LEAF = bytes(HASH_BYTES)


def keccak256(data: bytes | memoryview) -> bytes:
    """Ethereum's keccak256."""
    return _keccak.new(digest_bits=256, data=data).digest()


def path_length(leaf_count: int) -> int:
    """Siblings on the path of any leaf: log2 of the padded number of leaves."""
    return (leaf_count - 1).bit_length()


class ChunkTree:
    """A Merkle tree over `leaves`, one 32-byte hash per chunk.

    Attributes:
        leaves: The leaves without padding.
        root: 32 bytes.

    Raises:
        MerkleError: No leaves, or a leaf that is not 32 bytes long.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves or any(len(leaf) != HASH_BYTES for leaf in leaves):
            raise MerkleError(f"a tree needs one or more leaves of {HASH_BYTES} bytes")
        self.leaves = tuple(leaves)
        padding = (1 << path_length(len(leaves))) - len(leaves)
        self._levels = [list(leaves) + [_EMPTY_LEAF] * padding]
        while len(self._levels[-1]) > 1:
            level = self._levels[-1]
            self._levels.append([keccak256(level[i] + level[i + 1]) for i in range(0, len(level), 2)])
        self.root = self._levels[-1][0]

    def path(self, index: int) -> tuple[bytes, ...]:
        """Siblings of leaf `index`, from the bottom up.

        Raises:
            MerkleError: There is no such leaf.
        """
        if not 0 <= index < len(self.leaves):
            raise MerkleError(f"leaf {index} is outside a tree of {len(self.leaves)} leaves")
        return tuple(level[(index >> height) ^ 1] for height, level in enumerate(self._levels[:-1]))


def verify_path(root: bytes, leaf: bytes, index: int, path: Sequence[bytes], leaf_count: int) -> None:
    """Check that `leaf` stands at `index` in the tree of `leaf_count` leaves under `root`; silent on success.

    Raises:
        MerkleError: The index, the path's length or a hash's length is wrong, or the path leads to another root.
    """
    if not 0 <= index < leaf_count:
        raise MerkleError(f"leaf {index} is outside a tree of {leaf_count} leaves")
    if len(path) != path_length(leaf_count):
        raise MerkleError(
            f"a path in a tree of {leaf_count} leaves has {path_length(leaf_count)} hashes, not {len(path)}"
        )
    if any(len(word) != HASH_BYTES for word in (root, leaf, *path)):
        raise MerkleError(f"root, leaf and siblings have {HASH_BYTES} bytes each")
    node = leaf
    for height, sibling in enumerate(path):
        node = keccak256(sibling + node if (index >> height) & 1 else node + sibling)
    if node != root:
        raise MerkleError(f"leaf {index} does not belong to the root 0x{root.hex()}: its path leads to 0x{node.hex()}")
