"""What was made once is not made again: an answer that waits to be mined, a ciphertext that a disk has damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulators.trading import FEE, PRICE, Trading
from trader.errors import ChainUnavailableError
from trader.exchange import Kind
from trader.parties.filenames import CIPHERTEXT
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain

pytestmark = pytest.mark.slow
SOLD = {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}


def test_an_answer_that_waits_is_not_evaluated_again(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fresh noise it would be another one, and the buyer would look for the first in vain."""
    trading = trade_on(chain)
    trade_id = trading.open()
    vault = trading.seller.vault(trade_id)

    def wait_for_ever(*_arguments: object, **_options: object) -> None:
        raise ChainUnavailableError("not mined in time")

    with monkeypatch.context() as patched:
        patched.setattr(trading.market, "respond", wait_for_ever)
        with pytest.raises(ChainUnavailableError):
            trading.seller.step(trade_id)
    waiting = bytes(vault.map(Kind.RESPONSE.value))
    trading.seller = trading.new_seller()
    trading.seller.step(trade_id)
    assert bytes(vault.map(Kind.RESPONSE.value)) == waiting
    assert [step.name for step in trading.steps].count("evaluate") == 1
    assert trading.play() is State.SETTLED


def test_a_bit_that_the_buyers_disk_lost_is_not_taken_for_the_sellers_fault(
    chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain)
    trading.play_until(State.REVEALED)
    kept = trading.buyer.vault.folder / CIPHERTEXT
    damaged = bytearray(kept.read_bytes())
    damaged[700] ^= 1
    kept.write_bytes(bytes(damaged))
    assert trading.play() is State.SETTLED
    assert trading.gains() == SOLD
    assert trading.buyer.delivered_onnx() == trading.package.plain_model
