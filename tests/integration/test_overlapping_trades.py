"""A seller with many confirmations serves its buyers at once: no move of one trade waits for those of another's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import MarketEvent
from tests.simulators.node import connect_impatient
from tests.simulators.trading import BY_TRANSACTION, ETHER, FEE, PRICE, Trading
from trader.chain import Chain
from trader.chain.market import Market
from trader.exchange import Kind
from trader.parties.buyer import Buyer
from trader.parties.desk import Desk
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain.market import Trade

CONFIRMATIONS = 6
SELLERS = (MarketEvent.ANSWERED, MarketEvent.PROVEN, MarketEvent.REVEALED)


class Depths:
    """How deep what a message or secret depends on lay in the chain when it left."""

    def __init__(self, trading: Trading, hasty: Market) -> None:
        self.found: dict[tuple[str, int], int] = {}
        self._market = hasty
        put, let_go = trading.mailbox.put, trading.seller.key_release.let_go
        depends_on = {Kind.RESPONSE: MarketEvent.ANSWERED, Kind.MODEL: MarketEvent.PROVEN}

        def watched_put(label: Any, *arguments: Any) -> bool:
            if label.kind in depends_on:
                self._note(depends_on[label.kind], label.trade_id)
            return put(label, *arguments)

        def watched_let_go(trade: Trade, signed: bytes) -> None:
            self._note(MarketEvent.ACCEPTED, trade.trade_id)
            let_go(trade, signed)

        trading.mailbox.put = watched_put
        trading.seller.key_release.let_go = watched_let_go

    def _note(self, kind: MarketEvent, trade_id: int) -> None:
        self.found[kind.value, trade_id] = self._market.chain.block_number - block_of(self._market, kind, trade_id) + 1


def block_of(market: Market, kind: MarketEvent, trade_id: int) -> int:
    (block,) = (log.block_number for log in market.all_events(kind) if log.arguments["tradeId"] == trade_id)
    return block


def another_buyer(trading: Trading) -> Buyer:
    account = Account.create()
    trading.chain.fund(account.address, 10 * ETHER)
    equipment = replace(trading.equipment(Role.BUYER), account=account, folder=trading.folder / "second")
    verified = trading.buyer.verify_listing()
    return Buyer(trading.listing_id, BY_TRANSACTION, equipment, verified=verified)


@pytest.mark.slow
@pytest.mark.anvil
def test_two_buyers_are_served_at_once_and_nothing_leaves_early(
    anvil_url: str, trade_on: Callable[..., Trading]
) -> None:
    """Counted in blocks: both trades take as many as one of them, but for the few that hold the other's moves."""
    hasty = Chain.connect(anvil_url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    market, buyers = trading.market, [trading.buyer, another_buyer(trading)]
    careful = connect_impatient(anvil_url, 1.0, confirmations=CONFIRMATIONS)
    trading.market = Market(careful, market.deployment, market.first_block)
    trading.seller = trading.new_seller()
    trading.seller.publish()
    depths = Depths(trading, market)
    trades = [buyer.open_session(trading.model.test_samples) for buyer in buyers]
    said: list[str] = []
    desk = Desk(trading.market, said.append)
    desk.listings[trading.listing_id] = trading.seller
    while desk.ended != set(trades):
        moved = desk.step()
        for buyer, trade_id in zip(buyers, trades, strict=True):
            moved |= not market.trade(trade_id).position.final and buyer.step()
        if not moved:
            hasty.advance_time(1)
    assert said == []
    assert {market.trade(trade_id).position.state for trade_id in trades} == {State.SETTLED}
    assert trading.gains()[Role.SELLER] == 2 * (PRICE + FEE)

    for kind in SELLERS:
        first, second = (block_of(market, kind, trade_id) for trade_id in trades)
        assert 0 < abs(second - first) < CONFIRMATIONS, kind
    begins = [block_of(market, MarketEvent.SESSION_OPENED, trade_id) for trade_id in trades]
    ends = [block_of(market, MarketEvent.REVEALED, trade_id) for trade_id in trades]
    one = min(end - begin for begin, end in zip(begins, ends, strict=True))
    assert max(ends) - min(begins) <= one + CONFIRMATIONS

    expected = {(kind.value, trade_id) for kind in (*SELLERS[:2], MarketEvent.ACCEPTED) for trade_id in trades}
    assert set(depths.found) == expected
    assert min(depths.found.values()) == CONFIRMATIONS


@pytest.mark.slow
@pytest.mark.anvil
def test_an_answer_that_is_not_confirmed_takes_up_a_proof_all_the_same(
    anvil_url: str, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = Chain.connect(anvil_url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    market, buyers = trading.market, [trading.buyer, another_buyer(trading)]
    trading.market = Market(Chain.connect(anvil_url, confirmations=2), market.deployment, market.first_block)
    trading.seller = trading.new_seller()
    trading.seller.publish()
    first, second = (buyer.open_session(trading.model.test_samples[:16]) for buyer in buyers)
    hasty.advance_time(1)
    monkeypatch.setattr(type(trading.package.budget), "left", 1)
    assert trading.seller.step(first)
    assert trading.market.trade(first).position.state is State.TESTING
    assert not trading.seller.step(second)
    assert "1 trades that were answered may need them" in trading.steps[-1].remark
    assert market.trade(second).position.state is State.TESTING
