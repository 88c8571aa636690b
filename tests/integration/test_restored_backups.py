"""Folders restored from old backups, and folders that are gone: what goes on, what is lost, what is done once."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from contracts import ETH
from tests.simulators.trading import BOND, FEE, PRICE, PROOF_FEE, Trading
from trader.clients.ending import end_trade, open_trades
from trader.currencies import Currencies
from trader.demo.setup import MAILBOX
from trader.errors import IllegalMoveError, PartyFolderError
from trader.exchange import FolderMailbox, Kind
from trader.parties.filenames import DELIVERY_KEY
from trader.trade import Answered, Proven, Revealed, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.chain import Chain
    from trader.clients.connection import Connection


def restore(backup: Path, folder: Path) -> None:
    """A folder becomes what it was."""
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def empty_mailbox(trading: Trading) -> None:
    """The messages were in the folder as well."""
    for path in (trading.folder / MAILBOX).rglob("*"):
        if path.is_file() and Kind.PACKAGE.value not in path.name:
            path.unlink()
    trading.mailbox = FolderMailbox(trading.folder / MAILBOX)  # it remembers what it has seen


def connection_of(trading: Trading, role: Role) -> Connection:
    """An account and its market, without a folder."""
    parts = {"market": trading.market, "account": trading.accounts[role], "currencies": Currencies()}
    return cast("Connection", SimpleNamespace(**parts))


@pytest.mark.slow
def test_a_seller_restored_from_before_its_proof_delivers_what_it_has_proven(
    chain: Chain, trade_on: Callable[..., Trading], tmp_path: Path
) -> None:
    """Restored again in each state: the same key, the same ciphertext, one proof, no bond lost."""
    trading = trade_on(chain)
    backup, own = tmp_path / "backup", trading.folder / Role.SELLER.value
    trade_id = trading.play_until(State.PURCHASED)
    shutil.copytree(own, backup)
    assert trading.seller.step(trade_id)
    proven = trading.market.event(trade_id, Proven)
    key = trading.seller.vault(trade_id).read(DELIVERY_KEY)
    for state in (State.ACCEPTED, State.REVEALED):
        del trading.seller
        restore(backup, own)
        empty_mailbox(trading)
        trading.buyer = trading.new_buyer(trading.buyer.verify_listing())
        trading.seller = trading.new_seller()
        assert not trading.seller.vault(trade_id).has(DELIVERY_KEY)
        while trading.market.trade(trade_id).position.state < state:
            assert trading.round(trade_id)
    assert trading.market.event(trade_id, Revealed).key == key
    assert trading.market.event(trade_id, Proven) == proven
    assert trading.play() is State.SETTLED
    assert trading.package.budget.published == 1
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert trading.buyer.delivered_onnx() == trading.package.plain_model


@pytest.mark.slow
def test_a_seller_restored_from_before_its_answer_makes_no_second_one(
    chain: Chain, trade_on: Callable[..., Trading], tmp_path: Path
) -> None:
    """Two answers to one request would tell more of the model than one."""
    trading = trade_on(chain)
    backup, own = tmp_path / "backup", trading.folder / Role.SELLER.value
    trade_id = trading.open()
    shutil.copytree(own, backup)
    assert trading.seller.step(trade_id)
    answered = trading.market.event(trade_id, Answered)
    del trading.seller
    restore(backup, own)
    trading.seller = trading.new_seller()
    assert not trading.seller.step(trade_id)  # the mailbox has it still
    empty_mailbox(trading)
    trading.seller = trading.new_seller()
    with pytest.raises(PartyFolderError, match="restore a newer backup"):
        trading.seller.step(trade_id)
    assert trading.market.event(trade_id, Answered) == answered
    assert not trading.seller.vault(trade_id).has(Kind.RESPONSE.value)


@pytest.mark.slow
def test_money_is_saved_without_folders(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """Both have lost everything but their accounts after the proof: the deadline gives back what it says."""
    trading = trade_on(chain)
    trade_id = trading.play_until(State.PROVEN)
    buyer, seller = (connection_of(trading, role) for role in (Role.BUYER, Role.SELLER))
    (left,) = open_trades(buyer)
    assert (left.trade_id, left.position.state) == (trade_id, State.PROVEN)
    with pytest.raises(IllegalMoveError, match="its deadline has not passed"):
        end_trade(buyer, trade_id, Role.BUYER)
    chain.advance_time(max(0, left.position.deadline_seconds - chain.time().newest))
    ended = end_trade(buyer, trade_id, Role.BUYER)
    assert (ended.state, ended.withdrawn) == ("expired", {ETH: PRICE - PROOF_FEE})
    assert end_trade(seller, trade_id, Role.SELLER).withdrawn == {ETH: BOND + PROOF_FEE + FEE}
    assert open_trades(buyer) == []
    gains: dict[Any, int] = trading.gains()
    assert gains == {Role.SELLER: FEE + PROOF_FEE, Role.BUYER: -FEE - PROOF_FEE}
