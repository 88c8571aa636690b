"""The indexer of many markets: a full rescan of the chain is the incremental index, whatever nodes and processes do."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from websockets.sync.server import ServerConnection, serve

from contracts import deploy
from ledger import AuditLog, EntryKind, IncompleteLogsError, IndexingError, LedgerError, verify_log
from ledger.catalogue.trades import standing_entries
from ledger.indexing import indexer as markets
from ledger.indexing.heads import Polling, Subscription
from ledger.indexing.indexer import Indexer, Source, read_scan
from ledger.reading.catalogue_check import verify_catalogue
from ledger.reading.questions import Filter, find_trades, read_final_blocks
from ledger.storage.rows import select_entries
from tests.contracts.stage import FEE, Stage
from tests.simulators.lying_node import LyingNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from web3.contract import Contract


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        yield log
        verify_catalogue(log)
    verify_log(tmp_path / "audit.sqlite")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "LAG_SECONDS", 0.0)


def standing(log: AuditLog) -> list[tuple[object, ...]]:
    """What the log says has happened, without what was undone; the order in which it was found doesn't matter."""
    with log.reading() as connection:
        live = [entry.record for entry in standing_entries(select_entries(connection)) if entry.record.chain]
    return sorted(
        (one.chain.block_number, one.chain.log_index, one.chain.block_hash, one.market_name, one.kind.value,
         one.actor, str(one.listing_id), str(one.trade_id), sorted(one.details.items()))
        for one in live
    )  # fmt: skip


def rescan(folder: Path, *contracts: Contract) -> list[tuple[object, ...]]:
    """What an honest node shows from the first block on."""
    with AuditLog.open(folder / "rescan.sqlite") as log:
        Indexer(log, [Source(contract) for contract in contracts]).catch_up()
        found = standing(log)
    (folder / "rescan.sqlite").unlink()
    return found


def test_it_goes_on_where_it_was(stage: Stage, log: AuditLog, tmp_path: Path) -> None:
    source = Source(stage.market)
    stage.open_session()
    assert [entry.record.kind for entry in Indexer(log, [source]).catch_up()] == ["Listed", "SessionOpened"]
    scan = read_scan(log, source.market)
    assert (scan.block_number, scan.block_hash) == (
        stage.web3.eth.block_number, stage.web3.eth.get_block("latest")["hash"].to_0x_hex(),
    )  # fmt: skip
    assert Indexer(log, [source]).catch_up() == []
    stage.respond()
    asked: list[object] = []
    read, stage.web3.eth.get_logs = stage.web3.eth.get_logs, lambda query: (asked.append(query), read(query))[1]
    assert len(Indexer(log, [source]).catch_up()) == 1
    stage.web3.eth.get_logs = read
    assert [query["fromBlock"] for query in asked] == [scan.block_number + 1]
    assert standing(log) == rescan(tmp_path, stage.market)


def test_markets_share_a_log(stage: Stage, log: AuditLog, tmp_path: Path) -> None:
    other = type(stage.market)(deploy(stage.web3, stage.stranger, b"other".rjust(32)).market)
    stage.open_session()
    indexer = Indexer(log, [Source(stage.market), Source(other)])
    indexer.catch_up()
    stage.respond()
    indexer.catch_up()
    assert standing(log) == rescan(tmp_path, stage.market, other)
    market = Source(stage.market).market
    assert [row.state for row in find_trades(log, Filter(market=str(market)))] == ["Answered"]
    assert read_scan(log, Source(other).market) is not None


def test_a_reorganisation_is_taken_back_and_read_anew(stage: Stage, log: AuditLog, tmp_path: Path) -> None:
    indexer = Indexer(log, [Source(stage.market)])
    stage.open_session()
    with stage.restored():
        stage.respond()
        indexer.catch_up()
    stage.at(stage.now + 100)
    stage.respond()
    assert [entry.record.kind for entry in indexer.catch_up()] == [EntryKind.REORGANISED, EntryKind.ANSWERED]
    assert standing(log) == rescan(tmp_path, stage.market)


def test_a_shorter_chain_is_believed_in_the_end(stage: Stage, log: AuditLog, tmp_path: Path) -> None:
    indexer = Indexer(log, [Source(stage.market)])
    with stage.restored():
        stage.open_session()
        stage.respond()
        indexer.catch_up()
    assert [entry.record.kind for entry in indexer.catch_up()] == [EntryKind.REORGANISED] * 2
    assert standing(log) == rescan(tmp_path, stage.market)


