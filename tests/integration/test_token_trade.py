"""Trades in a token, and at other prices than the listing's: what is paid is what was agreed, in what was agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import ETH, Periphery, offer_digest, periphery_address
from contracts.policy import Admission, AdmittedBuyers, Rules
from contracts.policy import Offer as PolicyOffer
from ledger import read_trade
from tests.simulators.tokens import Coin
from tests.simulators.trading import BOND, FEE, OFFER, POLICY, PRICE, Trading
from trader.chain.admissions import Membership, read_document
from trader.chain.offers import ListingRules, SignedOffer
from trader.errors import CallerError, OfferError, PolicyError, PriceRaisedError
from trader.parties.buyer import Buyer
from trader.report.story import story_rows
from trader.trade import Role, State
from trader.trade_certificate import certificate_of
from trader.trade_certificate.story import check_story, read_moves
from trader.verify import BuyerPolicy, TokenLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain
    from trader.parties.offer import Offer

RULES = periphery_address(Periphery.LISTING_POLICY)
SAMPLES = 16


@pytest.mark.slow
def test_a_trade_in_a_token_and_the_next_model_at_an_owners_price(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    deployer = Account.create()
    chain.fund(deployer.address, 10**18)
    chain.deploy_periphery(deployer, Periphery.DEPOSITS)
    coin = Coin.make(chain)
    trading = trade_on(chain, offer=replace(OFFER, token=coin.address, bond_wei=2 * BOND), policy=policy_in(coin))
    buyer, seller = (trading.accounts[role].address for role in (Role.BUYER, Role.SELLER))
    coin.mint(buyer, FEE + PRICE)
    coin.mint(seller, 2 * BOND)

    assert trading.play() is State.SETTLED
    assert trading.refusals == []
    assert trading.gains() == {Role.SELLER: 0, Role.BUYER: 0}  # of ether
    assert (coin.of(seller), coin.of(buyer)) == (2 * BOND + FEE + PRICE, 0)
    assert coin.of(trading.market.deployment.market) == 0
    for spender in (trading.market.deployment.market, periphery_address(Periphery.DEPOSITS)):
        assert coin.allowed(buyer, spender) == coin.allowed(seller, spender) == 0
    assert [step.name for step in trading.steps].count("deposit") == 3  # the fee, the price, the bond
    check_what_is_told(trading, coin)

    # The seller lists a better model, which owners of the first one get for less.
    rules, offer = ListingRules(trading.market), replace(trading.offer, policy=RULES, supersedes=trading.listing_id)
    discount(trading, rules, offer, PRICE // 4)
    second = trading.seller.list_model(offer)
    coin.mint(buyer, 2 * PRICE)
    owner = buyer_of(trading, second, policy_in(coin))
    trade_id = answered(trading, owner)
    assert owner.purchasing.asking().price == PRICE * 3 // 4
    before = coin.of(buyer)

    def say_yes(_: object) -> bool:
        """While the buyer thinks, the price rises above what it was shown."""
        discount(trading, rules, offer, PRICE // 8)
        return True

    owner.decide = say_yes
    for _ in range(2):
        with pytest.raises(PriceRaisedError, match=r"costs 0\.875 USDX now, and you have agreed to 0\.75 USDX"):
            owner.step()
        owner = again(trading, owner, second)
    assert coin.of(buyer) == before
    discount(trading, rules, offer, PRICE // 2)  # and now less
    assert owner.step()
    assert trading.market.trade(trade_id).price_wei == PRICE // 2
    assert coin.of(buyer) == before - PRICE // 2


def check_what_is_told(trading: Trading, coin: Coin) -> None:
    """The log, the certificate, and who looks at them, name the token."""
    trade_id = trading.buyer.find_trade()
    story = read_trade(trading.log, trade_id)
    assert story.token == coin.address.lower()
    (paid,) = (row["what"] for row in story_rows(story) if row["kind"] == "Purchased")
    assert paid == f"locked the price of {PRICE} of {coin.address.lower()}"
    certificate = certificate_of(trading.buyer)
    told = check_story(certificate, read_moves(certificate))
    assert (told.terms.token, told.price_wei, told.ended) == (coin.address, PRICE, State.SETTLED)


def discount(trading: Trading, rules: ListingRules, offer: Offer, amount: int) -> None:
    """What the seller says of its next model."""
    account, terms = trading.accounts[Role.SELLER], offer.terms(trading.seller.goods.manifest)
    rules.set(account, offer_digest(account.address, terms), Rules(upgrade_discount_wei=amount))


def buyer_of(trading: Trading, listing_id: int, policy: BuyerPolicy, folder: str = "another purchase") -> Buyer:
    """The table's buyer, in a folder of its own."""
    equipment = replace(trading.equipment(Role.BUYER), folder=trading.folder / folder)
    return Buyer(listing_id, policy, equipment)


