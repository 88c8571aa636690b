"""Proofs of circuits with a random check: the market derives the challenge, and wants the check to be zero."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

import zk
from contracts import Layout
from contracts import register_vka as vka_registration
from tests.contracts.reference import committed_outputs
from tests.contracts.stage import Audit, Stage, terms_of
from tests.simulators.dense_model import SCALE_BITS, dense_architecture, random_inputs, random_parameters
from zk.proofs.challenge import CONTEXT_BYTES, trade_context

SAMPLES, WIDTHS, SHIFT = 8, (3, 2), 14


@dataclass(frozen=True)
class Seller:
    """Proves the same statement for any trade."""

    circuit: zk.AuditCircuit
    srs: zk.Srs
    inputs: np.ndarray
    salt: tuple[int, ...]
    parameters: list[np.ndarray]

    @classmethod
    def of_a_linear_model(cls) -> Seller:
        circuit = zk.build_audit_circuit(
            dense_architecture(*WIDTHS), audit_samples=SAMPLES, scale_bits=SCALE_BITS, srs=zk.development_srs
        )
        rng = np.random.default_rng(0)
        inputs, parameters = random_inputs(rng, SAMPLES, WIDTHS[0]), random_parameters(rng, *WIDTHS)
        srs = zk.development_srs(circuit.logrows)
        return cls(circuit, srs, inputs, zk.draw_input_salt(circuit), parameters)

    def audit(self, context: bytes) -> Audit:
        circuit = self.circuit
        proof = zk.prove(circuit, self.inputs, self.salt, self.parameters, self.srs, context=context)
        layout = Layout(
            circuit.input_columns,
            circuit.parameter_columns,
            circuit.hidden_columns,
            circuit.proof_bytes,
            circuit.outputs,
            SHIFT,
            circuit.logrows,
            circuit.column_lengths,
        )
        outputs = committed_outputs(proof.instances, SHIFT)
        return Audit(proof.data, proof.public_instances(circuit, context), circuit.vka, layout, outputs)


@pytest.fixture(scope="module")
def seller() -> Seller:
    return Seller.of_a_linear_model()


@pytest.fixture
def staged(stage: Stage, seller: Seller) -> tuple[Stage, Audit]:
    """A purchased trade of the listing of the seller's model, and the audit that belongs to it."""
    stage.send(vka_registration(stage.web3, stage.deployment.verifier, seller.circuit.vka), stage.stranger)
    chain_id = stage.web3.eth.chain_id
    audit = seller.audit(trade_context(chain_id, stage.deployment.market, 1))
    stage.offer(terms_of(audit))
    stage.bring_to("Purchased", listing=2, audit=audit)
    return stage, audit


def test_a_proof_for_its_own_trade_is_accepted(staged):
    stage, audit = staged
    assert audit.layout.hidden_columns == 1
    assert len(audit.instances) == SAMPLES * WIDTHS[-1] + 2
    stage.prove(audit=audit)
    assert stage.state() == "Proven"


def test_a_proof_for_another_trade_market_or_chain_is_refused(staged, seller):
    stage, audit = staged
    chain_id, market = stage.web3.eth.chain_id, stage.deployment.market
    for context in (
        trade_context(chain_id, market, 2),
        trade_context(chain_id, stage.deployment.verifier, 1),
        trade_context(chain_id + 1, market, 1),
        bytes(CONTEXT_BYTES),
    ):
        other = seller.audit(context)
        assert other.input_commitment == audit.input_commitment
        with stage.refused("UnexpectedChallenge", challenge=other.instances[-2]):
            stage.prove(audit=other)


@pytest.mark.parametrize("change", [1, -1, 1 << 100])
def test_another_challenge_is_refused(staged, change):
    stage, audit = staged
    *outputs, challenge, check = audit.instances
    with stage.refused("UnexpectedChallenge", expected=challenge):
        stage.prove(audit=replace(audit, instances=[*outputs, challenge + change, check]))


def test_a_check_that_is_not_zero_is_refused(staged):
    stage, audit = staged
    for check in (1, (1 << 256) - 1):
        with stage.refused("FailedCheck", check=check):
            stage.prove(audit=replace(audit, instances=[*audit.instances[:-1], check]))


def test_a_challenge_and_a_zero_may_not_be_left_out(staged):
    stage, audit = staged
    count = len(audit.instances)
    for instances in (audit.instances[:-2], audit.instances[:-1], [*audit.instances, 0]):
        with stage.refused("UnexpectedInstanceCount", count=len(instances), expected=count):
            stage.prove(audit=replace(audit, instances=instances))


def test_other_results_of_layers_give_another_challenge(staged):
    """A byte of the hidden column's commitment is part of what is hashed."""
    stage, audit = staged
    first = 64 * (audit.layout.input_columns + audit.layout.parameter_columns)
    for position in (first, first + 63):
        proof = bytearray(audit.proof)
        proof[position] ^= 1
        with stage.refused("UnexpectedChallenge", challenge=audit.instances[-2]):
            stage.prove(audit=replace(audit, proof=bytes(proof)))


def test_a_layout_that_leaves_the_check_out_is_not_the_listed_one(staged):
    stage, audit = staged
    other = replace(audit, layout=replace(audit.layout, hidden_columns=0), instances=audit.instances[:-2])
    with stage.refused("UnexpectedStatement"):
        stage.prove(audit=other)


def test_a_listed_layout_without_the_check_proves_nothing_about_such_a_circuit(stage, seller):
    """The verifier wants every instance of the circuit. Buyers compare the layout with the rebuilt circuit anyway."""
    stage.send(vka_registration(stage.web3, stage.deployment.verifier, seller.circuit.vka), stage.stranger)
    audit = seller.audit(trade_context(stage.web3.eth.chain_id, stage.deployment.market, 1))
    audit = replace(audit, layout=replace(audit.layout, hidden_columns=0), instances=audit.instances[:-2])
    stage.offer(terms_of(audit))
    stage.bring_to("Purchased", listing=2, audit=audit)
    with stage.refused("ProofRejected"):
        stage.prove(audit=audit)
