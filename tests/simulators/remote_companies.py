"""Two companies that run the commands: the seller's service, buyers that reach it over HTTP, keyfiles, one node."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulators.companies import PASSWORD, Companies

if TYPE_CHECKING:
    from typing import IO

    from tests.simulators.companies import Process

MODELSEAL = (sys.executable, "-c", "from trader.cli import main; main()")
SELLER = """\
chain = "{chain}"
keyfile = "seller.json"
folder = "seller"
log = "{log}"
[service]
port = {port}
url = "{url}"
[jobs]
workers = {workers}
[[listings]]
package = "package"
price = "1 ether"
bond = "0.2 ether"
proof_fee = "0.01 ether"
"""
BUYER = """\
chain = "{chain}"
keyfile = "{name}.json"
folder = "{name}"
policy.development = true
policy.min_accuracy = 0.9
"""


@dataclass
class RemoteCompanies(Companies):
    """A seller's service and its buyers.

    Attributes:
        url: Where buyers reach the service: a proxy's, or its own.
        port: Where the service listens.
        workers: Processes that evaluate and prove.
    """

    url: str = ""
    port: int = 0
    workers: int = 1

    @property
    def exchange(self) -> str:
        """Where buyers reach the seller."""
        return self.url

    def start_seller(self, url: str, *, trades: int = 1, output: int | IO[str] = subprocess.PIPE) -> Process:
        """`modelseal seller serve`, until so many trades have ended."""
        settings = self.folder / "seller.toml"
        text = SELLER.format(chain=url, url=self.url, port=self.port, workers=self.workers, log="text")
        settings.write_text(text)
        return self.run("seller", "serve", settings, "--trades", trades, output=output)

    def start_buyer(
        self,
        url: str,
        listing_id: int,
        name: str = "buyer",
        output: int | IO[str] = subprocess.PIPE,
        *options: str,
    ) -> Process:
        """`modelseal buyer buy`; what it buys is written to `{name}.onnx`."""
        return self.run(
            *("buyer", "buy", listing_id, *self._buyer(url, name), *options),
            *("--data", self.samples(name), "--labels", self.folder / "labels.csv"),
            output=output,
        )

    def resume_buyer(
        self, url: str, listing_id: int, name: str = "buyer", output: int | IO[str] = subprocess.PIPE
    ) -> Process:
        """`modelseal buyer resume`, which needs no data."""
        return self.run("buyer", "resume", listing_id, *self._buyer(url, name), output=output)

    def samples(self, name: str) -> os.PathLike[str]:
        """A party's test set: its own, if it has one."""
        own = self.folder / f"{name}.csv"
        return own if own.exists() else self.folder / "test.csv"

    def _buyer(self, url: str, name: str) -> tuple[object, ...]:
        settings = self.folder / f"{name}.toml"
        settings.write_text(BUYER.format(chain=url, name=name))
        return "--config", settings, "--out", self.folder / f"{name}.onnx", "--yes"

    def run(self, *arguments: object, output: int | IO[str] = subprocess.PIPE) -> Process:
        """A command in a process of its own."""
        environment = {**os.environ, "MODELSEAL_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1", **self.environment}
        command = [*MODELSEAL, *map(str, arguments)]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment)
