"""Trees and paths: every honest path holds, no other does."""

import pytest
from Crypto.Hash import keccak

from zk.binding import ChunkTree, MerkleError, verify_path


def h(data):
    return keccak.new(digest_bits=256, data=data).digest()


def leaves_of(count, label=b"leaf"):
    return [h(label + bytes([i])) for i in range(count)]


def reference_root(leaves):
    """By recursion, from the top."""
    if len(leaves) == 1:
        return leaves[0]
    size = 1
    while size < len(leaves):
        size *= 2
    padded = leaves + [bytes(32)] * (size - len(leaves))
    return h(reference_root(padded[: size // 2]) + reference_root(padded[size // 2 :]))


@pytest.mark.parametrize("count", [*range(1, 10), 16, 17, 33])
def test_every_path_leads_to_the_root(count):
    leaves = leaves_of(count)
    tree = ChunkTree(leaves)
    assert tree.root == reference_root(leaves)
    for index, leaf in enumerate(leaves):
        verify_path(tree.root, leaf, index, tree.path(index), count)


def attack(name, tree, other, index):
    """Root, leaf, index, path, leaf count of a false claim about chunk `index` of a tree of 6."""
    leaf, path = tree.leaves[index], tree.path(index)
    claims = {
        "swapped siblings": (tree.root, leaf, index, (path[1], path[0], path[2]), 6),
        "reversed path": (tree.root, leaf, index, path[::-1], 6),
        "short path": (tree.root, leaf, index, path[:-1], 6),
        "long path": (tree.root, leaf, index, (*path, bytes(32)), 6),
        "empty path": (tree.root, leaf, index, (), 6),
        "neighbour's index": (tree.root, leaf, index ^ 1, path, 6),
        "neighbour's leaf": (tree.root, tree.leaves[index ^ 1], index, path, 6),
        "neighbour's path": (tree.root, leaf, index, tree.path(index ^ 1), 6),
        "index beyond the leaves": (tree.root, bytes(32), 6, tree.path(5), 6),
        "index plus the padded count": (tree.root, leaf, index + 8, path, 6),
        "negative index": (tree.root, leaf, index - 8, path, 6),
        "other tree's leaf": (tree.root, other.leaves[index], index, path, 6),
        "other tree's path": (tree.root, leaf, index, other.path(index), 6),
        "other tree's root": (other.root, leaf, index, path, 6),
        "inner node as a leaf": (tree.root, h(tree.leaves[0] + tree.leaves[1]), 0, path[1:], 6),
        "inner node in a smaller tree": (tree.root, h(tree.leaves[0] + tree.leaves[1]), 0, path, 3),
        "root as a leaf": (tree.root, tree.root, 0, (), 6),
        "smaller tree": (tree.root, leaf, index, path, 4),
        "larger tree": (tree.root, leaf, index, path, 9),
        "sibling of 31 bytes": (tree.root, leaf, index, (path[0][:31], *path[1:]), 6),
        "bytes shifted from sibling to leaf": (tree.root, leaf + path[0][:1], index, (path[0][1:], *path[1:]), 6),
    }
    return claims[name]


ATTACKS = [
    "swapped siblings",
    "reversed path",
    "short path",
    "long path",
    "empty path",
    "neighbour's index",
    "neighbour's leaf",
    "neighbour's path",
    "index beyond the leaves",
    "index plus the padded count",
    "negative index",
    "other tree's leaf",
    "other tree's path",
    "other tree's root",
    "inner node as a leaf",
    "inner node in a smaller tree",
    "root as a leaf",
    "smaller tree",
    "larger tree",
    "sibling of 31 bytes",
    "bytes shifted from sibling to leaf",
]


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("index", [0, 1, 3])
def test_false_claims_are_refused(name, index):
    tree, other = ChunkTree(leaves_of(6)), ChunkTree(leaves_of(6, b"other"))
    with pytest.raises(MerkleError):
        verify_path(*attack(name, tree, other, index))


@pytest.mark.parametrize("leaves", [[], [bytes(31)], [bytes(32), bytes(33)]])
def test_leaves_that_are_not_hashes_are_refused(leaves):
    with pytest.raises(MerkleError):
        ChunkTree(leaves)


@pytest.mark.parametrize("index", [-1, 5])
def test_no_path_for_padding(index):
    with pytest.raises(MerkleError, match="outside"):
        ChunkTree(leaves_of(5)).path(index)
