"""The binding with ezkl's own commitments, keys and proofs."""

import numpy as np
import pytest

from zk import commit_elements, parameter_commitment
from zk.binding import (
    BindingError,
    ColumnLayout,
    bind_parameters,
    decode_columns,
    join_columns,
    split_columns,
    verify_binding,
)
from zk.binding.bind import bind_columns
from zk.field import MODULUS

SELLER = bytes(range(20))


@pytest.fixture(scope="module")
def bound(statement):
    return bind_parameters(
        statement.circuit, statement.parameters, statement.parameter_points, statement.srs, seller=SELLER
    )


def test_listing_binds_what_the_proof_commits_to(bound, statement):
    circuit = statement.circuit
    start = 64 * circuit.input_columns
    prefix = statement.proof.data[start : start + 64 * circuit.parameter_columns]
    points = [prefix[at : at + 64] for at in range(0, len(prefix), 64)]
    verify_binding(bound.layout, points, bound.commitments, bound.opening, statement.srs, seller=SELLER)


def test_chunks_hold_the_tensors(bound, statement):
    tensors = join_columns(decode_columns(bound.artifact, bound.layout), statement.circuit.parameter_shapes)
    for tensor, delivered in zip(statement.parameters, tensors, strict=True):
        np.testing.assert_array_equal(delivered, tensor)


def test_points_of_other_parameters_do_not_bind(bound, statement):
    other = [tensor.copy() for tensor in statement.parameters]
    other[1][0, 0] += 1
    points = parameter_commitment(statement.circuit, other, statement.srs)
    with pytest.raises(BindingError, match="false"):
        verify_binding(bound.layout, points, bound.commitments, bound.opening, statement.srs, seller=SELLER)
    with pytest.raises(BindingError, match="false"):
        bind_parameters(statement.circuit, statement.parameters, points, statement.srs, seller=SELLER)


def test_tensor_longer_than_a_column_binds(statement):
    """ezkl continues it in further columns, at the same rows as the layout does."""
    capacity = statement.circuit.column_capacity
    tensor = np.random.default_rng(0).integers(-(2**23), 2**23, 2 * capacity + 200).astype(np.int32)
    layout = ColumnLayout(statement.circuit.logrows, (capacity, capacity, tensor.size - 2 * capacity))

    def commit(elements):
        return commit_elements(statement.circuit, [value % MODULUS for value in elements], statement.srs)

    points = commit(tensor.ravel().tolist())
    columns = split_columns([tensor], layout)
    bind_columns(columns, layout, points, statement.srs, lambda elements: commit(elements)[0], seller=SELLER)


def test_vector_of_a_whole_column_has_one_commitment(statement):
    """ezkl appends an empty column to exactly 2^logrows - 6 values, and every quotient has as many."""
    elements = [MODULUS - 1] * statement.circuit.column_capacity
    assert len(commit_elements(statement.circuit, elements, statement.srs)) == 1
