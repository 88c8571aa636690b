"""The audit proof: what is accepted, and each way of proving something else."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import delivery_digest, layout_hash
from tests.contracts.reference import MODULUS, signed
from tests.contracts.stage import BOND, FIRST, KEY, WINDOWS, Audit, Stage, StageAt, terms_of

SECOND, OTHER_MODEL, FOREIGN = Audit.of("second"), Audit.of("other_model"), Audit.of("foreign_srs", "foreign_vka")
SHIFT = FIRST.layout.output_shift_bits
TOLERANCE = 1 << SHIFT
COUNT = len(FIRST.outputs)


@pytest.fixture
def purchased(stage_at: StageAt) -> Stage:
    return stage_at("Purchased")


def test_a_proof_locks_the_bond_and_commits_to_the_delivery(purchased: Stage) -> None:
    before = purchased.web3.eth.get_balance(purchased.deployment.market)
    proven = purchased.event(purchased.prove(), "Proven")
    root, deadline = purchased.ciphertext_tree.root, purchased.now + WINDOWS.acceptance_seconds
    expected = {"tradeId": 1, "ciphertextRoot": root, "keyHash": keccak(KEY), "bond": BOND, "deadline": deadline}
    assert proven == expected
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
    listed = terms_of(FOREIGN, circuit_digest=FIRST.circuit_digest)
    stage.offer(listed)
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase(audit=FOREIGN)
    with stage.refused("UnexpectedCircuit", circuitDigest=FOREIGN.circuit_digest, expected=FIRST.circuit_digest):
        stage.prove(audit=FOREIGN)


def test_a_proof_under_another_circuits_vka(purchased: Stage) -> None:
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, vka=FOREIGN.vka))


def test_an_unregistered_vka(purchased: Stage) -> None:
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, vka=[*FIRST.vka, bytes(32)]))


# ------------------------------------------------------------------------------------------------------ the statement


def test_another_model_than_the_listed_one(stage_at: StageAt) -> None:
    """The proof is valid for what the buyer saw, but not of the committed parameters."""
    stage = stage_at("Answered")
    stage.purchase(audit=OTHER_MODEL)
    commitments = {"commitment": OTHER_MODEL.parameter_commitment, "expected": FIRST.parameter_commitment}
    with stage.refused("UnexpectedParameterCommitment", **commitments):
        stage.prove(audit=OTHER_MODEL)


def test_replay_in_another_trade(stage_at: StageAt) -> None:
    """A proof that settled one trade proves nothing about the inputs of another."""
    stage = stage_at("Settled")
    stage.bring_to("Answered", trade=2)
    stage.purchase(trade=2, audit=SECOND)
    with stage.refused("UnexpectedPurchase"):
        stage.prove(trade=2, audit=FIRST)
    stage.prove(trade=2, audit=SECOND)


def test_outputs_that_the_buyer_did_not_commit_to(purchased: Stage) -> None:
    outputs = [FIRST.outputs[0] + 1, *FIRST.outputs[1:]]
    with purchased.refused("UnexpectedPurchase"):
        purchased.prove(audit=replace(FIRST, outputs=outputs))


def test_another_layout(purchased: Stage) -> None:
    layout = replace(FIRST.layout, output_shift_bits=SHIFT + 1)
    hashes = {"layoutHash": layout_hash(layout), "expected": layout_hash(FIRST.layout)}
    with purchased.refused("UnexpectedLayout", **hashes):
        purchased.prove(audit=replace(FIRST, layout=layout))


def test_instances_missing_or_too_many(purchased: Stage) -> None:
    for instances in (FIRST.instances[:-1], [*FIRST.instances, 0]):
        with purchased.refused("UnexpectedInstanceCount", count=len(instances), expected=COUNT):
            purchased.prove(audit=replace(FIRST, instances=instances))


def test_a_purchase_with_the_wrong_number_of_outputs_cannot_be_proven(stage_at: StageAt) -> None:
    short = replace(FIRST, outputs=FIRST.outputs[:-1])
    stage = stage_at("Answered")
    stage.purchase(audit=short)
    with stage.refused("UnexpectedOutputCount", count=COUNT - 1, expected=COUNT):
        stage.prove(audit=short)


@pytest.mark.parametrize("index", [0, 1, COUNT - 1])
def test_instance_not_below_the_modulus(purchased: Stage, index: int) -> None:
    """The verifier computes mod p, so instance + p is as valid as the instance: the market must refuse it."""
    instances = list(FIRST.instances)
    instances[index] += MODULUS
    with purchased.refused("InstanceOutsideField", index=index, instance=instances[index]):
        purchased.prove(audit=replace(FIRST, instances=instances))


def test_forged_outputs(purchased: Stage) -> None:
    """Instances that the proof does not have, though they agree with the buyer's outputs."""
    instances = [(output << SHIFT) % MODULUS for output in FIRST.outputs]
    with purchased.refused("ProofRejected"):
        purchased.prove(audit=replace(FIRST, instances=instances))


# ------------------------------------------------------------------------------------------------------ the tolerance


def distance(audit: Audit, index: int) -> int:
    return abs(signed(audit.instances[index]) - (audit.outputs[index] << SHIFT))


@pytest.mark.parametrize("index", [0, 1, COUNT - 1])
@pytest.mark.parametrize("direction", [-1, 1])
def test_outputs_out_of_tolerance(stage_at: StageAt, index: int, direction: int) -> None:
    outputs = list(FIRST.outputs)
    outputs[index] += 2 * direction
    lied = replace(FIRST, outputs=outputs)
    assert distance(lied, index) > TOLERANCE
    stage = stage_at("Answered")
    stage.purchase(audit=lied)
    proven, committed = signed(FIRST.instances[index]), outputs[index] << SHIFT
    with stage.refused("OutputOutsideTolerance", index=index, proven=proven, committed=committed):
        stage.prove(audit=lied)


@pytest.mark.parametrize("slack", [-1, 0])
def test_the_tolerance_is_inclusive(stage: Stage, slack: int) -> None:
    worst = max(range(COUNT), key=lambda i: distance(FIRST, i))
    stage.offer(terms_of(FIRST, tolerance=distance(FIRST, worst) + slack))
    stage.open_session(listing=2)
    stage.respond()
    stage.purchase()
    if slack < 0:
        with stage.refused("OutputOutsideTolerance", index=worst):
            stage.prove()
    else:
        stage.prove()


def test_extreme_outputs_do_not_wrap_around(stage_at: StageAt) -> None:
    extreme = replace(FIRST, outputs=[2**63 - 1, -(2**63), *FIRST.outputs[2:]])
    stage = stage_at("Answered")
    stage.purchase(audit=extreme)
    with stage.refused("OutputOutsideTolerance", index=0, committed=(2**63 - 1) << SHIFT):
        stage.prove(audit=extreme)
