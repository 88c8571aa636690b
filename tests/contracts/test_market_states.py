"""Every move from every state: one is right, all others are refused and change nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import ChunkEvidence, RangeEvidence, SumStepEvidence
from tests.contracts.stage import FIRST, KEY, MODEL, STATES, Stage, StageAt

CHUNK = ChunkEvidence(bytes(32), KEY, 0, bytes(1024), [], bytes(32), [], FIRST.statement)
STEP = SumStepEvidence(0, 0, bytes(32), [], 0, MODEL.salt(0), [], MODEL.parameters(0), [], FIRST.statement)
RANGE = RangeEvidence(0, 0, MODEL.salt(0), MODEL.parameters(0), [], FIRST.statement)
DELIVERY = keccak(b"delivery")

# Move: the state that it is made from.
MOVES: dict[str, tuple[str, Callable[[Stage], Any]]] = {
    "respond": ("Testing", Stage.respond),
    "purchase": ("Answered", Stage.purchase),
    "prove": ("Purchased", Stage.prove),
    "accept": ("Proven", lambda stage: stage.accept(delivery=DELIVERY)),
    "reveal": ("Accepted", Stage.reveal),
    "confirm": ("Revealed", lambda stage: stage.confirm(delivery=DELIVERY)),
    "settle": ("Revealed", Stage.settle),
    "disputeWeightsChunk": ("Revealed", lambda stage: stage.dispute("disputeWeightsChunk", CHUNK)),
    "disputeSumChunk": ("Revealed", lambda stage: stage.dispute("disputeSumChunk", CHUNK)),
    "disputeSumStep": ("Revealed", lambda stage: stage.dispute("disputeSumStep", STEP)),
    "disputeRange": ("Revealed", lambda stage: stage.dispute("disputeRange", RANGE)),
}
REACHABLE = [state for state in STATES if state not in ("None", "Slashed")]


@pytest.mark.parametrize("state", ["None", *REACHABLE])
def test_moves_from_other_states_are_refused(stage_at: StageAt, state: str) -> None:
    stage = stage_at(state)
    before = stage.trade()
    for expected, move in MOVES.values():
        if expected != state:
            with stage.refused("UnexpectedState", tradeId=1, current=state, expected=expected):
                move(stage)
    if state in ("None", "Revealed", "Settled", "Expired"):
        with stage.refused("NothingToExpire", tradeId=1, current=state):
            stage.expire()
    assert stage.trade() == before
