"""The buyer's check: the model, or evidence with which the escrow convicts the seller, and never an honest one."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.escrow_judge import RefusedError
from tests.simulators.listed_model import KEY, SHAPES, list_model, random_columns, salts
from trader.delivery import (
    CiphertextError,
    DeliveryFaultError,
    RangeClaim,
    SumChunkClaim,
    SumStepClaim,
    WeightsChunkClaim,
    check_delivery,
    encrypt_artifact,
)
from zk.binding import derive_challenge, running_sums, split_columns
from zk.binding.chunks import encode_chunks, stored_sums, with_sums
from zk.field import MODULUS

CHUNKS = 6


@pytest.fixture(scope="module")
def honest():
    return list_model(random_columns())


def fault(listed, ciphertext):
    """The evidence against a delivery; the escrow must convict."""
    with pytest.raises(DeliveryFaultError) as caught:
        check_delivery(ciphertext, KEY, listed.terms)
    evidence = caught.value.evidence
    assert listed.judge(ciphertext).convicts(evidence)
    assert f"chunk {evidence.index}" in str(caught.value)
    return evidence


def test_honest_delivery_gives_the_listed_tensors(honest):
    tensors = check_delivery(honest.ciphertext(), KEY, honest.terms)
    assert [tensor.shape for tensor in tensors] == list(SHAPES)
    assert all(tensor.dtype == np.int32 for tensor in tensors)
    for column, back in zip(honest.columns, split_columns(tensors, honest.layout), strict=True):
        np.testing.assert_array_equal(back, column)


# Cheating sellers.


@pytest.mark.parametrize("index", range(CHUNKS))
def test_one_corrupt_chunk(honest, index):
    ciphertext = bytearray(honest.ciphertext())
    ciphertext[1024 * index + 64] ^= 1
    evidence = fault(honest, bytes(ciphertext))
    assert isinstance(evidence, WeightsChunkClaim)
    assert evidence.index == index


def test_another_models_parameters(honest):
    other = list_model(random_columns(seed=1))
    evidence = fault(honest, other.ciphertext())
    assert isinstance(evidence, WeightsChunkClaim)
    assert evidence.index == 0


def test_right_parameters_in_another_order(honest):
    columns = [column.copy() for column in honest.columns]
    columns[1][:240] = columns[1][:240][::-1]
    ciphertext = encrypt_artifact(encode_chunks(columns, salts()), KEY)
    assert fault(honest, ciphertext).index == 3


def test_ciphertext_under_another_key(honest):
    evidence = fault(honest, encrypt_artifact(honest.artifact, bytes(32)))
    assert isinstance(evidence, WeightsChunkClaim)


@pytest.mark.parametrize("index", range(CHUNKS))
def test_wrong_salt_convicts_too(honest, index):
    artifact = bytearray(honest.artifact)
    artifact[1024 * index + 32] ^= 1
    assert fault(honest, encrypt_artifact(bytes(artifact), KEY)).index == index


@pytest.mark.parametrize("index", range(CHUNKS))
def test_wrong_running_sum_in_a_delivered_chunk(honest, index):
    sums = stored_sums(honest.artifact)
    sums[index] += 1
    evidence = fault(honest, encrypt_artifact(with_sums(honest.artifact, sums), KEY))
    assert isinstance(evidence, SumChunkClaim)
    assert evidence.index == index


@pytest.mark.parametrize("index", range(CHUNKS))
@pytest.mark.parametrize("forged", [0, 1, MODULUS - 1, MODULUS, 2**256 - 1])
def test_running_sum_that_does_not_follow(index, forged):
    listed = list_model(random_columns(), forged_sums={index: forged})
    evidence = fault(listed, listed.ciphertext())
    assert isinstance(evidence, SumStepClaim)
    assert evidence.index == index


def test_running_sum_plus_the_modulus_does_not_follow():
    """Congruent, but not canonical: the contract and the buyer must agree that it is wrong."""
    right = stored_sums(list_model(random_columns()).artifact)[2]
    listed = list_model(random_columns(), forged_sums={2: right + MODULUS})
    evidence = fault(listed, listed.ciphertext())
    assert isinstance(evidence, SumStepClaim)
    assert evidence.index == 2


def test_model_that_was_proven_is_not_the_one_in_the_chunks():
    """Sums that lead to the proven model's opening can't follow from the other model's chunks."""
    proven, delivered = list_model(random_columns()), random_columns(seed=1)
    cheat = list_model(delivered)
    challenge = derive_challenge(
        cheat.terms.commitments.weights.root, cheat.terms.parameter_commitment, cheat.terms.seller
    )
    proven_sum = running_sums(proven.columns, cheat.layout, challenge)[-1]
    cheat = list_model(delivered, forged_sums={CHUNKS - 1: proven_sum})
    evidence = fault(cheat, cheat.ciphertext())
    assert isinstance(evidence, SumStepClaim)
    assert evidence.index == CHUNKS - 1


