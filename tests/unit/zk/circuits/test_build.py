"""Build and rebuild: what is derived from public files, and each way in which they may be wrong."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zk
from tests.simulators.dense_model import CONTEXT, SCALE_BITS, dense_architecture, random_parameters
from zk.circuits.architecture import read_shapes
from zk.circuits.audit import column_lengths_of, leaves_empty_column
from zk.circuits.audit_graph import audit_graph
from zk.circuits.key_files import MAX_BUILDS, keys_of, obtain_keys
from zk.circuits.keys import read_vka, verify_linked_columns, verify_srs_points, vka_digest
from zk.circuits.planner import audit_architecture
from zk.errors import (
    CircuitError,
    CircuitMismatchError,
    ForeignSrsPointsError,
    SettingsMismatchError,
    SrsError,
    UnlinkedColumnError,
    UnsupportedArchitectureError,
)


def build(architecture, audit_samples=1):
    return zk.build_audit_circuit(
        architecture, audit_samples=audit_samples, scale_bits=SCALE_BITS, srs=zk.development_srs
    )


def rebuild(statement, **changes):
    arguments = {
        "architecture": statement.architecture,
        "settings": statement.circuit.settings,
        "audit_samples": statement.circuit.audit_samples,
        "scale_bits": SCALE_BITS,
        "srs": statement.srs,
        "expected_digest": statement.circuit.digest,
    } | changes
    return zk.rebuild_audit_circuit(arguments.pop("architecture"), arguments.pop("settings"), **arguments)


def test_layout_facts(statement):
    circuit = statement.circuit
    assert (circuit.audit_samples, circuit.features, circuit.outputs, circuit.salt_elements) == (3, 6, 2, 27)
    assert circuit.output_scale_bits == 5 * SCALE_BITS
    assert circuit.parameter_shapes == ((19, 4), (17, 2))
    assert circuit.column_lengths == (76, 34)
    assert (circuit.input_columns, circuit.parameter_columns, circuit.hidden_columns) == (1, 2, 1)
    assert circuit.committed_columns == 5
    assert circuit.hidden.values == 3 * (4 + 2)


def test_the_graph_is_a_function_of_architecture_samples_scale_salt_and_capacity(statement):
    given = {
        "audit_samples": 3,
        "scale_bits": SCALE_BITS,
        "salt_elements": 27,
        "capacity": statement.circuit.column_capacity,
    }
    assert audit_graph(dense_architecture(6, 4, 2), **given).onnx == statement.circuit.onnx
    for other in ({"audit_samples": 4}, {"scale_bits": 12}, {"salt_elements": 28}, {"capacity": 20}):
        assert audit_graph(statement.architecture, **given | other).onnx != statement.circuit.onnx


def test_rebuild_in_a_fresh_cache_gives_the_listed_circuit(statement, tmp_path, monkeypatch):
    """The keys vary from process to process: the settings are the canonical artifact, rebuilds are repeated."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert rebuild(statement) == statement.circuit


def test_the_vk_does_not_depend_on_the_weights(statement):
    """Parameters are inputs: one circuit serves every model of the architecture."""
    other = random_parameters(np.random.default_rng(9), 6, 4, 2)
    proof = zk.prove(statement.circuit, statement.inputs, statement.salt, other, statement.srs, context=CONTEXT)
    zk.verify(
        statement.circuit,
        proof,
        statement.srs,
        input_points=statement.input_points,
        parameter_points=zk.parameter_commitment(statement.circuit, other, statement.srs),
        context=CONTEXT,
    )


def test_a_removed_cache_is_made_again(statement):
    shutil.rmtree(keys_of(statement.circuit, statement.srs).folder)
    assert vka_digest(read_vka(keys_of(statement.circuit, statement.srs).vka.read_bytes())) == statement.circuit.digest


