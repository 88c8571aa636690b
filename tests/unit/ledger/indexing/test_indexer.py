"""Events of the real market on an embedded chain, with its reorganisations."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.exceptions import Web3RPCError

from ledger import (
    ActorRole,
    AuditLog,
    ChainMovedError,
    EntryKind,
    Indexer,
    IndexingError,
    Source,
    read_trade,
    verify_log,
)
from ledger.entries import Entry, MarketId
from ledger.errors import WrongMarketError
from ledger.indexing import indexer
from ledger.indexing.indexer import require_only_market
from ledger.storage.rows import select_entries
from tests.contracts.stage import BOND, FEE, PRICE, Stage
from tests.simulators.ledger_records import step


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        yield log
    verify_log(log.path)


def index_events(log: AuditLog, contract: Contract, *, first_block: int = 0, whole: bool = True) -> list[Entry]:
    return Indexer(log, [Source(contract, first_block, whole=whole)]).catch_up()


def kinds(log: AuditLog) -> list[str]:
    with log.reading() as connection:
        return [entry.record.kind.value for entry in select_entries(connection)]


def test_each_event_is_logged_once_with_its_place_and_price(stage: Stage, log: AuditLog) -> None:
    opened = stage.open_session()
    entries = index_events(log, stage.market)
    assert [entry.record.kind for entry in entries] == [EntryKind.LISTED, EntryKind.SESSION_OPENED]
    assert index_events(log, stage.market) == []
    record = entries[1].record
    assert (record.listing_id, record.trade_id) == (1, 1)
    assert (record.actor, record.role) == (stage.buyer.lower(), ActorRole.BUYER)
    assert record.occurred_at_seconds == stage.now
    assert record.chain.block_hash == opened["blockHash"].to_0x_hex()
    assert record.chain.transaction_hash == opened["transactionHash"].to_0x_hex()
    assert record.chain.gas_used == opened["gasUsed"]
    assert record.details == {
        "buyer": stage.buyer.lower(),
        "samples": 16,
        "request_digest": "0x" + keccak(b"request").hex(),
        "fee": str(FEE),
        "deadline": stage.deadline(),
    }


def test_listing_is_told_with_all_its_terms(stage: Stage, log: AuditLog) -> None:
    details = index_events(log, stage.market)[0].record.details
    assert details["terms_price"] == str(PRICE)
    assert details["terms_bond"] == str(BOND)
    assert details["manifest_hash"] == details["terms_manifest_hash"] == "0x" + keccak(b"manifest").hex()
    assert details["terms_answer_window"] == 600


def test_later_runs_continue_and_know_listing_and_roles(stage: Stage, log: AuditLog) -> None:
    stage.open_session()
    index_events(log, stage.market)
    stage.respond()
    index_events(log, stage.market)
    stage.withdraw(stage.seller)
    index_events(log, stage.market)
    stage.at(stage.deadline())
    stage.expire(sender=stage.stranger)
    stage.open_session(value=2 * FEE)
    stage.at(stage.deadline(2))
    stage.expire(2, sender=stage.seller)
    index_events(log, stage.market)
    with log.reading() as connection:
        told = [(e.record.kind.value, e.record.role, e.record.listing_id) for e in select_entries(connection)]
    assert told == [
        ("Listed", ActorRole.SELLER, 1),
        ("SessionOpened", ActorRole.BUYER, 1),
        ("Answered", ActorRole.SELLER, 1),
        ("Withdrawn", ActorRole.SELLER, None),
        ("Expired", ActorRole.ANYONE, 1),
        ("SessionOpened", ActorRole.BUYER, 1),
        ("Expired", ActorRole.SELLER, 1),
    ]


def test_a_purchase_is_told_by_digests_and_amounts(stage: Stage, log: AuditLog) -> None:
    stage.bring_to("Purchased")
    index_events(log, stage.market)
    purchased = read_trade(log, 1).entries[-1].record
    assert purchased.kind is EntryKind.PURCHASED
    assert set(purchased.details) == {"input_commitment", "outputs_digest", "price", "highest_proof_fees", "deadline"}


def test_settling_by_confirmation_is_the_buyers_and_its_gas_counts_once(stage: Stage, log: AuditLog) -> None:
    stage.bring_to("Revealed")
    confirmed = stage.confirm()
    index_events(log, stage.market)
    story = read_trade(log, 1)
    last = [(entry.record.kind, entry.record.role) for entry in story.entries[-2:]]
    assert last == [(EntryKind.CONFIRMED, ActorRole.BUYER), (EntryKind.SETTLED, ActorRole.BUYER)]
    gas = {entry.record.chain.transaction_hash: entry.record.chain.gas_used for entry in story.entries}
    assert sum(story.gas_used_by_role().values()) == sum(gas.values())
    assert confirmed["gasUsed"] in gas.values()


def test_reorganised_events_are_undone_and_what_replaced_them_is_logged(stage: Stage, log: AuditLog) -> None:
    stage.open_session()
    with stage.restored():
        stage.respond()
        index_events(log, stage.market)
    stage.at(stage.now + 100)
    stage.respond()
    appended = index_events(log, stage.market)
    assert [entry.record.kind for entry in appended] == [EntryKind.REORGANISED, EntryKind.ANSWERED]
    assert appended[0].record.details == {"undone_kind": "Answered", "undone_sequence": 2}
    story = read_trade(log, 1)
    assert story.void_sequences == {2}
    assert story.gas_used_by_role()[ActorRole.SELLER] == appended[1].record.chain.gas_used
    assert index_events(log, stage.market) == []


def test_shorter_chain_undoes_every_event_above_it(stage: Stage, log: AuditLog) -> None:
    with stage.restored():
        stage.open_session()
        stage.respond()
        index_events(log, stage.market)
    assert [entry.record.kind for entry in index_events(log, stage.market)] == [EntryKind.REORGANISED] * 2
    assert kinds(log) == ["Listed", "SessionOpened", "Answered", "Reorganised", "Reorganised"]
    assert index_events(log, stage.market) == []


def test_steps_off_the_chain_between_events_stay(stage: Stage, log: AuditLog) -> None:
    index_events(log, stage.market)
    log.append(step(trade_id=1))
    stage.open_session()
    index_events(log, stage.market)
    assert kinds(log) == ["Listed", "RequestSent", "SessionOpened"]


def test_a_log_of_steps_without_a_market_is_for_one_market(stage: Stage, log: AuditLog) -> None:
    market = Source(stage.market).market
    require_only_market(log, market)
    index_events(log, stage.market)
    require_only_market(log, market)
    with pytest.raises(WrongMarketError, match="use another file"):
        require_only_market(log, MarketId(chain_id=market.chain_id, contract=stage.stranger))


def test_a_log_without_a_place_takes_back_what_has_left_the_chain(stage: Stage, log: AuditLog, tmp_path: Path) -> None:
    """As one that was made of an export, in which no place stands."""
    with stage.restored():
        stage.open_session()
        index_events(log, stage.market)
    with AuditLog.open(tmp_path / "copy.sqlite") as copy, log.reading() as connection:
        copy.restore(select_entries(connection))
        assert [entry.record.kind for entry in index_events(copy, stage.market)] == [EntryKind.REORGANISED]
        assert index_events(copy, stage.market) == []


def test_of_two_that_read_one_market_none_writes_what_the_other_found_undone(
    stage: Stage, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one has read a block; before it writes, the chain has another, and the fast one has read that."""
    index_events(log, stage.market)
    fork = stage.tester.take_snapshot()
    stage.open_session()
    read, first = indexer.check_logs, [True]

    def overtake(*arguments: object) -> None:
        read(*arguments)
        if first:
            first.clear()
            stage.tester.revert_to_snapshot(fork)
            stage.at(stage.now + 100)
            stage.open_session()
            index_events(log, stage.market)

    monkeypatch.setattr(indexer, "check_logs", overtake)
    monkeypatch.setattr(stage.web3.eth, "get_block", _blind(stage.web3.eth.get_block))
    assert index_events(log, stage.market) == []
    assert kinds(log) == ["Listed", "SessionOpened"]
    assert read_trade(log, 1).entries[-1].record.occurred_at_seconds == stage.now


