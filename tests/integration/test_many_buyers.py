"""Many buyers at once against one seller: all are served, each with its own answers and no more than its quota.

`BUYERS=20 pytest …` is what `make crowd` runs; `CROWD_RESULT` names a file for the figures.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from contracts import MarketEvent
from ledger import verify_log
from tests.simulators.companies import PASSWORD, finish
from tests.simulators.node import Node
from tests.simulators.ports import free_port
from tests.simulators.reaper import Wire, descendants
from tests.simulators.remote_companies import RemoteCompanies
from trader.chain import Chain
from trader.chain.directory import Directory
from trader.chain.market import Market
from trader.cli.exit_codes import BAD_INPUT
from trader.demo.training import DemoModel
from trader.model.bounds import evaluate_values
from trader.package import SellerPackage
from trader.parties.vault import Vault
from trader.parties.vault_key import read_vault_key
from trader.trade import State

if TYPE_CHECKING:
    from tests.simulators.companies import Process

BUYERS = int(os.environ.get("BUYERS", "3"))
RESULT = os.environ.get("CROWD_RESULT")
SAMPLES = 64
QUOTA_SAMPLES = 72
"""Answers of one test and of its audit."""
LOOK_SECONDS = 0.2
IDLE_SECONDS = 5.0
MOST_IDLE_CALLS = 5.0
"""A second, of a seller whose trades have all ended."""
MEBIBYTE = 1 << 20


class Memory:
    """What a process and all that it has started have in memory, watched.

    Attributes:
        peak_bytes: The most at one time.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak_bytes = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        yield
        self._over.set()
        thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            now = sum(map(_resident_bytes, {self._pid, *descendants(self._pid)}))
            self.peak_bytes = max(self.peak_bytes, now)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.timeout(300 + 60 * BUYERS)
def test_many_buyers_at_once(trained_model: DemoModel, tmp_path: Path) -> None:
    companies = RemoteCompanies(tmp_path, trained_model, port=free_port())
    companies.url = f"http://127.0.0.1:{companies.port}"
    package, node = companies.prepare(QUOTA_SAMPLES, BUYERS), Node(tmp_path)
    names, url = [f"buyer-{number}" for number in range(BUYERS)], node.start()
    chain = Chain.connect(url)
    for number, name in enumerate(names):
        companies.new_account(name)
        np.savetxt(tmp_path / f"{name}.csv", own_samples(trained_model, number), delimiter=",")
    labels = np.resize(trained_model.test_labels, SAMPLES)
    np.savetxt(tmp_path / "labels.csv", labels, fmt="%d")
    for name in ("seller", *names):
        companies.fund(chain, name)
    with ExitStack() as stack:
        stack.callback(node.stop)
        seller_wire, buyers_wire = Wire(url), Wire(url)
        seller_url, buyers_url = (stack.enter_context(wire.running()) for wire in (seller_wire, buyers_wire))
        printed = stack.enter_context((tmp_path / "seller.txt").open("w"))
        seller = companies.start_seller(seller_url, trades=10**6, output=printed)
        stack.callback(seller.wait)
        stack.callback(seller.kill)
        market = wait_for_endpoint(url, seller)
        memory, begin = Memory(seller.pid), time.monotonic()
        seller_wire.methods.clear()
        with memory.watched():
            buying = [companies.start_buyer(buyers_url, 1, name) for name in names]
            for process in buying:
                finish(process, 300 + 60 * BUYERS)
        seconds = time.monotonic() - begin
        seller_calls, buyer_calls = seller_wire.methods.total(), buyers_wire.methods.total()
        idle_calls = count_idle_calls(market, companies.address("seller"), seller_wire)
        refused = companies.start_buyer(buyers_url, 1, names[0], -1, "--again")
        said, _ = refused.communicate(timeout=120)
        assert refused.returncode == BAD_INPUT, said
        assert "quota" in said
        seller.terminate()
        assert seller.wait(timeout=60) == 0
        result = {
            "buyers": BUYERS,
            "seconds": round(seconds, 1),
            "peak_mebibytes": round(memory.peak_bytes / MEBIBYTE),
            "seller_calls": seller_calls,
            "calls_of_a_buyer": round(buyer_calls / BUYERS),
            "idle_calls_per_second": round(idle_calls.total() / IDLE_SECONDS, 1),
            "idle_calls": dict(idle_calls),
            **waits(market),
        }
        print(json.dumps(result, indent=1))  # noqa: T201 - for `pytest -s`
        if RESULT is not None:
            Path(RESULT).write_text(json.dumps(result, indent=1) + "\n")
        check_answers(companies, market, package, names)
    assert result["idle_calls_per_second"] <= MOST_IDLE_CALLS


