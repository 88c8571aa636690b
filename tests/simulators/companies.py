"""Two companies that run the trader scripts: processes, keyfiles, one node, one shared folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.simulators.trading import AUDIT_SAMPLES
from trader.chain.accounts import create_account, read_address
from trader.model import DEFAULT_PROOFS
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, SellerPackage, prepare

if TYPE_CHECKING:
    from typing import IO, TypeAlias

    from trader.chain import Chain
    from trader.demo.training import DemoModel

    Process: TypeAlias = subprocess.Popen[str]

SCRIPTS = Path(__file__).parents[2] / "scripts"
PASSWORD = "correct horse"
FUNDS_WEI = 10**19
SELLER = """\
chain = "{chain}"
exchange = "{exchange}"
keyfile = "seller.json"
folder = "seller"
[jobs]
engine = "here"
[[listings]]
package = "package"
price = "1 ether"
bond = "0.2 ether"
proof_fee = "0.01 ether"
"""
BUYER = """\
chain = "{chain}"
exchange = "{exchange}"
keyfile = "{name}.json"
folder = "{name}"
policy.development = true
"""


@dataclass
class Companies:
    """A seller with a prepared package, and buyers that come one after the other.

    Attributes:
        folder: Everything lies in it, the parties' own folders by their names.
        model: What is sold, and the buyers' test set.
        environment: Of the processes, beside this process's own.
    """

    folder: Path
    model: DemoModel
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def exchange(self) -> str:
        """URL of the shared folder."""
        return (self.folder / "exchange").as_uri()

    def prepare(self, quota_samples: int = 264, buyers: int = 10) -> SellerPackage:
        """The seller's account and package, whose quotas last for so many buyers, and the buyers' files."""
        (self.folder / "model.onnx").write_bytes(self.model.onnx_bytes)
        np.save(self.folder / "calibration.npy", self.model.training_samples)
        np.savetxt(self.folder / "test.csv", self.model.test_samples, delimiter=",")
        np.savetxt(self.folder / "labels.csv", self.model.test_labels, fmt="%d")
        options = PrepareOptions(
            card=ModelCard(name="tumours"),
            audit_samples=AUDIT_SAMPLES,
            buyer_quota_samples=quota_samples,
            proofs=max(DEFAULT_PROOFS, 2 * buyers),
            listing_quota_samples=buyers * quota_samples,
            seller=self.new_account("seller"),
            insist=True,
            endpoint=self.exchange,
        )
        calibration = self.folder / "calibration.npy"
        return prepare(
            self.folder / "model.onnx", self.folder / "package", options, password=PASSWORD, calibration=calibration
        )

    def new_account(self, name: str) -> str:
        """A keyfile in the party's name; returns its address."""
        create_account(self.folder / f"{name}.json", PASSWORD)
        return self.address(name)

    def address(self, name: str) -> str:
        """The account of a party."""
        return read_address(self.folder / f"{name}.json")

    def audit_log(self, name: str) -> Path:
        """The audit log of a seller, or of a buyer's only market."""
        (found,) = [*(self.folder / name).glob("audit.sqlite"), *(self.folder / name).glob("audit/*.sqlite")]
        return found

    def fund(self, chain: Chain, name: str) -> None:
        """Give a party ether."""
        chain.fund(self.address(name), FUNDS_WEI)

    def start_seller(self, url: str, *, trades: int = 1, output: int | IO[str] = subprocess.PIPE) -> Process:
        """`sell_model.py`, in a process of its own."""
        settings = self.folder / "seller.toml"
        settings.write_text(SELLER.format(chain=url, exchange=self.exchange))
        return self.start("sell_model.py", settings, "--trades", trades, output=output)

    def start_buyer(
        self, url: str, listing_id: int, name: str = "buyer", output: int | IO[str] = subprocess.PIPE
    ) -> Process:
        """`buy_model.py`, in a process of its own; what it buys is written to `{name}.onnx`."""
        settings = self.folder / f"{name}.toml"
        settings.write_text(BUYER.format(chain=url, exchange=self.exchange, name=name))
        return self.start(
            "buy_model.py",
            *(listing_id, "--settings", settings, "--out", self.folder / f"{name}.onnx"),
            *("--data", self.folder / "test.csv", "--labels", self.folder / "labels.csv"),
            output=output,
        )

    def start(self, script: str, *arguments: object, output: int | IO[str] = subprocess.PIPE) -> Process:
        """A script in a process of its own."""
        command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
        environment = {**os.environ, "MODELSEAL_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1", **self.environment}
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process: Process, timeout_seconds: float = 180) -> str:
    """What a process prints until it ends, which it must do well."""
    output, _ = process.communicate(timeout=timeout_seconds)
    assert process.returncode == 0, output
    return output


def read_listing(seller: Process) -> tuple[str, int]:
    """What buyers need: the market's address and the listing's number, as the seller prints them."""
    assert seller.stdout is not None
    printed = []
    for line in seller.stdout:
        printed.append(line)
        if found := re.match(r"market (0x\w{40}) listing (\d+)", line):
            return found[1], int(found[2])
    raise AssertionError("".join(printed))
