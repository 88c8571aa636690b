"""Events that the indexer takes into a log from a node per second: anvil on this machine, without a network between.

Every event is a listing in a transaction of its own, fifty to a block. The node's work is in the figure.
"""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from web3 import Web3

from contracts import PUBLISHED_SALT, Terms, Windows, bind_market, deploy
from ledger import AuditLog
from ledger.indexing.indexer import Indexer, Source
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web3.contract import Contract

NODE_MODULES = Path(__file__).parents[1] / "contracts" / "node_modules"
EVENTS_PER_BLOCK = 50
START_SECONDS = 30


def measure_indexing(events: int) -> float | None:
    """Return events per second, None where anvil is not installed."""
    binary = next(iter(NODE_MODULES.glob("@foundry-rs/anvil-*/bin/anvil")), None)
    if binary is None:
        return None
    with scratch_folder(cache_folder("benchmark")) as folder, _node(binary, folder / "anvil.txt") as url:
        market = _market_with_listings(url, events)
        with AuditLog.open(folder / "log.sqlite") as log:
            indexer = Indexer(log, [Source(market)])
            started = time.perf_counter()
            indexer.catch_up()
            seconds = time.perf_counter() - started
            if log.head().entries != events:
                raise RuntimeError(f"{events} events were sent, {log.head().entries} were found")
    return events / seconds


@contextmanager
def _node(binary: Path, output: Path) -> Iterator[str]:
    with output.open("w") as file:
        command = [str(binary), "--host", "127.0.0.1", "--port", "0", "--order", "fifo"]
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield f"http://127.0.0.1:{_port(process, output)}"
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], output: Path) -> str:
    for _ in range(20 * START_SECONDS):
        if found := re.search(r"Listening on 127\.0\.0\.1:(\d+)", output.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"anvil did not start: {output.read_text()}")


def _market_with_listings(url: str, events: int) -> Contract:
    web3 = Web3(Web3.HTTPProvider(url))
    account = web3.eth.accounts[0]
    market = bind_market(web3, deploy(web3, account, PUBLISHED_SALT).market)
    nonce = web3.eth.get_transaction_count(account)
    _ask(web3, "evm_setAutomine", False)
    transaction: Any = market.functions.list(_terms().as_abi()).build_transaction({"from": account, "gas": 1_000_000})
    for sent in range(1, events + 1):
        transaction["nonce"] = nonce + sent - 1
        web3.eth.send_transaction(transaction)
        if sent % EVENTS_PER_BLOCK == 0 or sent == events:
            _ask(web3, "evm_mine")
    return market


def _terms() -> Terms:
    digest = bytes(range(32))
    return Terms(
        manifest_hash=digest, statement=digest, weights_root=digest, sums_root=digest, price_wei=10**18,
        bond_wei=10**17, audit_samples=16, proof_fee_wei=10**15, listing_quota=160, fee_wei=10**15,
        tolerance=1, buyer_quota=96,
        windows=Windows(3600, 3600, 3600, 3600, 3600, 3600),
    )  # fmt: skip


def _ask(web3: Web3, method: str, *values: object) -> None:
    web3.provider.make_request(method, list(values))  # type: ignore[arg-type]  # anvil's own methods
