"""The chain drops the block of every move once: both drivers reach the same end, and no secret is out early."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import offer_digest
from ledger import EntryKind, read_by_kind, verify_log
from tests.simulators.node import Node, connect_impatient
from tests.simulators.trading import BY_TRANSACTION, ETHER, FEE, OFFER, POLICY, PRICE, Trading
from trader.chain import Chain
from trader.errors import ChainUnavailableError
from trader.exchange import Kind
from trader.parties.buyer import Buyer
from trader.parties.desk import serve
from trader.parties.driving import buy
from trader.parties.filenames import DELIVERY_KEY, KEY_LEAVING
from trader.trade import Proven, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trader.chain.market import Trade
    from trader.parties.seller import Seller

CONFIRMATIONS = 3
MOVES = {"openSession", "respond", "purchase", "prove", "accept", "reveal", "confirm", "withdraw"}


class Forking:
    """Watches a node and drops the first block that holds a market's move of each name, with all above it.

    Attributes:
        dropped: Names of the moves whose blocks were dropped, in order.
    """

    def __init__(self, url: str, market: Any) -> None:
        self._chain = Chain.connect(url)
        self._market = market
        self._over = threading.Event()
        self._seen = self._chain.block_number
        self.dropped: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            newest = self._chain.block_number
            while self._seen < newest and not self._drop(self._seen + 1, newest):
                self._seen += 1

    def _drop(self, number: int, newest: int) -> bool:
        block = self._chain.web3.eth.get_block(number, True)
        names = [self._name(t) for t in block["transactions"] if t.get("to") == self._market.address]
        fresh = [name for name in names if name not in self.dropped]
        if not fresh or newest - number + 1 >= CONFIRMATIONS:
            return False
        self.dropped += fresh
        self._chain.web3.manager.request_blocking("anvil_rollback", [newest - number + 1])
        self._seen = number - 1
        return True

    def _name(self, transaction: Any) -> str:
        function, _ = self._market.decode_function_input(transaction["input"])
        return str(function.fn_name)


def watch_key(seller: Seller) -> list[int]:
    """How deep the acceptance lies whenever a key leaves, from now on."""
    let_go, depths = seller.key_release.let_go, list[int]()

    def note(trade: Trade, signed: bytes) -> None:
        let_go(trade, signed)
        web3, contract = seller.market.chain.web3, seller.market.contract
        (accepted,) = contract.events.Accepted().get_logs(from_block=0, argument_filters={"tradeId": trade.trade_id})
        depths.append(web3.eth.block_number - accepted["blockNumber"] + 1)

    seller.key_release.let_go = note
    return depths


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A node that makes a block every second."""
    node = Node(tmp_path)
    yield node.start()
    node.stop()


def every_second(chain: Chain) -> None:
    chain.web3.manager.request_blocking("evm_setAutomine", [False])
    chain.web3.manager.request_blocking("evm_setIntervalMining", [1])


def trade_to_the_end(trading: Trading) -> None:
    """Both loops at once, as two companies run them."""
    wait = {"sleep": lambda seconds: time.sleep(min(seconds, 0.5))}
    failed: list[BaseException] = []

    def sell() -> None:
        try:
            serve(trading.seller, trading.listing_id, 1, **wait)
        except BaseException as error:
            failed.append(error)

    selling = threading.Thread(target=sell, daemon=True)
    selling.start()
    buy(trading.buyer, trading.model.test_samples, **wait)
    selling.join(timeout=120)
    assert failed == []
    assert not selling.is_alive()


