"""The map against a dictionary, and proofs against everything that they are not for."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import ProofError
from ledger.catalogue.merkle_map import EMPTY, MapProof, prove_key, root_of, update_map, verify_key

# Keys that share long beginnings, so that leaves move down.
hashes = st.builds(
    lambda head, tail: bytes([head]) * 2 + tail.to_bytes(30, "big"), st.integers(0, 3), st.integers(0, 7)
)
values = st.integers(0, 255).map(lambda number: hashlib.sha256(bytes([number])).digest())
maps = st.dictionaries(hashes, values, max_size=20)


@settings(max_examples=60, deadline=None)
@given(first=maps, second=maps, asked=hashes)
def test_the_root_depends_on_the_content_alone_and_proofs_hold(
    first: dict[bytes, bytes], second: dict[bytes, bytes], asked: bytes
) -> None:
    nodes: dict[str, bytes] = {}
    update_map(nodes, first)
    root = update_map(nodes, second)
    content = first | second
    fresh: dict[str, bytes] = {}
    for key_hash in content:  # one by one
        update_map(fresh, {key_hash: content[key_hash]})
    assert root == root_of(fresh) == root_of(nodes)
    assert fresh == nodes
    for key_hash in {*content, asked}:
        verify_key(root, key_hash, content.get(key_hash), prove_key(nodes, key_hash))


@settings(max_examples=60, deadline=None)
@given(content=maps, asked=hashes, claimed=st.none() | values, data=st.data())
def test_no_proof_shows_what_is_not_so(
    content: dict[bytes, bytes], asked: bytes, claimed: bytes | None, data: st.DataObject
) -> None:
    nodes: dict[str, bytes] = {}
    root = update_map(nodes, content) if content else EMPTY
    proof = prove_key(nodes, asked)
    if claimed != content.get(asked):
        for attempt in (proof, replace(proof, other=None), replace(proof, other=nodes.get(""))):
            for length in {0, 1, len(proof.siblings) // 2, len(proof.siblings)}:
                with pytest.raises(ProofError):
                    verify_key(root, asked, claimed, replace(attempt, siblings=attempt.siblings[:length]))
    other = data.draw(hashes)
    if content.get(other) != content.get(asked):
        with pytest.raises(ProofError):
            verify_key(root, asked, content.get(other), prove_key(nodes, other))


def test_an_empty_map_has_no_key() -> None:
    verify_key(EMPTY, bytes(32), None, MapProof(None, ()))
    with pytest.raises(ProofError):
        verify_key(EMPTY, bytes(32), bytes(32), MapProof(None, ()))


def test_a_proof_is_about_as_long_as_the_logarithm() -> None:
    nodes: dict[str, bytes] = {}
    keys = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(4096)]
    update_map(nodes, dict.fromkeys(keys, bytes(32)))
    assert max(len(prove_key(nodes, key).siblings) for key in keys) <= 2 * 12 + 4
