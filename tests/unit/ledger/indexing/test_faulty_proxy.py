"""A full rescan of the chain is the incremental index, event for event, on anvil behind a proxy that lies and fails.

`SEEDS=100` makes the long version.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from contracts import bind_market, deploy, offer_digest
from ledger import AuditLog, EntryKind, Indexer, IndexingError, Source, read_by_kind, verify_log
from ledger.indexing import indexer
from ledger.indexing.heads import Subscription
from ledger.indexing.indexer import read_scan
from ledger.reading.catalogue_check import verify_catalogue
from tests.simulators.proxy import Faults, LyingProxy
from tests.unit.ledger.indexing.test_whole_index import rescan, standing
from tests.unit.trader.chain.test_node import TERMS
from trader.chain import Chain

if TYPE_CHECKING:
    from pathlib import Path

    from web3 import Web3

SAMPLES = 16


class Played:
    """A market on anvil whose trades are opened and answered, and whose blocks are undone."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self.seller, self.buyer = web3.eth.accounts[1:3]
        self.first_block = web3.eth.block_number
        self.market = bind_market(web3, deploy(web3, self.seller, secrets.token_bytes(32)).market)
        self._send(self.market.functions.list(TERMS.as_abi()), self.seller)

    def open_session(self) -> None:
        offer = offer_digest(self.seller, TERMS)
        fee = self.market.functions.sessionFee(1, self.buyer, SAMPLES).call()
        self._send(self.market.functions.openSession(1, offer, SAMPLES, secrets.token_bytes(32), b""), self.buyer, fee)

    def respond(self, trade: int) -> None:
        session = self.market.functions.trade(trade).call()[-1]
        self._send(self.market.functions.respond(trade, session, secrets.token_bytes(32)), self.seller)

    def ask(self, method: str, *parameters: Any) -> Any:
        return self.web3.provider.make_request(method, [*parameters])["result"]

    def _send(self, function: Any, sender: str, value: int = 0) -> None:
        receipt = self.web3.eth.wait_for_transaction_receipt(function.transact({"from": sender, "value": value}))
        assert receipt["status"] == 1


@pytest.mark.anvil
@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "2"))))
def test_a_rescan_is_the_incremental_index_behind_a_proxy_that_lies_and_fails(
    anvil_url: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "LAG_SECONDS", 0.0)
    monkeypatch.setattr("tests.simulators.proxy.LONGEST_DELAY_SECONDS", 0.05)
    draw = random.Random(seed)
    played = Played(Chain.connect(anvil_url).web3)
    proxy = LyingProxy(anvil_url, draw, faults=Faults(random.Random(seed), share=0.03))
    path = tmp_path / "audit.sqlite"

    def index(url: str) -> bool:
        """Starts anew; whether it got to the head."""
        monkeypatch.setattr(indexer, "FIRST_RANGE_BLOCKS", draw.choice([1, 3, 1000]))
        with AuditLog.open(path) as log, suppress(IndexingError):
            source = Source(bind_market(Chain.connect(url).web3, played.market.address), played.first_block)
            Indexer(log, [source]).catch_up()
            scan = read_scan(log, source.market)
            return scan is not None and scan.block_number == played.web3.eth.block_number
        return False

    with proxy.running() as url:
        for trade in range(1, 5):
            played.open_session()
            if draw.random() < 0.7:
                fork = played.ask("evm_snapshot")
                played.respond(trade)
                index(url)
                assert played.ask("evm_revert", fork)  # what happened in between has left the chain
            if draw.random() < 0.8:
                played.respond(trade)
            if draw.random() < 0.6:
                index(url)
        assert any(index(url) for _ in range(50))
    with AuditLog.open(path) as log:
        assert standing(log) == rescan(tmp_path, played.market)
        verify_catalogue(log)
    verify_log(path)
    assert sum(proxy.told.values()) > 3


@pytest.mark.anvil
def test_a_node_tells_of_its_new_blocks(anvil_url: str, tmp_path: Path) -> None:
    """The live tail on a real node: each block that comes is read when the node tells of it, long before the clock."""
    played = Played(Chain.connect(anvil_url).web3)
    source = Source(played.market, played.first_block)
    rounds = iter(range(4))
    with AuditLog.open(tmp_path / "audit.sqlite") as log, Subscription(anvil_url.replace("http", "ws")) as heads:

        def stop() -> bool:
            number = next(rounds)
            if number == 0:
                heads.wait(0.2)  # the subscription stands
            played.open_session()
            return number == 3

        begin = time.monotonic()
        Indexer(log, [source]).follow(heads, stop, seconds=60)
        assert time.monotonic() - begin < 60
        assert [entry.record.trade_id for entry in read_by_kind(log, EntryKind.SESSION_OPENED)] == [3, 2, 1]
