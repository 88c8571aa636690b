"""Offers, admissions and upgrade prices: who can use which, until when, and where else not."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from contracts import ETH, Periphery
from contracts.policy import Admission, AdmittedBuyers, Offer, Rules, upgrade_evidence
from contracts.published import read_artifacts
from tests.contracts.periphery import Ground, event, filled, ground

LISTED, SUPERSEDED = keccak(b"offer of the listing"), keccak(b"offer of the superseded listing")
PRICE, DISCOUNT = 10**18, 3 * 10**17
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1
STATES = read_artifacts().enums["State"]


class Shop:
    """A stand-in market: listing 2 supersedes listing 1, both with the policy; trade 7 of 1 has settled."""

    def __init__(self, chain: Ground) -> None:
        self.chain = chain
        self.policy = chain.periphery(Periphery.LISTING_POLICY)
        self.market = chain.create("StandInMarket", chain.stranger)
        for listing, offer, supersedes in ((1, SUPERSEDED, 0), (2, LISTED, 1)):
            self.list(listing, seller=chain.seller, offer=offer, supersedes=supersedes)
        self.trade(7, chain.buyer, 1, "Settled")

    def list(self, listing: int, *, seller: str, offer: bytes, supersedes: int = 0) -> None:
        policy = self.policy.address
        terms = filled(
            self.market,
            "setListing",
            seller=seller,
            open=True,
            offer=offer,
            price=PRICE,
            policy=policy,
            supersedes=supersedes,
        )
        self.chain.send(self.market.functions.setListing(listing, terms), self.chain.deployer)

    def trade(self, trade: int, buyer: str, listing: int, state: str) -> None:
        values = filled(self.market, "setTrade", buyer=buyer, listingId=listing, state=STATES.index(state))
        self.chain.send(self.market.functions.setTrade(trade, values), self.chain.deployer)

    def rule(self, rules: Rules, sender: str | None = None) -> Any:
        function = self.policy.functions.setRules(self.market.address, LISTED, rules.as_abi())
        return self.chain.send(function, sender or self.chain.seller)

    def admits(self, data: bytes, buyer: str | None = None, listing: int = 2) -> bool:
        function = self.market.functions.admits(self.policy.address, listing, buyer or self.chain.buyer, data)
        return bool(self.chain.call(function))

    def price(self, data: bytes, buyer: str | None = None, listing: int = 2, market: Any = None) -> int:
        function = (market or self.market).functions.priceFor(
            self.policy.address, listing, buyer or self.chain.buyer, data
        )
        return int(self.chain.call(function))

    @property
    def offer(self) -> Offer:
        return Offer(self.market.address, LISTED, self.chain.buyer, PRICE // 2, self.chain.now + 100, 5)

    @property
    def admission(self) -> Admission:
        return Admission(self.market.address, LISTED, self.chain.buyer, self.chain.now + 100, 5)

    def signed(self, document: Any, signer: str | None = None, chain_id: int | None = None) -> bytes:
        return bytes(document.evidence(self.signature(document, signer, chain_id)))

    def signature(self, document: Any, signer: str | None = None, chain_id: int | None = None) -> bytes:
        typed = document.typed_data(self.chain.web3.eth.chain_id if chain_id is None else chain_id)
        return bytes(self.chain.key(signer or self.chain.seller).sign_typed_data(*typed).signature)


@cache
def opened() -> Shop:
    return Shop(ground())


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened().chain.restored():
        yield opened()


def test_without_rules_anybody_is_admitted_at_the_listings_price(shop: Shop) -> None:
    assert shop.admits(b"", shop.chain.stranger)
    assert shop.price(b"", shop.chain.stranger) == PRICE


# ---------------------------------------------------------------------------------------------------------- offers


def test_an_offer_is_its_buyers_price_and_admits_it(shop: Shop) -> None:
    shop.rule(Rules(admitter=shop.chain.stranger))
    assert shop.price(shop.signed(shop.offer)) == PRICE // 2
    assert shop.admits(shop.signed(shop.offer))
    assert shop.price(shop.signed(replace(shop.offer, price=0))) == 0


@pytest.mark.parametrize(
    "change",
    ["buyer", "listing", "market", "price", "expiry", "nonce", "chain", "signer", "length", "malleated", "empty"],
)
def test_an_offer_is_no_offer_of_anything_else(shop: Shop, change: str) -> None:
    offer, signature = shop.offer, shop.signature(shop.offer)
    if change == "malleated":
        r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
        signature = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    changed = {
        "price": lambda: replace(offer, price=1).evidence(signature),
        "expiry": lambda: replace(offer, expiry=offer.expiry + 1).evidence(signature),
        "nonce": lambda: replace(offer, nonce=6).evidence(signature),
        "buyer": lambda: shop.signed(replace(offer, buyer=shop.chain.stranger)),
        "listing": lambda: shop.signed(replace(offer, listing=SUPERSEDED)),
        "market": lambda: shop.signed(replace(offer, market=shop.chain.stranger)),
        "chain": lambda: shop.signed(offer, chain_id=1),
        "signer": lambda: shop.signed(offer, signer=shop.chain.buyer),
        "length": lambda: offer.evidence(signature + b"\0"),
        "malleated": lambda: offer.evidence(signature),
        "empty": lambda: offer.evidence(b""),
    }[change]()
    for ask in (shop.price, shop.admits):
        with shop.chain.refused("NotSignedBy", account=shop.chain.seller):
            ask(changed)


def test_an_offer_is_for_one_market(shop: Shop) -> None:
    """Another market, even one that shows the same listing, is told nothing by an offer."""
    other = Shop(shop.chain)
    assert other.price(b"") == PRICE
    with shop.chain.refused("NotSignedBy"):
        other.price(shop.signed(shop.offer))


def test_an_offer_holds_before_its_expiry(shop: Shop) -> None:
    offer = replace(shop.offer, expiry=shop.chain.now + 10)
    data = shop.signed(offer)
    shop.chain.at(offer.expiry - 1)
    assert shop.price(data) == PRICE // 2
    shop.chain.at(offer.expiry)
    with shop.chain.refused("SignatureExpired", expiry=offer.expiry):
        shop.price(data)


def test_a_cancelled_nonce_takes_back_what_its_account_signed(shop: Shop) -> None:
    data, other = shop.signed(shop.offer), shop.signed(replace(shop.offer, nonce=6))
    shop.chain.send(shop.policy.functions.cancel(5), shop.chain.stranger)
    assert shop.price(data) == PRICE // 2
    receipt = shop.chain.send(shop.policy.functions.cancel(5), shop.chain.seller)
    assert event(receipt, shop.policy, "Cancelled") == {"account": shop.chain.seller, "nonce": 5}
    with shop.chain.refused("SignatureCancelled", account=shop.chain.seller, nonce=5):
        shop.price(data)
    assert shop.price(other) == PRICE // 2


def test_a_contract_can_offer(shop: Shop) -> None:
    wallet = shop.chain.create("StandInWallet", shop.chain.stranger)
    shop.list(2, seller=wallet.address, offer=LISTED)
    assert shop.price(shop.signed(shop.offer, signer=shop.chain.stranger)) == PRICE // 2
    with shop.chain.refused("NotSignedBy", account=wallet.address):
        shop.price(shop.signed(shop.offer))


def test_a_listing_that_is_not_there_has_no_offers(shop: Shop) -> None:
    """Its seller is the zero address, which a failed recovery must not be taken for."""
    shop.list(9, seller=ETH, offer=bytes(32))
    with shop.chain.refused("NotSignedBy", account=ETH):
        shop.price(replace(shop.offer, listing=bytes(32)).evidence(bytes(65)), listing=9)


# ------------------------------------------------------------------------------------------------------ admissions


def test_members_of_the_list_are_admitted(shop: Shop) -> None:
    accounts = shop.chain.web3.eth.accounts
    for count in (1, 2, 3, 5, 8):
        admitted = AdmittedBuyers.of(accounts[2 : 2 + count])
        shop.rule(Rules(admitted_root=admitted.root))
        for account in admitted.buyers:
            assert shop.admits(admitted.evidence(account), account)
        assert not shop.admits(admitted.evidence(accounts[2]), accounts[0])
        assert not shop.admits(b"", accounts[2])


def test_no_path_leads_to_an_inner_node_or_to_no_list(shop: Shop) -> None:
    accounts = shop.chain.web3.eth.accounts
    admitted = AdmittedBuyers.of(accounts[2:6])
    evidence = admitted.evidence(accounts[2])
    assert not shop.admits(evidence, accounts[2])  # without rules: a path to nowhere
    shop.rule(Rules(admitted_root=admitted.root))
    shorter = bytes([1]) + encode(["bytes32[]"], [[]])
    assert not shop.admits(shorter, accounts[2])
    shop.rule(Rules(admitter=shop.chain.stranger))
    assert not shop.admits(evidence, accounts[2])


def test_the_admitter_admits(shop: Shop) -> None:
    shop.rule(Rules(admitter=shop.chain.stranger))
    assert not shop.admits(b"")
    assert shop.admits(shop.signed(shop.admission, signer=shop.chain.stranger))
    for refused in (
        shop.signed(shop.admission),  # the seller has left it to somebody else
        shop.signed(replace(shop.admission, buyer=shop.chain.seller), signer=shop.chain.stranger),
        shop.signed(replace(shop.admission, listing=SUPERSEDED), signer=shop.chain.stranger),
        shop.signed(replace(shop.admission, market=shop.chain.seller), signer=shop.chain.stranger),
    ):
        with shop.chain.refused("NotSignedBy", account=shop.chain.stranger):
            shop.admits(refused)
    expired = replace(shop.admission, expiry=shop.chain.now)
    with shop.chain.refused("SignatureExpired"):
        shop.admits(shop.signed(expired, signer=shop.chain.stranger))
    shop.chain.send(shop.policy.functions.cancel(5), shop.chain.stranger)
    with shop.chain.refused("SignatureCancelled"):
        shop.admits(shop.signed(shop.admission, signer=shop.chain.stranger))


def test_an_admission_is_no_offer_and_the_other_way_round(shop: Shop) -> None:
    shop.rule(Rules(admitter=shop.chain.seller))
    with shop.chain.refused("UnexpectedEvidence", kind=b"\x02"):
        shop.price(shop.signed(shop.admission))
    with shop.chain.refused("UnexpectedEvidence", kind=b"\x04"):
        shop.admits(upgrade_evidence(7))
    signature = shop.signature(shop.admission)
    with shop.chain.refused("NotSignedBy"):
        shop.price(shop.offer.evidence(signature))


def test_no_admitter_has_signed_anything(shop: Shop) -> None:
    with shop.chain.refused("NotSignedBy"):
        shop.admits(shop.admission.evidence(bytes(65)))


@pytest.mark.parametrize("data", [b"\x00", b"\x05", b"\xff" * 40])
def test_other_evidence_is_refused(shop: Shop, data: bytes) -> None:
    for ask in (shop.price, shop.admits):
        with shop.chain.refused("UnexpectedEvidence", kind=data[:1]):
            ask(data)


def test_rules_are_those_of_the_listings_seller(shop: Shop) -> None:
    receipt = shop.rule(Rules(admitter=shop.chain.stranger), sender=shop.chain.stranger)
    assert event(receipt, shop.policy, "RulesSet")["seller"] == shop.chain.stranger
    assert shop.admits(b"")
    rules = Rules(keccak(b"root"), shop.chain.stranger, 3)
    shop.rule(rules)
    assert not shop.admits(b"")
    stored = shop.policy.functions.rulesOf(shop.market.address, shop.chain.seller, LISTED).call()
    assert Rules.from_abi(stored) == rules
    assert Shop(shop.chain).admits(b"")  # of that market alone


# -------------------------------------------------------------------------------------------------------- upgrades


def test_owners_of_the_superseded_model_pay_less(shop: Shop) -> None:
    assert shop.price(upgrade_evidence(7)) == PRICE
    for discount, price in ((DISCOUNT, PRICE - DISCOUNT), (PRICE, 0), (PRICE + 1, 0)):
        shop.rule(Rules(upgrade_discount_wei=discount))
        assert shop.price(upgrade_evidence(7)) == price
        assert shop.price(b"") == PRICE


@pytest.mark.parametrize("state", ["Revealed", "Expired", "Slashed", "None"])
def test_only_a_settled_trade_makes_an_owner(shop: Shop, state: str) -> None:
    shop.rule(Rules(upgrade_discount_wei=DISCOUNT))
    shop.trade(7, shop.chain.buyer, 1, state)
    with shop.chain.refused("NotAnOwner", buyer=shop.chain.buyer, tradeId=7):
        shop.price(upgrade_evidence(7))


def test_an_owner_is_a_buyer_of_that_listing(shop: Shop) -> None:
    shop.rule(Rules(upgrade_discount_wei=DISCOUNT))
    shop.trade(8, shop.chain.buyer, 2, "Settled")
    for trade, buyer in ((7, shop.chain.stranger), (8, shop.chain.buyer), (99, shop.chain.buyer)):
        with shop.chain.refused("NotAnOwner", tradeId=trade):
            shop.price(upgrade_evidence(trade), buyer)
    # A listing that supersedes none has no owners of an earlier one, not even by a trade that isn't there.
    with shop.chain.refused("NotAnOwner"):
        shop.price(upgrade_evidence(7), listing=1)
    with shop.chain.refused("NotAnOwner"):
        shop.price(upgrade_evidence(99), buyer="0x" + "0" * 40, listing=1)
