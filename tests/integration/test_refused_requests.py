"""What SEAL refuses ends no seller's loop: it is refused as any request that is none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.simulators.classifier import write_dense
from tests.simulators.trading import make_package
from trader.he import WireError
from trader.he.seal import objects as seal
from trader.parties.filenames import REFUSED
from trader.trade import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.simulators.trading import Trading
    from trader.chain import Chain
    from trader.demo.training import DemoModel

SAMPLES, FEATURES = 8, 20


@pytest.mark.slow
def test_whatever_else_seal_refuses_is_a_request_that_is_none(
    chain: Chain,
    trade_on: Callable[..., Trading],
    trained_model: DemoModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No bare RuntimeError, which the loops of `trader.parties.driving` don't take for anybody's fault."""

    def refuse(*_given):
        raise RuntimeError("encrypted is not valid for encryption parameters")

    samples = np.random.default_rng(6).normal(0, 0.5, (64, FEATURES))
    model = replace(
        trained_model,
        onnx_bytes=write_dense(tmp_path / "linear.onnx", FEATURES, 3).read_bytes(),
        training_samples=samples,
        test_samples=samples[:SAMPLES],
        test_labels=np.zeros(SAMPLES, dtype=np.int64),
    )
    (tmp_path / "linear").mkdir()
    trading = trade_on(chain, listed=make_package(model, tmp_path / "linear"))
    trading.model = model
    trading.buyer = trading.new_buyer()
    assert trading.seller.goods.plan.for_samples(SAMPLES).packed, "only there does SEAL add up what it rotates"
    monkeypatch.setattr(seal.Automorphisms, "_rotated_sum", refuse)
    trade_id = trading.open()
    with pytest.raises(WireError, match="can't be evaluated: encrypted is not valid"):
        trading.seller.answer(trade_id)
    assert not trading.seller.step(trade_id)
    assert trading.seller.vault(trade_id).has(REFUSED)
    assert trading.market.trade(trade_id).position.state is State.TESTING
