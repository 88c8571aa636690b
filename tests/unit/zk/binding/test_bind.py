"""The link between proven commitments and delivered chunks, and what a forged one looks like.

Commitments are made with a known trapdoor; `tests.unit.zk.binding.test_tensors` does the same with ezkl's.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.trapdoor_srs import TrapdoorSrs, lagrange_at
from zk.binding import (
    BindingError,
    ChunkCommitments,
    ChunkError,
    ColumnLayout,
    KzgOpening,
    MerkleError,
    running_sums,
    sums_tree,
    verify_binding,
    verify_opening,
)
from zk.binding.bind import bind_columns
from zk.binding.chunks import encode_chunks, salt_of, stored_sums, sum_salt, values_of, weights_tree, with_sums
from zk.binding.kzg import open_columns
from zk.binding.merkle import ChunkTree, keccak256
from zk.binding.sums import Challenge, derive_challenge, last_sum_of, root_of_unity, row_weights, value_at_challenge
from zk.errors import SrsError
from zk.field import MODULUS

LOGROWS = 9
LENGTHS = (506, 241, 3)
SELLER = bytes(range(20))


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return TrapdoorSrs.make(tmp_path_factory.mktemp("srs"), LOGROWS)


def random_columns(lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(-(2**23), 2**23, length).astype(np.int32) for length in lengths]


@pytest.fixture(scope="module")
def columns():
    return random_columns(LENGTHS)


@pytest.fixture(scope="module")
def points(simulator, columns):
    return [simulator.commit(column) for column in columns]


@pytest.fixture(scope="module")
def layout():
    return ColumnLayout(LOGROWS, LENGTHS)


@pytest.fixture(scope="module")
def bound(simulator, columns, points, layout):
    return bind_columns(columns, layout, points, simulator.srs, simulator.commit, seller=SELLER)


def reference_sums(columns, challenge, logrows):
    """S_j by the definition: one inversion and one reduction per parameter."""
    omega, total, sums = pow(7, (MODULUS - 1) // 2**logrows, MODULUS), 0, []
    for c, column in enumerate(columns):
        for t, parameter in enumerate(column):
            power = pow(omega, t, MODULUS)
            term = pow(challenge.gamma, c, MODULUS) * int(parameter) * power * pow(challenge.r - power, -1, MODULUS)
            total = (total + term) % MODULUS
            if t % 240 == 239 or t == len(column) - 1:
                sums.append(total)
    return sums


def reference_value(columns, challenge, logrows):
    """y by Lagrange interpolation of each column, blinding rows included."""
    weights = lagrange_at(challenge.r, logrows)
    value = 0
    for c, column in enumerate(columns):
        rows = [int(v) for v in column] + [0] * (2**logrows - 6 - len(column)) + [1] * 6
        value += pow(challenge.gamma, c, MODULUS) * sum(v * w for v, w in zip(rows, weights, strict=True))
    return value % MODULUS


def test_lagrange_weights_of_the_simulator_are_lagranges():
    """The simulator's closed form against the product of differences."""
    roots = [pow(root_of_unity(4), t, MODULUS) for t in range(16)]
    for t, value in enumerate(lagrange_at(12345, 4)):
        numerator = denominator = 1
        for s in range(16):
            if s != t:
                numerator = numerator * (12345 - roots[s]) % MODULUS
                denominator = denominator * (roots[t] - roots[s]) % MODULUS
        assert value == numerator * pow(denominator, -1, MODULUS) % MODULUS


def test_root_of_unity_has_exactly_the_order_of_the_domain():
    for logrows in (1, 4, 17, 28):
        omega = root_of_unity(logrows)
        assert pow(omega, 1 << logrows, MODULUS) == 1
        assert pow(omega, 1 << (logrows - 1), MODULUS) == MODULUS - 1


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 506), min_size=1, max_size=4),
    st.integers(2, MODULUS - 2),
    st.integers(0, MODULUS - 1),
)
def test_running_sums_and_value_are_those_of_the_slow_reference(lengths, r, gamma):
    layout, challenge, columns = ColumnLayout(LOGROWS, tuple(lengths)), Challenge(r, gamma), random_columns(lengths, r)
    sums = running_sums(columns, layout, challenge)
    assert sums == reference_sums(columns, challenge, LOGROWS)
    value = value_at_challenge(sums[-1], layout, challenge)
    assert value == reference_value(columns, challenge, LOGROWS)
    assert last_sum_of(value, layout, challenge) == sums[-1]


