"""What the queries find, and that none of them reads the whole log for it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from ledger import (
    ActorRole,
    AuditLog,
    EntryKind,
    UnknownTradeError,
    count_by_kind,
    prove_entry,
    prove_growth,
    read_blocks,
    read_by_actor,
    read_by_kind,
    read_trade,
)
from ledger.catalogue.trades import find_void_sequences
from tests.simulators.ledger_records import BUYER, SELLER, contract_event, step


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        for trade in range(5):
            log.append_all([step(trade, trade_id=trade), contract_event(10 + trade, trade_id=trade)])
        yield log


def sequences(entries: list) -> list[int]:
    return [entry.sequence for entry in entries]


def test_keys_find_their_entries(log: AuditLog) -> None:
    assert sequences(read_trade(log, 2).entries) == [4, 5]
    assert sequences(read_by_actor(log, SELLER.upper().replace("0X", "0x"))) == [9, 7, 5, 3, 1]
    assert sequences(read_by_actor(log, BUYER, limit=2)) == [8, 6]
    assert sequences(read_by_kind(log, EntryKind.ANSWERED, limit=1)) == [9]
    assert sequences(read_blocks(log, 11, 13)) == [3, 5, 7]
    assert count_by_kind(log) == {EntryKind.REQUEST_SENT: 5, EntryKind.ANSWERED: 5}


def test_unknown_trade_is_an_error(log: AuditLog) -> None:
    for trade_id in (99, -1, 2**300):
        with pytest.raises(UnknownTradeError, match="says nothing about trade"):
            read_trade(log, trade_id)


def test_trades_of_one_number_in_two_markets_are_told_apart(log: AuditLog) -> None:
    here = contract_event(30, trade_id=2)
    log.append(replace(here, chain=replace(here.chain, contract="0x" + "d4" * 20)))
    with pytest.raises(UnknownTradeError, match="say which"):
        read_trade(log, 2)
    assert sequences(read_trade(log, 2, here.market_name).entries) == [4, 5]
    assert sequences(read_trade(log, 2, f"1:0x{'D4' * 20}").entries) == [4, 10]


def test_gas_counts_each_transaction_once_and_undone_ones_not(log: AuditLog) -> None:
    log.append_all(
        [
            contract_event(20, 0, trade_id=9),
            contract_event(20, 1, trade_id=9),
            contract_event(21, 0, trade_id=9, role=ActorRole.BUYER),
            contract_event(22, 0, trade_id=9),
            contract_event(22, 0, trade_id=9, kind=EntryKind.REORGANISED),
        ]
    )
    story = read_trade(log, 9)
    assert story.gas_used_by_role() == {ActorRole.SELLER: 50_000, ActorRole.BUYER: 50_000}
    assert story.void_sequences == {13}


def test_event_that_came_back_is_not_void(log: AuditLog) -> None:
    undone = contract_event(14, trade_id=4, kind=EntryKind.REORGANISED)
    log.append_all([undone, contract_event(14, trade_id=4), contract_event(14, fork=1, trade_id=4)])
    assert find_void_sequences(read_trade(log, 4).entries) == {9}


@pytest.mark.parametrize(
    "use",
    [
        lambda log: read_trade(log, 2),
        lambda log: read_by_actor(log, SELLER),
        lambda log: read_by_kind(log, EntryKind.ANSWERED),
        lambda log: read_blocks(log, 11, 13),
        lambda log: log.append(step()),
        lambda log: log.append(contract_event(12)),
        lambda log: log.append_all([contract_event(12), contract_event(99)]),
        lambda log: prove_entry(log, 4, log.checkpoint()),
        lambda log: prove_growth(log, log.checkpoint(), log.checkpoint()),
    ],
)
def test_no_query_reads_the_whole_log(log: AuditLog, use: Callable[[AuditLog], object]) -> None:
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    event.listen(log._store._engine, "before_cursor_execute", note)
    use(log)
    selects = [(statement, values) for statement, values in asked if statement.startswith("SELECT")]
    assert selects
    with log.reading() as connection:
        for statement, values in selects:
            if re.search(r"FROM (entries|segments) ORDER BY \1.sequence DESC\s+LIMIT", statement):
                continue  # the newest entry: the first that SQLite finds
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            assert not [line for line in plan if line.startswith("SCAN") and "json_each" not in line], (statement, plan)
