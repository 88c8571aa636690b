"""A market with a protocol fee, which the published one has not: taken of what a seller earns, rounded down."""

from typing import Any

import pytest
from eth_tester.exceptions import TransactionFailed

from contracts import bind_market, decode_revert
from contracts.manager import MARKET, verifier_codehash
from contracts.published import read_artifacts
from tests.contracts.backends import revert_data
from tests.contracts.stage import BOND, FEE, FIRST, GAS, PRICE, Stage, terms_of

BASIS_POINTS, HIGHEST = 333, 1_000


def market_of(stage: Stage, basis_points: int) -> Any:
    """The deployment of a market of that fee, for the stranger."""
    artifact = read_artifacts().contracts[MARKET]
    contract = stage.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    return contract.constructor(stage.deployment.verifier, verifier_codehash(), basis_points, stage.stranger)


@pytest.fixture
def charging(stage: Stage) -> Stage:
    """The stage with such a market."""
    address = stage.send(market_of(stage, BASIS_POINTS), stage.stranger)["contractAddress"]
    charging = Stage.__new__(Stage)
    charging.__dict__ |= stage.__dict__ | {"market": bind_market(stage.web3, address)}
    return charging


def test_it_is_a_tenth_at_most(stage: Stage) -> None:
    stage.send(market_of(stage, HIGHEST), stage.stranger)
    creation = {"from": stage.stranger, "gas": GAS, "data": market_of(stage, HIGHEST + 1).data_in_transaction}
    with pytest.raises(TransactionFailed) as caught:
        stage.tester.call(creation)
    error = decode_revert(revert_data(caught.value))
    assert (error.name, error.arguments) == ("ProtocolFeeTooHigh", {"basisPoints": HIGHEST + 1, "highest": HIGHEST})


def sell(stage: Stage, price: int) -> None:
    stage.offer(terms_of(FIRST, price_wei=price))
    stage.open_session(value=FEE)
    stage.respond()
    stage.purchase(value=price)
    stage.prove()
    stage.reveal(acceptance=stage.acceptance())


def owed(stage: Stage) -> tuple[int, ...]:
    return tuple(stage.credit(account) for account in (stage.buyer, stage.seller, stage.stranger))


@pytest.mark.parametrize("price", [PRICE, PRICE + 30, 30, 31, 0])
def test_it_is_taken_of_the_price_and_rounded_down(charging: Stage, price: int) -> None:
    sell(charging, price)
    fee = price * BASIS_POINTS // 10_000
    settled = charging.event(charging.confirm(), "Settled")
    assert (settled["amount"], settled["protocolFee"]) == (price - fee + BOND, fee)
    assert owed(charging) == (0, FEE + price - fee + BOND, fee)
    assert sum(owed(charging)) == charging.held()


def test_of_what_is_refunded_nothing_is_taken(charging: Stage) -> None:
    sell(charging, PRICE)
    amount, rest = PRICE // 3, PRICE - PRICE // 3
    charging.refund(amount)
    fee = rest * BASIS_POINTS // 10_000
    assert owed(charging) == (amount, FEE + rest - fee + BOND, fee)
    assert sum(owed(charging)) == charging.held()


def test_silence_costs_it_too_and_expiry_does_not(charging: Stage) -> None:
    sell(charging, PRICE)
    with charging.restored():
        charging.at(charging.deadline())
        charging.settle()
        assert owed(charging)[2] == PRICE * BASIS_POINTS // 10_000
    charging.open_session(value=2 * FEE)
    charging.respond(2)
    charging.purchase(2)
    charging.at(charging.deadline(2))
    charging.expire(2)
    assert owed(charging)[2] == 0
