"""Disputes about one delivered chunk: cheats that they convict, and evidence that must not convict an honest seller."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import ChunkEvidence, delivery_digest, layout_hash
from tests.contracts.reference import delivered_tree
from tests.contracts.stage import BOND, FEE, FIRST, KEY, MODEL, PRICE, Delivery, Stage, StageAt

KINDS = ["disputeWeightsChunk", "disputeSumChunk"]


def cheat(stage: Stage, honest: Delivery, *corrupt: tuple[int, int]) -> Delivery:
    """Lists the honest seller's model and delivers it with single bits flipped, at (chunk, byte) each."""
    chunks = [bytearray(honest.model.chunk(j)) for j in range(5)]
    for index, position in corrupt:
        chunks[index][position] ^= 1
    return stage.reveal_model(honest.model, chunks=[bytes(chunk) for chunk in chunks])


# ---------------------------------------------------------------------------------------------------- cheating sellers


@pytest.mark.parametrize(("index", "position"), [(0, 64), (2, 1023), (3, 32)])
def test_a_chunk_with_other_parameters_slashes_the_seller(
    stage: Stage, honest: Delivery, index: int, position: int
) -> None:
    delivery = cheat(stage, honest, (index, position))
    receipt = stage.dispute("disputeWeightsChunk", delivery.chunk_evidence("disputeWeightsChunk", index))
    slashed = {"tradeId": 1, "buyer": stage.buyer, "dispute": 0, "amount": PRICE + BOND}
    assert stage.events(receipt) == [("Slashed", slashed)]
    assert (stage.state(), stage.credit(stage.buyer), stage.credit(stage.seller)) == ("Slashed", PRICE + BOND, FEE)
    stage.at(stage.deadline())
    with stage.refused("UnexpectedState", current="Slashed"):
        stage.settle()


@pytest.mark.parametrize(("index", "position"), [(0, 0), (4, 32)])
def test_a_chunk_with_another_sum_slashes_the_seller(stage: Stage, honest: Delivery, index: int, position: int) -> None:
    delivery = cheat(stage, honest, (index, position))
    receipt = stage.dispute("disputeSumChunk", delivery.chunk_evidence("disputeSumChunk", index))
    slashed = {"tradeId": 1, "buyer": stage.buyer, "dispute": 1, "amount": PRICE + BOND}
    assert stage.events(receipt) == [("Slashed", slashed)]


def test_a_ciphertext_under_another_key_slashes_the_seller(stage: Stage, honest: Delivery) -> None:
    delivery = stage.reveal_model(honest.model, key=keccak(b"not the key of keyHash"))
    stage.dispute("disputeWeightsChunk", delivery.chunk_evidence("disputeWeightsChunk", 2))
    assert stage.state() == "Slashed"


def test_chunks_in_another_order_slash_the_seller(stage: Stage, honest: Delivery) -> None:
    delivery = stage.reveal_model(honest.model, chunks=[honest.model.chunk(j) for j in (1, 0, 2, 3, 4)])
    stage.dispute("disputeWeightsChunk", delivery.chunk_evidence("disputeWeightsChunk", 0))
    assert stage.state() == "Slashed"


# ------------------------------------------------------------------------------------------------------ honest sellers


@pytest.mark.parametrize("kind", KINDS)
def test_true_evidence_does_not_convict(honest: Delivery, kind: str) -> None:
    for index in range(5):
        with honest.stage.refused("DisputeUnfounded", tradeId=1, index=index):
            honest.stage.dispute(kind, honest.chunk_evidence(kind, index))


