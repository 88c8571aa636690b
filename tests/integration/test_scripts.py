"""The trader scripts, as two companies run them: two processes, one node, one shared folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from trader.accounts import create_account, read_address
from trader.chain import Chain
from trader.demo.training import train_demo_model
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, prepare

SCRIPTS = Path(__file__).parents[2] / "scripts"
PASSWORD = "correct horse"
ENVIRONMENT = {**os.environ, "MODELSEAL_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1"}


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output


def read_listing(seller: subprocess.Popen[str]) -> re.Match[str]:
    """What buyers need: the market's address and the listing's number, as the seller prints them."""
    printed = []
    for line in seller.stdout:
        printed.append(line)
        if found := re.match(r"market (0x\w{40}) listing (\d+)", line):
            return found
    pytest.fail("".join(printed))


def fund(chain: Chain, keyfile: Path) -> None:
    chain.fund(read_address(keyfile), 10**19)


@pytest.mark.slow
@pytest.mark.anvil
def test_sell_buy_and_audit(anvil_url: str, tmp_path: Path) -> None:
    trained = train_demo_model("breast-cancer")
    (tmp_path / "model.onnx").write_bytes(trained.onnx_bytes)
    np.save(tmp_path / "calibration.npy", trained.training_samples)
    np.savetxt(tmp_path / "test.csv", trained.test_samples, delimiter=",")
    np.savetxt(tmp_path / "labels.csv", trained.test_labels, fmt="%d")
    exchange = (tmp_path / "exchange").as_uri()
    for name in ("seller", "buyer"):
        create_account(tmp_path / f"{name}.json", PASSWORD)
    options = PrepareOptions(
        card=ModelCard(name="tumours"),
        buyer_quota_samples=264,
        seller=read_address(tmp_path / "seller.json"),
        insist=True,
        endpoint=exchange,
    )
    prepare(
        tmp_path / "model.onnx",
        tmp_path / "package",
        options,
        password=PASSWORD,
        calibration=tmp_path / "calibration.npy",
    )
    chain = Chain.connect(anvil_url)
    for name in ("seller", "buyer"):
        fund(chain, tmp_path / f"{name}.json")

    seller = start(
        "sell_model.py",
        tmp_path / "package",
        *("--chain", anvil_url, "--keyfile", tmp_path / "seller.json", "--folder", tmp_path / "seller"),
    )
    try:
        listed = read_listing(seller)
        bought = finish(
            start(
                "buy_model.py",
                listed[2],
                *("--chain", anvil_url, "--market", listed[1], "--keyfile", tmp_path / "buyer.json"),
                *("--exchange", exchange, "--folder", tmp_path / "buyer", "--development"),
                *("--data", tmp_path / "test.csv", "--labels", tmp_path / "labels.csv"),
                *("--out", tmp_path / "bought.onnx"),
            )
        )
        finish(seller)
    finally:
        seller.kill()
        seller.communicate()
    assert "accuracy 97" in bought
    session = onnxruntime.InferenceSession(tmp_path / "bought.onnx")
    (outputs,) = session.run(["raw"], {"input": trained.test_samples.astype(np.float32)})
    assert np.mean(outputs.argmax(axis=1) == trained.test_labels) == trained.accuracy

    for name in ("seller", "buyer"):
        asked = finish(start("audit_queries.py", tmp_path / name / "audit.sqlite"))
        assert "unbroken" in asked
        assert re.search(r"trade \d+: \d+ entries, last (Settled|DeliveryVerified)", asked), asked
