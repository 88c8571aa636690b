"""The audit proof: what is accepted, and each way of proving something else."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import delivery_digest, layout_hash
from tests.contracts.reference import MODULUS
from tests.contracts.stage import BOND, FIRST, KEY, WINDOWS, Audit, Stage, StageAt, terms_of

SECOND, OTHER_MODEL, FOREIGN = Audit.of("second"), Audit.of("other_model"), Audit.of("foreign_srs", "foreign_vka")
SHIFT = FIRST.layout.output_shift_bits
COUNT = len(FIRST.outputs)


@pytest.fixture
def purchased(stage_at: StageAt) -> Stage:
    return stage_at("Purchased")


def test_a_proof_locks_the_bond_and_commits_to_the_delivery(purchased: Stage) -> None:
    before = purchased.web3.eth.get_balance(purchased.deployment.market)
    proven = purchased.event(purchased.prove(), "Proven")
    root, deadline = purchased.ciphertext_tree.root, purchased.now + WINDOWS.acceptance_seconds
    expected = {"tradeId": 1, "ciphertextRoot": root, "keyHash": keccak(KEY), "bond": BOND, "deadline": deadline}
    assert proven == expected | {"proofFees": 1}
    trade = purchased.trade()
    assert (trade["digest"], trade["deadline"]) == (delivery_digest(root, keccak(KEY)), deadline)
    assert purchased.web3.eth.get_balance(purchased.deployment.market) == before + BOND


def test_only_the_seller_proves(purchased: Stage) -> None:
    for caller in (purchased.buyer, purchased.stranger):
        with purchased.refused("NotSeller", caller=caller.lower()):
            purchased.prove(sender=caller)


def test_the_bond_must_be_exact(purchased: Stage) -> None:
    for paid in (0, BOND - 1, BOND + 1):
        with purchased.refused("UnexpectedPayment", paid=paid, due=BOND):
            purchased.prove(value=paid)


# ------------------------------------------------------------------------------------------ the proof and its circuit


@pytest.mark.parametrize("position", [128, len(FIRST.proof) // 2, len(FIRST.proof) - 1])
def test_a_corrupt_proof(purchased: Stage, position: int) -> None:
    corrupt = bytearray(FIRST.proof)
    corrupt[position] ^= 1
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, proof=bytes(corrupt)))


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 32, FIRST.proof])
def test_trailing_proof_bytes(purchased: Stage, extra: bytes) -> None:
    length = len(FIRST.proof)
    with purchased.refused("UnexpectedProofLength", length=length + len(extra), expected=length):
        purchased.prove(audit=replace(FIRST, proof=FIRST.proof + extra))


def test_the_verifier_alone_would_accept_trailing_proof_bytes(stage: Stage) -> None:
    """Why the length is checked: should ezkl ever refuse them itself, this says so."""
    function = stage.verifier.functions.verifyProof(FIRST.proof + bytes(32), list(FIRST.instances), list(FIRST.vka))
    assert stage.send(function, stage.stranger)["status"] == 1


def test_a_truncated_proof(purchased: Stage) -> None:
    with purchased.refused("UnexpectedProofLength", length=len(FIRST.proof) - 32):
        purchased.prove(audit=replace(FIRST, proof=FIRST.proof[:-32]))


def test_foreign_vka(stage: Stage) -> None:
    """Valid under keys made with another SRS, whose author may know its trapdoor; all else is as listed."""
    foreign = replace(FOREIGN, circuit=FIRST.circuit_digest)
    stage.offer(terms_of(foreign))
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase(audit=foreign)
    with stage.refused("UnexpectedCircuit", circuitDigest=FOREIGN.circuit_digest, expected=FIRST.circuit_digest):
        stage.prove(audit=foreign)


def test_a_proof_under_another_circuits_vka(purchased: Stage) -> None:
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, vka=FOREIGN.vka, circuit=FIRST.circuit_digest))
    with purchased.refused("UnexpectedStatement", circuitDigest=FOREIGN.circuit_digest):
        purchased.prove(audit=replace(FIRST, vka=FOREIGN.vka))


def test_an_unregistered_vka(purchased: Stage) -> None:
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, vka=[*FIRST.vka, bytes(32)], circuit=FIRST.circuit_digest))


# ------------------------------------------------------------------------------------------------------ the statement


def test_another_model_than_the_listed_one(stage_at: StageAt) -> None:
    """The proof is valid for what the buyer saw, but not of the committed parameters."""
    stage = stage_at("Answered")
    stage.purchase(audit=OTHER_MODEL)
    other = {"parameterCommitment": OTHER_MODEL.parameter_commitment, "expected": FIRST.statement.digest}
    with stage.refused("UnexpectedStatement", **other):
        stage.prove(audit=OTHER_MODEL)
    commitments = {"commitment": OTHER_MODEL.parameter_commitment, "expected": FIRST.parameter_commitment}
    with stage.refused("UnexpectedParameterCommitment", **commitments):
        stage.prove(audit=replace(OTHER_MODEL, parameters=FIRST.parameter_commitment))


def test_replay_in_another_trade(stage_at: StageAt) -> None:
    """A proof that settled one trade proves nothing about the inputs of another."""
    stage = stage_at("Settled")
    stage.bring_to("Answered", trade=2)
    stage.purchase(trade=2, audit=SECOND)
    with stage.refused("UnexpectedPurchase"):
        stage.prove(trade=2, audit=FIRST)
    stage.prove(trade=2, audit=SECOND)


def test_another_purchase_than_the_buyers(purchased: Stage) -> None:
    """After a reorganisation the trade's number may be of another one, of the same inputs perhaps."""
    for other in (
        replace(FIRST, outputs=[FIRST.outputs[0] + 1, *FIRST.outputs[1:]]),
        replace(FIRST, answer=keccak(b"another answer")),
    ):
        with purchased.refused("UnexpectedPurchase", expected=purchased.trade()["digest"]):
            purchased.prove(audit=other)


