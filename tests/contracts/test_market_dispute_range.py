"""Disputes about a parameter that is none: 2^24 or more in magnitude."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts import RangeEvidence
from tests.contracts.stage import BOND, FEE, FIRST, PRICE, Delivery, Stage, model_of

DISPUTE = "disputeRange"
CHUNK = 240


def evidence(delivery: Delivery, index: int, position: int) -> RangeEvidence:
    model = delivery.model
    path = model.weights_tree.path(index)
    return RangeEvidence(index, position, model.salt(index), model.parameters(index), path, delivery.statement)


def with_parameter(stage: Stage, honest: Delivery, row: int, value: int) -> Delivery:
    """A listing, and its delivery, with one other parameter in the first column."""
    first, *others = [list(column) for column in honest.model.columns]
    first[row] = value
    return stage.reveal_model(model_of(FIRST, [first, *others]))


@pytest.mark.parametrize("value", [2**24, -(2**24), 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("row", [0, CHUNK + 7])
def test_a_parameter_out_of_range_convicts(stage: Stage, honest: Delivery, row: int, value: int) -> None:
    delivery = with_parameter(stage, honest, row, value)
    index, position = divmod(row, CHUNK)
    for other in (position - 1) % 8, position + 1:
        with stage.refused("DisputeUnfounded", tradeId=1, index=index):
            stage.dispute(DISPUTE, evidence(delivery, index, other))
    receipt = stage.dispute(DISPUTE, evidence(delivery, index, position))
    slashed = {"tradeId": 1, "buyer": stage.buyer, "dispute": 3, "amount": PRICE + BOND}
    assert stage.events(receipt) == [("Slashed", slashed)]
    assert (stage.state(), stage.credit(stage.buyer), stage.credit(stage.seller)) == ("Slashed", PRICE + BOND, FEE)


@pytest.mark.parametrize("value", [2**24 - 1, 1 - 2**24, 0])
def test_a_parameter_at_the_edge_does_not_convict(stage: Stage, honest: Delivery, value: int) -> None:
    delivery = with_parameter(stage, honest, 3, value)
    for position in range(8):
        with stage.refused("DisputeUnfounded", tradeId=1, index=0):
            stage.dispute(DISPUTE, evidence(delivery, 0, position))


def test_evidence_that_is_not_of_the_committed_tree_does_not_convict(stage: Stage, honest: Delivery) -> None:
    delivery = with_parameter(stage, honest, 3, 2**24)
    true = evidence(delivery, 0, 3)
    large = true.parameters[:16] + (2**30).to_bytes(4, "big") + true.parameters[20:]
    for false in (
        replace(true, parameters=large),
        replace(true, salt=keccak(b"salt")),
        replace(true, index=1),
        replace(true, weights_path=[keccak(b"sibling"), *true.weights_path[1:]]),
    ):
        with stage.refused("NotInTree"):
            stage.dispute(DISPUTE, false)
    with stage.refused("UnexpectedPathLength"):
        stage.dispute(DISPUTE, replace(true, weights_path=true.weights_path[1:]))
    with stage.refused("ChunkOutOfRange"):
        stage.dispute(DISPUTE, replace(true, index=5))
    with stage.refused("UnexpectedStatement"):
        other = replace(true.statement, layout=replace(delivery.layout, outputs=3))
        stage.dispute(DISPUTE, replace(true, statement=other))
    with stage.refused("Panic", code=0x32):
        stage.dispute(DISPUTE, replace(true, position=CHUNK))
    with stage.refused("NotBuyer"):
        stage.dispute(DISPUTE, true, sender=stage.stranger)
    stage.dispute(DISPUTE, true)
    assert stage.state() == "Slashed"


def test_an_honest_model_is_not_convicted(honest: Delivery) -> None:
    for index in range(5):
        for position in (0, 119, CHUNK - 1):
            with honest.stage.refused("DisputeUnfounded", tradeId=1, index=index):
                honest.stage.dispute(DISPUTE, evidence(honest, index, position))
