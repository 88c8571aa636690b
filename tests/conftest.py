"""What integration and adversarial tests share: a trained model, its package, and the chains that they trade on."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.trading import FEE, Trading
from trader.chain import Chain
from trader.demo.training import DemoModel, train_demo_model
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, SellerPackage, prepare

NODE_MODULES = Path(__file__).parents[1] / "contracts" / "node_modules"


@pytest.fixture(scope="session")
def trained_model() -> DemoModel:
    return train_demo_model("breast-cancer")


@pytest.fixture(scope="session")
def package(trained_model: DemoModel, tmp_path_factory: pytest.TempPathFactory) -> SellerPackage:
    folder = tmp_path_factory.mktemp("package")
    (folder / "model.onnx").write_bytes(trained_model.onnx_bytes)
    np.save(folder / "calibration.npy", trained_model.training_samples)
    options = PrepareOptions(
        card=ModelCard(name="breast cancer"),
        buyer_quota_samples=300,
        listing_quota_samples=600,
        fee_wei=FEE,
        insist=True,
    )
    return prepare(
        folder / "model.onnx", folder / "out", options, password="test", calibration=folder / "calibration.npy"
    )


@pytest.fixture
def chain() -> Chain:
    return Chain.embedded()


@pytest.fixture(scope="session")
def anvil_url() -> Iterator[str]:
    """A node of its own on a free port of the loopback interface; skipped where npm has not installed one."""
    binary = next(iter(NODE_MODULES.glob("@foundry-rs/anvil-*/bin/anvil")), None)
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("anvil is needed in CI: run `make node`")
        pytest.skip("anvil is not installed: run `make node`")
    process = subprocess.Popen(
        [binary, "--host", "127.0.0.1", "--port", "0"], stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    )
    try:
        for line in process.stdout:
            if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", line):
                break
        yield f"http://{found[1]}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def trade_on(package: SellerPackage, trained_model: DemoModel, tmp_path: Path) -> Iterator[Callable[..., Trading]]:
    """Sets tables: `trade_on(chain, seller_type=…, buyer_type=…)`."""
    tables: list[Trading] = []

    def set_table(chain: Chain, **parties: type) -> Trading:
        tables.append(Trading(chain, package, trained_model, tmp_path / f"table-{len(tables)}", **parties))
        return tables[-1]

    yield set_table
    for table in tables:
        table.close()
