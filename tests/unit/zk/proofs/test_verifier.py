"""What a verifier must refuse, ezkl's own leniency included."""

import dataclasses
import json

import pytest

import zk
from tests.simulators.dense_model import CONTEXT
from zk.circuits.key_files import keys_of
from zk.errors import CommitmentMismatchError, InvalidProofError, MalformedProofError, SrsError
from zk.ezkl.worker import run_job
from zk.field import MODULUS
from zk.proofs.proof import read_ezkl_proof, write_ezkl_proof


def check(statement, context=CONTEXT, **changes):
    given = dataclasses.replace(statement, **changes)
    zk.verify(
        given.circuit,
        given.proof,
        given.srs,
        input_points=given.input_points,
        parameter_points=given.parameter_points,
        context=context,
    )


def altered(statement, **changes):
    return dataclasses.replace(statement.proof, **changes)


def ezkl_verify(statement, tmp_path, text):
    keys = keys_of(statement.circuit, statement.srs)
    path = tmp_path / "proof.json"
    path.write_text(text)
    job = {"proof": path, "settings": keys.settings, "vk": keys.verifying_key, "srs": statement.srs.path}
    run_job("verify", job)


def test_a_true_proof_is_accepted_silently(statement):
    check(statement)


def test_trailing_bytes_that_ezkl_ignores_are_refused(statement, tmp_path):
    longer = altered(statement, data=statement.proof.data + b"\x00")
    ezkl_verify(
        statement, tmp_path, write_ezkl_proof(longer, longer.public_instances(statement.circuit, CONTEXT))
    )  # ezkl is content
    with pytest.raises(
        MalformedProofError, match=f"{len(longer.data)} bytes, proofs of this circuit {len(longer.data) - 1}"
    ):
        check(statement, proof=longer)


def test_a_forged_hex_proof_that_ezkl_ignores_is_never_read(statement, tmp_path):
    content = json.loads(
        write_ezkl_proof(statement.proof, statement.proof.public_instances(statement.circuit, CONTEXT))
    )
    content["hex_proof"] = "0x" + "ab" * len(statement.proof.data)
    content["pretty_public_inputs"] = None
    ezkl_verify(statement, tmp_path, json.dumps(content))  # ezkl is content
    assert read_ezkl_proof(json.dumps(content), statement.circuit, CONTEXT) == statement.proof


def test_a_short_proof_is_refused(statement):
    with pytest.raises(MalformedProofError):
        check(statement, proof=altered(statement, data=statement.proof.data[:-1]))


@pytest.mark.parametrize("position", [0.3, 0.6, 0.99])
def test_a_changed_byte_is_refused(statement, position):
    data = bytearray(statement.proof.data)
    data[int(len(data) * position)] ^= 1
    with pytest.raises(InvalidProofError, match="does not hold"):
        check(statement, proof=altered(statement, data=bytes(data)))


def test_another_output_is_refused(statement):
    first, *rest = statement.proof.instances
    with pytest.raises(InvalidProofError):
        check(statement, proof=altered(statement, instances=((first + 1) % MODULUS, *rest)))


def test_an_instance_that_is_not_canonical_is_refused(statement):
    first, *rest = statement.proof.instances
    for alias in (first + MODULUS, first - MODULUS):
        with pytest.raises(MalformedProofError, match="instance 0"):
            check(statement, proof=altered(statement, instances=(alias, *rest)))


def test_a_missing_or_additional_instance_is_refused(statement):
    for instances in (statement.proof.instances[:-1], (*statement.proof.instances, 0)):
        with pytest.raises(MalformedProofError, match="instances"):
            check(statement, proof=altered(statement, instances=instances))


def test_a_proof_about_other_inputs_or_parameters_is_refused(statement):
    with pytest.raises(CommitmentMismatchError, match="other inputs"):
        check(statement, input_points=statement.parameter_points[:1])
    with pytest.raises(CommitmentMismatchError, match="other parameters"):
        check(statement, parameter_points=statement.parameter_points[::-1])
    with pytest.raises(CommitmentMismatchError, match="other parameters"):
        check(statement, parameter_points=statement.parameter_points[:-1])


def test_replacing_the_commitments_in_the_proof_is_refused(statement):
    split = 64 * statement.circuit.input_columns
    other = statement.input_points[0] + statement.proof.data[64:split]
    swapped = statement.proof.data[split : split + 64] + other[64:] + statement.proof.data[64:]
    points = (statement.proof.data[split : split + 64],)
    with pytest.raises(InvalidProofError):
        check(statement, proof=altered(statement, data=swapped[: len(statement.proof.data)]), input_points=points)


def test_another_srs_is_refused(statement):
    with pytest.raises(SrsError, match="get the one that the listing names"):
        check(statement, srs=zk.development_srs(statement.srs.logrows + 1))


def test_the_reusable_verifier_is_written_although_ezkl_looks_for_a_compiler_online(statement, tmp_path):
    path = tmp_path / "Verifier.sol"
    zk.write_reusable_verifier(statement.circuit, statement.srs, path)
    source = path.read_text()
    assert "contract Halo2VerifierReusable" in source
    assert "function verifyProof(" in source
