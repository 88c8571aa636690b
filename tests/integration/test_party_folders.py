"""What happens to a party's folder by accident costs no second fee, and is said."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from tests.simulators.killing import KilledError, killing
from tests.simulators.trading import POLICY, Trading
from trader import he
from trader.errors import PartyFolderError
from trader.exchange import Kind
from trader.parties.buyer import Buyer
from trader.parties.filenames import OPENING
from trader.parties.seller import Seller
from trader.trade import Role, SessionOpened, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain

pytestmark = pytest.mark.slow


def sessions(trading: Trading) -> int:
    return int(trading.market.contract.functions.tradeCount().call())


def test_another_account_in_a_used_folder_is_refused(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    stranger = Account.create()
    for role, make in (
        (Role.BUYER, lambda equipment: Buyer(trading.listing_id, POLICY, equipment)),
        (Role.SELLER, lambda equipment: Seller(trading.package, equipment)),
    ):
        equipment = replace(trading.equipment(role), account=stranger)
        with pytest.raises(PartyFolderError, match=f"this is the {role.value} {stranger.address}"):
            make(equipment)


def test_a_request_that_was_lost_after_it_was_delivered_stops_nothing(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain)
    trade_id = trading.open()
    trading.buyer.vault.forget(Kind.REQUEST.value)
    trading.buyer = trading.new_buyer()
    assert not trading.buyer.step(trading.model.test_samples)
    assert trading.seller.step(trade_id)
    assert trading.play() is State.SETTLED
    assert sessions(trading) == 1


@pytest.mark.parametrize("left", [None, b"", b"MSHE0001"], ids=["gone", "empty", "cut off"])
def test_a_request_that_is_lost_altogether_is_said_and_no_second_session_opened(
    left: bytes | None, chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain)
    trade_id = trading.open()
    kept = trading.buyer.vault.read(Kind.REQUEST.value)
    for path in trading.mailbox.root.glob("request-*"):
        path.unlink()
    trading.buyer.vault.forget(Kind.REQUEST.value)
    if left is not None:
        trading.buyer.vault.write(Kind.REQUEST.value, left)
    trading.buyer = trading.new_buyer()
    for _ in range(3):
        with pytest.raises(PartyFolderError, match=f"the request of trade {trade_id} is gone from .*Put the file back"):
            trading.buyer.step(trading.model.test_samples)
    assert sessions(trading) == 1
    trading.buyer.vault.write(Kind.REQUEST.value, kept)
    assert trading.buyer.step(trading.model.test_samples)
    assert trading.seller.step(trade_id)


def test_another_request_in_the_folder_is_not_delivered_for_the_one_that_was_paid_for(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    """Somebody copied files between folders."""
    trading, other = trade_on(chain), trade_on(chain)
    trade_id = trading.open()
    other.open()
    trading.buyer.vault.write(Kind.REQUEST.value, other.buyer.vault.read(Kind.REQUEST.value))
    for path in trading.mailbox.root.glob("request-*"):
        path.unlink()
    with pytest.raises(PartyFolderError, match=f"the request of trade {trade_id} is gone"):
        trading.buyer.step()
    assert sessions(trading) == 1


def test_a_kept_transaction_is_not_sent_for_another_request(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it was sent; then the request is lost, and made anew."""
    trading = trade_on(chain)
    assert trading.buyer.verify_listing()
    with killing(monkeypatch):
        while not trading.buyer.vault.has(OPENING):
            with contextlib.suppress(KilledError):
                trading.open()
    trading.buyer.vault.forget(Kind.REQUEST.value)
    trade_id = trading.open()
    assert sessions(trading) == 1
    opened = trading.market.event(trade_id, SessionOpened)
    assert opened.request_digest == he.digest(trading.buyer.vault.map(Kind.REQUEST.value))
    assert trading.seller.step(trade_id)
