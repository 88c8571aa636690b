"""The policy in trades of the real market, and what other contracts read of one that has settled."""

from typing import Any

import pytest

from contracts import Periphery, bind_periphery, deploy_periphery
from contracts.policy import Admission, Offer, Rules, upgrade_evidence
from tests.contracts.backends import key_of
from tests.contracts.stage import BOND, FEE, FIRST, PRICE, Stage, terms_of


@pytest.fixture
def policy(stage: Stage) -> Any:
    """Of listing 2, whose seller admits whom it signs for, and listing 3, which supersedes it."""
    deploy_periphery(stage.web3, stage.stranger, Periphery.LISTING_POLICY)
    policy = bind_periphery(stage.web3, Periphery.LISTING_POLICY)
    stage.offer(terms_of(FIRST, policy=policy.address))
    stage.offer(terms_of(FIRST, policy=policy.address, supersedes=2))
    rule(stage, policy, 2, Rules(admitter=stage.seller))
    return policy


def rule(stage: Stage, policy: Any, listing: int, rules: Rules) -> None:
    function = policy.functions.setRules(stage.deployment.market, stage.offered(listing), rules.as_abi())
    stage.send(function, stage.seller)


def evidence(stage: Stage, kind: type[Offer] | type[Admission], listing: int, *fields: int) -> bytes:
    document = kind(stage.deployment.market, stage.offered(listing), stage.buyer, *fields)
    signed = key_of(stage.tester, stage.seller).sign_typed_data(*document.typed_data(stage.web3.eth.chain_id))
    return bytes(document.evidence(bytes(signed.signature)))


def settle(stage: Stage, trade: int) -> None:
    stage.prove(trade)
    stage.reveal(trade, acceptance=stage.acceptance(trade))
    stage.confirm(trade)


def test_an_offer_is_what_the_buyer_pays_and_an_owner_pays_less_for_the_next_model(stage: Stage, policy: Any) -> None:
    later = stage.now + 10_000
    with stage.refused("NotAdmitted", policy=policy.address.lower(), buyer=stage.buyer.lower()):
        stage.open_session(2)
    stage.open_session(2, data=evidence(stage, Admission, 2, later, 1))
    stage.respond()
    offered = evidence(stage, Offer, 2, PRICE // 2, later, 1)
    with stage.refused("UnexpectedPrice", price=PRICE, expected=PRICE // 2):
        stage.purchase(data=offered)
    stage.purchase(value=PRICE // 2, data=offered)
    settle(stage, 1)
    assert stage.credit(stage.seller) == FEE + PRICE // 2 + BOND

    rule(stage, policy, 3, Rules(upgrade_discount_wei=PRICE // 4))
    stage.open_session(3)
    stage.respond(2)
    stage.purchase(2, value=PRICE * 3 // 4, data=upgrade_evidence(1))
    settle(stage, 2)
    assert stage.trade(2)["price"] == PRICE * 3 // 4


def test_an_offer_above_the_price_is_refused(stage: Stage, policy: Any) -> None:
    dear = evidence(stage, Offer, 2, PRICE + 1, stage.now + 10_000, 1)
    stage.open_session(2, data=dear)
    stage.respond()
    with stage.refused("AbovePrice"):
        stage.purchase(value=PRICE + 1, data=dear)


def test_a_settled_trade_is_attested_and_decides_a_job(stage: Stage) -> None:
    stage.bring_to("Settled")
    for contract in (Periphery.SETTLEMENT_ATTESTER, Periphery.JOB_EVALUATOR):
        deploy_periphery(stage.web3, stage.stranger, contract)
    eas, jobs = stage.create("StandInEAS"), stage.create("StandInJobs")
    attester = bind_periphery(stage.web3, Periphery.SETTLEMENT_ATTESTER)
    stage.send(attester.functions.registerSchema(eas.address), stage.stranger)
    stage.send(attester.functions.attest(eas.address, stage.deployment.market, 1), stage.stranger)
    factory = bind_periphery(stage.web3, Periphery.JOB_EVALUATOR)
    question = (stage.deployment.market, 1, stage.buyer, stage.offered())
    stage.send(factory.functions.create(question), stage.stranger)
    evaluator = stage.web3.eth.contract(address=factory.functions.evaluatorOf(question).call(), abi=factory.abi)
    moves = jobs.functions
    stage.send(moves.createJob(stage.seller, evaluator.address, stage.now + 9999, "", eas.address), stage.buyer)
    stage.send(moves.setBudget(1, 5, b""), stage.buyer)
    stage.send(moves.fund(1, 5, b""), stage.buyer)
    stage.send(moves.submit(1, bytes(32), b""), stage.seller)
    stage.send(evaluator.functions.evaluate(jobs.address, 1), stage.stranger)
    assert moves.paid(stage.seller).call() == 5


def test_a_permit_becomes_a_balance_in_the_market(stage: Stage) -> None:
    deploy_periphery(stage.web3, stage.stranger, Periphery.DEPOSITS)
    deposits, token = bind_periphery(stage.web3, Periphery.DEPOSITS), stage.create("StandInToken")
    stage.send(token.functions.mint(stage.buyer, 10), stage.stranger)
    stage.send(token.functions.approve(deposits.address, 7), stage.buyer)  # as a permit that was used before
    arguments = (stage.deployment.market, token.address, 7, 2**64, 27, bytes(32), bytes(32))
    stage.send(deposits.functions.depositWithPermit(*arguments), stage.buyer)
    market = stage.market.functions
    assert market.balanceOf(stage.buyer, token.address).call() == 7
    assert token.functions.balanceOf(deposits.address).call() == 0
    stage.send(market.withdraw(token.address), stage.buyer)
    assert token.functions.balanceOf(stage.buyer).call() == 10
