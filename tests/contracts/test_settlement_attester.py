"""Attestations of settled trades (EAS)."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from contracts import ETH, Periphery
from contracts.published import read_artifacts
from tests.contracts.periphery import Ground, event, filled, ground

OFFER, MANIFEST = keccak(b"offer"), keccak(b"manifest")
STATES = read_artifacts().enums["State"]


class Notary:
    """Trade 7 of listing 1, and the attestation service, which knows the schema."""

    def __init__(self, chain: Ground) -> None:
        self.chain = chain
        self.attester = chain.periphery(Periphery.SETTLEMENT_ATTESTER)
        self.market, self.eas = chain.create("StandInMarket", chain.stranger), chain.create("StandInEAS")
        listing = filled(self.market, "setListing", seller=chain.seller, offer=OFFER, manifestHash=MANIFEST)
        chain.send(self.market.functions.setListing(1, listing), chain.deployer)
        chain.send(self.attester.functions.registerSchema(self.eas.address), chain.stranger)
        self.trade("Settled")

    def trade(self, state: str) -> None:
        trade = filled(self.market, "setTrade", buyer=self.chain.buyer, listingId=1, state=STATES.index(state))
        self.chain.send(self.market.functions.setTrade(7, trade), self.chain.deployer)

    def attest(self, trade: int = 7, market: Any = None) -> Any:
        market = self.market if market is None else market
        return self.chain.send(
            self.attester.functions.attest(self.eas.address, market.address, trade), self.chain.stranger
        )


@cache
def opened() -> Notary:
    return Notary(ground())


@pytest.fixture
def notary() -> Iterator[Notary]:
    with opened().chain.restored():
        yield opened()


def test_a_settled_trade_is_attested_once(notary: Notary) -> None:
    receipt = notary.attest()
    uid = event(receipt, notary.attester, "SettlementAttested")["uid"]
    schema, time, recipient, attester, revocable, data = notary.eas.functions.attestations(uid).call()
    uid_of_schema = notary.attester.functions.schemaUid().call()
    assert (schema, recipient, attester) == (uid_of_schema, notary.chain.seller, notary.attester.address)
    assert (time, revocable) == (notary.chain.now, False)
    text = notary.eas.functions.schemas(schema).call()
    fields = [field.split(" ") for field in text.split(",")]
    values = decode([kind for kind, _ in fields], data)
    market, seller, buyer = (
        account.lower() for account in (notary.market.address, notary.chain.seller, notary.chain.buyer)
    )
    assert dict(zip([name for _, name in fields], values, strict=True)) == {
        "market": market,
        "tradeId": 7,
        "listingId": 1,
        "seller": seller,
        "buyer": buyer,
        "manifestHash": MANIFEST,
        "offer": OFFER,
    }
    stored = notary.attester.functions.uidOf(notary.eas.address, notary.market.address, 7).call()
    assert stored == uid
    with notary.chain.refused("AlreadyAttested", tradeId=7, uid=uid):
        notary.attest()


@pytest.mark.parametrize("state", [state for state in STATES if state != "Settled"])
def test_no_other_trade_is_attested(notary: Notary, state: str) -> None:
    notary.trade(state)
    with notary.chain.refused("NotSettled", tradeId=7, state=state):
        notary.attest()


def test_trades_of_other_markets_have_attestations_of_their_own(notary: Notary) -> None:
    notary.attest()
    with notary.chain.refused("NotSettled", tradeId=7):
        notary.attest(market=notary.chain.create("StandInMarket", ETH))


def test_the_schema_is_the_documented_one(notary: Notary) -> None:
    """Whoever reads attestations elsewhere asks the service by its hash."""
    assert notary.attester.functions.SCHEMA().call() == (
        "address market,uint256 tradeId,uint256 listingId,address seller,address buyer,"
        "bytes32 manifestHash,bytes32 offer"
    )


def test_the_schema_is_registered_once_by_anyone(notary: Notary) -> None:
    with notary.chain.refused("AlreadyExists"):
        notary.chain.send(notary.attester.functions.registerSchema(notary.eas.address), notary.chain.buyer)