def own_samples(model: DemoModel, number: int) -> Any:
    """A buyer's own test set, which no other one has."""
    rows = np.resize(np.arange(len(model.test_samples)), SAMPLES)
    draw = np.random.default_rng(number)
    noise = draw.normal(0, 0.02, (SAMPLES, model.test_samples.shape[1]))
    return model.test_samples[rows] * (1 + noise)


def wait_for_endpoint(url: str, seller: "Process") -> Market:
    """Until the seller has listed its model, and said where it is reached."""
    while seller.poll() is None:
        try:
            market = Market.at(Chain.connect(url))
            if Directory(market).endpoint(1, market.listing(1).seller):
                return market
        except Exception:  # not deployed or not listed yet
            time.sleep(0.3)
    pytest.fail("the seller has ended")


def count_idle_calls(market: Market, seller: str, wire: Wire) -> Any:
    """What a seller asks its node for while nothing is to do, once it has withdrawn what it is owed."""
    until = time.monotonic() + 60
    while market.credit(seller) and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(3)
    wire.methods.clear()
    time.sleep(IDLE_SECONDS)
    return wire.methods.copy()


def waits(market: Market) -> dict[str, Any]:
    """How long buyers waited for answers and proofs, and how far the answers' order is from that of their requests."""
    times: dict[str, dict[int, int]] = {}
    for kind in (MarketEvent.SESSION_OPENED, MarketEvent.ANSWERED, MarketEvent.PURCHASED, MarketEvent.PROVEN):
        found = market.all_events(kind)
        times[kind.value] = {
            int(log.arguments["tradeId"]): market.chain.time_of_block(log.block_number) for log in found
        }
    answered = list(times["Answered"])

    def spans(first: str, second: str) -> list[int]:
        return [times[second][trade] - begin for trade, begin in times[first].items()]

    to_answer, to_proof = spans("SessionOpened", "Answered"), spans("Purchased", "Proven")
    return {
        "median_seconds_to_answer": median(to_answer),
        "longest_seconds_to_answer": max(to_answer),
        "median_seconds_to_proof": median(to_proof),
        "longest_seconds_to_proof": max(to_proof),
        "places_out_of_order": max(abs(place - number) for place, number in enumerate(answered, start=1)),
    }


def check_answers(companies: RemoteCompanies, market: Market, package: SellerPackage, names: list[str]) -> None:
    """Each buyer has the answers to its own data, and was charged for these; all trades settled."""
    numbers = range(1, len(names) + 1)
    assert {market.trade(number).position.state for number in numbers} == {State.SETTLED}
    assert sorted(market.trade(number).buyer for number in numbers) == sorted(map(companies.address, names))
    audited = package.manifest.circuit.audit_samples
    seen = []
    for name in names:
        assert market.answers_left(1, companies.address(name)) == QUOTA_SAMPLES - SAMPLES - audited
        assert (companies.folder / f"{name}.onnx").read_bytes() == package.plain_model
        (kept,) = (path.parent for path in (companies.folder / name).rglob("inputs.npz"))
        vault = Vault(kept, read_vault_key(kept, PASSWORD))
        (inputs,), (outputs,) = vault.read_arrays("inputs.npz"), vault.read_arrays("outputs.npz")
        expected = evaluate_values(package.canonical, inputs)[package.canonical.graph.nodes[-1].name]
        assert np.abs(outputs - expected).max() < 0.01, name
        seen.append(outputs)
        verify_log(companies.audit_log(name))
    for number, outputs in enumerate(seen):
        assert all(np.abs(outputs - other).max() > 0.05 for other in seen[:number])
    verify_log(companies.audit_log("seller"))
