"""The tree against the definitions of RFC 6962, word for word, and against published vectors."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import ProofError
from ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_ranges,
    cover,
    fold,
    hash_children,
    hash_leaf,
    inclusion_ranges,
    verify_consistency,
    verify_inclusion,
)

# Leaves and roots of the tests of transparency-dev/merkle (testonly/constants.go), tree sizes 1 to 8.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
DATA = [f"leaf {i}".encode() for i in range(80)]


# RFC 6962 §2.1, §2.1.1 and §2.1.2 as they are written there.


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(data: list[bytes]) -> bytes:
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = largest_power_below(len(data))
    return hashlib.sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    if len(data) == 1:
        return []
    k = largest_power_below(len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], known: bool) -> list[bytes]:
    if m == len(data):
        return [] if known else [mth(data)]
    k = largest_power_below(len(data))
    if m <= k:
        return [*subproof(m, data[:k], known), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


class Tree:
    """All nodes of a tree, as the log keeps them."""

    def __init__(self, data: list[bytes]) -> None:
        self.frontier, self.nodes = Frontier(), {}
        for content in data:
            self.frontier, completed = self.frontier.append(hash_leaf(content))
            self.nodes |= completed

    def hashes(self, ranges: list[range]) -> list[bytes]:
        return [fold([self.nodes[node] for node in cover(leaves)]) for leaves in ranges]


TREE = Tree(DATA)


def root(leaves: int) -> bytes:
    return TREE.hashes([range(leaves)])[0]


def test_published_vectors() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for leaf, expected in zip(LEAVES, ROOTS, strict=True):
        frontier, _ = frontier.append(hash_leaf(bytes.fromhex(leaf)))
        assert frontier.root().hex() == expected


@pytest.mark.parametrize("leaves", range(len(DATA) + 1))
def test_roots_and_proofs_are_the_rfcs(leaves: int) -> None:
    data = DATA[:leaves]
    assert root(leaves) == mth(data) == Tree(data).frontier.root()
    for index in range(leaves):
        proof = TREE.hashes(inclusion_ranges(index, leaves))
        assert proof == path(index, data)
        verify_inclusion(hash_leaf(data[index]), index, leaves, proof, mth(data))
    for older in range(1, leaves + 1):
        proof = TREE.hashes(consistency_ranges(older, leaves))
        assert proof == subproof(older, data, True)
        verify_consistency(older, leaves, mth(data[:older]), mth(data), proof)


def test_nodes_cover_any_range_without_gap() -> None:
    for leaves in range(1, 70):
        nodes = cover(range(leaves))
        spans = [(position << level, (position + 1) << level) for level, position in nodes]
        assert spans[0][0] == 0
        assert spans[-1][1] == leaves
        assert all(left[1] == right[0] for left, right in pairwise(spans))
        assert len(nodes) == leaves.bit_count()


def test_leaf_cannot_pass_for_a_node() -> None:
    left, right = hash_leaf(b"a"), hash_leaf(b"b")
    assert hash_leaf(left + right) != hash_children(left, right)


def test_what_is_not_there_has_no_proof() -> None:
    for index, leaves in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ProofError):
            inclusion_ranges(index, leaves)
    for older, newer in ((6, 5), (-1, 5)):
        with pytest.raises(ProofError):
            consistency_ranges(older, newer)


def test_every_tree_begins_with_the_empty_one() -> None:
    verify_consistency(0, 5, EMPTY_ROOT, root(5), [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(ProofError):
        verify_consistency(0, 5, root(1), root(5), [])


sizes = st.integers(1, len(DATA))


@settings(deadline=None)
@given(data=st.data(), leaves=sizes)
def test_inclusion_of_anything_else_is_refused(data: st.DataObject, leaves: int) -> None:
    index = data.draw(st.integers(0, leaves - 1))
    honest = (hash_leaf(DATA[index]), index, leaves, TREE.hashes(inclusion_ranges(index, leaves)), root(leaves))
    verify_inclusion(*honest)
    forgeries = {
        "another leaf": (0, hash_leaf(b"other")),
        "a node instead of a leaf": (0, root(leaves) if leaves > 1 else bytes(32)),
        "another root": (4, hash_leaf(b"root")),
        "one hash more": (3, [*honest[3], bytes(32)]),
        "one hash less": (3, honest[3][:-1] or [bytes(32)]),
        "a short hash": (3, [*honest[3][:-1], bytes(31)]),
    }
    for place, forged in forgeries.values():
        with pytest.raises(ProofError):
            verify_inclusion(*honest[:place], forged, *honest[place + 1 :])
    other = data.draw(st.integers(0, leaves - 1))
    if other != index:
        with pytest.raises(ProofError):
            verify_inclusion(honest[0], other, *honest[2:])
    if honest[3]:
        position = data.draw(st.integers(0, len(honest[3]) - 1))
        flipped = [bytes([h[0] ^ 1]) + h[1:] if i == position else h for i, h in enumerate(honest[3])]
        with pytest.raises(ProofError):
            verify_inclusion(*honest[:3], flipped, honest[4])


@settings(deadline=None)
@given(data=st.data(), newer=sizes)
def test_consistency_of_anything_else_is_refused(data: st.DataObject, newer: int) -> None:
    older = data.draw(st.integers(1, newer))
    proof = TREE.hashes(consistency_ranges(older, newer))
    verify_consistency(older, newer, root(older), root(newer), proof)
    changed = [*DATA[: older - 1], b"changed", *DATA[older:newer]]
    own_proof = Tree(changed).hashes(consistency_ranges(older, newer))
    with pytest.raises(ProofError):  # a newer tree that changes what the older one held, with its own best proof
        verify_consistency(older, newer, root(older), mth(changed), own_proof)
    with pytest.raises(ProofError):
        verify_consistency(older, newer, hash_leaf(b"other"), root(newer), proof)
    with pytest.raises(ProofError):
        verify_consistency(older, newer, root(older), hash_leaf(b"other"), proof)
    with pytest.raises(ProofError):
        verify_consistency(older, newer, root(older), root(newer), [*proof, bytes(32)])
    if proof:
        position = data.draw(st.integers(0, len(proof) - 1))
        flipped = [bytes([h[0] ^ 1]) + h[1:] if i == position else h for i, h in enumerate(proof)]
        with pytest.raises(ProofError):
            verify_consistency(older, newer, root(older), root(newer), flipped)
