"""False statements proven with ezkl as it is installed, under the listed circuit's keys."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import zk
from tests.simulators.dense_model import (
    SCALE_BITS,
    dense_architecture,
    integer_outputs,
    random_inputs,
    random_parameters,
)
from tests.simulators.forging import forge
from trader.proving import verify_in_contract
from zk.circuits import settings as circuit_settings
from zk.errors import InvalidProof, SettingsMismatch
from zk.proofs.commitment import commit_tensors, input_elements, parameter_elements, split_points
from zk.proofs.verifier import verify

WIDTHS, SAMPLES = (6, 4, 2), 3
EINSUM_RUN_ARGUMENTS = circuit_settings.RunArguments.as_json


def with_freivalds(monkeypatch):
    """Settings as this project made them before it knew: ezkl's default."""
    monkeypatch.setattr(
        circuit_settings.RunArguments,
        "as_json",
        lambda arguments: EINSUM_RUN_ARGUMENTS(arguments) | {"disable_freivalds": False},
    )
    monkeypatch.setattr(circuit_settings, "_require_constrained_products", lambda _settings: None)


def with_constant_outputs(circuit):
    """The listed graph, but its outputs are constants: behind the true ones in a concatenation, picked by a Gather."""
    graph = onnx.load_from_string(circuit.onnx)
    (output,), count = graph.graph.output, circuit.outputs
    graph.graph.node[-1].output[0] = "honest"
    chosen = 1000.0 * np.arange(1, SAMPLES * count + 1, dtype=np.float32).reshape(SAMPLES, count)
    graph.graph.initializer.append(numpy_helper.from_array(chosen, "chosen"))
    graph.graph.initializer.append(numpy_helper.from_array(np.arange(count, 2 * count, dtype=np.int64), "pick"))
    graph.graph.node.append(helper.make_node("Concat", ["honest", "chosen"], ["both"], axis=1))
    graph.graph.node.append(helper.make_node("Gather", ["both", "pick"], [output.name], axis=1))
    return graph


def forgery():
    """A circuit, a forged proof of chosen outputs under its keys, the true outputs and the true commitments."""
    rng = np.random.default_rng(1)
    architecture = dense_architecture(*WIDTHS)
    circuit = zk.build_audit_circuit(architecture, audit_samples=SAMPLES, scale_bits=SCALE_BITS, srs=zk.development_srs)
    srs = zk.development_srs(circuit.logrows)
    inputs, parameters = random_inputs(rng, SAMPLES, WIDTHS[0]), random_parameters(rng, *WIDTHS)
    tensors = [
        input_elements(circuit, inputs, zk.draw_input_salt(circuit)),
        *parameter_elements(circuit, parameters),
    ]
    points = split_points(commit_tensors(circuit, tensors, srs))
    return circuit, srs, forge(circuit, with_constant_outputs(circuit), tensors, srs), inputs, parameters, points


def test_with_freivalds_check_a_seller_proves_outputs_of_its_choice(monkeypatch):
    with_freivalds(monkeypatch)
    circuit, srs, proof, inputs, parameters, (input_points, parameter_points) = forgery()
    assert proof is not None
    assert list(proof.outputs) != integer_outputs(inputs, parameters)
    verify(circuit, proof, srs, input_points=input_points, parameter_points=parameter_points)
    verify_in_contract(circuit, proof)


def test_the_same_forgery_is_refused():
    circuit, srs, proof, _inputs, _parameters, (input_points, parameter_points) = forgery()
    assert proof is not None
    with pytest.raises(InvalidProof):
        verify(circuit, proof, srs, input_points=input_points, parameter_points=parameter_points)


def test_packages_whose_circuits_have_freivalds_check_are_refused_in_one_line(monkeypatch):
    with monkeypatch.context() as before:
        with_freivalds(before)
        circuit, srs, *_ = forgery()
    with pytest.raises(SettingsMismatch, match=r"^[^\n]*its proofs prove nothing[^\n]*prepared again[^\n]*$"):
        zk.rebuild_audit_circuit(
            dense_architecture(*WIDTHS),
            circuit.settings,
            audit_samples=SAMPLES,
            srs=srs,
            expected_digest=circuit.digest,
        )
