"""The binding with ezkl's own commitments, keys and proofs."""

import numpy as np
import pytest

from tests.unit.zk.zk_models import SCALE_BITS, dense_architecture, random_inputs, random_parameters
from zk import (
    build_audit_circuit,
    commit_elements,
    development_srs,
    draw_input_salt,
    parameter_commitment,
    prove,
)
from zk.commitments import BindingError, bind_parameters, decode_columns, join_columns, verify_binding
from zk.field import MODULUS

WIDTHS = (30, 16, 2)


@pytest.fixture(scope="module")
def circuit():
    return build_audit_circuit(dense_architecture(*WIDTHS), audit_samples=2, scale_bits=SCALE_BITS, srs=development_srs)


@pytest.fixture(scope="module")
def srs(circuit):
    return development_srs(circuit.logrows)


@pytest.fixture(scope="module")
def parameters():
    return random_parameters(np.random.default_rng(0), *WIDTHS)


@pytest.fixture(scope="module")
def points(circuit, parameters, srs):
    return parameter_commitment(circuit, parameters, srs)


@pytest.fixture(scope="module")
def bound(circuit, parameters, points, srs):
    return bind_parameters(circuit, parameters, points, srs)


def test_listing_binds_what_ezkl_commits_to(bound, points, parameters, circuit, srs):
    verify_binding(bound.layout, points, bound.commitments, bound.opening, srs)
    columns = decode_columns(bound.artifact, bound.layout)
    for tensor, delivered in zip(parameters, join_columns(columns, circuit.parameter_shapes), strict=True):
        np.testing.assert_array_equal(delivered, tensor)


def test_proof_begins_with_the_points_that_are_bound(bound, points, parameters, circuit, srs):
    rng = np.random.default_rng(1)
    proof = prove(circuit, random_inputs(rng, 2, WIDTHS[0]), draw_input_salt(circuit), parameters, srs)
    start = 64 * circuit.input_columns
    assert proof.data[start : start + 64 * circuit.parameter_columns] == b"".join(points)


def test_points_of_other_parameters_do_not_bind(bound, parameters, circuit, srs):
    other = [tensor.copy() for tensor in parameters]
    other[1][0, 0] += 1
    points = parameter_commitment(circuit, other, srs)
    with pytest.raises(BindingError, match="false"):
        verify_binding(bound.layout, points, bound.commitments, bound.opening, srs)
    with pytest.raises(BindingError, match="false"):
        bind_parameters(circuit, parameters, points, srs)


def test_vector_of_a_whole_column_has_one_commitment(circuit, srs):
    """ezkl appends an empty column to exactly 2^logrows - 6 values: every quotient has as many."""
    elements = [MODULUS - 1] * circuit.column_capacity
    assert len(commit_elements(circuit, elements, srs)) == 1
