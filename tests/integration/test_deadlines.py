"""From a state's deadline on, moves are refused by both drivers, and either of them ends the trade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulators.trading import FEE, OFFER, PRICE, PROOF_FEE, Trading
from trader.errors import IllegalMoveError
from trader.trade import WINDOWS, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain

pytestmark = pytest.mark.slow

MOVES = {
    State.TESTING: lambda trading, trade_id: trading.seller.answer(trade_id),
    State.ANSWERED: lambda trading, _: trading.buyer.purchase(),
    State.PURCHASED: lambda trading, trade_id: trading.seller.prove(trade_id),
    State.PROVEN: lambda trading, _: trading.buyer.accept(),
    State.ACCEPTED: lambda trading, trade_id: trading.seller.reveal(trade_id),
    State.REVEALED: lambda trading, _: trading.buyer.check_and_confirm(),
}
ENDINGS = {
    State.TESTING: {Role.SELLER: 0, Role.BUYER: 0},
    State.PROVEN: {Role.SELLER: FEE + PROOF_FEE, Role.BUYER: -FEE - PROOF_FEE},
    State.ACCEPTED: {Role.SELLER: FEE - PROOF_FEE, Role.BUYER: PROOF_FEE - FEE},
    State.REVEALED: {Role.SELLER: FEE + PRICE, Role.BUYER: -FEE - PRICE},
}
FEE_PAID = {Role.SELLER: FEE, Role.BUYER: -FEE}


@pytest.mark.parametrize("state", list(WINDOWS))
def test_a_missed_deadline_ends_in_a_safe_place(state: State, chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(state)
    end = trading.seller.settle if state is State.REVEALED else trading.seller.expire
    with pytest.raises(IllegalMoveError):
        end(trade_id)

    position = trading.market.trade(trade_id).position
    left = position.deadline_seconds - chain.time().newest
    assert 0 < left <= getattr(OFFER.windows, WINDOWS[state])
    chain.advance_time(left)
    with pytest.raises(IllegalMoveError, match="its deadline has passed"):
        MOVES[state](trading, trade_id)
    assert trading.market.trade(trade_id).position == position

    ender = trading.buyer if state in (State.TESTING, State.PURCHASED, State.ACCEPTED) else None
    assert ender.step() if ender else trading.seller.step(trade_id)
    trading.play()
    assert trading.gains() == ENDINGS.get(state, FEE_PAID)


def test_a_buyer_that_declines_owes_nothing_but_the_fee(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.buyer.decide = lambda result: False
    assert trading.play() is State.EXPIRED
    assert trading.gains() == FEE_PAID
