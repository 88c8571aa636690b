"""Merkle trees over a list that only grows: roots, inclusion proofs, consistency proofs. Pure: no IO.

The tree of RFC 6962 §2.1 (RFC 9162 §2.1 with SHA-256), as in Certificate Transparency. Reading order: the two hash
functions, `Frontier` (appending), the ranges that a proof is made of, then the two verifiers.

A *node* (level, position) is the root of a full subtree: it stands for the 2^level leaves from position · 2^level on,
and never changes once it is complete. A *range* of leaves, as proofs name them, is covered by at most log₂ n nodes:
`cover` names them, `fold` makes the range's hash of theirs.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Final

from ledger.errors import ProofError

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node = tuple[int, int]


def hash_leaf(data: bytes) -> bytes:
    """Hash of a leaf with this content; 32 bytes (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node; 32 bytes (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """What is needed of a tree to append to it: the roots of the full subtrees that its leaves make up.

    Attributes:
        leaves: Number of leaves.
        roots: One hash per bit that is set in `leaves`, the largest subtree first; see `cover`.
    """

    leaves: int = 0
    roots: tuple[bytes, ...] = ()

    def append(self, leaf_hash: bytes) -> tuple["Frontier", list[tuple[Node, bytes]]]:
        """Return the frontier with one leaf more, and the nodes that this completes, the leaf itself first."""
        completed = [((0, self.leaves), leaf_hash)]
        roots = list(self.roots)
        position = self.leaves
        while position & 1:
            position >>= 1
            node = (len(completed), position)
            completed.append((node, hash_children(roots.pop(), completed[-1][1])))
        return Frontier(self.leaves + 1, (*roots, completed[-1][1])), completed

    def extend(self, leaf_hashes: Sequence[bytes]) -> tuple["Frontier", list[tuple[int, int, bytes]]]:
        """Return the frontier with many leaves more, and level, position and hash of the nodes that they complete.

        The same as `append` one by one, level by level: there is no work but hashing.
        """
        leaves, level, hashes = self.leaves + len(leaf_hashes), 0, list(leaf_hashes)
        older = {level: root for (level, _), root in zip(cover(range(self.leaves)), self.roots, strict=True)}
        roots: list[bytes] = []
        completed: list[tuple[int, int, bytes]] = []
        while leaves >> level:
            first = self.leaves >> level
            completed += zip(repeat(level), count(first), hashes)
            if first & 1:
                hashes.insert(0, older[level])
            if len(hashes) & 1:
                roots.insert(0, hashes[-1])
            hashes = [
                hashlib.sha256(b"\x01" + left + right).digest()
                for left, right in zip(hashes[::2], hashes[1::2], strict=False)
            ]
            level += 1
        return Frontier(leaves, tuple(roots)), completed

    def grow(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """Return the frontier with more leaves: `append` one by one, without the nodes that they complete."""
        roots, leaves = list(self.roots), self.leaves
        for leaf_hash in leaf_hashes:
            node_hash, position = leaf_hash, leaves
            while position & 1:
                node_hash = hashlib.sha256(b"\x01" + roots.pop() + node_hash).digest()
                position >>= 1
            roots.append(node_hash)
            leaves += 1
        return Frontier(leaves, tuple(roots))

    def root(self) -> bytes:
        """Return the root of the whole tree (RFC 6962 §2.1, MTH)."""
        return fold(self.roots)


def cover(leaves: range) -> list[Node]:
    """Return the largest full subtrees that make up `leaves` (as the functions below give it), from left to right."""
    nodes = []
    start = leaves.start
    for level in reversed(range((leaves.stop - start).bit_length())):
        if (leaves.stop - leaves.start) >> level & 1:
            nodes.append((level, start >> level))
            start += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Hash of a range from the hashes of the nodes that cover it."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = hash_children(left, folded)
    return folded


def inclusion_ranges(index: int, leaves: int) -> list[range]:
    """Return the ranges whose hashes, in this order, prove that a leaf is in the tree (RFC 6962 §2.1.1, PATH).

    Raises:
        ProofError: There is no such leaf.
    """
    if not 0 <= index < leaves:
        raise ProofError(f"there is no leaf {index} in a tree of {leaves}")
    ranges = []
    tree = range(leaves)
    while len(tree) > 1:
        left, right = _split(tree)
        tree, sibling = (left, right) if index in left else (right, left)
        ranges.append(sibling)
    return ranges[::-1]


def consistency_ranges(older: int, newer: int) -> list[range]:
    """Return the ranges whose hashes, in this order, prove that a tree of `newer` leaves begins with `older` (§2.1.2).

    Raises:
        ProofError: `older` is larger than `newer`.
    """
    if not 0 <= older <= newer:
        raise ProofError(f"a tree of {newer} leaves can't begin with one of {older}")
    if older in (0, newer):
        return []  # there is nothing to show
    ranges = []
    tree = range(newer)
    while tree.stop != older:
        left, right = _split(tree)
        tree, sibling = (left, right) if older <= left.stop else (right, left)
        ranges.append(sibling)
    if tree.start != 0:  # else the verifier knows it: it is the older root
        ranges.append(tree)
    return ranges[::-1]


def verify_inclusion(leaf_hash: bytes, index: int, leaves: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree with `root` has `leaf_hash` as its leaf `index` (RFC 9162 §2.1.3.2).

    Raises:
        ProofError: It does not follow from `proof`.
    """
    ranges = inclusion_ranges(index, leaves)
    _check_length(proof, len(ranges))
    computed = leaf_hash
    for sibling, sibling_hash in zip(ranges, proof, strict=True):
        left_sibling = sibling.stop <= index
        computed = hash_children(sibling_hash, computed) if left_sibling else hash_children(computed, sibling_hash)
    _check_root("the proof", computed, root)


def verify_consistency(older: int, newer: int, older_root: bytes, newer_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree with `newer_root` begins with the leaves of that with `older_root` (RFC 9162 §2.1.4.2).

    Raises:
        ProofError: It does not follow from `proof`.
    """
    ranges = consistency_ranges(older, newer)
    _check_length(proof, len(ranges))
    if older == newer:
        _check_root("the newer tree", newer_root, older_root)
        return
    if older == 0:
        _check_root("the empty tree", older_root, EMPTY_ROOT)
        return
    siblings = list(zip(ranges, proof, strict=True))
    # The subtree that ends the older tree: the proof's first hash, or all of the older tree, whose root is known.
    if ranges[0].stop == older:
        (_, old_hash), *siblings = siblings
    else:
        old_hash = older_root
    new_hash = old_hash
    for sibling, sibling_hash in siblings:
        if sibling.stop <= older:  # left of the subtree: part of both trees
            old_hash, new_hash = hash_children(sibling_hash, old_hash), hash_children(sibling_hash, new_hash)
        else:
            new_hash = hash_children(new_hash, sibling_hash)
    _check_root("the older tree", old_hash, older_root)
    _check_root("the newer tree", new_hash, newer_root)


def _split(leaves: range) -> tuple[range, range]:
    """Divide at the largest power of two below its length, as RFC 6962 does."""
    middle = leaves.start + (1 << ((len(leaves) - 1).bit_length() - 1))
    return leaves[: middle - leaves.start], leaves[middle - leaves.start :]


def _check_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected or any(len(node_hash) != hashlib.sha256().digest_size for node_hash in proof):
        raise ProofError(f"the proof must have {expected} hashes of 32 bytes, it has {len(proof)}")


def _check_root(name: str, computed: bytes, root: bytes) -> None:
    if computed != root:
        raise ProofError(
            f"{name} gives root 0x{computed.hex()}, expected 0x{root.hex()}", expected=root, actual=computed
        )
