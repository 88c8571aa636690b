"""A trade's outcome as the evaluator of a job (ERC-8183)."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from contracts import Periphery
from contracts.published import read_artifacts
from tests.contracts.periphery import Ground, event, filled, ground

OFFER = keccak(b"offer")
STATES = read_artifacts().enums["State"]
BUDGET = 500
STATUS = ("Open", "Funded", "Submitted", "Completed", "Rejected", "Expired")


class Office:
    """Trade 7 of listing 1, and a job about it that was submitted."""

    def __init__(self, chain: Ground) -> None:
        self.chain = chain
        self.factory = chain.periphery(Periphery.JOB_EVALUATOR)
        self.market, self.jobs = chain.create("StandInMarket", chain.stranger), chain.create("StandInJobs")
        listing = filled(self.market, "setListing", seller=chain.seller, open=True, offer=OFFER)
        chain.send(self.market.functions.setListing(1, listing), chain.deployer)
        self.trade("Answered")
        self.question = (self.market.address, 7, chain.buyer, OFFER)
        self.evaluator = self.evaluator_of(self.question)
        self.job = self.submitted(self.evaluator.address)

    def trade(self, state: str, buyer: str | None = None, listing: int = 1) -> None:
        values = {"buyer": buyer or self.chain.buyer, "listingId": listing, "state": STATES.index(state)}
        trade = filled(self.market, "setTrade", **values)
        self.chain.send(self.market.functions.setTrade(7, trade), self.chain.deployer)

    def evaluator_of(self, question: Any) -> Any:
        address = self.factory.functions.evaluatorOf(question).call()
        self.chain.send(self.factory.functions.create(question), self.chain.stranger)
        return self.chain.web3.eth.contract(address=address, abi=self.factory.abi)

    def submitted(self, evaluator: str, until: str = "Submitted") -> int:
        chain, jobs = self.chain, self.jobs.functions
        create = jobs.createJob(chain.seller, evaluator, chain.now + 10_000, "buy the model", chain.deployer)
        chain.send(create, chain.buyer)
        job = int(jobs.jobCount().call())
        chain.send(jobs.setBudget(job, BUDGET, b""), chain.buyer)
        chain.send(jobs.fund(job, BUDGET, b""), chain.buyer)
        if until == "Submitted":
            chain.send(jobs.submit(job, OFFER, b""), chain.seller)
        return job

    def evaluate(self, evaluator: Any = None, job: int | None = None) -> Any:
        function = (evaluator or self.evaluator).functions.evaluate(self.jobs.address, job or self.job)
        return self.chain.send(function, self.chain.stranger)

    def status(self) -> str:
        return STATUS[self.jobs.functions.jobs(self.job).call()[-1]]


@cache
def opened() -> Office:
    return Office(ground())


@pytest.fixture
def office() -> Iterator[Office]:
    with opened().chain.restored():
        yield opened()


@pytest.mark.parametrize(
    ("state", "status", "paid"),
    [("Settled", "Completed", "seller"), ("Expired", "Rejected", "buyer"), ("Slashed", "Rejected", "buyer")],
)
def test_the_trades_outcome_is_the_jobs(office: Office, state: str, status: str, paid: str) -> None:
    office.trade(state)
    receipt = office.evaluate()
    assert office.status() == status
    assert office.jobs.functions.paid(getattr(office.chain, paid)).call() == BUDGET
    words = (office.chain.web3.eth.chain_id, office.market.address, 7, STATES.index(state))
    reason = keccak(encode(["uint256", "address", "uint256", "uint8"], words))
    name = "JobCompleted" if status == "Completed" else "JobRejected"
    assert event(receipt, office.jobs, name)["reason"] == reason
    told = event(receipt, office.evaluator, "Evaluated")
    assert told == {"jobs": office.jobs.address, "jobId": office.job, "completed": status == "Completed"}
    with office.chain.refused("WrongStatus"):
        office.evaluate()


@pytest.mark.parametrize("state", ["Testing", "Answered", "Purchased", "Proven", "Accepted", "Revealed"])
def test_a_trade_under_way_decides_nothing(office: Office, state: str) -> None:
    office.trade(state)
    with office.chain.refused("NotDecided", tradeId=7, state=state):
        office.evaluate()


def test_the_trade_is_the_one_that_was_asked_about(office: Office) -> None:
    """A reorganisation may give its number to another buyer, or its listing's to another seller."""
    office.trade("Settled", buyer=office.chain.stranger)
    with office.chain.refused("UnexpectedTrade", tradeId=7, buyer=office.chain.stranger):
        office.evaluate()
    office.trade("Settled", listing=2)
    with office.chain.refused("UnexpectedTrade", offer=bytes(32)):
        office.evaluate()
    assert office.status() == "Submitted"


def test_an_evaluator_decides_jobs_that_name_it(office: Office) -> None:
    office.trade("Settled")
    other = office.evaluator_of((office.market.address, 7, office.chain.buyer, keccak(b"another offer")))
    with office.chain.refused("UnexpectedTrade"):
        office.evaluate(other)
    market = office.chain.create("StandInMarket", office.chain.stranger)
    forged = office.evaluator_of((market.address, 7, office.chain.buyer, OFFER))
    for function in ("setListing", "setTrade"):  # a market of the provider's own
        source = getattr(office.market.functions, function.removeprefix("set").lower())
        number = 1 if function == "setListing" else 7
        office.chain.send(market.functions[function](number, source(number).call()), office.chain.seller)
    with office.chain.refused("Unauthorized"):
        office.evaluate(forged)


def test_work_that_was_not_submitted_is_not_paid(office: Office) -> None:
    office.trade("Settled")
    job = office.submitted(office.evaluator.address, until="Funded")
    with office.chain.refused("WrongStatus"):
        office.evaluate(job=job)


def test_the_contract_that_evaluators_are_made_of_judges_nothing(office: Office) -> None:
    office.trade("Settled")
    with office.chain.refused("NoQuestion"):
        office.evaluate(office.factory)
    with office.chain.refused("NoQuestion"):
        office.chain.send(office.evaluator.functions.create(office.question), office.chain.stranger)
    assert tuple(office.evaluator.functions.question().call()) == office.question


def test_an_evaluator_is_created_once(office: Office) -> None:
    with office.chain.refused("FailedDeployment"):
        office.chain.send(office.factory.functions.create(office.question), office.chain.stranger)