def test_another_digest_is_a_mismatch_after_a_bounded_number_of_builds(statement, monkeypatch):
    monkeypatch.setattr("zk.circuits.key_files.MAX_BUILDS", 2)
    with pytest.raises(CircuitMismatchError, match=f"0x{'11' * 32}: 2 builds gave 0x{statement.circuit.digest.hex()}"):
        rebuild(statement, expected_digest=b"\x11" * 32)
    assert 2 <= MAX_BUILDS <= 20


def test_a_swapped_architecture_is_a_settings_mismatch(statement):
    with pytest.raises(SettingsMismatchError, match="not those of this architecture"):
        rebuild(statement, architecture=dense_architecture(6, 5, 2))


def test_an_architecture_of_equal_shapes_is_a_circuit_mismatch(statement, monkeypatch):
    """Sum instead of square: same tensors, other function."""
    monkeypatch.setattr("zk.circuits.key_files.MAX_BUILDS", 1)
    other = dense_architecture(6, 4, 2)
    (square,) = (node for node in other.graph.node if node.op_type == "Mul")
    square.op_type = "Add"
    with pytest.raises((SettingsMismatchError, CircuitMismatchError)):
        rebuild(statement, architecture=other)


def test_another_number_of_samples_is_a_settings_mismatch(statement):
    with pytest.raises(SettingsMismatchError):
        rebuild(statement, audit_samples=2)


def test_settings_that_bind_less_are_a_mismatch(statement):
    """Visibilities are not the seller's choice: ezkl derives the settings again with ours."""
    settings = json.loads(statement.circuit.settings)
    settings["run_args"]["input_visibility"] = "Private"
    with pytest.raises(SettingsMismatchError, match="run_args"):
        rebuild(statement, settings=json.dumps(settings).encode())


@pytest.mark.parametrize(
    "settings",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"run_args": 5}',
        b"[" * 100_000,
        b" " * (2 << 20),
    ],
    ids=["empty", "null", "list", "binary", "wrong type", "deep", "long"],
)
def test_malformed_settings_are_refused(statement, settings):
    with pytest.raises(SettingsMismatchError):
        rebuild(statement, settings=settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("logrows", 60), ("logrows", "10"), ("logrows", True), ("num_inner_cols", 10**9), ("input_scale", -1)],
)
def test_settings_out_of_range_never_reach_ezkl(statement, name, value):
    settings = json.loads(statement.circuit.settings)
    settings["run_args"][name] = value
    with pytest.raises(SettingsMismatchError, match="malformed"):
        rebuild(statement, settings=json.dumps(settings).encode())


def test_an_srs_of_another_size_is_refused(statement):
    with pytest.raises(SrsError, match="get that size"):
        rebuild(statement, srs=zk.development_srs(statement.srs.logrows + 1))


