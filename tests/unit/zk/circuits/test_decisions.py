"""Ensembles of trees in an audit circuit: exact for any tensors, decisions looked up, no answer out of the table."""

import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import zk
from tests.simulators.dense_model import CONTEXT
from tests.unit.zk.circuits.test_operators import NODE, architecture
from trader.model import (
    DEFAULT_PROOFS,
    CanonicalModel,
    Grid,
    LinearParameters,
    LoweredModel,
    PostProcessing,
    architecture_bytes,
    canonicalise,
    evaluate_exact,
    hidden_proofs,
)
from trader.rehearsal.networks import random_bins, random_trees
from zk.circuits.architecture import read_shapes
from zk.circuits.audit import column_capacity
from zk.circuits.audit_graph import audit_graph
from zk.circuits.bounds import magnitudes, stays_below_half
from zk.circuits.decisions import STEP
from zk.circuits.planner import UNSALTED_COLUMN, plan_circuit
from zk.errors import UnsupportedArchitectureError, WorkerError

EDGES = (7, 3, 5)
MAGNITUDE = 63


def circuit_of(model: CanonicalModel, samples: int) -> zk.AuditCircuit:
    return zk.build_audit_circuit(
        onnx.load_from_string(architecture_bytes(model.graph)),
        audit_samples=samples,
        scale_bits=0,
        srs=zk.development_srs,
        activation_magnitude=MAGNITUDE,
    )


def prove(circuit: zk.AuditCircuit, model: CanonicalModel, bins: np.ndarray) -> zk.Proof:
    srs = zk.development_srs(circuit.logrows)
    return zk.prove(circuit, bins, zk.draw_input_salt(circuit), model.tensors, srs, context=CONTEXT)


def with_decisions(model: CanonicalModel, weights: np.ndarray, bias: np.ndarray) -> CanonicalModel:
    """The model with other selectors and thresholds."""
    tensor = model.tensors[0].copy()
    tensor[: len(weights)], tensor[len(weights)] = weights, bias
    return replace(model, tensors=(tensor, *model.tensors[1:]))


def mixed(model: CanonicalModel) -> CanonicalModel:
    """Decisions about sums of columns, negated and doubled ones: no trees."""
    rng, decisions = np.random.default_rng(3), model.graph.parameters[0].outputs
    return with_decisions(model, rng.integers(-3, 4, (3, decisions)), rng.integers(-9, 10, decisions))


def test_outputs_are_those_of_the_tensors_whether_these_are_trees_or_not_or_there_is_no_proof():
    trees, bins = random_trees(EDGES, 4, 2, groups=2), random_bins(EDGES, 3)
    circuit = circuit_of(trees, 3)
    assert circuit.is_exact
    assert circuit.hidden is not None
    for model in (trees, mixed(trees)):
        assert list(prove(circuit, model, bins).outputs) == evaluate_exact(model, bins).ravel().tolist()
    beyond = with_decisions(trees, np.zeros((3, 12)), np.full(12, -MAGNITUDE))
    with pytest.raises(WorkerError, match=f"its table holds -{MAGNITUDE} to {MAGNITUDE}"):
        prove(circuit, beyond, bins)


@pytest.mark.slow
def test_trees_of_one_sample_are_laid_out_and_as_exact():
    trees, bins = random_trees(EDGES, 2, 3, outputs=2), random_bins(EDGES, 1)
    circuit = circuit_of(trees, 1)
    assert circuit.hidden is None
    for model in (trees, mixed(trees)):
        assert list(prove(circuit, model, bins).outputs) == evaluate_exact(model, bins).ravel().tolist()


@pytest.mark.parametrize("depth", [4, 8])
def test_no_value_of_deep_trees_can_wrap_around_the_modulus(depth):
    graph = audit_graph(
        onnx.load_from_string(architecture_bytes(random_trees(EDGES, 20, depth).graph)),
        audit_samples=2,
        scale_bits=0,
        salt_elements=30,
        capacity=1 << 15,
    )
    assert stays_below_half(magnitudes(graph.integers, 2.0**126))
    assert graph.checked == ()
    operators = {node.op_type for node in onnx.load_from_string(graph.onnx).graph.node}
    assert "Sigmoid" in operators
    assert not operators & {STEP, "Greater", "Relu", "Abs"}


def test_every_column_of_a_large_ensemble_holds_the_salt():
    """Selectors are nearly all zeros: what a column without salt commits to could be guessed."""
    lowered = LoweredModel(
        (trees := random_trees((3,) * 20, 20, 4)).graph,
        tuple(LinearParameters(trees.weights(i).astype(float), trees.bias(i).astype(float)) for i in range(2)),
        PostProcessing(),
        (20,),
        grid=Grid(((0.0, 1.0, 2.0),) * 20),
    )
    graph = canonicalise(lowered).graph
    assert hidden_proofs(graph) >= DEFAULT_PROOFS
    architecture = onnx.load_from_string(architecture_bytes(graph))
    shapes = read_shapes(architecture)
    _, settings = plan_circuit(architecture, shapes, audit_samples=1, scale_bits=0, activation_magnitude=4)
    capacity = column_capacity(settings.run_arguments.logrows)
    lengths = [math.prod(spec.shape) for spec in graph.parameters]
    assert max(lengths) > UNSALTED_COLUMN
    assert max(lengths) < capacity


def decisions(*nodes: onnx.NodeProto, zero: float = 0.0) -> onnx.ModelProto:
    return architecture(
        [NODE("MatMul", ["input", "p0"], ["a"]), *nodes], 3, [(3, 2)], 2, zero=np.array(zero, np.float32)
    )


CAST = NODE("Cast", ["b"], ["output"], to=TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("model", "scale_bits"),
    [
        (decisions(NODE("Greater", ["a", "zero"], ["b"]), CAST, zero=0.25), 0),
        (decisions(NODE("Greater", ["a", "zero"], ["b"]), CAST), 4),
        (decisions(NODE("Greater", ["a", "a"], ["b"]), CAST), 0),
        (decisions(NODE("Greater", ["zero", "a"], ["b"]), CAST), 0),
        (decisions(NODE("Cast", ["a"], ["output"], to=TensorProto.FLOAT)), 0),
    ],
    ids=["with another number", "of fractions", "of two values", "the other way round", "a cast of a number"],
)
def test_other_comparisons_have_no_circuit(model, scale_bits):
    with pytest.raises(UnsupportedArchitectureError, match="comparisons are those of integers"):
        zk.build_audit_circuit(model, audit_samples=1, scale_bits=scale_bits, srs=zk.development_srs)