def again(trading: Trading, buyer: Buyer, listing_id: int) -> Buyer:
    """The buyer, as a fresh process would make it from its folder."""
    verified, folder, policy = buyer.verify_listing(), buyer.folder.name, buyer.purchasing._policy
    equipment = replace(trading.equipment(Role.BUYER), folder=trading.folder / folder)
    return Buyer(listing_id, policy, equipment, verified=verified)


def answered(trading: Trading, buyer: Buyer) -> int:
    """A session that the seller has answered."""
    trade_id = buyer.open_session(trading.model.test_samples[:SAMPLES])
    while trading.market.trade(trade_id).position.state is not State.ANSWERED:
        assert trading.seller.step(trade_id)
    return trade_id


def policy_in(coin: Coin, price: int = PRICE) -> BuyerPolicy:
    """A buyer that pays in the token alone."""
    return replace(POLICY, tokens=(TokenLimits(coin.address, price),), ether=False, currencies=coin.currencies)


# ------------------------------------------------------------------------------------------------------------- offers


def signed(trading: Trading, document: Any, signer: Any = None) -> SignedOffer:
    """What the seller hands over, as the file's bytes say it."""
    account = signer or trading.accounts[Role.SELLER]
    return read_document(SignedOffer.sign(account, trading.chain.chain_id, document).to_bytes())  # type: ignore[return-value]


