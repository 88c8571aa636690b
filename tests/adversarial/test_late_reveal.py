"""A key that leaves too late: the transaction fails, and everybody who watched it pass has the key."""

from __future__ import annotations

import json
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from contracts import Windows
from tests.simulators.killing import KilledError
from tests.simulators.node import connect_impatient
from tests.simulators.proxy import Proxy, call_of
from tests.simulators.trading import FEE, PROOF_FEE, Trading
from trader.chain import Chain, ChainTime
from trader.chain.transactions import Transactions
from trader.errors import CallerError, ChainUnavailableError, IllegalMoveError, TooLateError, TraderError
from trader.parties.filenames import DELIVERY_KEY, KEY_LEAVING, KEY_SENT
from trader.parties.margins import SellerPolicy
from trader.trade import Proven, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.parties.seller import Seller

SLOT_SECONDS = 12
NO_MARGIN = SellerPolicy(margin_seconds=0, margin_blocks=-10, block_seconds=0, working_seconds=0)
"""The unprotected twin's: it reveals as long as the newest block is before the deadline, if only by a second."""


class StaleChain(Chain):
    """What the other unprotected twin trades on: it takes the time of the newest confirmed block for the time."""

    def time(self) -> ChainTime:
        confirmed = super().time().confirmed
        return ChainTime(confirmed=confirmed, newest=confirmed, clock=confirmed)


class Slots:
    """A chain with a block every slot: the next one after the deadline, whatever waits for it."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.passing: list[bytes] = []
        """Calldata of what waited for the last block."""

    def request(self, method: str, *parameters: Any) -> Any:
        return self._chain.web3.manager.request_blocking(method, list(parameters))

    def block_at(self, time_seconds: int) -> None:
        self.request("evm_setNextBlockTimestamp", time_seconds)
        self.request("evm_mine")

    def block_soon_at(self, time_seconds: int) -> threading.Thread:
        def make() -> None:
            time.sleep(2)
            pending = self.request("eth_getBlockByNumber", "pending", True)
            self.passing = [bytes(HexBytes(transaction["input"])) for transaction in pending["transactions"]]
            self.block_at(time_seconds)

        thread = threading.Thread(target=make)
        thread.start()
        return thread


def has_left(seller: Seller, trade_id: int) -> bool:
    """Whether the seller takes a trade's key for one that may have left."""
    return any(seller.vault(trade_id).has(mark) for mark in (KEY_LEAVING, KEY_SENT))


def late_by_a_slot(trading: Trading, trade_id: int) -> Slots:
    """Everything is ready for the key, and the next block comes after the deadline."""
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    slots = Slots(trading.chain)
    slots.block_at(deadline - 3)
    slots.request("evm_setAutomine", False)
    return slots


