"""The whole honest trade with the seller's service between the parties, over a network that breaks off now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulators.cutting import CuttingProxy
from tests.simulators.ports import free_port
from tests.simulators.service import Told, serving
from tests.simulators.trading import FEE, PRICE, SELLER, Trading
from trader import open_mailbox
from trader.artifacts import ArtifactStore
from trader.chain.market import Market
from trader.service import ChainTradeBook, Index, Limits, ServiceSettings, StoreMailbox, create_app
from trader.trade import Role, State

if TYPE_CHECKING:
    from pathlib import Path

    from trader.chain import Chain
    from trader.demo.training import DemoModel
    from trader.package import SellerPackage
    from trader.parties.actor import Equipment


class TradingOverHttp(Trading):
    """The buyer's mailbox is the seller's service."""

    endpoint: str

    def equipment(self, role: Role) -> Equipment:
        equipment = super().equipment(role)
        if role is Role.BUYER:
            object.__setattr__(equipment, "mailbox", open_mailbox(self.endpoint, equipment.account))
        return equipment


@pytest.mark.slow
def test_honest_trade_over_http(chain: Chain, package: SellerPackage, trained_model: DemoModel, tmp_path: Path) -> None:
    public, private = free_port(), free_port()
    TradingOverHttp.endpoint = f"http://127.0.0.1:{public}"

    def mailbox(folder: Path) -> StoreMailbox:
        return StoreMailbox(
            Index(folder / "index.sqlite"), ArtifactStore.at(str(folder)), TradingOverHttp.endpoint, SELLER.address
        )

    trading = TradingOverHttp(chain, package, trained_model, tmp_path / "table", mailbox_type=mailbox)
    market = Market(chain, trading.market.deployment, trading.market.first_block)
    goods = trading.seller.goods
    book = ChainTradeBook(market, lambda: {trading.listing_id: Limits(goods.plan, goods.circuit)}, refresh_seconds=0.0)
    settings = ServiceSettings(
        TradingOverHttp.endpoint, chain.chain_id, market.deployment.market, tmp_path / "service", minimum_free_bytes=0
    )
    network = CuttingProxy(public, private)
    network.cut_upstream, network.cut_downstream = [None, 150_000, None], [100_000, None, None]
    with serving(create_app(settings, trading.mailbox, book, Told()), private), network.running():
        assert trading.play() is State.SETTLED
    assert network.cuts >= 1
    assert trading.buyer.has_model()
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}

    trade_id = trading.buyer.find_trade()
    trading.mailbox.forget_trade(trade_id)
    trading.mailbox.collect(age_seconds=-5)
    assert len(list(trading.mailbox.store.blobs())) == 1, "the package"
    trading.close()
