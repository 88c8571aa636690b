"""The README's commands, typed as they stand: by a reader who has the files that they name, and ether."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier

from tests.simulators.companies import FUNDS_WEI
from tests.simulators.node import anvil_binary
from tests.simulators.walkthrough import Command, File, Reader, read_page
from trader.chain import Chain
from trader.chain.accounts import read_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(sys.executable).parent
OF_CI: Final = ("make demo", "make test")
"""What `.ci/run` types, this test among it."""
TERMINALS: Final = {"", "seller", "buyer"}

pytestmark = [pytest.mark.anvil, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Terminals with a node, and with what the seller's tutorial has its reader make."""
    reader = Reader(tmp_path, (PROGRAMS, anvil_binary().parent), {"MODELSEAL_PASSWORD": "correct horse"})
    for step in read_page(ROOT / "docs" / "tutorials" / "seller.md"):
        if isinstance(step, File) or step.line.startswith(("anvil", "export", "python")):
            reader.take(step)
    for name in ("test.csv", "labels.csv"):
        reader.home("buyer").joinpath(name).write_bytes(reader.home("seller").joinpath(name).read_bytes())
    reader.exported["buyer"] = reader.exported["seller"]
    samples = np.loadtxt(reader.home("seller") / "calibration.csv", delimiter=",")[:, :12]
    np.savetxt(reader.home("seller") / "train.csv", samples, fmt="%.4f", delimiter=",")
    yield reader
    reader.stop()


def give_ether(reader: Reader, command: Command) -> None:
    """To the account that a command has made."""
    (keyfile,) = (word for word in command.line.split() if word.endswith(".json"))
    chain = Chain.connect(reader.exported["seller"]["ETH_RPC_URL"])
    chain.fund(read_address(reader.home(command.terminal) / keyfile), FUNDS_WEI)


def train_on_bins(reader: Reader, command: Command) -> None:
    """The comment behind the command asks for it."""
    home = reader.home(command.terminal)
    samples = np.loadtxt(home / "snapped.csv", delimiter=",").astype(np.float32)
    labels = (samples[:, 0] + samples[:, 1] > samples[:, 2]).astype(int)
    trees = GradientBoostingClassifier(n_estimators=30, max_depth=4, random_state=0).fit(samples, labels)
    onnx = to_onnx(trees, samples[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    (home / "trees.onnx").write_bytes(onnx.SerializeToString())


AFTERWARDS: Final[dict[str, Callable[[Reader, Command], None]]] = {
    "modelseal keys new": give_ether,
    "modelseal model grid": train_on_bins,
}


def test_the_commands_of_the_readme(reader: Reader) -> None:
    typed = [step for step in read_page(ROOT / "README.md") if isinstance(step, Command)]
    assert {step.terminal for step in typed} == TERMINALS
    assert [step.line.split("#")[0].strip() for step in typed[:2]] == [*OF_CI]
    for step in typed[2:]:
        command = Command(step.terminal or "reader", step.line.removeprefix(".venv/bin/"), step.shown)
        reader.take(command)
        for begin, work in AFTERWARDS.items():
            if command.line.startswith(begin):
                work(reader, command)
