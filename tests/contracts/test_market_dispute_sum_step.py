"""Disputes about one step of the committed running sums, against a slow reference."""

import random
from dataclasses import replace
from typing import Any

import pytest
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from contracts import layout_hash
from tests.contracts.reference import CHUNK_PARAMETERS, MODULUS, Model, Tree
from tests.contracts.stage import BOND, FIRST, PRICE, Delivery, Stage, model_of

DISPUTE = "disputeSumStep"


def test_true_sums_do_not_convict(honest: Delivery) -> None:
    for index in range(5):
        with honest.stage.refused("DisputeUnfounded", tradeId=1, index=index):
            honest.stage.dispute(DISPUTE, honest.step_evidence(index))


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_wrong_sum_convicts_at_its_own_step_alone(stage: Stage, honest: Delivery, index: int) -> None:
    wrong = [s if j < index else (s + 1) % MODULUS for j, s in enumerate(honest.sums)]
    delivery = stage.reveal_model(honest.model, sums=wrong)
    for j in set(range(5)) - {index}:
        with stage.refused("DisputeUnfounded", index=j):
            stage.dispute(DISPUTE, delivery.step_evidence(j))
    receipt = stage.dispute(DISPUTE, delivery.step_evidence(index))
    slashed = {"tradeId": 1, "buyer": stage.buyer, "dispute": 2, "amount": PRICE + BOND}
    assert stage.events(receipt) == [("Slashed", slashed)]
    assert (stage.state(), stage.credit(stage.buyer)) == ("Slashed", PRICE + BOND)


