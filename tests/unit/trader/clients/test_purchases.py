"""Purchases whose folders are gone: no second fee is paid for them without a word."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from trader.clients.purchases import Purchases
from trader.errors import CallerError
from trader.parties.filenames import OPENING
from trader.trade import Position, State

if TYPE_CHECKING:
    from pathlib import Path

BUYER = "0x" + "11" * 20


def purchases_of(folder: Path, *states: State) -> Purchases:
    """An account that has opened trades of listing 7, and one of listing 8."""
    numbers = range(1, len(states) + 1)
    market = SimpleNamespace(
        place="1-0x" + "22" * 20,
        find_trades_of=lambda _: (*numbers, 99),
        opened=dict.fromkeys(numbers, (7, BUYER)) | {99: (8, BUYER)},
        trade=lambda number: SimpleNamespace(position=Position(states[number - 1], 0)),
    )
    connection: Any = SimpleNamespace(market=market, account=SimpleNamespace(address=BUYER))
    return Purchases(cast("Any", SimpleNamespace(folder=folder)), connection)


def begin(purchases: Purchases, suffix: str = "") -> None:
    folder = purchases.folder / f"{purchases.place}-listing-7{suffix}"
    folder.mkdir(parents=True)
    (folder / OPENING).write_bytes(b"")


def test_a_trade_that_nothing_is_kept_of_is_no_reason_to_pay_again(tmp_path: Path) -> None:
    purchases = purchases_of(tmp_path, State.TESTING)
    with pytest.raises(CallerError, match=r"opened 1 trades of listing 7.* knows of 0"):
        purchases.require_none_lost(7)


def test_of_two_one_may_be_lost(tmp_path: Path) -> None:
    purchases = purchases_of(tmp_path, State.SETTLED, State.PURCHASED)
    begin(purchases)
    with pytest.raises(CallerError, match=r"opened 2 trades of listing 7.* knows of 1"):
        purchases.require_none_lost(7)
    begin(purchases, "-2")
    purchases.require_none_lost(7)


def test_what_has_ended_is_not_missed(tmp_path: Path) -> None:
    purchases_of(tmp_path, State.EXPIRED, State.SETTLED).require_none_lost(7)


def test_other_listings_dont_count(tmp_path: Path) -> None:
    purchases_of(tmp_path).require_none_lost(7)
