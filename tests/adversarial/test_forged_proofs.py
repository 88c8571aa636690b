"""False statements proven with ezkl as it is installed, under the listed circuit's keys.

The rule for all of them: what is accepted is true. A forgery that changes no value (a zero taken for another zero) is
accepted with the true instances, and is no forgery.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
from tests.simulators.forging import ASSIGNING, INPUT, Forgery, forge_all, mutations
from tests.unit.zk.circuits.test_operators import FUNCTIONS, MODELS, architecture
from trader.errors import PeerFaultError
from trader.model import architecture_bytes
from trader.rehearsal.networks import random_bins, random_trees
from trader.rehearsal.proving import verify_in_contract
from zk.binding.tensors import commit_tensors, input_elements, parameter_elements, split_points
from zk.circuits import settings as circuit_settings
from zk.errors import InvalidProofError, SettingsMismatchError
from zk.field import MODULUS
from zk.proofs.prover import _with_results
from zk.proofs.verifier import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

pytestmark = pytest.mark.timeout(1800)  # hundreds of proofs each, behind whatever else the machine does

WIDTHS, SAMPLES = (6, 4, 2), 3
RUN_ARGUMENTS = circuit_settings.RunArguments.as_json


@dataclass(frozen=True)
class Statement:
    """A statement whose prover does what it likes.

    Attributes:
        tensors: Inputs and parameters.
        whole: All tensors of the circuit, as an honest prover fills them.
    """

    circuit: zk.AuditCircuit
    srs: zk.Srs
    tensors: list[list[int]]
    whole: list[Sequence[int]]

    @classmethod
    def about(cls, circuit: zk.AuditCircuit, inputs: np.ndarray, parameters: list[np.ndarray]) -> Statement:
        srs = zk.development_srs(circuit.logrows)
        tensors = [
            input_elements(circuit, inputs, zk.draw_input_salt(circuit)),
            *parameter_elements(circuit, parameters),
        ]
        whole, _ = _with_results(circuit, tensors, srs, CONTEXT)
        return cls(circuit, srs, tensors, whole)

    @classmethod
    def random(cls, circuit: zk.AuditCircuit, bound: int) -> Statement:
        rng = np.random.default_rng(1)
        inputs = rng.integers(-bound, bound + 1, size=(circuit.audit_samples, circuit.features))
        shapes = circuit.parameter_shapes
        parameters = [rng.integers(-bound, bound + 1, size=shape).astype(np.int32) for shape in shapes]
        return cls.about(circuit, inputs, parameters)

    def forge(self, graph: onnx.ModelProto | None = None, whole: list[Sequence[int]] | None = None) -> Forgery:
        """Prove another graph, or about other tensors."""
        graph = graph or onnx.load_from_string(self.circuit.onnx)
        return forge_all(self.circuit, {"": graph}, whole or self.whole, self.srs)[""]

    def verify(self, forgery: Forgery) -> None:
        """As a buyer does."""
        assert forgery.proof is not None
        input_points, parameter_points = split_points(commit_tensors(self.circuit, self.tensors, self.srs))
        verify(
            self.circuit,
            forgery.proof,
            self.srs,
            input_points=input_points,
            parameter_points=parameter_points,
            context=CONTEXT,
        )


def dense_circuit(samples: int = SAMPLES) -> zk.AuditCircuit:
    return zk.build_audit_circuit(
        dense_architecture(*WIDTHS), audit_samples=samples, scale_bits=SCALE_BITS, srs=zk.development_srs
    )


def dense_statement() -> tuple[Statement, list[int]]:
    """A statement, and its true outputs."""
    rng = np.random.default_rng(1)
    inputs, parameters = random_inputs(rng, SAMPLES, WIDTHS[0]), random_parameters(rng, *WIDTHS)
    return Statement.about(dense_circuit(), inputs, parameters), integer_outputs(inputs, parameters)


# ------------------------------------------------------------------------------------------ ezkl's own check of batches


def laid_out(monkeypatch: pytest.MonkeyPatch, *, freivalds: bool) -> None:
    """Circuits that lay out every product, as this project made them before it proved batches by a check of its own."""
    monkeypatch.setattr("zk.circuits.audit_graph.find_products", lambda *_args, **_options: [])
    if freivalds:
        monkeypatch.setattr(
            circuit_settings.RunArguments,
            "as_json",
            lambda arguments: RUN_ARGUMENTS(arguments) | {"disable_freivalds": False},
        )
        monkeypatch.setattr(circuit_settings, "_require_constrained_products", lambda _settings: None)


def forge_product(statement: Statement) -> Forgery:
    """The last product's result is taken for another one."""
    *_, mutation = (mutation for label, mutation in mutations(statement.circuit).items() if "MatMul" in label)
    return statement.forge(mutation.false["permuted"])