def test_the_sums_of_another_model_convict(stage: Stage, honest: Delivery) -> None:
    """Proven with one model, listed with the bytes of another: its sums can't all be right."""
    other = model_of(FIRST, [[value // 2 for value in column] for column in honest.model.columns])
    delivery = stage.reveal_model(honest.model, sums=other.sums)
    stage.dispute(DISPUTE, delivery.step_evidence(0))
    assert stage.state() == "Slashed"


def test_a_sum_that_is_not_below_the_modulus_convicts(stage: Stage, honest: Delivery) -> None:
    delivery = stage.reveal_model(honest.model, sums=[honest.sums[0] + MODULUS, *honest.sums[1:]])
    with stage.refused("DisputeUnfounded", index=1):
        stage.dispute(DISPUTE, delivery.step_evidence(1))
    stage.dispute(DISPUTE, delivery.step_evidence(0))
    assert stage.state() == "Slashed"


def test_the_modulus_itself_is_no_sum(stage: Stage) -> None:
    """It is zero in another form, where zero is right."""
    delivery = stage.reveal_model(model_of(FIRST, [[0] * 5]), sums=[MODULUS])
    stage.dispute(DISPUTE, delivery.step_evidence(0))
    assert stage.state() == "Slashed"


def test_the_sums_of_another_seller_convict(stage: Stage, honest: Delivery) -> None:
    """A listing that was copied word by word: its sums follow from a challenge that is not the copier's."""
    copied = replace(honest.model, seller=to_canonical_address(stage.stranger))
    delivery = stage.reveal_model(honest.model, sums=copied.sums)
    stage.dispute(DISPUTE, delivery.step_evidence(0))
    assert stage.state() == "Slashed"


class Overfull(Model):
    """Chunks whose column has ended hold something else than zeros."""

    def parameters(self, index: int) -> bytes:
        return super().parameters(index)[: 4 * len(self.pieces[index][2])].ljust(4 * CHUNK_PARAMETERS, b"\x01")


def test_what_a_chunk_holds_behind_its_column_is_in_no_sum(stage: Stage, honest: Delivery) -> None:
    """Nobody computes with it: a buyer that reads no further must reckon as the escrow does."""
    model = honest.model
    delivery = stage.reveal_model(Overfull(model.columns, model.logrows, model.parameter_commitment, model.seller))
    assert delivery.model.parameters(2) != model.parameters(2)
    for index in range(5):
        with stage.refused("DisputeUnfounded", index=index):
            stage.dispute(DISPUTE, delivery.step_evidence(index))


@pytest.mark.parametrize("lengths", [[1, 1], [241], [239, 240]])
def test_columns_that_end_at_any_place_are_cut_into_their_chunks(stage: Stage, lengths: list[int]) -> None:
    columns = [[row - 7 for row in range(length)] for length in lengths]
    delivery = stage.reveal_model(model_of(FIRST, columns))
    assert len(delivery.sums) == 2
    for index in range(2):
        with stage.refused("DisputeUnfounded", index=index):
            stage.dispute(DISPUTE, delivery.step_evidence(index))


def random_model(generator: random.Random) -> Model:
    lengths = [generator.choice([1, 7, 239, 240, 241, 479]) for _ in range(generator.randint(1, 4))]
    columns = [[generator.randint(-(2**31), 2**31 - 1) for _ in range(length)] for length in lengths]
    return replace(model_of(FIRST, columns), logrows=generator.choice([9, 10, 17, 28]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_models_agree_with_the_reference(stage: Stage, seed: int) -> None:
    delivery = stage.reveal_model(random_model(random.Random(seed)))
    for index in range(len(delivery.sums)):
        with stage.refused("DisputeUnfounded", index=index):
            stage.dispute(DISPUTE, delivery.step_evidence(index))


# --------------------------------------------------------------------------------------------------- forged evidence


@pytest.mark.parametrize("index", range(5))
def test_false_evidence_does_not_convict(honest: Delivery, index: int) -> None:
    evidence = honest.step_evidence(index)
    other = honest.step_evidence((index + 1) % 5)
    forgeries = {
        "another sum": replace(evidence, sum=(evidence.sum + 1) % MODULUS),
        "the sum plus the modulus": replace(evidence, sum=evidence.sum + MODULUS),
        "another chunk's sum": replace(evidence, sum=other.sum, sum_path=other.sum_path),
        "another chunk's parameters": replace(evidence, parameters=other.parameters, weights_path=other.weights_path),
        "other parameters": replace(evidence, parameters=bytes(960)),
        "another salt": replace(evidence, salt=keccak(b"salt")),
        "trees exchanged": replace(evidence, sum_path=evidence.weights_path, weights_path=evidence.sum_path),
    }
    if index > 0:
        forgeries |= {
            "another previous sum": replace(evidence, previous_sum=(evidence.previous_sum + 1) % MODULUS),
            "previous sum out of place": replace(
                evidence, previous_sum=evidence.sum, previous_salt=evidence.salt, previous_path=evidence.sum_path
            ),
            "previous sum of zero": replace(evidence, previous_sum=0),
        }
    for forged in forgeries.values():
        with honest.stage.refused("NotInTree"):
            honest.stage.dispute(DISPUTE, forged)


def test_the_first_step_takes_no_previous_sum(honest: Delivery) -> None:
    forged = replace(honest.step_evidence(0), previous_sum=1, previous_path=[bytes(32)] * 3)
    with honest.stage.refused("DisputeUnfounded", index=0):
        honest.stage.dispute(DISPUTE, forged)


@pytest.mark.parametrize("field", ["previous_path", "sum_path", "weights_path"])
def test_paths_have_exactly_the_trees_depth(honest: Delivery, field: str) -> None:
    evidence = honest.step_evidence(2)
    path = list(getattr(evidence, field))
    for wrong in (path[:-1], [*path, bytes(32)], []):
        with honest.stage.refused("UnexpectedPathLength", length=len(wrong), expected=3):
            honest.stage.dispute(DISPUTE, replace(evidence, **{field: wrong}))


@pytest.mark.parametrize("index", [5, 7, 2**255])
def test_padding_is_no_chunk(honest: Delivery, index: int) -> None:
    with honest.stage.refused("ChunkOutOfRange", index=index, count=5):
        honest.stage.dispute(DISPUTE, replace(honest.step_evidence(4), index=index))


@pytest.mark.parametrize("change", [{"logrows": 11}, {"column_lengths": (502, 240)}, {"column_lengths": (500, 240, 2)}])
def test_another_layout_does_not_convict(honest: Delivery, change: dict[str, Any]) -> None:
    evidence = honest.step_evidence(0)
    layout = replace(honest.layout, **change)
    with honest.stage.refused("UnexpectedStatement", layoutHash=layout_hash(layout)):
        honest.stage.dispute(DISPUTE, replace(evidence, statement=replace(honest.statement, layout=layout)))


def test_another_commitment_does_not_convict(honest: Delivery) -> None:
    """It would move the point at which the sums are taken."""
    other = replace(honest.statement, parameter_commitment=keccak(b"other parameters"))
    with honest.stage.refused("UnexpectedStatement", parameterCommitment=other.parameter_commitment):
        honest.stage.dispute(DISPUTE, replace(honest.step_evidence(0), statement=other))


def test_a_tree_of_other_leaves_does_not_convict(honest: Delivery) -> None:
    tree = Tree([keccak(bytes([j])) for j in range(5)])
    with honest.stage.refused("NotInTree", expected=honest.model.sums_tree().root):
        honest.stage.dispute(DISPUTE, replace(honest.step_evidence(0), sum_path=tree.path(0)))
