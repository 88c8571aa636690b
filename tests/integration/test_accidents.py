"""Nodes and disks that fail in the middle of a trade: nobody loses, and nobody has to start anything again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from ledger import EntryKind, Indexer, IndexingError, read_by_kind
from tests.simulators.proxy import Proxy
from tests.simulators.trading import FEE, PRICE, Trading
from trader.chain import Chain
from trader.chain.transactions import GAS_MARGIN_PERCENT
from trader.parties.desk import serve
from trader.parties.driving import buy
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable


class FailingProxy(Proxy):
    """Drops every tenth call, and all of them for a while: from the trade's third transaction on."""

    away_until = 0.0
    was_away = False

    def answer(self, body: bytes) -> bytes | None:
        sending = b"eth_sendRawTransaction" in body
        if sending and not self.was_away and self.methods["eth_sendRawTransaction"] == 2:
            self.was_away, self.away_until = True, time.monotonic() + 4
        if time.monotonic() < self.away_until:
            self.dropped += 1
            return None
        return super().answer(body)


@pytest.mark.slow
@pytest.mark.anvil
def test_a_node_that_drops_calls_and_goes_away_ends_no_trade(anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    proxy, said = FailingProxy(anvil_url, drop_every=10), list[str]()
    options = {"say": said.append, "sleep": lambda seconds: time.sleep(min(seconds, 1.0))}
    with proxy.running() as url:
        trading.wait_for(Chain.connect(url))
        selling = threading.Thread(
            target=serve, args=(trading.seller, trading.listing_id, 1), kwargs=options, daemon=True
        )
        selling.start()
        buy(trading.buyer, trading.model.test_samples, **options)
        selling.join(timeout=120)
        assert not selling.is_alive()
    assert proxy.was_away
    assert any("Trying again in" in line and "until 20" in line for line in said)
    trading.wait_for(Chain.connect(anvil_url))
    assert trading.market.trade(1).position.state is State.SETTLED
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}


@pytest.mark.slow
@pytest.mark.anvil
def test_confirm_has_gas_for_a_slot_that_a_withdrawal_empties(anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    trade_id = trading.play_until(State.REVEALED)
    function = trading.market.contract.functions.confirm(trade_id, trading.market.trade(trade_id).digest)
    sender = {"from": trading.accounts[Role.BUYER].address, "value": 0}
    assert trading.market.credit(trading.seller.address) == FEE
    estimate, limit = function.estimate_gas(sender), trading.chain._transactions._gas_limit(function, sender)
    trading.seller.withdraw()
    needed = function.estimate_gas(sender)
    assert estimate * GAS_MARGIN_PERCENT // 100 < needed <= limit


def test_events_that_cannot_be_read_fail_no_move_and_are_read_later(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    before = len(list(read_by_kind(trading.log, EntryKind.SESSION_OPENED)))

    def fail(*_: object, **__: object) -> None:
        raise IndexingError("the node searches no blocks today")

    with monkeypatch.context() as patch:
        patch.setattr(Indexer, "catch_up", fail)
        trade_id = trading.open()
    assert trading.market.trade(trade_id).position.state is State.TESTING
    assert len(list(read_by_kind(trading.log, EntryKind.SESSION_OPENED))) == before
    assert "events not logged yet: the node searches no blocks today" in [step.name for step in trading.steps]
    trading.buyer.catch_up()
    assert len(list(read_by_kind(trading.log, EntryKind.SESSION_OPENED))) == before + 1