def _blind(get_block):
    """A slow client's view: the block that it has read still stands, for it."""
    seen = {}

    def get(which):
        if which == "latest" or not isinstance(which, int):
            return get_block(which)
        return seen.setdefault(which, get_block(which))

    return get


def test_blocks_before_the_first_are_not_read(stage: Stage, log: AuditLog) -> None:
    first = stage.web3.eth.block_number + 1
    stage.open_session()
    entries = index_events(log, stage.market, first_block=first, whole=False)
    assert [entry.record.kind for entry in entries] == [EntryKind.SESSION_OPENED]


def test_dead_node_is_an_error_and_leaves_the_log_alone(
    stage: Stage, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Web3RPCError("limit\nexceeded")

    monkeypatch.setattr(stage.web3.eth, "get_logs", refuse)
    with pytest.raises(IndexingError, match=r"limit exceeded.*node runs") as caught:
        index_events(log, stage.market)
    assert "\n" not in str(caught.value)
    assert log.head().entries == 0


def test_chain_that_never_stands_still_is_an_error(
    stage: Stage, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest block is replaced by another one each time while the events are read."""
    read_logs, seconds = stage.web3.eth.get_logs, count(50, 50)
    fork = stage.tester.take_snapshot()
    stage.tester.mine_blocks(1)

    def replace_block(query: object) -> object:
        logs = read_logs(query)
        stage.tester.revert_to_snapshot(fork)
        stage.at(stage.now + next(seconds))
        stage.tester.mine_blocks(1)
        return logs

    monkeypatch.setattr(stage.web3.eth, "get_logs", replace_block)
    with pytest.raises(ChainMovedError):
        index_events(log, stage.market)
    assert log.head().entries == 0