def test_false_evidence_does_not_convict(honest: Delivery) -> None:
    for kind in KINDS:
        for index in range(5):
            evidence = honest.chunk_evidence(kind, index)
            other = honest.chunk_evidence(kind, (index + 1) % 5)
            trees = {KINDS[0]: honest.model.sums_tree(), KINDS[1]: honest.model.weights_tree}[kind]
            forgeries = {
                "another chunk": replace(evidence, ciphertext=other.ciphertext, ciphertext_path=other.ciphertext_path),
                "another leaf": replace(evidence, leaf=other.leaf, path=other.path),
                "another index": replace(evidence, index=(index + 1) % 5),
                "leaf of the other tree": replace(evidence, leaf=trees.leaves[index], path=trees.path(index)),
                "made-up leaf": replace(evidence, leaf=keccak(b"leaf")),
                "made-up chunk": replace(evidence, ciphertext=bytes(1024)),
                "swapped sibling": replace(evidence, path=[evidence.path[1], evidence.path[0], *evidence.path[2:]]),
                "swapped leaf and sibling": replace(
                    evidence, leaf=evidence.path[0], path=[evidence.leaf, *evidence.path[1:]]
                ),
            }
            for name, forged in forgeries.items():
                assert forged != evidence, name
                with honest.stage.refused("NotInTree"):
                    honest.stage.dispute(kind, forged)
            for path in (evidence.path[:-1], [*evidence.path, bytes(32)], []):
                with honest.stage.refused("UnexpectedPathLength", length=len(path), expected=3):
                    honest.stage.dispute(kind, replace(evidence, path=path))
            with honest.stage.refused("UnexpectedPathLength", length=2, expected=3):
                honest.stage.dispute(kind, replace(evidence, ciphertext_path=evidence.ciphertext_path[1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_inner_node_does_not_pass_for_a_leaf(honest: Delivery, kind: str) -> None:
    tree = honest.model.weights_tree if kind == "disputeWeightsChunk" else honest.model.sums_tree()
    forged = replace(honest.chunk_evidence(kind, 0), leaf=tree.levels[1][0], path=tree.path(0)[1:])
    with honest.stage.refused("UnexpectedPathLength", length=2, expected=3):
        honest.stage.dispute(kind, forged)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [5, 7, 8, 2**255])
def test_padding_is_no_chunk(honest: Delivery, kind: str, index: int) -> None:
    forged = replace(honest.chunk_evidence(kind, 4), index=index)
    with honest.stage.refused("ChunkOutOfRange", index=index, count=5):
        honest.stage.dispute(kind, forged)


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_does_not_convict(honest: Delivery, kind: str) -> None:
    wrong = keccak(b"another key")
    digests = (delivery_digest(honest.tree.root, keccak(key)) for key in (wrong, KEY))
    with honest.stage.refused("UnexpectedDigest", **dict(zip(("digest", "expected"), digests, strict=True))):
        honest.stage.dispute(kind, replace(honest.chunk_evidence(kind, 0), key=wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_another_layout_does_not_convict(honest: Delivery, kind: str) -> None:
    """One of fewer chunks would make inner nodes pass for leaves."""
    layout = replace(honest.layout, column_lengths=(720,))
    other = replace(honest.statement, layout=layout)
    hashes = {"layoutHash": layout_hash(layout), "expected": honest.statement.digest}
    with honest.stage.refused("UnexpectedStatement", **hashes):
        honest.stage.dispute(kind, replace(honest.chunk_evidence(kind, 0), statement=other))


def test_only_the_buyer_disputes_and_only_in_time(stage: Stage, honest: Delivery) -> None:
    delivery = cheat(stage, honest, (1, 32))
    deadline = stage.deadline()
    for kind in KINDS:
        evidence = delivery.chunk_evidence(kind, 1)
        for caller in (stage.seller, stage.stranger):
            with stage.refused("NotBuyer", caller=caller.lower()):
                stage.dispute(kind, evidence, sender=caller)
        with stage.restored():
            stage.at(deadline)
            with stage.refused("DeadlinePassed", deadline=deadline):
                stage.dispute(kind, evidence)
        with stage.restored():
            stage.at(deadline - 1)
            stage.dispute(kind, evidence)
            assert stage.state() == "Slashed"


def test_a_model_of_one_chunk_has_paths_of_length_zero(stage_at: StageAt) -> None:
    stage = stage_at("Revealed")
    ciphertext, tree = delivered_tree(KEY, [MODEL.chunk(0)])
    evidence = ChunkEvidence(tree.root, KEY, 0, ciphertext[0], [], MODEL.weights_tree.leaves[0], [], FIRST.statement)
    with stage.refused("DisputeUnfounded", index=0):
        stage.dispute("disputeWeightsChunk", evidence)