@pytest.mark.slow
@pytest.mark.anvil
def test_without_a_margin_the_key_is_public_and_the_price_goes_back(
    anvil_url: str, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(Chain.connect(anvil_url), seller_policy=NO_MARGIN)
    trade_id = trading.play_until(State.ACCEPTED)
    position = trading.market.trade(trade_id).position
    slots = late_by_a_slot(trading, trade_id)
    try:
        slot = slots.block_soon_at(position.deadline_seconds - 3 + SLOT_SECONDS)
        with pytest.raises(TraderError, match="failed: the trade moved on"):
            trading.seller.reveal(trade_id)
        slot.join()
    finally:
        slots.request("evm_setAutomine", True)

    key = trading.seller.vault(trade_id).read(DELIVERY_KEY)
    assert any(key in calldata for calldata in slots.passing)
    trading.buyer.receiving.open_delivery(trade_id, key)
    assert trading.buyer.delivered_onnx() == trading.package.plain_model
    assert trading.play() is State.EXPIRED
    # A model for nothing, and the fee of a proof on top.
    assert trading.gains() == {Role.SELLER: FEE - PROOF_FEE, Role.BUYER: PROOF_FEE - FEE}


@pytest.mark.slow
@pytest.mark.anvil
def test_our_seller_keeps_a_key_that_would_come_late(anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    trade_id = trading.play_until(State.ACCEPTED)
    position = trading.market.trade(trade_id).position
    slots = late_by_a_slot(trading, trade_id)
    try:
        slot = slots.block_soon_at(position.deadline_seconds - 3 + SLOT_SECONDS)
        with pytest.raises(TooLateError, match=r"3 seconds are left .* your margin is 600"):
            trading.seller.reveal(trade_id)
        assert not trading.seller.step(trade_id)
        slot.join()
    finally:
        slots.request("evm_setAutomine", True)
    assert slots.passing == []
    assert not has_left(trading.seller, trade_id)
    assert trading.play() is State.EXPIRED
    assert not trading.buyer.has_model()
    assert trading.gains() == {Role.SELLER: FEE - PROOF_FEE, Role.BUYER: PROOF_FEE - FEE}


@pytest.mark.slow
def test_a_stale_clock_lets_the_key_out_long_after_the_deadline(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """With 23 confirmations the newest confirmed block is 22 slots old, and its time was taken for the time."""
    trading = trade_on(chain, seller_policy=NO_MARGIN)
    trade_id = trading.play_until(State.ACCEPTED)
    position = trading.market.trade(trade_id).position
    chain.advance_time(position.deadline_seconds - 10 - chain.time().newest)
    for _ in range(11):
        chain.advance_time(2 * SLOT_SECONDS)  # two blocks
    careful = {"web3": chain.web3, "name": "the embedded chain", "confirmations": 23, "timeout_seconds": 1}
    trading.wait_for(StaleChain(**careful))
    now = Chain(**careful).time()
    assert now.newest - position.deadline_seconds > 20 * SLOT_SECONDS
    assert now.confirmed < position.deadline_seconds

    with pytest.raises(TraderError, match="DeadlinePassed"):
        trading.seller.reveal(trade_id)
    assert trading.seller.vault(trade_id).has(KEY_SENT)  # it had left: a node without that contract's word takes it

    trading.seller_policy = SellerPolicy()
    trading.wait_for(Chain(**careful))
    for mark in (KEY_LEAVING, KEY_SENT):
        trading.seller.vault(trade_id).forget(mark)
    ours = trading.new_seller()
    with pytest.raises(IllegalMoveError, match="its deadline has passed"):
        ours.reveal(trade_id)
    assert not has_left(ours, trade_id)


@pytest.mark.slow
def test_a_clock_that_is_behind_the_chain_does_not_count(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Neither does a node that is behind the clock: the later of the two is the time."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    margin = trading.seller.policy.margin(1)
    chain.advance_time(deadline - margin - chain.time().newest)
    with pytest.raises(TooLateError, match=r"[0-9]+ seconds are left"):
        trading.seller.reveal(trade_id)
    assert trading.play() is State.EXPIRED


@pytest.mark.slow
def test_a_key_that_has_left_is_sent_again_up_to_the_deadline(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Its block was dropped, say: the key is public, and only being mined in time still helps."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    snapshot = chain._tester.take_snapshot()
    trading.seller.reveal(trade_id)
    chain._tester.revert_to_snapshot(snapshot)
    chain.advance_time(deadline - 60 - chain.time().newest)
    assert trading.new_seller().step(trade_id)
    assert trading.market.trade(trade_id).position.state is State.REVEALED


@pytest.mark.slow
@pytest.mark.parametrize("left", [False, True], ids=["before the key leaves", "when it has left"])
@pytest.mark.parametrize(("seconds", "sent"), [(3000, True), (300, True), (60, False)])
def test_a_seller_killed_around_the_sending_sends_while_there_is_time_for_a_block(
    chain: Chain,
    trade_on: Callable[..., Trading],
    monkeypatch: pytest.MonkeyPatch,
    left: bool,
    seconds: int,
    sent: bool,
) -> None:
    """It can't know whether the key has left: most likely it has, so that its margin no longer helps.

    In the last blocks it keeps what may still be a secret: if it was none, sending it again would hardly have helped.
    """
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    snapshot, send = chain._tester.take_snapshot(), chain.web3.eth.send_raw_transaction

    def die(signed: HexBytes) -> None:
        if left:
            send(signed)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(chain.web3.eth, "send_raw_transaction", die)
        with pytest.raises(KilledError):
            trading.seller.reveal(trade_id)
    chain._tester.revert_to_snapshot(snapshot)  # the chain does not have it, or not any more
    vault = trading.seller.vault(trade_id)
    assert (vault.has(KEY_LEAVING), vault.has(KEY_SENT)) == (True, False)

    chain.advance_time(deadline - seconds - chain.time().newest)
    trading.seller = trading.new_seller()
    assert trading.seller.step(trade_id) == sent
    assert trading.market.trade(trade_id).position.state is (State.REVEALED if sent else State.ACCEPTED)


class Watching(Proxy):
    """An endpoint that keeps what it was sent; one that includes nothing says that it did."""

    def __init__(self, url: str, *, includes: bool = True) -> None:
        super().__init__(url)
        self.seen: list[bytes] = []
        self._includes = includes

    def answer(self, body: bytes) -> bytes | None:
        self.seen.append(body)
        call = call_of(body)
        if self._includes or call["method"] != "eth_sendRawTransaction":
            return super().answer(body)
        taken = "0x" + keccak(HexBytes(call["params"][0])).hex()
        return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": taken}).encode()

    def knows(self, *secrets: bytes) -> set[str]:
        """The calls that showed it one of some secrets."""
        return {
            json.loads(body)["method"] for body in self.seen if any(secret.hex().encode() in body for secret in secrets)
        }


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize("protected", [True, False])
def test_no_call_shows_the_key_to_the_public_node(
    anvil_url: str, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """Not even one that asks what it would cost, before it is decided that the key leaves; the twin asks."""
    trading = trade_on(Chain.connect(anvil_url))
    trade_id = trading.play_until(State.ACCEPTED)
    key, root = (
        trading.seller.vault(trade_id).read(DELIVERY_KEY),
        trading.market.event(trade_id, Proven).ciphertext_root,
    )
    calldata = HexBytes(trading.market.contract.encode_abi("reveal", [trade_id, root, key, b""]))
    if not protected:
        fill = Transactions._fill

        def ask_first(self: Any, *given: Any, **options: Any) -> Any:
            *others, ways = given
            return fill(self, *others, replace(ways, secret=False), **options)

        monkeypatch.setattr(Transactions, "_fill", ask_first)
    public, relay = Watching(anvil_url), Watching(anvil_url)
    with public.running() as url, relay.running() as reveal_url:
        trading.wait_for(Chain.connect(url, reveal_url=reveal_url))
        assert trading.seller.step(trade_id)
        assert trading.market.trade(trade_id).position.state is State.REVEALED
    assert len(public.seen) > 10
    assert public.knows(key, calldata) == (set() if protected else {"eth_estimateGas"})
    assert relay.knows(key) == relay.knows(calldata) == {"eth_sendRawTransaction"}


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize(("seconds", "public_too"), [(400, True), (60, False)])
def test_a_key_that_a_relay_never_includes_goes_to_the_public_node_while_there_is_time(
    anvil_url: str, trade_on: Callable[..., Trading], seconds: int, public_too: bool
) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    trade_id = trading.play_until(State.ACCEPTED)
    key = trading.seller.vault(trade_id).read(DELIVERY_KEY)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    public, relay = Watching(anvil_url), Watching(anvil_url, includes=False)
    with public.running() as url, relay.running() as reveal_url:
        trading.wait_for(connect_impatient(url, 2.0, reveal_url=reveal_url))
        with pytest.raises(ChainUnavailableError, match="0 of 1 confirmations"):
            trading.seller.reveal(trade_id)
        assert relay.knows(key)
        trading.chain.advance_time(deadline - seconds - trading.chain.time().newest)
        with nullcontext() if public_too else pytest.raises(ChainUnavailableError, match="0 of 1 confirmations"):
            trading.seller.reveal(trade_id)
        state = trading.market.trade(trade_id).position.state
    assert state is (State.REVEALED if public_too else State.ACCEPTED)
    assert public.knows(key) == ({"eth_sendRawTransaction"} if public_too else set())


def test_windows_that_the_seller_could_not_keep_are_not_offered() -> None:
    policy = SellerPolicy()
    assert policy.margin(1) == 600
    assert policy.margin(64) == 69 * 12
    policy.check_windows(Windows(3600, 1, 3600, 1, 3600, 1), 1)
    for confirmations, windows, name in (
        (1, Windows(1212, 1, 3600, 1, 3600, 1), "answer"),
        (1, Windows(3600, 1, 1212, 1, 3600, 1), "prove"),
        (1, Windows(3600, 1, 3600, 1, 684, 1), "reveal"),
        (64, Windows(3600, 1, 3600, 1, 2424, 1), "reveal"),
    ):
        with pytest.raises(CallerError, match=f"seconds to {name} are too short for you: {confirmations} conf"):
            policy.check_windows(windows, confirmations)
    policy.check_windows(Windows(1213, 1, 1213, 1, 685, 1), 1)


def test_there_is_always_time_for_the_public_node() -> None:
    """Whatever the confirmations: from some of them on, the margin is no more than the time for a place in a block."""
    policy = SellerPolicy()
    for confirmations in range(1, 200):
        assert policy.public_margin(confirmations) - policy.margin(confirmations) >= 72
        assert policy.margin(confirmations) >= policy.least_margin(confirmations)


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize("seconds", [640, 400])
def test_a_relay_that_is_away_keeps_no_key_from_the_public_node(
    anvil_url: str, trade_on: Callable[..., Trading], seconds: int
) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    trade_id = trading.play_until(State.ACCEPTED)
    key = trading.seller.vault(trade_id).read(DELIVERY_KEY)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    public = Watching(anvil_url)
    with public.running() as url:
        trading.wait_for(connect_impatient(url, 1.0, reveal_url="http://127.0.0.1:9"))
        with pytest.raises(ChainUnavailableError):
            trading.seller.reveal(trade_id)
        assert not public.knows(key)
        trading.chain.advance_time(deadline - seconds - trading.chain.time().newest)
        trading.seller.reveal(trade_id)
        assert trading.market.trade(trade_id).position.state is State.REVEALED


@pytest.mark.slow
def test_a_node_that_takes_its_time_does_not_make_the_key_late(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was time when the seller looked; there is none when the transaction is ready to leave."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    fill = Transactions._fill

    def fill_slowly(*arguments: Any, **options: Any) -> Any:
        chain.advance_time(deadline - 60 - chain.time().newest)
        return fill(*arguments, **options)

    monkeypatch.setattr(Transactions, "_fill", fill_slowly)
    with pytest.raises(TooLateError):
        trading.seller.reveal(trade_id)
    assert not has_left(trading.seller, trade_id)
    assert trading.market.trade(trade_id).position.state is State.ACCEPTED


@pytest.mark.slow
def test_a_key_that_no_node_took_has_not_left(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a node that is away for as long as it likes would talk the seller out of its margin."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)

    def refuse(_: object) -> None:
        raise ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(chain.web3.eth, "send_raw_transaction", refuse)
        with pytest.raises(ChainUnavailableError):
            trading.seller.reveal(trade_id)
    deadline = trading.market.trade(trade_id).position.deadline_seconds
    chain.advance_time(deadline - 60 - chain.time().newest)
    for seller in (trading.seller, trading.new_seller()):
        with pytest.raises(TooLateError):
            seller.reveal(trade_id)


def test_the_later_of_block_and_clock_is_the_time_for_secrets() -> None:
    """A node that stands still, or a clock that does; but a clock that runs ahead keeps nobody from another move."""
    assert ChainTime(confirmed=1, newest=10, clock=5).latest == 10
    assert ChainTime(confirmed=1, newest=10, clock=50).latest == 50


@pytest.mark.slow
def test_a_clock_that_is_ahead_keeps_the_key_and_not_the_dispute(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ACCEPTED)
    time_of = chain.time
    with monkeypatch.context() as patch:
        patch.setattr(chain, "time", lambda: replace(time_of(), clock=time_of().newest + 30 * 24 * 3600))
        with pytest.raises(TooLateError):
            trading.seller.reveal(trade_id)
    trading.seller.reveal(trade_id)
    monkeypatch.setattr(chain, "time", lambda: replace(time_of(), clock=time_of().newest + 30 * 24 * 3600))
    assert trading.buyer.check_and_confirm()