@pytest.mark.slow
def test_with_ezkls_freivalds_check_a_seller_proves_outputs_of_its_choice(monkeypatch):
    laid_out(monkeypatch, freivalds=True)
    statement, true_outputs = dense_statement()
    forgery = forge_product(statement)
    statement.verify(forgery)
    assert forgery.proof is not None
    assert list(forgery.proof.outputs) != true_outputs
    verify_in_contract(statement.circuit, forgery.proof, CONTEXT)


def test_without_it_the_same_forgery_is_refused(monkeypatch):
    laid_out(monkeypatch, freivalds=False)
    statement, _ = dense_statement()
    forgery = forge_product(statement)
    with pytest.raises(InvalidProofError):
        statement.verify(forgery)


def test_packages_whose_circuits_have_freivalds_check_are_refused_in_one_line(monkeypatch):
    with monkeypatch.context() as before:
        laid_out(before, freivalds=True)
        circuit = dense_circuit()
    with pytest.raises(SettingsMismatchError, match=r"^[^\n]*its proofs prove nothing[^\n]*prepared again[^\n]*$"):
        zk.rebuild_audit_circuit(
            dense_architecture(*WIDTHS),
            circuit.settings,
            audit_samples=SAMPLES,
            scale_bits=SCALE_BITS,
            srs=zk.development_srs(circuit.logrows),
            expected_digest=circuit.digest,
        )


# ------------------------------------------------------------------------------------------------- our check of batches


def altered(statement: Statement, position: int, change: int) -> list[Sequence[int]]:
    """The tensors with another result of a layer; the challenge is the one of the true statement."""
    *rest, hidden, challenge = statement.whole
    hidden = [*hidden[:position], (hidden[position] + change) % MODULUS, *hidden[position + 1 :]]
    return [*rest, hidden, challenge]


@pytest.mark.parametrize("position", [0, 5, 12, 17], ids=["first", "hidden", "output", "last output"])
def test_a_false_result_of_a_layer_makes_the_check_non_zero(position):
    statement, true_outputs = dense_statement()
    forgery = statement.forge(whole=altered(statement, position, 1))
    # The circuit's own constraints hold: what it says is that the check is not zero.
    assert forgery.accepted
    assert forgery.instances[-1] != 0
    assert (list(forgery.proof.outputs) == true_outputs) == (position < SAMPLES * WIDTHS[1])
    with pytest.raises(InvalidProofError):
        statement.verify(forgery)
    with pytest.raises(PeerFaultError):
        verify_in_contract(statement.circuit, forgery.proof, CONTEXT)


def test_a_challenge_of_the_provers_choice_would_hide_a_false_output():
    """At challenge 0 the check sees the first entry of the first layer alone: why the challenge is a hash."""
    statement, true_outputs = dense_statement()
    *rest, _ = altered(statement, 12, 1 << 40)
    forgery = statement.forge(whole=[*rest, [0]])
    assert forgery.accepted
    assert forgery.instances[-2:] == (0, 0)
    assert list(forgery.proof.outputs) != true_outputs
    with pytest.raises(InvalidProofError):
        statement.verify(forgery)
    with pytest.raises(PeerFaultError):
        verify_in_contract(statement.circuit, forgery.proof, CONTEXT)


def test_results_can_not_be_fitted_to_a_challenge():
    """Two false entries that cancel at the true statement's challenge: they change the commitment, and with it that."""
    statement, true_outputs = dense_statement()
    *_, (challenge,) = statement.whole
    # Outputs of samples 0 and 1 for the same class stand in rows 0 and 1: their weights differ by one power.
    *rest, hidden, _ = altered(statement, 12, challenge * -(1 << 40))
    forged = altered(replace(statement, whole=[*rest, hidden, [challenge]]), 14, 1 << 40)
    forgery = statement.forge(whole=forged)
    assert forgery.accepted
    assert forgery.instances[-2:] == (challenge, 0)
    assert list(forgery.proof.outputs) != true_outputs
    with pytest.raises(InvalidProofError):
        statement.verify(forgery)


def test_a_proof_holds_in_its_context_alone():
    statement, _ = dense_statement()
    forgery = statement.forge()
    statement.verify(forgery)
    verify_in_contract(statement.circuit, forgery.proof, CONTEXT)
    with pytest.raises(PeerFaultError):
        verify_in_contract(statement.circuit, forgery.proof, bytes(32))


# --------------------------------------------------------------------------------------------- every value of a circuit


CHECKED = architecture(
    [
        onnx.helper.make_node("MatMul", ["input", "p0"], ["a"]),
        onnx.helper.make_node("Mul", ["a", "a"], ["b"]),
        onnx.helper.make_node("MatMul", ["b", "p1"], ["c"]),
        onnx.helper.make_node("Mul", ["c", "c"], ["d"]),
        onnx.helper.make_node("MatMul", ["d", "p2"], ["output"]),
    ],
    5,
    [(5, 3), (3, 3), (3, 2)],
    2,
)
"""Two squares: the hidden results are cut into limbs, so that nothing wraps around the modulus."""


