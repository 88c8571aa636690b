"""Columns and chunks against the format, written out with struct."""

import struct

import numpy as np
import pytest
from Crypto.Hash import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from zk.binding import ChunkError, ColumnLayout, decode_columns, join_columns, split_columns, sums_tree, weights_tree
from zk.binding.chunks import CHUNK_BYTES, encode_chunks, salt_of, stored_sums, values_of, with_sums


def random_columns(lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(-(2**31), 2**31, length, dtype=np.int64).astype(np.int32) for length in lengths]


def salts_for(layout):
    return np.random.default_rng(1).bytes(32 * layout.chunk_count)


def reference_chunks(columns, salts, sums):
    """The artifact, one struct.pack per chunk."""
    pieces = [column[start : start + 240].tolist() for column in columns for start in range(0, len(column), 240)]
    return b"".join(
        sums[j].to_bytes(32, "big")
        + salts[32 * j : 32 * j + 32]
        + struct.pack(">240i", *piece, *[0] * (240 - len(piece)))
        for j, piece in enumerate(pieces)
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 1018), min_size=1, max_size=5), st.integers(0, 2**32))
def test_artifact_is_the_format_and_decodes_to_the_columns(lengths, seed):
    layout = ColumnLayout(10, tuple(lengths))
    columns = random_columns(lengths, seed)
    salts = salts_for(layout)
    sums = [2**256 - 1 - j for j in range(layout.chunk_count)]
    artifact = with_sums(encode_chunks(columns, salts), sums)
    assert artifact == reference_chunks(columns, salts, sums)
    assert stored_sums(artifact) == sums
    for column, decoded in zip(columns, decode_columns(artifact, layout), strict=True):
        assert decoded.dtype == np.int32
        np.testing.assert_array_equal(decoded, column)


@pytest.mark.parametrize(("length", "chunks"), [(1, 1), (239, 1), (240, 1), (241, 2), (480, 2), (1018, 5)])
def test_chunks_of_a_column(length, chunks):
    assert ColumnLayout(10, (1, length)).chunk_counts == (1, chunks)


def test_a_column_starts_a_new_chunk_and_is_padded_with_zeros():
    layout = ColumnLayout(10, (1, 2))
    artifact = encode_chunks([np.array([-1], np.int32), np.array([2, 3], np.int32)], salts_for(layout))
    assert values_of(artifact, 0) == b"\xff" * 4 + bytes(956)
    assert values_of(artifact, 1) == bytes((0, 0, 0, 2, 0, 0, 0, 3)) + bytes(952)


def test_padding_is_not_read():
    layout = ColumnLayout(10, (1,))
    artifact = encode_chunks([np.array([7], np.int32)], salts_for(layout))
    padded_with_junk = artifact[:68] + b"\xaa" * 956
    np.testing.assert_array_equal(decode_columns(padded_with_junk, layout)[0], [7])


def test_leaves_are_those_of_the_dispute_contract():
    layout = ColumnLayout(10, (300,))
    artifact = with_sums(encode_chunks(random_columns((300,)), salts_for(layout)), [5, 6])
    for j in range(2):
        chunk = artifact[j * CHUNK_BYTES : (j + 1) * CHUNK_BYTES]
        weights = keccak.new(digest_bits=256, data=chunk[32:]).digest()
        salt = keccak.new(digest_bits=256, data=chunk[32:64]).digest()
        sums = keccak.new(digest_bits=256, data=bytes(31) + bytes([j]) + chunk[:32] + salt).digest()
        assert weights_tree(artifact).leaves[j] == weights
        assert sums_tree(artifact).leaves[j] == sums
        assert salt_of(artifact, j) == chunk[32:64]


def test_weights_tree_is_fixed_before_the_sums():
    layout = ColumnLayout(10, (300,))
    blank = encode_chunks(random_columns((300,)), salts_for(layout))
    assert weights_tree(with_sums(blank, [1, 2])).root == weights_tree(blank).root


@pytest.mark.parametrize("lengths", [(1019,), (5, 1019), (-1, 5), (5, 0), ()])
def test_impossible_layouts_are_refused(lengths):
    with pytest.raises(ChunkError, match=r"columns of 2\^10 rows cannot hold"):
        ColumnLayout(10, lengths)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 7)), min_size=1, max_size=5))
def test_split_and_join_are_inverse_for_any_tensors(shapes):
    capacity = 10
    tensors = [np.arange(a * b, dtype=np.int32).reshape(a, b) + i for i, (a, b) in enumerate(shapes)]
    lengths = [min(capacity, t.size - start) for t in tensors for start in range(0, t.size, capacity)]
    columns = split_columns(tensors, ColumnLayout(4, tuple(lengths)))
    assert [len(column) for column in columns] == lengths
    for tensor, back in zip(tensors, join_columns(columns, shapes), strict=True):
        np.testing.assert_array_equal(back, tensor)


@pytest.mark.parametrize("lengths", [(7, 3), (4, 6), (10,), (8, 1), (8, 3)])
def test_tensors_that_do_not_begin_columns_are_refused(lengths):
    tensors = [np.zeros((2, 4), np.int32), np.zeros((1, 2), np.int32)]
    with pytest.raises(ChunkError, match="do not fill columns"):
        split_columns(tensors, ColumnLayout(4, lengths))


def test_other_types_than_int32_are_refused():
    with pytest.raises(ChunkError, match="float64"):
        split_columns([np.zeros((2, 4))], ColumnLayout(4, (8,)))


def test_join_refuses_shapes_that_do_not_use_up_the_columns():
    with pytest.raises(ChunkError, match="8 values"):
        join_columns([np.zeros(9, np.int32)], [(2, 4)])


@pytest.mark.parametrize("size", [0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_artifacts_of_another_length_are_refused(size):
    with pytest.raises(ChunkError, match="2 chunks"):
        decode_columns(bytes(size), ColumnLayout(10, (241,)))


def test_too_few_salts_are_refused():
    with pytest.raises(ChunkError, match="64 bytes of salt"):
        encode_chunks(random_columns((241,)), bytes(32))
