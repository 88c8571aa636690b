"""The node dies in the middle of a trade: one clear error, and the trade goes on when it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulators.node import Node
from tests.simulators.trading import FEE, PRICE, Trading
from trader.chain import Chain
from trader.errors import ChainUnavailableError
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.anvil
def test_a_trade_goes_on_after_the_node_was_away(tmp_path: Path, trade_on: Callable[..., Trading]) -> None:
    node = Node(tmp_path)
    try:
        trading = trade_on(Chain.connect(node.start()))
        trade_id = trading.play_until(State.PURCHASED)
        node.stop()
        for step in (lambda: trading.seller.step(trade_id), trading.buyer.step):
            with pytest.raises(ChainUnavailableError) as away:
                step()
            assert "\n" not in str(away.value)
            assert "nothing is lost" in str(away.value)
        node.start()
        assert trading.play() is State.SETTLED
        assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    finally:
        node.stop()
