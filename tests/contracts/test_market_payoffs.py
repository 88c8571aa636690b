"""The table of payoffs against the contract: every path is played to its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.gas import GAS_PATH
from tests.contracts.stage import BOND, FEE, PRICE, PROOF_FEE, Delivery, Stage
from trader.trade import TRANSITIONS, Confirmed, Expired, Refunded, Role, Settled, Slashed
from trader.trade import payoffs as game
from trader.trade.payoffs import PAYOFFS, Ending, payoff_rows, worst_wei

BACK = PRICE // 3
AMOUNTS = {game.FEE: FEE, game.PRICE: PRICE, game.BOND: BOND, game.PROOF_FEE: PROOF_FEE, game.REFUND: BACK}
PATHS = [path for path in PAYOFFS if path[1] is not Slashed]


def gains(stage: Stage, spent: dict[Role, int]) -> dict[Role, int]:
    """What both sides have, less what they paid in; the escrow keeps nothing."""
    credited = {Role.BUYER: stage.credit(stage.buyer), Role.SELLER: stage.credit(stage.seller)}
    assert sum(credited.values()) == stage.web3.eth.get_balance(stage.deployment.market)
    return {role: credit - spent[role] for role, credit in credited.items()}


def expected(path: Ending) -> dict[Role, int]:
    return {role: PAYOFFS[path].gain_wei(role, AMOUNTS) for role in Role}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path[0].name}-{path[1].__name__}")
def test_every_path_ends_as_the_table_says(stage_at: Callable[[str], Stage], path: Ending) -> None:
    state, event = path
    stage = stage_at(state.name.capitalize())
    spent = {
        Role.BUYER: FEE + (PRICE if state >= state.PURCHASED else 0),
        Role.SELLER: BOND if state >= state.PROVEN else 0,
    }
    if event is Confirmed:
        stage.confirm()
    elif event is Refunded:
        stage.refund(BACK)
    else:
        stage.at(stage.deadline())
        stage.settle() if event is Settled else stage.expire()
    assert gains(stage, spent) == expected(path)


def test_a_dispute_ends_as_the_table_says(honest: Delivery) -> None:
    chunks = [bytearray(honest.model.chunk(j)) for j in range(5)]
    chunks[1][700] ^= 1
    stage = Stage()
    delivery = stage.reveal_model(honest.model, chunks=[bytes(chunk) for chunk in chunks])
    stage.dispute("disputeWeightsChunk", delivery.chunk_evidence("disputeWeightsChunk", 1))
    (path,) = set(PAYOFFS) - set(PATHS)
    assert gains(stage, {Role.BUYER: FEE + PRICE, Role.SELLER: BOND}) == expected(path)


def test_the_table_has_every_way_in_which_a_trade_ends() -> None:
    endings = {
        (state, event)
        for transitions in TRANSITIONS.values()
        for state, events in transitions.items()
        for event, target in events.items()
        if target.name in ("SETTLED", "EXPIRED", "SLASHED")
    }
    assert endings == set(PAYOFFS)
    assert {event for _, event in PATHS} == {Confirmed, Expired, Refunded, Settled}


def test_the_worst_case_of_each_side_is_one_sentence() -> None:
    """A buyer loses fee and proof fee at most; a seller its bond, if it delivers something else."""
    assert worst_wei(Role.BUYER, AMOUNTS) == -FEE - PROOF_FEE
    assert worst_wei(Role.SELLER, AMOUNTS) == FEE - BOND


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "payoffs.md").read_text()
    rows = list(payoff_rows(json.loads(GAS_PATH.read_text())))
    assert len(rows) == len(PAYOFFS)
    assert all(f"| {' | '.join(row)} |" in page for row in rows)
