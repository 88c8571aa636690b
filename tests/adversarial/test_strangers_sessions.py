"""Sessions that strangers open, for gas or for little, while a seller has a trade under way that is worth its price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from contracts import offer_digest
from tests.simulators.node import connect_impatient
from tests.simulators.trading import ETHER, FEE, PRICE, PROOF_FEE, Trading
from trader.chain import Chain
from trader.errors import TraderError
from trader.parties.actor import Equipment
from trader.parties.buyer import Buyer
from trader.parties.desk import serve
from trader.trade import Role, State
from trader.verify import BuyerPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.slow
def test_a_session_that_runs_out_ends_no_service(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Its fee comes back. A seller that took it for a trade would stop, with the key of another one to be revealed."""
    trading = trade_on(chain)
    market, stranger = trading.market, Account.create()
    chain.fund(stranger.address, ETHER)
    offer = offer_digest(trading.seller.address, market.listing(trading.listing_id).terms)
    fee_wei = market.session_fee(trading.listing_id, stranger.address, 1)
    market.open_session(stranger, trading.listing_id, offer, 1, b"\1" * 32, fee_wei, lambda _: None)
    chain.advance_time(2500)
    sold = trading.play_until(State.PROVEN)
    chain.advance_time(market.trade(1).position.deadline_seconds - chain.time().newest + 1)
    market.expire(stranger, 1)

    serve(trading.seller, trading.listing_id, 1, say=lambda _: None, sleep=lambda _: trading.buyer.step() or None)
    assert market.trade(sold).position.state is State.SETTLED
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}


class ExactFee(BuyerPolicy):
    """Leaves what a proof costs today, and no more."""

    def highest_proof_fee(self, price_wei: int) -> int:
        return PROOF_FEE

    def check_test(self, assessment: object) -> None:
        """Whatever so small a test says."""


@pytest.mark.slow
@pytest.mark.anvil
def test_a_proof_never_waits_behind_another_one(
    anvil_url: str, trade_on: Callable[..., Trading], tmp_path: Path
) -> None:
    """The first makes the second dearer than its buyer agreed to: it would fail when it is mined, and be public."""
    policy = ExactFee(maximum_price_wei=PRICE, development=True)
    trading = trade_on(Chain.connect(anvil_url), policy=policy)
    verified, trades = trading.buyer.verify_listing(), []
    for number in range(2):
        account = Account.create()
        trading.chain.fund(account.address, 5 * ETHER)
        folder = tmp_path / f"buyer-{number}"
        equipment = Equipment(trading.market, account, trading.mailbox, trading.log, folder, vault_key=None)
        buyer = Buyer(trading.listing_id, policy, equipment, verified=verified)
        trades.append(buyer.open_session(trading.model.test_samples[:8]))
        trading.seller.step(trades[-1])
        trading.seller.step(trades[-1])
        buyer.step()
    assert [trading.market.trade(trade).position.state for trade in trades] == [State.PURCHASED] * 2
    trading.wait_for(connect_impatient(anvil_url, 3.0))
    ask, eth = trading.chain.web3.manager.request_blocking, trading.chain.web3.eth
    ask("evm_setAutomine", [False])
    for trade, reason in zip(trades, ("0 of 1 confirmations", "wait to be mined"), strict=True):
        with pytest.raises(TraderError, match=reason):
            trading.seller.step(trade)
    ask("evm_mine", [])
    ask("evm_setAutomine", [True])
    receipts = [eth.get_transaction_receipt(sent) for sent in eth.get_block("latest")["transactions"]]
    assert [receipt["status"] for receipt in receipts] == [1]
    assert not trading.seller.step(trades[1])  # for now: its buyer leaves less than is due
    assert trading.market.trade(trades[1]).position.state is State.PURCHASED