@pytest.mark.slow
@pytest.mark.anvil
def test_every_move_is_dropped_once_and_the_trade_ends_as_ever(url: str, trade_on: Callable[..., Trading]) -> None:
    hasty = Chain.connect(url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    careful = Chain.connect(url, confirmations=CONFIRMATIONS)
    trading.wait_for(careful)
    depths = watch_key(trading.seller)
    hasty.advance_time(1)
    hasty.advance_time(1)
    every_second(hasty)
    forking = Forking(url, trading.market.contract)
    with forking.running():
        trade_to_the_end(trading)

    assert set(forking.dropped) == MOVES
    assert trading.market.trade(1).position.state is State.SETTLED
    assert trading.market.contract.functions.tradeCount().call() == 1
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert trading.buyer.delivered_onnx() == trading.package.plain_model
    assert depths[0] >= CONFIRMATIONS
    verify_log(trading.log.path)
    assert len(list(read_by_kind(trading.log, EntryKind.SETTLED))) >= 1


@pytest.mark.anvil
def test_a_move_whose_block_never_comes_back_is_no_loss(url: str, trade_on: Callable[..., Trading]) -> None:
    """Nobody makes blocks any more: the move is not taken for done."""
    hasty = Chain.connect(url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    hasty.advance_time(1)
    hasty.advance_time(1)
    trading.wait_for(connect_impatient(url, 1.0, confirmations=CONFIRMATIONS))
    with pytest.raises(ChainUnavailableError, match="1 of 3 confirmations"):
        trading.open()
    hasty.web3.manager.request_blocking("anvil_rollback", [1])
    every_second(hasty)
    trading.wait_for(Chain.connect(url, confirmations=CONFIRMATIONS))
    assert trading.open() == 1
    assert trading.market.contract.functions.tradeCount().call() == 1


@pytest.mark.slow
def test_a_number_that_goes_to_another_session_brings_it_no_state_of_the_first(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    """A key that the first buyer may have seen would open the second's delivery; another ciphertext would double it."""
    trading = trade_on(chain, policy=BY_TRANSACTION)
    trading.seller.publish()
    snapshot = chain._tester.take_snapshot()
    first = trading.play_until(State.REVEALED)
    kept, proven = trading.seller.vault(first), trading.market.event(first, Proven)
    answer = kept.read(Kind.RESPONSE.value)
    chain._tester.revert_to_snapshot(snapshot)

    trading.accounts[Role.BUYER] = Account.create()
    chain.fund(trading.accounts[Role.BUYER].address, 10 * ETHER)
    second_buyer = replace(trading.equipment(Role.BUYER), folder=trading.folder / "second")
    verified = trading.buyer.verify_listing()
    trading.buyer = Buyer(trading.listing_id, POLICY, second_buyer, labels=trading.model.test_labels, verified=verified)
    second = trading.play_until(State.PROVEN)
    assert second == first
    vault = trading.seller.vault(second)
    assert not vault.has(KEY_LEAVING)
    assert vault.read(DELIVERY_KEY) != kept.read(DELIVERY_KEY)
    assert vault.read(Kind.RESPONSE.value) != answer
    found = trading.market.event(second, Proven)
    assert found.ciphertext_root != proven.ciphertext_root
    assert found.key_hash != proven.key_hash
    assert trading.play() is State.SETTLED
    assert trading.buyer.delivered_onnx() == trading.package.plain_model


def test_a_copied_request_is_another_buyers_session(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Whoever copies a request, and is given its number after a reorganisation, gets none of its state."""
    trading = trade_on(chain, policy=BY_TRANSACTION)
    trading.seller.publish()
    snapshot = chain._tester.take_snapshot()
    first = trading.open()
    trade, of_first = trading.market.trade(first), trading.seller.vault(first)
    session = trading.market.session(first)
    chain._tester.revert_to_snapshot(snapshot)
    copier, offer = Account.create(), offer_digest(trading.seller.address, OFFER.terms(trading.package.manifest))
    chain.fund(copier.address, ETHER)
    trading.market.open_session(
        copier, trading.listing_id, offer, trade.samples, session.request_digest, FEE, before_sending=lambda _: None
    )
    again = trading.market.session(first)
    assert (again.request_digest, trading.market.trade(first).buyer) == (session.request_digest, copier.address)
    assert again.digest == trading.market.trade(first).digest != session.digest
    assert trading.seller.vault(first).folder != of_first.folder


@pytest.mark.slow
@pytest.mark.anvil
def test_a_seller_waits_for_no_confirmations_of_what_ends_a_trade(url: str, trade_on: Callable[..., Trading]) -> None:
    """The key of another trade may be due meanwhile. It looks again, and does once more what the chain has dropped."""
    hasty = Chain.connect(url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    trade_id = trading.play_until(State.ANSWERED)
    hasty.advance_time(trading.market.trade(trade_id).position.deadline_seconds - hasty.time().newest)
    hasty.advance_time(1)
    hasty.advance_time(1)
    trading.wait_for(connect_impatient(url, 1.0, confirmations=CONFIRMATIONS))
    seller, eth = trading.seller, hasty.web3.eth

    def sent() -> int:
        return eth.get_transaction_count(seller.address)

    before = sent()
    assert seller.step(trade_id)
    assert not seller.step(trade_id)
    assert sent() == before + 1
    hasty.web3.manager.request_blocking("anvil_rollback", [1])
    assert seller.step(trade_id)
    assert sent() == before + 1
    hasty.advance_time(1)
    hasty.advance_time(1)
    assert trading.market.trade(trade_id).position.state is State.EXPIRED

    assert seller.step(trade_id)  # withdraws
    assert not seller.step(trade_id)
    assert seller.is_owed()
    hasty.advance_time(1)
    hasty.advance_time(1)
    assert not seller.is_owed()
    assert sent() == before + 2
    assert trading.gains()[Role.SELLER] == FEE


@pytest.mark.slow
@pytest.mark.anvil
def test_one_that_waits_for_them_holds_everything_up(url: str, trade_on: Callable[..., Trading]) -> None:
    hasty = Chain.connect(url)
    trading = trade_on(hasty, policy=BY_TRANSACTION)
    trading.play_until(State.ANSWERED)
    hasty.advance_time(1)
    hasty.advance_time(1)
    trading.wait_for(connect_impatient(url, 1.0, confirmations=CONFIRMATIONS))
    trading.seller.lingers = True
    with pytest.raises(ChainUnavailableError, match="1 of 3 confirmations"):
        trading.seller.withdraw()
