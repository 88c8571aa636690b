"""A map under one root that proves what a key stands for, and that a key is not there. Pure: no IO.

A binary tree over the SHA-256 of the keys, in which a subtree with one key is that key's leaf: the tree of n keys is
about log₂ n deep (as in Dahlberg, Pulls, Peeters: Efficient Sparse Merkle Trees, 2016, and Diem's Jellyfish tree). A
key's path is fixed by its hash, so under one root there is one answer: its leaf, or where its leaf would stand nothing,
or another key's.

Worked example. Keys whose hashes begin with 00…, 01… and 1…: the root's right child is the third key's leaf, its left
child an inner node with the leaves of the other two. Key 11… is absent: its path ends in the leaf of 1….

A node is kept as its bytes, by its path from the root (`""`, `"0"`, `"01"`, …), and its hash is their SHA-256:

    leaf        0x00 ‖ hash of the key ‖ value      (65 bytes)
    inner node  0x01 ‖ left hash ‖ right hash       (65 bytes), where an empty subtree's hash is 32 zero bytes
"""

import hashlib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import ProofError

HASH_BYTES: Final = 32
EMPTY: Final = bytes(HASH_BYTES)
_LEAF: Final = b"\x00"
_INNER: Final = b"\x01"
DEEPEST: Final = 8 * HASH_BYTES


@dataclass(frozen=True)
class MapProof:
    """What leads from where a key's path ends up to the root.

    Attributes:
        other: The bytes of another key's leaf in which the path ends, None if it ends in the key's own or in nothing.
        siblings: Hashes of the siblings along the path, that of the root's child first; 32 bytes each.
    """

    other: bytes | None
    siblings: tuple[bytes, ...]


def path_of(key_hash: bytes) -> str:
    """Return the path of a key as 256 digits 0 and 1."""
    return f"{int.from_bytes(key_hash, 'big'):0256b}"


def root_of(nodes: Mapping[str, bytes]) -> bytes:
    """Return the root of the map; 32 zero bytes if it is empty."""
    return _hash(nodes.get(""))


def update_map(nodes: MutableMapping[str, bytes], values: Mapping[bytes, bytes]) -> bytes:
    """Let keys stand for new values, and return the new root.

    Args:
        nodes: The nodes by path; those that change are set.
        values: Value of each key that is new or changes, by the key's hash; 32 bytes each.
    """
    items = sorted((path_of(key_hash), key_hash, value) for key_hash, value in values.items())
    return _update(nodes, "", items) if items else root_of(nodes)


_Item = tuple[str, bytes, bytes]  # path, hash of the key, value


def _update(nodes: MutableMapping[str, bytes], path: str, items: Sequence[_Item]) -> bytes:
    node = nodes.get(path)
    if node is not None and node[:1] == _INNER:
        left_hash, right_hash = node[1 : 1 + HASH_BYTES], node[1 + HASH_BYTES :]
        left, right = _divide(items, len(path))
        if left:
            left_hash = _update(nodes, f"{path}0", left)
        if right:
            right_hash = _update(nodes, f"{path}1", right)
        return _put(nodes, path, _INNER + left_hash + right_hash)
    if node is not None:
        key_hash, value = node[1 : 1 + HASH_BYTES], node[1 + HASH_BYTES :]
        if all(item[1] != key_hash for item in items):
            items = sorted([*items, (path_of(key_hash), key_hash, value)])
    return _build(nodes, path, items)


def _build(nodes: MutableMapping[str, bytes], path: str, items: Sequence[_Item]) -> bytes:
    if not items:
        return EMPTY
    if len(items) == 1:
        return _put(nodes, path, _LEAF + items[0][1] + items[0][2])
    left, right = _divide(items, len(path))
    return _put(nodes, path, _INNER + _build(nodes, f"{path}0", left) + _build(nodes, f"{path}1", right))


def _divide(items: Sequence[_Item], depth: int) -> tuple[Sequence[_Item], Sequence[_Item]]:
    """Divide sorted items that share `depth` digits by the next one."""
    first_right = next((place for place, item in enumerate(items) if item[0][depth] == "1"), len(items))
    return items[:first_right], items[first_right:]


def _put(nodes: MutableMapping[str, bytes], path: str, node: bytes) -> bytes:
    nodes[path] = node
    return _hash(node)


def _hash(node: bytes | None) -> bytes:
    return EMPTY if node is None else hashlib.sha256(node).digest()


def prove_key(nodes: Mapping[str, bytes], key_hash: bytes) -> MapProof:
    """Prove what a key stands for, or that it is not there."""
    path = path_of(key_hash)
    siblings: list[bytes] = []
    for depth in range(DEEPEST + 1):
        node = nodes.get(path[:depth])
        if node is None:
            return MapProof(None, tuple(siblings))
        if node[:1] == _LEAF:
            own = node[1 : 1 + HASH_BYTES] == key_hash
            return MapProof(None if own else node, tuple(siblings))
        left_hash, right_hash = node[1 : 1 + HASH_BYTES], node[1 + HASH_BYTES :]
        siblings.append(left_hash if path[depth] == "1" else right_hash)
    raise ProofError("the index has a path that is longer than a hash: it was damaged")


def verify_key(root: bytes, key_hash: bytes, value: bytes | None, proof: MapProof) -> None:
    """Check that under `root` a key stands for `value`, or for None: that it is not there.

    Raises:
        ProofError: That does not follow from the proof.
    """
    path = path_of(key_hash)
    if len(proof.siblings) > DEEPEST or any(len(sibling) != HASH_BYTES for sibling in proof.siblings):
        raise ProofError(f"a proof has at most {DEEPEST} hashes of {HASH_BYTES} bytes")
    node_hash = _end(path, key_hash, value, proof)
    for depth in reversed(range(len(proof.siblings))):
        sibling = proof.siblings[depth]
        pair = sibling + node_hash if path[depth] == "1" else node_hash + sibling
        node_hash = hashlib.sha256(_INNER + pair).digest()
    if node_hash != root:
        raise ProofError(
            f"the proof gives root 0x{node_hash.hex()}, expected 0x{root.hex()}", expected=root, actual=node_hash
        )


def _end(path: str, key_hash: bytes, value: bytes | None, proof: MapProof) -> bytes:
    """Return the hash of where the key's path ends."""
    if value is not None:
        if proof.other is not None or len(value) != HASH_BYTES:
            raise ProofError("the proof is one of absence, the key is said to be there")
        return _hash(_LEAF + key_hash + value)
    if proof.other is None:
        return EMPTY
    other_key = proof.other[1 : 1 + HASH_BYTES]
    if len(proof.other) != 1 + 2 * HASH_BYTES or proof.other[:1] != _LEAF or other_key == key_hash:
        raise ProofError("the proof of absence must end in another key's leaf")
    if path_of(other_key)[: len(proof.siblings)] != path[: len(proof.siblings)]:
        raise ProofError("the proof of absence ends in a leaf that is not on the key's path")
    return _hash(proof.other)
