"""Proofs say exactly what an integer evaluation says, about exactly the committed inputs and parameters."""

import dataclasses
import json
import secrets
import subprocess
import sys

import numpy as np
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
from zk.binding.tensors import input_elements, parameter_elements, write_tensors
from zk.circuits.audit import SALT_ELEMENTS
from zk.circuits.key_files import keys_of
from zk.errors import StatementError
from zk.field import MODULUS, element_from_hex
from zk.proofs.layer_results import layer_results
from zk.proofs.proof import proof_from_json, proof_to_json


def test_instances_are_the_integer_evaluation_to_the_bit(statement):
    assert list(statement.proof.outputs) == integer_outputs(statement.inputs, statement.parameters)


@pytest.mark.parametrize(("widths", "samples"), [((5, 1), 1), ((7, 3), 4), ((3, 2, 2), 5), ((4, 6, 3), 2)])
def test_random_models_are_exact(widths, samples):
    rng = np.random.default_rng(widths)
    circuit = zk.build_audit_circuit(
        dense_architecture(*widths), audit_samples=samples, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    srs = zk.development_srs(circuit.logrows)
    for _ in range(2):
        inputs, parameters = random_inputs(rng, samples, widths[0]), random_parameters(rng, *widths)
        proof = zk.prove(circuit, inputs, zk.draw_input_salt(circuit), parameters, srs, context=CONTEXT)
        assert list(proof.outputs) == integer_outputs(inputs, parameters)


EVALUATE = """
import json, os, sys
from zk.ezkl.process import evaluate
jobs, answer = json.load(sys.stdin)
open(answer, "w").write(json.dumps([evaluate(**job) for job in jobs]))
os._exit(0)
"""


def statement_tensors(circuit, inputs, parameters, challenge):
    """All tensors of the circuit, as an honest prover fills them, but for the challenge."""
    tensors = [
        input_elements(circuit, inputs, zk.draw_input_salt(circuit)),
        *parameter_elements(circuit, parameters),
    ]
    if circuit.hidden:
        values = [value % MODULUS for value in layer_results(circuit, tensors).hidden]
        tensors += [circuit.hidden.lay_out(values, lambda: secrets.randbelow(MODULUS)), [challenge]]
    return tensors


def circuit_instances(circuit, statements, srs, folder):
    """The instances that ezkl's witnesses of the compiled circuit have: one process evaluates all statements."""
    keys = keys_of(circuit, srs)
    jobs = []
    for index, tensors in enumerate(statements):
        own = folder / f"{index}"
        own.mkdir()
        job = {
            "tensors": write_tensors(own, tensors),
            "compiled": keys.compiled,
            "settings": keys.settings,
            "witness": own / "witness.json",
        }
        jobs.append({name: str(path) for name, path in job.items()})
    answer = folder / "answer.json"
    command = [sys.executable, "-c", EVALUATE]
    subprocess.run(command, input=json.dumps([jobs, str(answer)]).encode(), capture_output=True, check=True)
    evaluated = json.loads(answer.read_text())
    return [[element_from_hex(value) for tensor in outputs for value in tensor] for outputs in evaluated]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_random_models_are_exact(seed, tmp_path):
    """What ezkl's circuit computes, without a proof: outputs, challenge, a check that is zero; 100 models of each."""
    rng = np.random.default_rng(seed)
    widths = tuple(rng.integers(1, 9, size=rng.integers(2, 5)).tolist())
    samples = int(rng.integers(1, 5))
    circuit = zk.build_audit_circuit(
        dense_architecture(*widths), audit_samples=samples, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    srs = zk.development_srs(circuit.logrows)
    statements, expected = [], []
    for _ in range(100):
        inputs, parameters = random_inputs(rng, samples, widths[0]), random_parameters(rng, *widths)
        outputs = integer_outputs(inputs, parameters)
        assert list(zk.evaluate(circuit, inputs, parameters, srs)) == outputs
        challenge = secrets.randbelow(MODULUS)
        checked = [challenge, 0] if circuit.hidden else []
        statements.append(statement_tensors(circuit, inputs, parameters, challenge))
        expected.append([v % MODULUS for v in outputs] + checked)
    assert circuit_instances(circuit, statements, srs, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(4, 3, 3, 2), (3, 3, 3), (14, 14, 14, 1), (5, 4, 3, 2)], ids=str)
def test_deep_networks_of_equal_widths_are_exact(widths):
    """Two squares: constants beyond 127 bits, and equal constants, which ezkl alone would get wrong."""
    rng = np.random.default_rng(widths)
    circuit = zk.build_audit_circuit(
        dense_architecture(*widths), audit_samples=2, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    srs = zk.development_srs(circuit.logrows)
    inputs, parameters = random_inputs(rng, 2, widths[0]), random_parameters(rng, *widths)
    proof = zk.prove(circuit, inputs, zk.draw_input_salt(circuit), parameters, srs, context=CONTEXT)
    assert list(proof.outputs) == integer_outputs(inputs, parameters)


def test_extreme_values_are_exact(statement):
    limit = (1 << 24) - 1
    inputs = np.full_like(statement.inputs, -limit)
    parameters = [np.full_like(tensor, limit) for tensor in statement.parameters]
    proof = zk.prove(statement.circuit, inputs, statement.salt, parameters, statement.srs, context=CONTEXT)
    assert list(proof.outputs) == integer_outputs(inputs, parameters)


def test_a_proof_begins_with_the_commitments_that_both_sides_compute(statement):
    prefix = b"".join(statement.input_points + statement.parameter_points)
    assert statement.proof.data.startswith(prefix)
    assert len(prefix) == 64 * (statement.circuit.input_columns + statement.circuit.parameter_columns)
    assert len(statement.proof.data) == statement.circuit.proof_bytes


def test_salt_hides_inputs_and_parameters(statement):
    other_salt = zk.draw_input_salt(statement.circuit)
    assert other_salt != statement.salt
    other = zk.input_commitment(statement.circuit, statement.inputs, other_salt, statement.srs)
    assert other != statement.input_points
    salted = [tensor.copy() for tensor in statement.parameters]
    salted[0][-1, -1] ^= 1
    other = zk.parameter_commitment(statement.circuit, salted, statement.srs)
    assert other[0] != statement.parameter_points[0]
    assert other[1:] == statement.parameter_points[1:]
    resalted = zk.prove(statement.circuit, statement.inputs, other_salt, salted, statement.srs, context=CONTEXT)
    assert resalted.instances == statement.proof.instances


def test_a_tensor_longer_than_a_column_continues_in_further_columns():
    circuit = zk.build_audit_circuit(
        dense_architecture(20, 12), audit_samples=1, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    capacity = circuit.column_capacity
    elements = [index + 1 for index in range(2 * capacity + 5)]
    srs = zk.development_srs(circuit.logrows)
    points = zk.commit_elements(circuit, elements, srs)
    assert len(points) == 3
    assert points[1] == zk.commit_elements(circuit, elements[capacity : 2 * capacity], srs)[0]
    assert points[2] == zk.commit_elements(circuit, elements[2 * capacity :], srs)[0]


def test_kzg_commit_appends_an_empty_column_to_a_full_one_and_we_drop_it(statement):
    capacity = statement.circuit.column_capacity
    assert len(zk.commit_elements(statement.circuit, [1] * capacity, statement.srs)) == 1
    assert len(zk.commit_elements(statement.circuit, [1] * (capacity - 1), statement.srs)) == 1
    assert len(zk.commit_elements(statement.circuit, [1] * (capacity + 1), statement.srs)) == 2


def test_commitment_digest_is_keccak_of_the_points():
    assert zk.commitment_digest([]).hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"inputs": np.zeros((2, 6), np.int64)}, r"inputs have the shape \(2, 6\), the circuit takes \(3, 6\)"),
        ({"inputs": np.full((3, 6), 1 << 24)}, "below 2.24"),
        ({"inputs": np.full((3, 6), 0.5)}, "must be an integer"),
        ({"inputs": np.full((3, 6), np.nan)}, "must be an integer"),
        ({"salt": (1,) * (SALT_ELEMENTS - 1)}, f"{SALT_ELEMENTS - 1} salt elements, the circuit takes {SALT_ELEMENTS}"),
        ({"salt": (-(1 << 24),) * SALT_ELEMENTS}, "below 2.24"),
        ({"parameters": []}, r"parameters have the shapes \(\)"),
    ],
)
def test_statements_that_do_not_fit_are_refused(statement, change, cause):
    bad = dataclasses.replace(statement, **change)
    with pytest.raises(StatementError, match=cause):
        zk.prove(bad.circuit, bad.inputs, bad.salt, bad.parameters, bad.srs, context=CONTEXT)


