"""OpenZeppelin's standard Merkle tree, as `MerkleProof.sol` checks it and `@openzeppelin/merkle-tree` builds it.

The tree lies in an array like a heap: node i has the children 2i + 1 and 2i + 2, leaves are the last n of 2n - 1
nodes, in falling order. A node is keccak256 of its children, the smaller one first, so that a path needs no positions.
A leaf is keccak256(keccak256(data)): no inner node can be shown as a leaf.

Example, three leaves a < b < c: the array is (H(H(a, b), c), H(a, b), c, b, a), and the path of a is (b, c).
"""

from collections.abc import Iterable

from eth_utils.crypto import keccak


class StandardTree:
    """A tree over the given data, whose order does not matter.

    Attributes:
        root: 32 bytes.
    """

    def __init__(self, data: Iterable[bytes]) -> None:
        leaves = sorted({standard_leaf(item) for item in data}, reverse=True)
        if not leaves:
            raise ValueError("a tree has at least one leaf")
        nodes = [b""] * (len(leaves) - 1) + leaves
        for index in reversed(range(len(leaves) - 1)):
            nodes[index] = _hash_pair(nodes[2 * index + 1], nodes[2 * index + 2])
        self._nodes = nodes
        self._places = {leaf: index for index, leaf in enumerate(nodes) if index >= len(leaves) - 1}
        self.root = nodes[0]

    def path(self, data: bytes) -> list[bytes]:
        """Return the siblings from the leaf of `data` up to the root, 32 bytes each.

        Raises:
            KeyError: The tree has no such leaf.
        """
        place, siblings = self._places[standard_leaf(data)], []
        while place > 0:
            siblings.append(self._nodes[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return siblings


def standard_leaf(data: bytes) -> bytes:
    """Return the leaf of ABI-encoded data, 32 bytes."""
    return keccak(keccak(data))


def root_of(data: bytes, path: Iterable[bytes]) -> bytes:
    """Return the root of the tree in which a path leads from the leaf of `data` up, as the contracts compute it."""
    node = standard_leaf(data)
    for sibling in path:
        node = _hash_pair(node, sibling)
    return node


def _hash_pair(left: bytes, right: bytes) -> bytes:
    return keccak(min(left, right) + max(left, right))