def test_another_layout(purchased: Stage) -> None:
    layout = replace(FIRST.layout, output_shift_bits=SHIFT + 1)
    hashes = {"layoutHash": layout_hash(layout), "expected": FIRST.statement.digest}
    with purchased.refused("UnexpectedStatement", **hashes):
        purchased.prove(audit=replace(FIRST, layout=layout))


def test_instances_missing_or_too_many(purchased: Stage) -> None:
    for instances in (FIRST.instances[:-1], [*FIRST.instances, 0]):
        with purchased.refused("UnexpectedInstanceCount", count=len(instances), expected=COUNT):
            purchased.prove(audit=replace(FIRST, instances=instances))


@pytest.mark.parametrize("index", [0, 1, COUNT - 1])
def test_instance_not_below_the_modulus(purchased: Stage, index: int) -> None:
    """The verifier computes mod p, so instance + p is as valid as the instance: the market must refuse it."""
    for instance in (FIRST.instances[index] + MODULUS, MODULUS):
        instances = list(FIRST.instances)
        instances[index] = instance
        with purchased.refused("InstanceOutsideField", index=index, instance=instance):
            purchased.prove(audit=replace(FIRST, instances=instances))


def test_forged_outputs(purchased: Stage) -> None:
    """Instances that the proof does not have, though they agree with the buyer's outputs."""
    instances = [(output << SHIFT) % MODULUS for output in FIRST.outputs]
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, instances=instances))


def test_what_the_buyer_saw_is_not_asked_for(stage_at: StageAt) -> None:
    """The escrow can't compare: the buyer does, before it accepts."""
    stage = stage_at("Answered")
    elsewhere = replace(FIRST, outputs=[output + 10**6 for output in FIRST.outputs])
    stage.purchase(audit=elsewhere)
    stage.prove(audit=elsewhere)
    assert stage.state() == "Proven"