def narrowed(name: str, widths: Sequence[int]) -> onnx.ModelProto:
    """A model with fewer units: the same constraints on fewer values, in half or a quarter of the rows."""
    return architecture(MODELS[name].graph.node, widths[0], list(itertools.pairwise(widths)), widths[-1])


EXACT = MODELS | {"relu": narrowed("relu", [3, 3, 2, 2]), "relu and square": narrowed("relu and square", [3, 3, 2])}


def build(model: onnx.ModelProto, scale_bits: int = 4, magnitude: float = 4.0, samples: int = 2) -> zk.AuditCircuit:
    return zk.build_audit_circuit(
        model, audit_samples=samples, scale_bits=scale_bits, srs=zk.development_srs, activation_magnitude=magnitude
    )


def with_settings(
    monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto, choose: Callable[..., object]
) -> zk.AuditCircuit:
    """A circuit with settings that a seller chose itself."""
    monkeypatch.setattr("zk.circuits.planner._candidates", choose)
    return build(model)


def assert_only_the_truth_is_accepted(statement: Statement, covered: Mapping[str, int]) -> None:
    """Try every mutation.

    Args:
        statement: What is proven.
        covered: Operators that the circuit must have, and how many uses of them at least are covered by a control.
    """
    made = mutations(statement.circuit)
    graphs = {"honest": onnx.load_from_string(statement.circuit.onnx)}
    controls = {label: mutation.control for label, mutation in made.items() if label.split()[1] in covered}
    graphs |= {f"control {label}": graph for label, graph in controls.items()}
    for label, mutation in made.items():
        graphs |= {f"{kind} {label}": graph for kind, graph in mutation.false.items()}
    forgeries = forge_all(statement.circuit, graphs, statement.whole, statement.srs)
    truth = forgeries["honest"]
    assert truth.accepted
    false = [name for name, forgery in forgeries.items() if forgery.accepted and forgery.instances != truth.instances]
    assert not false
    held = [label.split()[1] for label in controls if forgeries[f"control {label}"].accepted]
    for operator, least in covered.items():
        assert operator in {*ASSIGNING, INPUT}
        assert held.count(operator) >= least, f"{operator}: {held.count(operator)} of {len(made)} covered"


@pytest.mark.slow
def test_no_value_of_a_dense_network_can_be_replaced():
    statement, _ = dense_statement()
    # Inputs, two layers' parameters, results, challenge.
    wanted = {INPUT: 5, "Add": 4, "MatMul": 7, "Mul": 6, "ReduceSum": 2, "Sub": 3}
    assert_only_the_truth_is_accepted(statement, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_no_value_of_an_exact_circuit_can_be_replaced(name):
    wanted = {"MatMul": 3, "Relu": 1} if "relu" in name else {"MatMul": 3}
    assert_only_the_truth_is_accepted(Statement.random(build(EXACT[name]), 16), wanted)


@pytest.mark.slow
def test_no_decision_leaf_or_sum_of_trees_can_be_replaced():
    trees, edges = random_trees((3, 2), 2, 2), np.array((3, 2))
    circuit = zk.build_audit_circuit(
        onnx.load_from_string(architecture_bytes(trees.graph)),
        audit_samples=2,
        scale_bits=0,
        srs=zk.development_srs,
        activation_magnitude=4,
    )
    statement = Statement.about(circuit, random_bins(edges, 2), list(trees.tensors))
    assert_only_the_truth_is_accepted(statement, {"Sigmoid": 1, "Mul": 1, "Sub": 2})


@pytest.mark.slow
def test_no_value_of_a_circuit_whose_results_are_cut_into_limbs_can_be_replaced():
    circuit = build(CHECKED, samples=1)
    assert b"Abs" in circuit.onnx
    assert_only_the_truth_is_accepted(Statement.random(circuit, 16), {"Abs": 2, "MatMul": 9, "Mul": 10, "Sub": 5})


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_value_of_a_rounded_circuit_can_be_replaced_by_one_that_is_not_a_rounding(name):
    circuit = build(FUNCTIONS[name], 6, samples=1)  # functions are laid out value by value
    assert_only_the_truth_is_accepted(Statement.random(circuit, 32), {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"logrows": 9, "num_inner_cols": 1},
        {"logrows": 8, "num_inner_cols": 4},
        {"logrows": 8, "num_inner_cols": 2, "decomp_base": 16, "decomp_legs": 9},
        {"logrows": 9, "num_inner_cols": 3, "decomp_base": 256, "decomp_legs": 3},
    ],
    ids=["one column", "four columns", "many limbs", "few limbs"],
)
def test_odd_settings_open_no_hole(monkeypatch, arguments):
    choice = circuit_settings.RunArguments(**{"input_scale": 0} | arguments)
    circuit = with_settings(monkeypatch, EXACT["relu and square"], lambda *_: [(0, choice)])
    assert_only_the_truth_is_accepted(Statement.random(circuit, 16), {"MatMul": 3, "Mul": 3})
