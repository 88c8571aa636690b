"""An anvil node of the tests' own, on the loopback interface."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from trader.chain import Chain

NODE_MODULES = Path(__file__).parents[2] / "contracts" / "node_modules"


class Node:
    """A node that keeps its chain in a file: started again, it goes on where it was, on the same port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._arguments = arguments
        self._state = folder / "state.json"
        self._output = folder / "output.txt"
        self._port = "0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it and return its URL; skips the test where npm has not installed anvil."""
        command = [
            anvil_binary(),
            "--host",
            "127.0.0.1",
            "--port",
            self._port,
            "--state",
            self._state,
            *self._arguments,
        ]
        # Into a file: a pipe that nobody empties would stop the node once it is full.
        with self._output.open("w") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        self._port = self._listening_port(self._process)
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Stop it; it writes its state first."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)

    def _listening_port(self, process: subprocess.Popen[bytes]) -> str:
        while process.poll() is None:
            if found := re.search(r"Listening on 127\.0\.0\.1:(\d+)", self._output.read_text()):
                return found[1]
            time.sleep(0.05)
        pytest.fail(f"anvil ended: {self._output.read_text()}")


def connect_impatient(url: str, seconds: float, **options: Any) -> Chain:
    """A chain that waits so long for a transaction, where none is to come in time; and for the node as ever.

    `Chain.connect(url, timeout_seconds=…)` would also give up a request that a busy machine answers late.
    """
    from trader.chain import Chain

    chain = Chain.connect(url, **options)
    chain._transactions.route.timeout_seconds = seconds
    return chain


def anvil_binary() -> Path:
    """Find the program; skips the test where npm has not installed it."""
    found = next(iter(NODE_MODULES.glob("@foundry-rs/anvil-*/bin/anvil")), None)
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail("anvil is needed in CI: run `make node`")
    pytest.skip("anvil is not installed: run `make node`")