@pytest.mark.parametrize("rows", [range(1), range(5), range(506, 512), range(511, 512)])
def test_row_weights_start_anywhere(rows):
    omega = root_of_unity(LOGROWS)
    expected = [pow(omega, t, MODULUS) * pow(99 - pow(omega, t, MODULUS), -1, MODULUS) % MODULUS for t in rows]
    assert row_weights(99, LOGROWS, rows) == expected


def test_challenge_on_a_row_is_refused():
    with pytest.raises(BindingError, match="root of unity"):
        row_weights(pow(root_of_unity(LOGROWS), 3, MODULUS), LOGROWS, range(10))


def test_extreme_parameters_do_not_overflow(layout):
    columns = [np.full(length, -(2**31), np.int32) for length in LENGTHS]
    challenge = Challenge(MODULUS - 1 - 12345, MODULUS - 1)
    assert running_sums(columns, layout, challenge) == reference_sums(columns, challenge, LOGROWS)


def test_honest_listing_binds(bound, points, layout, simulator):
    verify_binding(layout, points, bound.commitments, bound.opening, simulator.srs, seller=SELLER)
    challenge = derive_challenge(bound.commitments.weights.root, keccak256(b"".join(points)), SELLER)
    assert stored_sums(bound.artifact)[-1] == last_sum_of(bound.opening.value, layout, challenge)


@pytest.mark.parametrize("lengths", [(1,), (506,), (506, 506, 17), (240, 240), (1,) * 7, (505, 1)])
def test_any_number_of_columns_of_any_length_binds(lengths, simulator):
    layout, columns = ColumnLayout(LOGROWS, lengths), random_columns(lengths, 3)
    points = [simulator.commit(column) for column in columns]
    bind_columns(columns, layout, points, simulator.srs, simulator.commit, seller=SELLER)


def test_salts_are_fresh(columns, layout, points, simulator, bound):
    again = bind_columns(columns, layout, points, simulator.srs, simulator.commit, seller=SELLER)
    salts = {salt_of(artifact, j) for artifact in (bound.artifact, again.artifact) for j in range(layout.chunk_count)}
    assert len(salts) == 2 * layout.chunk_count


def test_secrets_are_not_in_the_representation(bound):
    assert bound.artifact[64:96].hex() not in repr(bound)
    assert "artifact" not in repr(bound)


def test_seller_cannot_bind_commitments_of_other_parameters(columns, layout, points, simulator):
    other = [column.copy() for column in columns]
    other[1][5] += 1
    with pytest.raises(BindingError, match="false"):
        bind_columns(other, layout, points, simulator.srs, simulator.commit, seller=SELLER)


# Forged listings: a seller makes chunks of its own and everything else as well as it can.


def forge(chunk_columns, proven_points, opened_columns, layout, simulator):
    """Chunks of some columns, the proof's commitments, and an honest opening of yet others."""
    blank = encode_chunks(chunk_columns, bytes(range(32)) * layout.chunk_count)
    weights = weights_tree(blank)
    challenge = derive_challenge(weights.root, keccak256(b"".join(proven_points)), SELLER)
    artifact = with_sums(blank, running_sums(chunk_columns, layout, challenge))
    opened_sum = running_sums(opened_columns, layout, challenge)[-1]
    opening = open_columns(opened_columns, opened_sum, layout, challenge, simulator.srs, simulator.commit)
    return ChunkCommitments(weights, sums_tree(artifact), sum_salt(salt_of(artifact, layout.chunk_count - 1))), opening


@pytest.mark.parametrize("opened", ["the chunks'", "the proof's"])
@pytest.mark.parametrize("change", ["one parameter", "one salt row", "two rows swapped", "columns swapped", "negated"])
def test_other_weights_in_the_chunks_than_in_the_proof_are_caught(change, opened, columns, points, layout, simulator):
    other = [column.copy() for column in columns]
    if change == "one parameter":
        other[0][17] += 1
    elif change == "one salt row":
        other[-1][-1] ^= 1
    elif change == "two rows swapped":
        other[1][[0, 240]] = other[1][[240, 0]]
    elif change == "columns swapped":
        other[0][:3], other[2][:] = columns[2], columns[0][:3]
    else:
        other = [-column for column in other]
    opened_columns = other if opened == "the chunks'" else columns
    commitments, opening = forge(other, points, opened_columns, layout, simulator)
    with pytest.raises(BindingError):
        verify_binding(layout, points, commitments, opening, simulator.srs, seller=SELLER)


