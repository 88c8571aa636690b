"""A party finds in its log what a search of the chain finds, whatever happens to chain, node and process."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from eth_utils.crypto import keccak

from contracts import MarketEvent, published_deployment
from ledger import AuditLog, IncompleteLogsError, IndexingError, Record, TamperedError, WrongMarketError
from ledger.entries import ActorRole, ChainPosition, EntryKind
from ledger.indexing import indexer
from tests.contracts.stage import REQUEST, Stage
from tests.simulators.lying_node import LyingNode
from trader.chain import Chain
from trader.chain import event_index as event_index_room
from trader.chain.market import Market
from trader.chain.searching import EventSearch

if TYPE_CHECKING:
    from pathlib import Path

    from web3 import Web3


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "LAG_SECONDS", 0.0)


def market_on(stage: Stage, web3: Web3 | None = None, confirmations: int = 1) -> Market:
    chain = Chain(web3 or stage.web3, "the stage", confirmations=confirmations)
    return Market(chain, replace(published_deployment(), market=stage.market.address))


def searches(stage: Stage) -> list[EventSearch]:
    """One of each kind that there is, and some that find nothing."""
    opened = EventSearch(MarketEvent.SESSION_OPENED)
    return [
        *map(EventSearch, MarketEvent),
        *(EventSearch(trade_id=number) for number in range(1, 6)),
        *(EventSearch(MarketEvent.LISTED, listing_id=number) for number in (1, 2)),
        EventSearch(MarketEvent.LISTED, seller=stage.seller),
        EventSearch(MarketEvent.LISTED, seller=stage.buyer),
        EventSearch(MarketEvent.LISTED, seller=stage.seller, manifest_hash=keccak(b"manifest")),
        EventSearch(MarketEvent.LISTED, seller=stage.seller, manifest_hash=keccak(b"another")),
        *(replace(opened, listing_id=number) for number in (1, 2)),
        *(replace(opened, buyer=account) for account in (stage.buyer, stage.stranger)),
        *(replace(opened, buyer=stage.buyer, request_digest=digest) for digest in (REQUEST, keccak(b"another"))),
    ]


@pytest.mark.parametrize(("seed", "confirmations"), [(0, 1), (1, 3)])
def test_the_index_finds_what_a_search_of_the_chain_finds(
    stage: Stage, tmp_path: Path, seed: int, confirmations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reorganisations, also such that are undone, restarts, and a node that leaves events out and makes them up."""
    draw = random.Random(seed)
    honest = market_on(stage, confirmations=confirmations)
    node = LyingNode(stage.web3, stage.market.address, draw, share=0.3)
    log = AuditLog.open(tmp_path / "audit.sqlite")
    party = market_on(stage, node.contract.w3, confirmations)
    compared = 0

    def compare() -> None:
        nonlocal log, party, compared
        if draw.random() < 0.3:
            log.close()
            log, party = AuditLog.open(log.path), market_on(stage, node.contract.w3, confirmations)
        index = party.read_through(log)
        for wanted in draw.sample(searches(stage), 6):
            for _ in range(20):
                with suppress(IndexingError):
                    found, seen = index.find(wanted), index._confirmed
                    assert seen is not None
                    # A node that lags shows an older chain.
                    assert found == tuple(one for one in honest._find(wanted) if one.block_number <= seen.number)
                    compared += 1
                    break

    for trade in range(1, 4):
        stage.open_session(value=None, sender=draw.choice([stage.buyer, stage.stranger]))
        compare()
        if draw.random() < 0.7:
            with stage.restored():  # what happens in here leaves the chain again
                stage.respond(trade)
                stage.tester.mine_blocks(draw.randrange(3))
                compare()
        stage.at(stage.now + draw.randrange(1, 50))
        if draw.random() < 0.8:
            stage.respond(trade)
        compare()
    stage.tester.mine_blocks(confirmations)
    compare()
    log.close()
    assert compared > 25


def test_what_is_known_is_not_asked_for_again(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.open_session()
    market = market_on(stage)
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        market.read_through(log)
        assert market.find_trades(1) == (1,)

        def ask(*_: object) -> None:
            raise AssertionError("the node was asked")

        monkeypatch.setattr(stage.web3.eth, "get_logs", ask)
        assert (market.find_trades(1), market.find_session(stage.buyer, REQUEST)) == ((1,), 1)
        assert market.find_session(stage.buyer, b"e" * 32) is None
        assert [log.name for log in market.trade_logs(1)] == ["SessionOpened"]


def test_a_log_that_cannot_be_kept_up_does_not_keep_a_party_from_its_trades(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.open_session()
    market = market_on(stage)
    place = {"chain_id": 61, "contract": "0x" + "11" * 20, "block_hash": "0x" + "22" * 32, "log_index": 0}
    position = ChainPosition(**place, block_number=7, transaction_hash="0x" + "33" * 32, gas_used=1)
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        opened = {"kind": EntryKind.SESSION_OPENED, "actor": "0x" + "44" * 20, "role": ActorRole.BUYER}
        log.append(Record(**opened, occurred_at_seconds=1, listing_id=1, trade_id=1, chain=position))
        index = market.read_through(log)
        with pytest.raises(WrongMarketError):
            index.catch_up()
        assert market.find_trades(1) == (1,)

    def lie(*_: object) -> None:
        raise TamperedError("somebody was at work")

    monkeypatch.setattr(event_index_room, "require_only_market", lie)
    stage.tester.mine_blocks(1)
    with pytest.raises(TamperedError):
        market.find_trades(1)


def test_a_node_that_contradicts_itself_is_asked_once_for_each_block(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def contradict(*_: object) -> None:
        asked.append(1)
        raise IncompleteLogsError("it leaves events out")

    monkeypatch.setattr(indexer, "check_logs", contradict)
    market = market_on(stage)
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        market.read_through(log)
        for _ in range(3):
            assert market.find_listings(stage.seller, keccak(b"manifest")) == (1,)
        once = len(asked)
        stage.tester.mine_blocks(1)
        assert market.find_trades(1) == ()
        assert (once, len(asked)) == (indexer.ATTEMPTS, 2 * indexer.ATTEMPTS)


def test_long_reading_is_told(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_index_room, "LONG_BLOCKS", 1)
    told: list[tuple[int, int]] = []
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        market_on(stage).read_through(log, lambda done, total: told.append((done, total))).catch_up()
    assert told[-1][0] == told[-1][1]