def offered(trading: Trading, price: int = PRICE // 2, seconds: int = 3000, nonce: int = 1) -> PolicyOffer:
    """An offer to the table's buyer."""
    listing = trading.market.listing(trading.listing_id)
    named = trading.market.deployment.market, offer_digest(listing.seller, listing.terms)
    expiry = trading.chain.time().latest + seconds
    return PolicyOffer(*named, trading.accounts[Role.BUYER].address, price, expiry, nonce)


@pytest.mark.slow
def test_an_offer_is_what_the_buyer_pays_or_nothing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """The listing is dearer than the buyer's policy allows: the seller's offer is not."""
    trading = trade_on(chain, offer=replace(OFFER, policy=RULES), policy=replace(POLICY, maximum_price_wei=PRICE // 2))
    chain.deploy_periphery(trading.accounts[Role.SELLER], Periphery.LISTING_POLICY)
    buyer, rules = trading.buyer, ListingRules(trading.market)
    buyer.labels = None  # of a smaller test than the table's
    with pytest.raises(PolicyError, match=r"price: 1 ether, your policy asks for at most 0\.5 ether"):
        buyer.verify_listing()
    for wrong in refused_offers(trading):
        with pytest.raises(OfferError):
            buyer.entitlement.keep(wrong)
    buyer.entitlement.keep(signed(trading, offered(trading)))

    trade_id = answered(trading, buyer)
    asked: list[int] = []
    buyer.decide = lambda _: not asked.append(buyer.purchasing.asking().price)
    rules.cancel(trading.accounts[Role.SELLER], 1)
    locked = chain.balance(trading.market.deployment.market)
    for _ in range(2):
        with pytest.raises(OfferError, match="it was cancelled"):
            buyer.step()
    buyer.entitlement.keep(signed(trading, offered(trading, PRICE * 3 // 4, nonce=2)))
    with pytest.raises(PolicyError, match="at most"):
        buyer.step()
    assert chain.balance(trading.market.deployment.market) == locked  # nothing more was paid meanwhile
    buyer.entitlement.keep(signed(trading, offered(trading, seconds=60, nonce=3)))
    assert buyer.step()
    assert asked[-1] == PRICE // 2
    assert trading.market.trade(trade_id).price_wei == PRICE // 2

    # What was paid for is checked whatever became of the offer.
    chain.advance_time(61)
    fresh = trading.new_buyer()
    assert fresh.verify_listing().listing_id == trading.listing_id
    with pytest.raises(OfferError, match="expired"):
        fresh.purchasing.asking()


def refused_offers(trading: Trading) -> list[SignedOffer]:
    """For another buyer, another listing, by another account, expired, edited."""
    good = offered(trading)
    return [
        signed(trading, replace(good, buyer=Account.create().address)),
        signed(trading, replace(good, listing=bytes(32))),
        signed(trading, replace(good, market=Account.create().address)),
        signed(trading, good, Account.create()),
        signed(trading, replace(good, expiry=trading.chain.time().latest)),
        replace(signed(trading, good), document=replace(good, price=good.price - 1)),
        replace(signed(trading, good), chain_id=1),
    ]


def test_who_is_not_admitted_encrypts_nothing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain, offer=replace(OFFER, policy=RULES))
    account, buyer = trading.accounts[Role.SELLER], trading.accounts[Role.BUYER].address
    rules, good = ListingRules(trading.market), offered(trading)
    place = AdmittedBuyers.of([buyer, account.address])
    rules.set(account, good.listing, Rules(admitted_root=place.root, admitter=account.address))
    with pytest.raises(OfferError, match="admits named buyers to a test"):
        trading.open()
    assert not any(step.name in ("keygen", "openSession") for step in trading.steps)

    terms = trading.market.listing(trading.listing_id).terms
    show = trading.buyer.entitlement.to_session
    member = Membership(good.market, good.listing, buyer, chain.chain_id, place.path(buyer))
    admission = Admission(good.market, good.listing, buyer, good.expiry, good.nonce)
    for document in (member, signed(trading, admission)):
        trading.buyer.entitlement.keep(read_document(document.to_bytes()))
        assert opens_session(trading, show(terms))
    for wrong in (
        replace(member, path=(bytes(32),)),
        replace(member, buyer=account.address),
        replace(member, listing=bytes(32)),
        replace(member, chain_id=1),
    ):
        with pytest.raises(OfferError):
            trading.buyer.entitlement.keep(wrong)
    rules.set(account, good.listing, Rules(admitter=Account.create().address))
    with pytest.raises(OfferError, match="signed it, not"):
        show(terms)
    trading.buyer.entitlement.keep(signed(trading, good))  # an offer admits as well
    assert opens_session(trading, show(terms))


def opens_session(trading: Trading, evidence: bytes) -> bool:
    """The contract takes what the buyer shows, in a session of a stranger's making."""
    market, account, listing_id = trading.market, trading.accounts[Role.BUYER], trading.listing_id
    offer, fee = offered(trading).listing, trading.market.session_fee(listing_id, account.address, 1)
    opened = market.open_session(account, listing_id, offer, 1, bytes(32), fee, lambda _: None, evidence)
    return len(opened.events) == 1


def test_a_listing_without_the_policy_reads_no_offers(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    with pytest.raises(CallerError, match="reads no offers"):
        trading.buyer.entitlement.keep(signed(trading, offered(trading)))
    assert trading.buyer.entitlement.to_purchase(trading.market.listing(trading.listing_id).terms).price == PRICE
    assert trading.buyer.currencies() == (ETH,)