def test_another_srs_of_the_same_size_is_a_circuit_mismatch(statement, tmp_path, monkeypatch):
    monkeypatch.setattr("zk.circuits.key_files.MAX_BUILDS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CircuitMismatchError):
        rebuild(statement, srs=zk.development_srs(statement.srs.logrows))


def test_a_vka_with_foreign_srs_points_is_refused(statement, tmp_path, monkeypatch):
    verify_srs_points(statement.circuit.vka, statement.srs)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    foreign = zk.development_srs(statement.srs.logrows)
    with pytest.raises(ForeignSrsPointsError, match="trapdoor"):
        verify_srs_points(statement.circuit.vka, foreign)
    forged = [*statement.circuit.vka]
    forged[16] = forged[17]
    with pytest.raises(ForeignSrsPointsError, match="word 16"):
        verify_srs_points(tuple(forged), statement.srs)


def test_an_unused_parameter_is_an_unlinked_column():
    architecture = dense_architecture(3, 2)
    architecture.graph.input.append(helper.make_tensor_value_info("spare", TensorProto.FLOAT, [5, 5]))
    with pytest.raises(UnlinkedColumnError, match="committed column 2 is not tied"):
        build(architecture)


_POLYCOMMIT_PARAMETERS = """
import asyncio, sys, ezkl
folder, srs, logrows = sys.argv[1:]
arguments = ezkl.PyRunArgs()
arguments.input_visibility = arguments.param_visibility = "polycommit"
arguments.output_visibility = "public"
arguments.input_scale = arguments.param_scale = 7
arguments.logrows, arguments.lookup_range, arguments.decomp_base = int(logrows), (-2, 2), 128
arguments.ignore_range_check_inputs_outputs = True
paths = {name: f"{folder}/{name}" for name in ("onnx", "settings", "compiled", "vk", "pk", "vka")}
ezkl.gen_settings(paths["onnx"], paths["settings"], py_run_args=arguments)
ezkl.compile_circuit(paths["onnx"], paths["compiled"], paths["settings"])
ezkl.setup(paths["compiled"], paths["vk"], paths["pk"], srs)
async def artifact():
    await ezkl.create_evm_vka(vk_path=paths["vk"], settings_path=paths["settings"], vka_path=paths["vka"], srs_path=srs)
asyncio.run(artifact())
import os; os._exit(0)
"""


def test_param_visibility_polycommit_does_not_bind_weights(tmp_path):
    """ezkl's own way to commit to weights leaves their column untied; the check of the permutation sees it."""
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["output"])],
        "weights as constants",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "onnx").write_bytes(model.SerializeToString())
    srs = zk.development_srs(8)
    subprocess.run([sys.executable, "-c", _POLYCOMMIT_PARAMETERS, str(tmp_path), str(srs.path), "8"], check=True)
    vka = read_vka((tmp_path / "vka").read_bytes())
    with pytest.raises(UnlinkedColumnError, match="committed column 1"):
        verify_linked_columns((tmp_path / "vk").read_bytes(), vka, 2, srs)


def test_ezkl_appends_an_empty_column_at_the_capacity_and_circuits_avoid_it():
    """A tensor of exactly 2^k - 6 values would get a second, empty column, which nothing ties down."""
    assert leaves_empty_column(1018, 1018)
    assert leaves_empty_column(2036, 1018)
    assert not leaves_empty_column(1017, 1018)
    circuit = build(dense_architecture(112, 2))  # 125 x 2 = 250 parameters, the capacity of 2^8 rows
    assert circuit.logrows > 8
    assert circuit.column_lengths == (250,)
    architecture = dense_architecture(223, 1)
    for logrows, elements in ((8, 223 + 28), (9, 223 + 27)):  # 223 + 27 = 250
        graph = onnx.load_from_string(
            audit_architecture(architecture, read_shapes(architecture), 1, SCALE_BITS, logrows).onnx
        )
        assert graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value == elements


def test_columns_are_filled_in_order():
    assert column_lengths_of(1017, 1018) == (1017,)
    assert column_lengths_of(1018, 1018) == (1018,)
    assert column_lengths_of(1019, 1018) == (1018, 1)


def _free_parameter(model):
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "M"


def _fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5


def _double_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _no_parameters(model):
    del model.graph.input[1:]


def _two_outputs(model):
    model.graph.output.append(model.graph.output[0])


@pytest.mark.parametrize(
    "defect", [_free_parameter, _fixed_batch, _double_input, _no_parameters, _two_outputs], ids=lambda f: f.__name__[1:]
)
def test_architectures_that_break_the_convention_are_refused(defect):
    architecture = dense_architecture(3, 2)
    defect(architecture)
    with pytest.raises(UnsupportedArchitectureError):
        read_shapes(architecture)


def test_outputs_that_outgrow_the_field_are_refused_with_the_scale_that_fits():
    with pytest.raises(UnsupportedArchitectureError, match=r"modulus, .* than 13 scale bits \(9 fit\)"):
        build(dense_architecture(2, 2, 2, 2, 1))


