"""The trader scripts, as two companies run them: two processes, one node, one shared folder."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.simulators.companies import Companies, finish, read_listing
from trader.chain import Chain
from trader.demo.training import DemoModel


@pytest.mark.slow
@pytest.mark.anvil
def test_sell_buy_and_audit(anvil_url: str, trained_model: DemoModel, tmp_path: Path) -> None:
    companies = Companies(tmp_path, trained_model)
    companies.prepare()
    companies.new_account("buyer")
    for name in ("seller", "buyer"):
        companies.fund(Chain.connect(anvil_url), name)

    seller = companies.start_seller(anvil_url)
    try:
        _, listing_id = read_listing(seller)
        bought = finish(companies.start_buyer(anvil_url, listing_id))
        finish(seller)
    finally:
        seller.kill()
        seller.communicate()
    assert "accuracy 97" in bought
    session = onnxruntime.InferenceSession(tmp_path / "buyer.onnx")
    (outputs,) = session.run(["probabilities"], {"features": trained_model.test_samples.astype(np.float32)})
    assert np.mean(outputs.argmax(axis=1) == trained_model.test_labels) == trained_model.accuracy

    for name in ("seller", "buyer"):
        asked = finish(companies.start("audit_queries.py", companies.audit_log(name)))
        assert "unbroken" in asked
        assert re.search(r"trade \d+: \d+ entries, last (Settled|DeliveryVerified)", asked), asked