@pytest.mark.parametrize("seed", range(6))
def test_a_rescan_is_the_incremental_index_whatever_the_node_does(
    stage: Stage, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that are dropped, doubled, changed and made up, refused ranges, reorganisations, restarts."""
    draw = random.Random(seed)
    node = LyingNode(stage.web3, stage.market.address, draw, share=0.5)
    path = tmp_path / "audit.sqlite"

    def index() -> None:
        monkeypatch.setattr(markets, "FIRST_RANGE_BLOCKS", draw.choice([1, 2, 3, 1000]))
        with AuditLog.open(path) as log, suppress(IndexingError):
            Indexer(log, [Source(node.contract)]).catch_up()

    for trade in range(1, 5):
        stage.open_session(value=None)
        if draw.random() < 0.6:
            with stage.restored():  # what happens in here leaves the chain again
                stage.respond(trade)
                index()
        if draw.random() < 0.8:
            stage.at(stage.now + draw.randrange(1, 50))
            stage.respond(trade)
        if draw.random() < 0.7:
            index()
    with AuditLog.open(path) as log:
        while True:
            with suppress(IndexingError):
                Indexer(log, [Source(node.contract)]).catch_up()
                if read_scan(log, Source(stage.market).market).block_number == stage.web3.eth.block_number:
                    break
        assert standing(log) == rescan(tmp_path, stage.market)
        verify_catalogue(log)
    verify_log(path)
    assert sum(node.told.values()) > 3


class OneSidedNode(LyingNode):
    """Its search has a hole: it never gives the event of one transaction."""

    hidden: bytes = b""

    def _get_logs(self, query: object) -> list:
        return [log for log in self._honest.get_logs(query) if bytes(log["transactionHash"]) != self.hidden]


@pytest.fixture
def one_sided(stage: Stage) -> OneSidedNode:
    return OneSidedNode(stage.web3, stage.market.address, random.Random(0), share=0.0)


def test_a_hole_near_the_head_is_found_by_the_headers(stage: Stage, log: AuditLog, one_sided: OneSidedNode) -> None:
    stage.open_session()
    one_sided.hidden = bytes(stage.respond()["transactionHash"])
    with pytest.raises(IncompleteLogsError, match="leaves 1 events of block"):
        Indexer(log, [Source(one_sided.contract)]).catch_up()
    assert find_trades(log, Filter()) == [] or find_trades(log, Filter())[0].state == "Testing"


def test_a_hole_far_back_is_found_by_what_follows_and_read_again(
    stage: Stage, log: AuditLog, one_sided: OneSidedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.indexing.checking.TAIL_BLOCKS", 0)
    opened = stage.open_session()
    one_sided.hidden = bytes(stage.respond()["transactionHash"])
    indexer = Indexer(log, [Source(one_sided.contract)])
    indexer.catch_up()  # nothing shows it yet
    stage.bring_to("Testing")  # a second trade
    indexer.catch_up()
    stage.purchase()
    with pytest.raises(IncompleteLogsError, match="can't follow"):
        indexer.catch_up()
    one_sided.hidden = bytes(opened["transactionHash"])  # it was healed, another hole came up behind what is logged
    indexer.catch_up()
    assert standing(log) == rescan(tmp_path, stage.market)
    assert find_trades(log, Filter(trade=1))[0].state == "Purchased"


def test_a_second_node_shows_what_the_first_one_hides(
    stage: Stage, log: AuditLog, one_sided: OneSidedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.indexing.checking.TAIL_BLOCKS", 0)
    one_sided.hidden = bytes(stage.open_session()["transactionHash"])
    source = Source(one_sided.contract, second=stage.web3)
    with pytest.raises(IncompleteLogsError, match="two nodes disagree"):
        Indexer(log, [source]).catch_up()
    one_sided.hidden = b""
    assert len(Indexer(log, [source]).catch_up()) == 2


def test_a_market_that_is_read_from_the_middle_on_has_no_gaps(stage: Stage, log: AuditLog) -> None:
    stage.open_session()
    first = stage.web3.eth.block_number + 1
    stage.respond()
    with pytest.raises(IncompleteLogsError):
        Indexer(log, [Source(stage.market, first)]).catch_up()
    assert len(Indexer(log, [Source(stage.market, first, whole=False)]).catch_up()) == 1


def test_nothing_of_a_range_is_written_when_it_fails_at_its_end(
    stage: Stage, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.open_session()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(markets, "_write_scan", crash)
        with pytest.raises(KeyboardInterrupt):
            Indexer(log, [Source(stage.market)]).catch_up()
    assert log.head().entries == 0
    assert len(Indexer(log, [Source(stage.market)]).catch_up()) == 2


def test_progress_and_finality_are_told(stage: Stage, log: AuditLog) -> None:
    stage.open_session(value=FEE)
    told: list[tuple[int, int]] = []
    Indexer(log, [Source(stage.market)], on_progress=lambda done, total: told.append((done, total))).catch_up()
    assert told[-1][0] == told[-1][1] == stage.web3.eth.block_number + 1
    with log.reading() as connection:
        final = read_final_blocks(connection)
    assert all(0 <= block <= stage.web3.eth.block_number for block in final.values())


def test_following_ends_when_it_is_told_to_and_gives_up_on_a_dead_node(
    stage: Stage, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter([False, False, True])

    class Busy(Polling):
        def wait(self, seconds: float) -> None:
            stage.open_session(value=None)

    Indexer(log, [Source(stage.market)]).follow(Busy(), lambda: next(rounds))
    assert len(find_trades(log, Filter())) == 2

    def dead(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(stage.web3.eth, "get_logs", dead)
    stage.respond()
    with pytest.raises(LedgerError):
        Indexer(log, [Source(stage.market)]).follow(Polling(), lambda: False, seconds=0)


def test_a_head_is_told_by_the_node_and_a_broken_subscription_is_renewed() -> None:
    def speak(socket: ServerConnection) -> None:
        call = json.loads(socket.recv())
        assert call["params"] == ["newHeads"]
        socket.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"}))
        socket.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": {}}))

    with serve(speak, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with Subscription(f"ws://127.0.0.1:{port}") as heads:
            for longest in (20, 0.2, 20):  # told, hung up, told again
                begin = time.monotonic()
                heads.wait(longest)
                assert time.monotonic() - begin < 10
        server.shutdown()
    with Subscription(f"ws://127.0.0.1:{port}") as heads:  # nobody there: the clock tells
        begin = time.monotonic()
        heads.wait(0.3)
        assert time.monotonic() - begin >= 0.3