def test_proof_that_uses_the_blinding_rows_is_caught(columns, layout, simulator):
    """Rows that ezkl sets to 1 hold something else: a prover of its own can do that."""
    points = [simulator.commit(column) for column in columns]
    rows = [*columns[0].tolist(), 1, 1, 1, 2, 1, 1]
    points[0] = simulator.commit_rows(rows)
    commitments, opening = forge(columns, points, columns, layout, simulator)
    with pytest.raises(BindingError, match="false"):
        verify_binding(layout, points, commitments, opening, simulator.srs, seller=SELLER)


def test_points_in_another_order_are_caught(bound, points, layout, simulator):
    swapped = [points[1], points[0], *points[2:]]
    with pytest.raises(BindingError):
        verify_binding(layout, swapped, bound.commitments, bound.opening, simulator.srs, seller=SELLER)


def test_wrong_last_sum_is_caught_before_payment(bound, points, layout, simulator):
    sums = stored_sums(bound.artifact)
    artifact = with_sums(bound.artifact, [*sums[:-1], (sums[-1] + 1) % MODULUS])
    forged = dataclasses.replace(bound.commitments, sums=sums_tree(artifact))
    with pytest.raises(BindingError, match="the sums tree ends in"):
        verify_binding(layout, points, forged, bound.opening, simulator.srs, seller=SELLER)


def test_wrong_last_sum_salt_is_caught(bound, points, layout, simulator):
    forged = dataclasses.replace(bound.commitments, last_sum_salt=bytes(32))
    with pytest.raises(BindingError, match="the sums tree ends in"):
        verify_binding(layout, points, forged, bound.opening, simulator.srs, seller=SELLER)


def try_values(leaf, salt, guesses):
    """The attack on a last chunk of one value whose salt is known: which of the guesses gives the public leaf."""
    rest = bytes(4 * 239)
    return next((value for value in guesses if keccak256(salt + value.to_bytes(4, "big") + rest) == leaf), None)


def test_a_last_chunk_of_one_value_is_not_found_by_trying(simulator):
    """What is published opens the last sum, and not the leaf of the chunk's values: 24 bits are tried in a minute.

    The same search with the chunk's salt, which used to be published, finds the value.
    """
    lengths, value = (6, 241), 5_000_123
    columns = [*random_columns(lengths[:1]), np.append(random_columns((240,))[0], np.int32(value))]
    layout = ColumnLayout(LOGROWS, lengths)
    bound = bind_columns(
        columns, layout, [simulator.commit(c) for c in columns], simulator.srs, simulator.commit, seller=SELLER
    )
    leaf, guesses = bound.commitments.weights.leaves[-1], range(value - 500, value + 500)
    public = bound.commitments.to_bytes()
    words = [public[at : at + 32] for at in range(0, len(public), 32)]
    assert all(try_values(leaf, word, guesses) is None for word in words)
    salt = salt_of(bound.artifact, layout.chunk_count - 1)
    assert salt not in public
    assert try_values(leaf, salt, guesses) == value
    assert values_of(bound.artifact, layout.chunk_count - 1)[:4] == value.to_bytes(4, "big")


def test_opening_of_another_weights_tree_is_caught(bound, points, layout, simulator):
    leaves = (bytes(32), *bound.commitments.weights.leaves[1:])
    forged = dataclasses.replace(bound.commitments, weights=ChunkTree(leaves))
    with pytest.raises(BindingError, match="false"):
        verify_binding(layout, points, forged, bound.opening, simulator.srs, seller=SELLER)


def test_another_sellers_opening_is_caught(bound, points, layout, simulator):
    """Whoever lists somebody's commitments, trees and opening again has no opening of its own."""
    with pytest.raises(BindingError, match="false"):
        verify_binding(layout, points, bound.commitments, bound.opening, simulator.srs, seller=bytes(20))


@pytest.mark.parametrize("size", [0, 19, 21, 32])
def test_an_address_of_another_length_is_refused(bound, size):
    with pytest.raises(BindingError, match=f"20 bytes, not {size}"):
        derive_challenge(bound.commitments.weights.root, bytes(32), bytes(size))


def test_lengths_are_the_circuits_business(bound, points, simulator):
    """Rows past a column's end are 0: openings hold whatever the lengths, and buyers take them from the circuit."""
    longer = ColumnLayout(LOGROWS, (506, 242, 3))
    verify_binding(longer, points, bound.commitments, bound.opening, simulator.srs, seller=SELLER)


