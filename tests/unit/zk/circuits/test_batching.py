"""Layers' results as a committed tensor: where values and salt stand, and what is committed at all."""

import itertools

import numpy as np
import onnx
import pytest

import zk
from tests.simulators.dense_model import (
    CONTEXT,
    SCALE_BITS,
    dense_architecture,
    integer_outputs,
    random_inputs,
    random_parameters,
)
from tests.unit.zk.circuits.test_operators import MODELS
from zk.circuits import settings as circuit_settings
from zk.circuits.audit import HIDDEN_SALT_ELEMENTS, HiddenTensor, column_lengths_of


@pytest.mark.parametrize("values", [1, 14, 15, 16, 30, 31, 44, 45, 46])
def test_every_column_ends_in_salt_and_none_is_empty(values):
    tensor = HiddenTensor(("layer",), values, capacity=20)
    drawn = itertools.count(1000)
    laid_out = tensor.lay_out(list(range(values)), lambda: next(drawn))
    assert len(laid_out) == tensor.elements
    columns = column_lengths_of(tensor.elements, 20)
    assert len(columns) == tensor.columns == -(-values // 15)
    assert tensor.elements % 20 != 0
    ends = list(itertools.accumulate(columns))
    for start, end in zip([0, *ends], ends, strict=False):
        column = laid_out[start:end]
        salts = [value for value in column if value >= 1000]
        assert column[-len(salts) :] == salts
        assert HIDDEN_SALT_ELEMENTS - 1 <= len(salts) <= HIDDEN_SALT_ELEMENTS
    assert [value for value in laid_out if value < 1000] == list(range(values))
    assert [value for start, end in tensor.runs for value in laid_out[start:end]] == list(range(values))


def test_salt_is_drawn_anew_for_each_proof(statement):
    """The hidden column's commitment says nothing that could be compared."""
    points = []
    for context in (bytes(32), b"\1" * 32):
        arguments = (statement.circuit, statement.inputs, statement.salt, statement.parameters, statement.srs)
        points.append(zk.prove(*arguments, context=context).points(statement.circuit))
    assert points[0][:-1] == points[1][:-1]
    assert points[0][-1] != points[1][-1]


def test_a_product_of_one_row_is_laid_out_and_needs_no_challenge():
    circuit = zk.build_audit_circuit(
        dense_architecture(6, 4, 2), audit_samples=1, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    assert circuit.hidden is None
    assert (circuit.hidden_columns, circuit.committed_columns) == (0, 3)


def test_products_of_two_sample_values_are_laid_out():
    model = MODELS["product of two branches"]
    circuit = zk.build_audit_circuit(model, audit_samples=2, scale_bits=4, srs=zk.development_srs)
    assert circuit.hidden is not None
    assert circuit.hidden.products == ("a", "b")


def test_results_continue_in_further_columns(monkeypatch):
    """With eight inner columns and few rows; the challenge covers all of their commitments."""
    samples, widths = 20, (2, 30, 1)
    arguments = circuit_settings.RunArguments(0, 9, num_inner_cols=8)
    monkeypatch.setattr("zk.circuits.planner._candidates", lambda *_: [(0, arguments)])
    circuit = zk.build_audit_circuit(
        dense_architecture(*widths), audit_samples=samples, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    assert circuit.hidden_columns == 2
    srs, rng = zk.development_srs(circuit.logrows), np.random.default_rng(0)
    inputs, parameters = random_inputs(rng, samples, widths[0]), random_parameters(rng, *widths)
    salt = zk.draw_input_salt(circuit)
    proof = zk.prove(circuit, inputs, salt, parameters, srs, context=CONTEXT)
    assert list(proof.outputs) == integer_outputs(inputs, parameters)
    zk.verify(
        circuit,
        proof,
        srs,
        input_points=zk.input_commitment(circuit, inputs, salt, srs),
        parameter_points=zk.parameter_commitment(circuit, parameters, srs),
        context=CONTEXT,
    )


def test_rows_of_ones_and_of_padding_are_not_laid_out():
    """A layer's input is padded and summed with a row: the check combines what stands before that."""
    circuit = zk.build_audit_circuit(
        dense_architecture(6, 4, 2), audit_samples=3, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    graph = onnx.load_from_string(circuit.onnx).graph
    read = {name for node in graph.node for name in node.input}
    assert "rows_0" not in read
    assert "audit/samples" in read
