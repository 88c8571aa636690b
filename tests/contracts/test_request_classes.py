"""How a request counts right answers, by a verifier that accepts any output; and verifiers that accept none."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import layout_hash
from contracts.requests import AcceptedCircuit, PublicTestSet, matching_classes
from tests.contracts.board import CIRCUIT, LAYOUT, OFFER, PARAMETERS, PROOFS, Batch, Board, challenge_of
from tests.contracts.periphery import event
from zk.field import MODULUS

DIGEST = CIRCUIT.circuit_digest
LARGEST = MODULUS // 2
"""Field elements above it are negative numbers."""


def answering(accepted: bool, circuit: bytes) -> bytes:
    """Init code of a verifier that returns this to whatever it is asked."""
    copy_rest = bytes.fromhex("600d380380600d6000396000f3")
    flag = bytes([0x60, accepted]) + bytes.fromhex("600052")
    return copy_rest + flag + b"\x7f" + circuit + bytes.fromhex("60205260406000f3")


def judged_by(board: Board, code: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the board's market has this verifier."""
    web3 = board.chain.web3
    sent = web3.eth.send_transaction({"from": board.chain.deployer, "data": code})
    verifier = web3.eth.wait_for_transaction_receipt(sent)["contractAddress"]
    monkeypatch.setattr(board, "market", board.chain.create("StandInMarket", verifier))


def posted(board: Board, outputs: Sequence[int], labels: Sequence[int], k: int | None = None) -> Batch:
    """Request 2 for right answers alone, and the one batch of its test set: k samples, or as many as labels."""
    k = k or len(labels)
    layout = replace(LAYOUT, outputs=len(outputs) // k)
    circuit = AcceptedCircuit(DIGEST, layout, k, (keccak(PROOFS[0][:64]),))
    test_set = PublicTestSet(labels, [circuit])
    board.list(auditSamples=k, statement=keccak(DIGEST + PARAMETERS + layout_hash(layout)))
    board.post(samples=len(labels), minimum_correct=len(labels), test_root=test_set.root)
    context = board.requests.functions.proofContext(2, OFFER, 0).call()
    elements = [output % MODULUS for output in outputs]
    instances = (*elements, challenge_of(PROOFS[0], elements, context), 0)
    path = tuple(test_set.path(circuit, 0))
    return Batch(PROOFS[0], instances, circuit.input_commitments[0], test_set.labels(circuit, 0), path, layout)


@pytest.mark.parametrize(
    ("outputs", "labels", "correct"),
    [
        ([1, 2, 3, 3, 2, 1], [2, 0], 2),
        ([1, 2, 2, -1, -2, -3], [1, 0], 1),
        ([2, 2, 1], [0], 0),
        ([3, 2, 1], [1], 0),
        ([0, 0, 0], [0], 0),
        ([5, 1, -1, 0], [1, 1, 0, 0], 4),
        ([5, 1, -1, 0], [0, 0, 1, 1], 0),
        ([1, -1], [2, 2], 0),
        ([1, 2, 3], [3], 0),
        ([1, 2, 3, 1, 2, 3], [258, 2], 1),
        ([LARGEST, -LARGEST], [0], 1),
        ([-LARGEST, LARGEST], [0], 0),
        ([LARGEST, -LARGEST], [1, 0], 2),
    ],
)
def test_ties_and_signs(
    board: Board, monkeypatch: pytest.MonkeyPatch, outputs: list[int], labels: list[int], correct: int
) -> None:
    """The contract counts as the library does: the largest output names the class, equal ones none."""
    assert matching_classes(outputs, labels) == correct
    judged_by(board, answering(True, DIGEST), monkeypatch)
    proven = board.prove(posted(board, outputs, labels), request=2)
    told = event(proven, board.requests, "BatchProven")
    assert told == {"requestId": 2, "listingId": 1, "batch": 0, "correct": correct}
    if correct == len(labels):
        claim = event(proven, board.requests, "Claimed")
        assert (claim["requestId"], claim["listingId"]) == (2, 1)
    assert board.status(2) == ("Claimed" if correct == len(labels) else "Open")


def test_what_fills_a_batch_up_counts_nothing(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fillers are labelled zero, and the model says so: it is right once, of two that were asked for."""
    judged_by(board, answering(True, DIGEST), monkeypatch)
    proven = board.prove(posted(board, [1, 2, 1, 2, 2, 1, 2, 1], [1, 0], k=4), request=2)
    assert event(proven, board.requests, "BatchProven")["correct"] == 1
    assert board.status(2) == "Open"


def test_what_fills_up_the_last_of_several_batches_counts_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_by(board, answering(True, DIGEST), monkeypatch)
    layout = replace(LAYOUT, outputs=2)
    circuit = AcceptedCircuit(DIGEST, layout, 2, (keccak(PROOFS[0][:64]),) * 3)
    test_set = PublicTestSet([1, 0, 1, 0, 0], [circuit])
    board.list(auditSamples=2, statement=keccak(DIGEST + PARAMETERS + layout_hash(layout)))
    board.post(samples=5, minimum_correct=5, test_root=test_set.root)
    outputs = [1, 2, 2, 1]  # right twice in two batches; in the third wrong, and right of the filler
    counted = []
    for index in range(3):
        context = board.requests.functions.proofContext(2, OFFER, index).call()
        instances = (*outputs, challenge_of(PROOFS[0], outputs, context), 0)
        labels, path = test_set.labels(circuit, index), tuple(test_set.path(circuit, index))
        batch = Batch(PROOFS[0], instances, circuit.input_commitments[index], labels, path, layout)
        counted.append(event(board.prove(batch, request=2), board.requests, "BatchProven")["correct"])
    assert counted == [2, 2, 0]
    assert board.status(2) == "Open"


def test_a_sample_counts_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_by(board, answering(True, DIGEST), monkeypatch)
    batch = posted(board, [1, 2, 3, 1, 2, 3], [2, 0])
    board.prove(batch, request=2)
    with board.chain.refused("NoSampleLeft", batch=1):
        board.prove(batch, request=2)


@pytest.mark.parametrize("answer", [(False, DIGEST), (True, keccak(b"another circuit"))])
def test_what_a_verifier_does_not_say_of_this_circuit_counts_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch, answer: tuple[bool, bytes]
) -> None:
    judged_by(board, answering(*answer), monkeypatch)
    with board.chain.refused("ProofRejected"):
        board.prove(posted(board, [1, 2, 3], [2]), request=2)