@pytest.mark.parametrize("value", [2**24, -(2**24), 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(("column", "row", "index"), [(0, 0, 0), (0, 505, 2), (1, 239, 3), (2, 2, 5)])
def test_a_parameter_out_of_range_convicts(value, column, row, index):
    """Tested, proven and delivered alike: float32 doesn't hold it, and sums of the circuit may have wrapped around."""
    columns = random_columns()
    columns[column][row] = value
    listed = list_model(columns)
    evidence = fault(listed, listed.ciphertext())
    assert isinstance(evidence, RangeClaim)
    assert (evidence.index, evidence.position) == (index, row % 240)


def test_a_parameter_at_the_edge_does_not():
    columns = random_columns()
    columns[0][:2] = 2**24 - 1, 1 - 2**24
    listed = list_model(columns)
    check_delivery(listed.ciphertext(), KEY, listed.terms)
    assert not listed.judge(listed.ciphertext()).convicts(listed.evidence(listed.ciphertext(), RangeClaim, 0))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, CHUNKS * 1024 - 1), st.integers(1, 255))
def test_any_changed_byte_convicts(position, change):
    listed = list_model(random_columns())
    ciphertext = bytearray(listed.ciphertext())
    ciphertext[position] ^= change
    assert fault(listed, bytes(ciphertext)).index == position // 1024


@pytest.mark.parametrize("size", [0, 1024, CHUNKS * 1024 - 1, CHUNKS * 1024 + 1, (CHUNKS + 1) * 1024])
def test_ciphertext_of_another_length_is_no_dispute(honest, size):
    with pytest.raises(CiphertextError, match="6144"):
        check_delivery((honest.ciphertext() + bytes(2048))[:size], KEY, honest.terms)


# Disputes against an honest seller.


def true_evidence(listed, kind, index):
    """What a buyer would show if chunk `index` were wrong, taken from an honest delivery."""
    return listed.evidence(listed.ciphertext(), kind, index)


KINDS = [WeightsChunkClaim, SumChunkClaim, SumStepClaim, RangeClaim]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", range(CHUNKS))
def test_truth_convicts_no_honest_seller(honest, kind, index):
    assert not honest.judge(honest.ciphertext()).convicts(true_evidence(honest, kind, index))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("claimed", range(CHUNKS + 3))
def test_wrong_index_is_refused(honest, kind, claimed):
    evidence = true_evidence(honest, kind, 2)
    judge = honest.judge(honest.ciphertext())
    if claimed == 2:
        assert not judge.convicts(evidence)
    else:
        with pytest.raises(RefusedError):
            judge.convicts(dataclasses.replace(evidence, index=claimed))


def test_leaf_of_the_other_tree_is_refused(honest):
    weights, sums = true_evidence(honest, WeightsChunkClaim, 2), true_evidence(honest, SumChunkClaim, 2)
    with pytest.raises(RefusedError):
        honest.judge(honest.ciphertext()).convicts(dataclasses.replace(weights, leaf=sums.leaf, path=sums.path))


def test_evidence_does_not_show_parameters_in_its_representation(honest):
    evidence = true_evidence(honest, SumStepClaim, 2)
    assert evidence.parameters[:8].hex() not in repr(evidence)
    assert "parameters" not in repr(evidence)