def test_elements_outside_the_field_are_refused(statement):
    for element in (-1, 1 << 255):
        with pytest.raises(StatementError, match="canonical"):
            zk.commit_elements(statement.circuit, [element], statement.srs)


def test_secrets_and_bulk_stay_out_of_repr(statement):
    assert statement.proof.data.hex() not in repr(statement.proof)
    assert "data=" not in repr(statement.proof)
    assert "vka" not in repr(statement.circuit)


def test_a_proven_statement_is_recalled_and_checked_again(statement, cache, monkeypatch):
    arguments = (statement.circuit, statement.inputs, statement.salt, statement.parameters, statement.srs)
    kept = zk.prove(*arguments, context=CONTEXT)
    monkeypatch.setattr("zk.proofs.prover.prove_tensors", None)  # proving again would fail
    assert zk.prove(*arguments, context=CONTEXT) == kept


def test_a_forged_proof_in_the_cache_is_not_handed_out(statement, cache):
    arguments = (statement.circuit, statement.inputs, statement.salt, statement.parameters, statement.srs)
    zk.prove(*arguments, context=CONTEXT)
    for path in (cache / "modelseal" / "proofs").glob("*.json"):
        proof = proof_from_json(path.read_text())
        forged = dataclasses.replace(proof, instances=tuple(reversed(proof.instances)))
        path.write_text(proof_to_json(forged))
    assert list(zk.prove(*arguments, context=CONTEXT).outputs) == integer_outputs(
        statement.inputs, statement.parameters
    )
    for path in (cache / "modelseal" / "proofs").glob("*.json"):
        path.write_text("{")
    assert list(zk.prove(*arguments, context=CONTEXT).outputs) == integer_outputs(
        statement.inputs, statement.parameters
    )


def test_the_cost_of_a_proof_is_measured(statement):
    cost = zk.measure_cost(statement.circuit, statement.srs)
    assert cost.seconds > 0
    assert cost.peak_memory_bytes > 1 << 20
    assert cost.proving_key_bytes > cost.proof_bytes == len(statement.proof.data)
    assert 500_000 < cost.verification_gas < 2_000_000
