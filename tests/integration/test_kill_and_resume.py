"""Both parties are killed at every point of a trade and started anew: nothing is paid twice, nothing is lost."""

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger import verify_log
from tests.simulators.killing import KilledError, killing
from tests.simulators.trading import AUDIT_SAMPLES, FEE, OFFER, POLICY, PRICE, Trading
from trader.chain import Chain
from trader.errors import CallerError, PartyFolderError, PolicyError
from trader.parties.buyer import Buyer
from trader.parties.seller import Seller
from trader.trade import Role, State

MAX_DEATHS = 200


def play_to_the_end(trading: Trading) -> int:
    """Step both parties, each started anew whenever it is killed; returns the number of deaths."""
    deaths = 0
    verified = trading.buyer.verify_listing()

    def attempt(step: Callable[[], bool]) -> bool:
        nonlocal deaths
        try:
            return step()
        except KilledError:
            deaths += 1
            assert deaths < MAX_DEATHS
            trading.seller, trading.buyer = trading.new_seller(), trading.new_buyer(verified)
            return True

    while attempt(lambda: trading.buyer.step(trading.model.test_samples)) or attempt(
        lambda: trading.seller.step(trading.buyer.find_trade())
    ):
        pass
    return deaths


@pytest.mark.slow
def test_trade_survives_a_kill_at_every_point(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    assert trading.buyer.verify_listing().listing_id == trading.listing_id
    with killing(monkeypatch) as points:
        deaths = play_to_the_end(trading)
    assert deaths == len(points) > 60
    assert trading.market.trade(trading.buyer.find_trade()).position.state is State.SETTLED
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert trading.market.contract.functions.tradeCount().call() == 1
    assert trading.buyer.delivered_onnx() == trading.package.plain_model
    verify_log(trading.log.path)


@pytest.mark.slow
def test_a_model_is_listed_once_whenever_the_seller_is_killed(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    equipment, dearer = trading.equipment(Role.SELLER), replace(OFFER, price_wei=2 * PRICE)
    with killing(monkeypatch) as points:
        for _ in range(MAX_DEATHS):
            try:
                listing_id = Seller(trading.package, equipment).list_model(dearer)
                break
            except KilledError:
                continue
    assert "after Chain.send list" in points
    assert trading.market.listing(listing_id).terms.price_wei == 2 * PRICE
    assert trading.market.contract.functions.listingCount().call() == listing_id == trading.listing_id + 1


@pytest.mark.slow
def test_a_party_without_its_folder_says_which_file_is_missing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.play_until(State.PROVEN)
    (trading.buyer.vault.folder / "encryption.key").unlink()
    with pytest.raises(PartyFolderError, match=r"encryption\.key can't be read: No such file"):
        trading.new_buyer().step()


@pytest.mark.slow
def test_a_delivery_key_that_was_lost_follows_from_the_folders(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    (trading.seller.vault(trade_id).folder / "delivery.key").unlink()
    assert trading.new_seller().step(trade_id)
    assert trading.play() is State.SETTLED


@pytest.mark.slow
def test_a_session_whose_transaction_was_replaced_is_opened_anew(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    assert trading.buyer.verify_listing()
    with killing(monkeypatch):
        while not trading.buyer.vault.has("opening.transaction"):
            with contextlib.suppress(KilledError):
                trading.open()
    assert trading.market.contract.functions.tradeCount().call() == 0
    account = trading.accounts[Role.BUYER]
    trading.market.list(account, OFFER.terms(trading.package.manifest))  # from another wallet, say
    assert trading.open() == trading.market.contract.functions.tradeCount().call() == 1
    assert trading.play() is State.SETTLED


def test_a_test_set_too_small_for_the_audit_costs_nothing(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    too_few = AUDIT_SAMPLES - 1
    with pytest.raises(CallerError, match=f"an audit takes {AUDIT_SAMPLES} samples, the test set has {too_few}"):
        trading.buyer.open_session(trading.model.test_samples[:too_few])
    assert trading.gains() == {Role.SELLER: 0, Role.BUYER: 0}


def test_a_fee_above_the_policy_is_not_paid(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.open()
    again = trading.equipment(Role.BUYER)
    second = Buyer(
        trading.listing_id, replace(POLICY, maximum_fee_wei=FEE), replace(again, folder=trading.folder / "second")
    )
    with pytest.raises(PolicyError, match=r"fee: 0\.002 ether, your policy asks for at most 0\.001 ether"):
        second.open_session(trading.model.test_samples)
