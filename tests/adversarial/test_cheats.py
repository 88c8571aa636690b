"""Every cheat, played with the drivers of real parties: who ends with what."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts import offer_digest
from tests.simulators.trading import BOND, FEE, OFFER, POLICY, PRICE, PROOF_FEE, Trading
from trader.chain import Chain
from trader.chain.market import Market
from trader.demo.cheats import CHEATS, Casting
from trader.errors import PartyFolderError
from trader.parties.buyer import Buyer
from trader.parties.seller import Seller
from trader.trade import Role, State


def play(trading: Trading, kind: str) -> None:
    cheat = CHEATS[kind]
    assert trading.play() is cheat.ends
    gains = trading.gains()
    assert gains == payoff(cheat)
    assert trading.chain.balance(trading.market.deployment.market) == 0

    if cheat.stranger:
        return
    (honest,) = set(Role) - {cheat.cheater}
    assert (
        gains[honest] >= -FEE - PROOF_FEE or cheat.ends is State.SETTLED
    )  # settled: it paid the price and holds the model
    assert gains[cheat.cheater] <= FEE + PROOF_FEE


def set_table(trade_on: Callable[..., Trading], chain: Chain, kind: str) -> Trading:
    cheat = CHEATS[kind]
    return trade_on(chain, seller_conduct=cheat.seller, buyer_conduct=cheat.buyer, stranger_type=cheat.stranger)


def payoff(cheat: Casting) -> dict[Role, int]:
    fee = FEE if cheat.fee_to_seller else 0
    match cheat.ends:
        case State.EXPIRED:
            wasted = {None: 0, Role.SELLER: -PROOF_FEE, Role.BUYER: PROOF_FEE}[cheat.leaves_proof_fee]
            return {Role.SELLER: fee + wasted, Role.BUYER: -fee - wasted}
        case State.SLASHED:
            return {Role.SELLER: fee - BOND, Role.BUYER: BOND - fee}
        case _:
            return {Role.SELLER: PRICE + fee, Role.BUYER: -PRICE - fee}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHEATS)
def test_cheat_on_the_embedded_chain(kind: str, chain: Chain, trade_on: Callable[..., Trading]) -> None:
    play(set_table(trade_on, chain, kind), kind)


@pytest.mark.slow
def test_a_buyer_who_slept_through_the_dispute_window_gets_the_model_it_paid_for(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain, buyer_conduct=CHEATS["silent-buyer"].buyer)
    assert trading.play() is State.SETTLED
    trading.buyer.step()
    assert trading.buyer.is_over()
    assert trading.buyer.delivered_onnx() == trading.package.plain_model


@pytest.mark.slow
def test_a_revealed_key_never_serves_in_another_market(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Trades of all markets are numbered from 1: with one folder for all, trade 1 there would be encrypted alike."""
    trading = trade_on(chain)
    trading.play()
    equipment = trading.equipment(Role.SELLER)
    market = Market(chain, chain.deploy(equipment.account, b"elsewhere".rjust(32)))
    elsewhere = Seller(trading.package, replace(equipment, market=market))
    market.list(equipment.account, trading.market.listing(1).terms)
    opened, offer = trading.market.session(1), offer_digest(trading.seller.address, trading.market.listing(1).terms)
    buyer, fee_wei = trading.accounts[Role.BUYER], market.session_fee(1, trading.buyer.address, 256)
    market.open_session(buyer, 1, offer, 256, opened.request_digest, fee_wei, lambda _: None)
    assert market.session(1) == opened
    assert trading.seller.vault(1).has("delivery.key")
    assert not elsewhere.vault(1).has("delivery.key")


def test_a_folder_serves_one_purchase(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.open()
    with pytest.raises(PartyFolderError, match=r"listing-1, this is .*listing-2\. Name another folder"):
        Buyer(trading.listing_id + 1, POLICY, trading.equipment(Role.BUYER))


def test_other_terms_are_another_listing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    dearer = trading.seller.list_model(replace(OFFER, price_wei=2 * PRICE))
    assert trading.market.listing(dearer).terms.price_wei == 2 * PRICE
    assert trading.seller.list_model(OFFER) == trading.listing_id != dearer


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize("kind", CHEATS)
def test_cheat_on_anvil(kind: str, anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    chain = Chain.connect(anvil_url)
    play(set_table(trade_on, chain, kind), kind)
