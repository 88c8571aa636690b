"""Both parties are killed at every point of a trade and started anew: nothing is paid twice, nothing is lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_account import Account

from ledger import verify_log
from tests.simulators.killing import KilledError, killing
from tests.simulators.trading import ETHER, FEE, OFFER, PRICE, Trading
from trader.chain import Chain
from trader.errors import PartyFolderError
from trader.seller import Seller
from trader.trade import Role, State

MAX_DEATHS = 200


def play_to_the_end(trading: Trading) -> int:
    """Step both parties, each started anew whenever it is killed; returns the number of deaths."""
    deaths = 0
    verified = trading.buyer.listing

    def attempt(step: Callable[[], bool]) -> bool:
        nonlocal deaths
        try:
            return step()
        except KilledError:
            deaths += 1
            assert deaths < MAX_DEATHS
            trading.seller, trading.buyer = trading.new_seller(), trading.new_buyer()
            trading.buyer.listing = verified  # verifying again after each death would be most of the test's time
            return True

    while attempt(lambda: trading.buyer.step(trading.model.test_samples)) or attempt(
        lambda: trading.seller.step(trading.buyer.trade_id)
    ):
        pass
    return deaths


@pytest.mark.slow
def test_trade_survives_a_kill_at_every_point(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    assert trading.buyer.listing.listing_id == trading.listing_id
    with killing(monkeypatch) as points:
        deaths = play_to_the_end(trading)
    assert deaths == len(points) > 60
    assert trading.market.trade(trading.buyer.trade_id).position.state is State.SETTLED
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert trading.market.contract.functions.tradeCount().call() == 1
    assert trading.buyer.delivered_onnx() == trading.package.plain_model
    verify_log(trading.log.path)


@pytest.mark.slow
def test_a_model_is_listed_once_whenever_the_seller_is_killed(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    account = Account.create()
    chain.fund(account.address, ETHER)
    equipment = replace(trading.equipment(Role.SELLER), account=account)
    with killing(monkeypatch) as points:
        for _ in range(MAX_DEATHS):
            try:
                listing_id = Seller(trading.package, equipment).list_model(OFFER)
                break
            except KilledError:
                continue
    assert "after Chain.send list" in points
    assert trading.market.listing(listing_id).seller == account.address
    assert trading.market.contract.functions.listingCount().call() == listing_id == trading.listing_id + 1


@pytest.mark.slow
def test_a_party_without_its_folder_says_which_file_is_missing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    key = trading.seller.vault(trade_id).folder / "delivery.key"
    key.unlink()
    with pytest.raises(PartyFolderError, match=r"delivery\.key can't be read: No such file"):
        trading.new_seller().step(trade_id)