def opening_case(name, points, layout, challenge, opening, simulator):
    """Arguments of a false opening."""
    generator = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    modulus = 21888242871839275222246405745257275088696311157297823662689037894645226208583
    x = int.from_bytes(opening.proof[:32], "big")
    cases = {
        "value plus one": (points, layout, challenge, KzgOpening((opening.value + 1) % MODULUS, opening.proof)),
        "value plus the modulus": (points, layout, challenge, KzgOpening(opening.value + MODULUS, opening.proof)),
        "negative value": (points, layout, challenge, KzgOpening(opening.value - MODULUS, opening.proof)),
        "another proof": (points, layout, challenge, KzgOpening(opening.value, generator)),
        "proof at infinity": (points, layout, challenge, KzgOpening(opening.value, bytes(64))),
        "proof off the curve": (points, layout, challenge, KzgOpening(opening.value, bytes(63) + b"\1")),
        "proof of 63 bytes": (points, layout, challenge, KzgOpening(opening.value, opening.proof[:63])),
        "proof of 65 bytes": (points, layout, challenge, KzgOpening(opening.value, opening.proof + b"\0")),
        "coordinate plus the modulus": (
            points,
            layout,
            challenge,
            KzgOpening(opening.value, (x + modulus).to_bytes(32, "big") + opening.proof[32:]),
        ),
        "another r": (points, layout, Challenge(challenge.r + 1, challenge.gamma), opening),
        "another gamma": (points, layout, Challenge(challenge.r, challenge.gamma + 1), opening),
        "point missing": (points[:-1], layout, challenge, opening),
        "point too many": ([*points, generator], layout, challenge, opening),
        "point replaced": ([generator, *points[1:]], layout, challenge, opening),
        "point at infinity": ([bytes(64), *points[1:]], layout, challenge, opening),
    }
    return (*cases[name], simulator.srs)


@pytest.mark.parametrize(
    "name",
    [
        "value plus one",
        "value plus the modulus",
        "negative value",
        "another proof",
        "proof at infinity",
        "proof off the curve",
        "proof of 63 bytes",
        "proof of 65 bytes",
        "coordinate plus the modulus",
        "another r",
        "another gamma",
        "point missing",
        "point too many",
        "point replaced",
        "point at infinity",
    ],
)
def test_false_openings_are_refused(name, bound, points, layout, simulator):
    challenge = derive_challenge(bound.commitments.weights.root, keccak256(b"".join(points)), SELLER)
    with pytest.raises(BindingError):
        verify_opening(*opening_case(name, points, layout, challenge, bound.opening, simulator))


def test_opening_against_a_foreign_srs_is_refused(bound, points, layout, tmp_path):
    foreign = TrapdoorSrs.make(tmp_path, LOGROWS, trapdoor=77)
    with pytest.raises(BindingError, match="false"):
        verify_binding(layout, points, bound.commitments, bound.opening, foreign.srs, seller=SELLER)


def test_truncated_srs_is_named(bound, points, layout, simulator, tmp_path):
    short = dataclasses.replace(simulator.srs, path=tmp_path / "short.srs")
    short.path.write_bytes(simulator.srs.path.read_bytes()[:-1])
    with pytest.raises(SrsError, match="truncated"):
        verify_binding(layout, points, bound.commitments, bound.opening, short, seller=SELLER)


# Published leaves.


def read(data, layout, bound):
    commitments = bound.commitments
    return ChunkCommitments.from_bytes(
        data, layout, weights_root=commitments.weights.root, sums_root=commitments.sums.root
    )


def test_published_leaves_read_back(bound, points, layout, simulator):
    commitments = read(bound.commitments.to_bytes(), layout, bound)
    assert commitments.to_bytes() == bound.commitments.to_bytes()
    verify_binding(layout, points, commitments, bound.opening, simulator.srs, seller=SELLER)


@pytest.mark.parametrize("size_change", [-1, 1, -32, 32])
def test_published_leaves_of_another_length_are_refused(size_change, bound, layout):
    data = (bound.commitments.to_bytes() + bytes(32))[: len(bound.commitments.to_bytes()) + size_change]
    with pytest.raises(ChunkError, match="bytes of leaves"):
        read(data, layout, bound)


@pytest.mark.parametrize(("position", "tree"), [(32, "weights"), (-1, "sums")])
def test_changed_published_leaves_are_refused(position, tree, bound, layout):
    data = bytearray(bound.commitments.to_bytes())
    data[position] ^= 1
    with pytest.raises(MerkleError, match=f"the {tree} leaves"):
        read(bytes(data), layout, bound)
