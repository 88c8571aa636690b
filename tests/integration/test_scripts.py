"""The trader scripts, as two companies run them: two processes, one node, one shared folder."""

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from tests.simulators.companies import PASSWORD, Companies, finish, read_listing
from trader.chain import Chain
from trader.cli.app import app
from trader.demo.training import DemoModel


def command(*arguments: object) -> str:
    """What a command prints, which must end well."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"MODELSEAL_PASSWORD": PASSWORD})
    assert ran.exit_code == 0, ran.output
    return ran.output


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

    sold = command("seller", "trades", tmp_path / "seller.toml", "--json")
    (trade,) = [json.loads(line) for line in sold.splitlines()]
    assert (trade["listing"], trade["state"], trade["until_seconds"]) == (listing_id, "settled", 0)
    assert f"listing {listing_id}, settled" in command("seller", "trades", tmp_path / "seller.toml")
    # Both sides can show the trade to others; what the seller writes says nothing of the delivered file.
    file = tmp_path / "certificate.json"
    command("seller", "certificate", tmp_path / "seller.toml", trade["trade"], "--out", file)
    assert "settled" in command("audit", "verify-certificate", file, "--chain", anvil_url).lower()

    for name in ("seller", "buyer"):
        asked = finish(companies.start("audit_queries.py", companies.audit_log(name)))
        assert "unbroken" in asked
        assert re.search(r"trade \d+: \d+ entries, last (Settled|DeliveryVerified)", asked), asked