def test_an_operator_without_a_circuit_is_refused():
    architecture = dense_architecture(3, 2, 2)
    (square,) = (node for node in architecture.graph.node if node.op_type == "Mul")
    square.op_type, square.name = "Celu", "hidden"
    del square.input[1:]
    with pytest.raises(UnsupportedArchitectureError, match="node hidden: Celu has no circuit; supported are Add, "):
        build(architecture)


def test_what_the_machine_can_not_prove_is_refused_before_it_tries(monkeypatch):
    monkeypatch.setattr("zk.circuits.planner.physical_memory_bytes", lambda: 1 << 20)
    with pytest.raises(UnsupportedArchitectureError, match="this machine has 0 GiB: audit fewer samples"):
        build(dense_architecture(3, 2))


def test_a_constant_factor_has_the_scale_of_any_other():
    """ezkl would give it one of its own; exact circuits compute on integers, and scales are the graph's."""
    architecture = dense_architecture(3, 2)
    architecture.graph.node[-1].output[0] = "product"
    architecture.graph.node.append(helper.make_node("Mul", ["product", "quarter"], ["output"]))
    architecture.graph.initializer.append(numpy_helper.from_array(np.array(0.25, np.float32), "quarter"))
    circuit = zk.build_audit_circuit(architecture, audit_samples=1, scale_bits=4, srs=zk.development_srs)
    assert circuit.output_scale_bits == 3 * 4
    inputs, (parameters,) = np.array([[1, 2, 3]]), circuit.parameter_shapes
    srs = zk.development_srs(circuit.logrows)
    proof = zk.prove(
        circuit, inputs, zk.draw_input_salt(circuit), [np.ones(parameters, np.int32)], srs, context=CONTEXT
    )
    assert proof.outputs == ((1 + 2 + 3 + 16) * 4,) * 2


def test_a_truncated_vka_is_refused(statement):
    data = keys_of(statement.circuit, statement.srs).vka.read_bytes()
    for bad in (b"", data[:-1], data + b"\x00", b"\xff" * 40):
        with pytest.raises(CircuitError):
            read_vka(bad)


def test_keys_and_artifact_must_agree(statement):
    keys = keys_of(statement.circuit, statement.srs)
    with pytest.raises(CircuitError, match="disagree"):
        verify_linked_columns(
            keys.verifying_key.read_bytes(), statement.circuit.vka[:40] + statement.circuit.vka[42:], 3, statement.srs
        )


def test_keys_of_one_build_are_made_once(statement):
    first = obtain_keys(statement.circuit.onnx, statement.circuit.settings, statement.srs)
    stamp = first.proving_key.stat().st_mtime_ns
    again = obtain_keys(statement.circuit.onnx, statement.circuit.settings, statement.srs)
    assert again == first
    assert again.proving_key.stat().st_mtime_ns == stamp


def test_keys_in_the_making_are_watched_with_an_estimate(cache, monkeypatch, tmp_path):
    """Keys that are kept are not made, and tell nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    architecture, told = dense_architecture(7, 2), []

    def make():
        return zk.build_audit_circuit(
            architecture,
            audit_samples=1,
            scale_bits=SCALE_BITS,
            srs=zk.development_srs,
            on_progress=lambda seconds, expected: told.append((seconds, expected)),
        )

    made = make()
    seconds, expected = zip(*told, strict=True)
    assert list(seconds) == sorted(seconds)
    assert len(set(expected)) == 1
    assert 0 < expected[0] < 60
    told.clear()
    assert make() == made
    assert told == []


def test_circuit_facts_cannot_be_changed_afterwards(statement):
    with pytest.raises(dataclasses.FrozenInstanceError):
        statement.circuit.proof_bytes = 1


def test_short_tensors_have_their_salt_in_their_only_column():
    """Two samples of a 30-24-2 model need 746 rows, and its first tensor has 1,032 elements: 2^10 rows don't do."""
    circuit = build(dense_architecture(30, 24, 2), audit_samples=2)
    assert circuit.column_lengths == ((30 + 13) * 24, (24 + 13) * 2)
    assert circuit.logrows == 11
