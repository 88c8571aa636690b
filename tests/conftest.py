"""What integration and adversarial tests share: a trained model, its package, and the chains that they trade on.

Packages are imported by the fixtures that need them: unit tests of one package must not load all the others.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulators.trading import Trading
    from trader.chain import Chain
    from trader.demo.training import DemoModel
    from trader.package import SellerPackage
    from zk import Srs

NODE_MODULES = Path(__file__).parents[1] / "contracts" / "node_modules"


@pytest.fixture(scope="session")
def trained_model() -> DemoModel:
    from trader.demo.training import train_demo_model

    return train_demo_model("breast-cancer")


@pytest.fixture(scope="session")
def package(trained_model: DemoModel, tmp_path_factory: pytest.TempPathFactory) -> SellerPackage:
    from tests.simulators.trading import make_package

    return make_package(trained_model, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def package_srs(package: SellerPackage, tmp_path_factory: pytest.TempPathFactory) -> Srs:
    from zk import read_srs

    path = tmp_path_factory.mktemp("srs") / "development.srs"
    path.write_bytes(package.public.development_srs)
    return read_srs(path, development=True)


@pytest.fixture
def chain() -> Chain:
    from trader.chain import Chain

    return Chain.embedded()


@pytest.fixture(scope="session")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node of its own on a free port of the loopback interface; skipped where npm has not installed one."""
    binary = next(iter(NODE_MODULES.glob("@foundry-rs/anvil-*/bin/anvil")), None)
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("anvil is needed in CI: run `make node`")
        pytest.skip("anvil is not installed: run `make node`")
    # Into a file: a pipe that nobody empties would stop the node once it is full.
    output = tmp_path_factory.mktemp("anvil") / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen([binary, "--host", "127.0.0.1", "--port", "0"], stdout=file, stderr=file)
    try:
        yield f"http://{_listening_address(process, output)}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listening_address(process: subprocess.Popen[bytes], output: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", output.read_text()):
            return found[1]
        time.sleep(0.05)
    pytest.fail(f"anvil ended: {output.read_text()}")


@pytest.fixture
def trade_on(package: SellerPackage, trained_model: DemoModel, tmp_path: Path) -> Iterator[Callable[..., Trading]]:
    """Sets tables: `trade_on(chain, seller_type=…, buyer_type=…)`."""
    from tests.simulators.trading import Trading

    tables: list[Trading] = []

    def set_table(chain: Chain, **parties: type) -> Trading:
        tables.append(Trading(chain, package, trained_model, tmp_path / f"table-{len(tables)}", **parties))
        return tables[-1]

    yield set_table
    for table in tables:
        table.close()
