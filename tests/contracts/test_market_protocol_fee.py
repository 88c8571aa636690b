"""A market with a protocol fee, which the published one has not: taken of what a seller earns, rounded down."""

import pytest

from contracts import bind_market
from contracts.manager import MARKET, verifier_codehash
from contracts.published import read_artifacts
from tests.contracts.stage import BOND, FEE, FIRST, PRICE, Stage, terms_of

BASIS_POINTS = 333


@pytest.fixture
def charging(stage: Stage) -> Stage:
    """The stage with a market of that fee, for the stranger."""
    artifact = read_artifacts().contracts[MARKET]
    contract = stage.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    arguments = stage.deployment.verifier, verifier_codehash(), BASIS_POINTS, stage.stranger
    address = stage.send(contract.constructor(*arguments), stage.stranger)["contractAddress"]
    charging = Stage.__new__(Stage)
    charging.__dict__ |= stage.__dict__ | {"market": bind_market(stage.web3, address)}
    return charging


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
