"""What integration and adversarial tests share: a trained model, its package, and the chains that they trade on.

Packages are imported by the fixtures that need them: unit tests of one package must not load all the others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.simulators.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contracts.stage import Stage
    from tests.simulators.trading import Trading
    from trader.chain import Chain
    from trader.demo.training import DemoModel
    from trader.package import SellerPackage
    from zk import Srs


def share_cores() -> None:
    """Tests that run beside others (pytest-xdist) leave them their cores: prover, kernels and BLAS would take all."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        for library in ("RAYON", "NUMBA", "OPENBLAS", "OMP"):
            os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))


share_cores()  # before a test imports what reads them

# How long a drawn example takes says nothing on a machine that is shared.
settings.register_profile("shared", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


LONGEST = ("tests/integration/test_killed_processes.py", "tests/unit/benchmarks/test_quick.py")
"""Single tests here take a minute. Among the last ones they would run alone, with the other workers idle."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The chain that the contracts' tests run on."""
    parser.addoption("--chain", metavar="anvil|URL", help="run the contracts' tests on this chain, and no others")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the contracts' tests before they are collected."""
    if config.getoption("--chain"):
        from tests.contracts.backends import chosen

        chosen.append(config.getoption("--chain"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; on another chain, leave out what does not run there."""
    if config.getoption("--chain"):
        from tests.contracts.backends import runs_on_a_node

        left_out = [item for item in items if not runs_on_a_node(item.path)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs_on_a_node(item.path)]
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))  # stable: the others stay where they are


@pytest.fixture(scope="module")
def shared_stage() -> Stage:
    from tests.contracts.stage import Stage

    return Stage()


@pytest.fixture
def stage(shared_stage: Stage) -> Iterator[Stage]:
    """A chain with the market on it, one listing and no trade; what a test does there is undone."""
    with shared_stage.restored():
        yield shared_stage


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
    """A node of its own on a free port; skipped where npm has not installed one."""
    node = Node(tmp_path_factory.mktemp("anvil"))
    yield node.start()
    node.stop()


@pytest.fixture
def trade_on(package: SellerPackage, trained_model: DemoModel, tmp_path: Path) -> Iterator[Callable[..., Trading]]:
    """Sets tables: `trade_on(chain, seller_conduct=…, buyer_conduct=…)`."""
    from tests.simulators.trading import Trading

    tables: list[Trading] = []

    def set_table(chain: Chain, *, listed: SellerPackage = package, **parties: Any) -> Trading:
        tables.append(Trading(chain, listed, trained_model, tmp_path / f"table-{len(tables)}", **parties))
        return tables[-1]

    yield set_table
    for table in tables:
        table.close()
