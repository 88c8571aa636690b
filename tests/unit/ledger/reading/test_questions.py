"""Filters against a walk over all entries, sums against the trades that were made, and what each question reads."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from ledger import AuditLog, EntryKind, InvalidRecordError
from ledger.catalogue.keys import Parties, keys_of
from ledger.catalogue.upkeep import up_to_date
from ledger.entries import Entry
from ledger.reading.manifests import add_manifest, search_manifests
from ledger.reading.questions import (
    Filter,
    find_entries,
    find_listings,
    find_obligations,
    find_trades,
    keys_in,
)
from ledger.reading.sellers import summarize_sellers
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import BUYER, MARKET, SELLER, hash_of, step
from tests.simulators.ledger_trades import MARKET_NAME, START, WEI, listing, other_account, trade, trades
from tests.simulators.ledger_trades import event as market_event

OTHER_MARKET = "0x" + "d4" * 20


@pytest.fixture
def log(location: Path | str) -> Iterator[AuditLog]:
    """Ten trades of two sellers."""
    with AuditLog.open(location) as log:
        log.append_all(trades(10))
        yield log


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path_factory.mktemp("log") / "audit.sqlite") as log:
        log.append_all(trades(10))
        yield log


def all_entries(log: AuditLog) -> list[Entry]:
    with log.reading() as connection:
        return select_entries(connection)


def meets(entry: Entry, keys: list, wanted: Filter, states: dict[int | None, str]) -> bool:
    record = entry.record
    block = None if record.chain is None else record.chain.block_number
    gas = None if record.chain is None else record.chain.gas_used
    return (
        all(key in keys for key in keys_in(wanted, MARKET_NAME))
        and (wanted.since_seconds is None or record.occurred_at_seconds >= wanted.since_seconds)
        and (wanted.until_seconds is None or record.occurred_at_seconds <= wanted.until_seconds)
        and (wanted.first_block is None or (block is not None and block >= wanted.first_block))
        and (wanted.last_block is None or (block is not None and block <= wanted.last_block))
        and (wanted.least_gas is None or (gas is not None and gas >= wanted.least_gas))
        and (wanted.state is None or states.get(record.trade_id) == wanted.state)
    )


def maybe(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | values


blocks = st.integers(1000, 1200)
filters = st.builds(
    Filter,
    trade=maybe(st.integers(1, 11)),
    listing=maybe(st.integers(1, 3)),
    seller=maybe(st.sampled_from([SELLER, SELLER.upper().replace("0X", "0x"), other_account(2), BUYER])),
    buyer=maybe(st.sampled_from([BUYER, other_account(7)])),
    actor=maybe(st.sampled_from([SELLER, BUYER])),
    event=maybe(st.sampled_from([EntryKind.PURCHASED, EntryKind.REQUEST_SENT, EntryKind.LISTED])),
    state=maybe(st.sampled_from(["Settled", "Slashed", "Testing"])),
    since_seconds=maybe(blocks.map(lambda block: START + 60 * block)),
    until_seconds=maybe(blocks.map(lambda block: START + 60 * block)),
    first_block=maybe(blocks),
    last_block=maybe(blocks),
    least_gas=maybe(blocks.map(lambda block: 50_000 + block)),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters)
def test_any_filter_finds_what_a_walk_over_all_entries_finds(shared: AuditLog, wanted: Filter) -> None:
    states = {row.trade_id: row.state for row in find_trades(shared, Filter())}
    parties, expected = Parties(), []
    for entry in all_entries(shared):
        parties.note(entry.record)
        if meets(entry, keys_of(entry.record, parties), wanted, states):
            expected.append(entry)
    assert find_entries(shared, wanted) == expected
    assert find_entries(shared, wanted, newest_first=True, limit=3) == expected[::-1][:3]


def test_a_digest_and_a_transaction_find_their_entries(log: AuditLog) -> None:
    purchase = find_entries(log, Filter(trade=1, event=EntryKind.PURCHASED))[0]
    assert find_entries(log, Filter(digest=purchase.record.chain.transaction_hash)) == [purchase]
    opened = find_entries(log, Filter(event=EntryKind.SESSION_OPENED))[0]
    assert find_entries(log, Filter(digest=opened.record.details["request_digest"].upper().replace("0X", "0x"))) == [
        opened
    ]
    assert find_entries(log, Filter(digest=hash_of(1))) == []


def test_trades_by_what_they_have_come_to(log: AuditLog) -> None:
    def numbers(**wanted: object) -> list[int]:
        return [row.trade_id for row in find_trades(log, Filter(**wanted))]

    assert numbers(state="Settled") == [1, 6]
    assert numbers(state="Expired") == [3, 8]
    assert numbers(seller=SELLER, state="Settled") == [1]
    assert numbers(least_wei=7 * WEI) == [7, 8, 9]
    assert numbers(least_wei=2 * WEI, most_wei=3 * WEI) == [2, 3]
    assert numbers(buyer=BUYER) == [1, 2, 4, 5, 7, 8, 10]
    assert numbers(event=EntryKind.SLASHED) == [2, 7]
    assert numbers(trade=4) == [4]
    assert numbers(digest=hash_of(1)) == []
    expired = find_trades(log, Filter(trade=3))[0]
    assert (expired.state, expired.ended_from, expired.price_wei, expired.deadline_seconds) == (
        "Expired", "Purchased", 3 * WEI, None,
    )  # fmt: skip
    assert expired.phases.keys() == {"Testing", "Answered", "Purchased", "Expired"}


def test_sums_of_each_seller(log: AuditLog) -> None:
    first, second = summarize_sellers(log)
    assert (first.seller, first.trades, first.listings) == (other_account(2), 5, 1)
    assert (second.seller, second.trades, second.settled, second.slashed, second.not_proven) == (SELLER, 5, 1, 1, 1)
    assert (second.open, second.answered, second.earned_wei) == (2, 4, WEI)
    assert second.seconds_to_answer == second.seconds_to_prove == 600
    assert second.gas_of_seller + second.gas_of_buyers == sum(
        row.gas_used for row in find_trades(log, Filter(seller=SELLER))
    )
    assert [one.trades for one in summarize_sellers(log, Filter(seller=SELLER, state="Slashed"))] == [1]


def test_a_refund_by_agreement_and_another_currency_are_told_apart(log: AuditLog) -> None:
    token = "0x" + "77" * 20
    asked = listing(30, SELLER, 7000)
    log.append(replace(asked, details={**asked.details, "terms_token": token}))
    path = ("SessionOpened", "Answered", "Purchased", "Proven", "Revealed", "Settled")  # accepted by signature
    log.append_all(trade(30, 30, SELLER, BUYER, 7100, path))
    log.append_all(trade(31, 1, SELLER, BUYER, 7101, path[:-1]))
    log.append(market_event("Refunded", 7200, 1, 31, BUYER, buyer=BUYER, amount=str(WEI)))
    log.append(market_event("Settled", 7201, 1, 31, BUYER, seller=SELLER, amount="5"))
    in_token, refunded = (find_trades(log, Filter(trade=number))[0] for number in (30, 31))
    assert (in_token.token, in_token.state, in_token.ended_from) == (token, "Settled", "Revealed")
    assert (refunded.refunded_wei, refunded.state, refunded.ended_from) == (WEI, "Settled", "Revealed")
    summary = next(one for one in summarize_sellers(log) if one.seller == SELLER)
    assert (summary.settled, summary.refunded, summary.earned_wei) == (3, 1, 31 * WEI)


def test_what_is_owed_and_by_whom(log: AuditLog) -> None:
    owed = find_obligations(log, now_seconds=START)
    assert [(one.trade.trade_id, one.role, one.what, one.overdue) for one in owed] == [
        (5, "Seller", "answer the test", False),
        (10, "Seller", "answer the test", False),
        (4, "Buyer", "accept the delivery", False),
        (9, "Buyer", "accept the delivery", False),
    ]
    assert [one.who for one in owed] == [SELLER, other_account(2), BUYER, other_account(7)]
    assert all(one.overdue for one in find_obligations(log, now_seconds=START + 10**7))


def test_listings_open_and_closed(log: AuditLog) -> None:
    log.append(market_event("Delisted", 5000, 2, None, other_account(2)))
    assert [(row.listing_id, row.open, row.seller) for row in find_listings(log, Filter())] == [
        (1, True, SELLER), (2, False, other_account(2)),
    ]  # fmt: skip
    assert [row.listing_id for row in find_listings(log, Filter(least_wei=2 * WEI))] == [2]


def test_what_a_reorganisation_undid_counts_nowhere(log: AuditLog) -> None:
    settled = next(entry for entry in find_entries(log, Filter(trade=1)) if entry.record.kind is EntryKind.SETTLED)
    log.append(replace(settled.record, kind=EntryKind.REORGANISED, details={"undone_kind": "Settled"}))
    row = find_trades(log, Filter(trade=1))[0]
    assert (row.state, row.ended_from) == ("Revealed", None)
    log.append(settled.record)
    assert find_trades(log, Filter(trade=1))[0].state == "Settled"
    listed = find_entries(log, Filter(event=EntryKind.LISTED, listing=1))[0]
    log.append(replace(listed.record, kind=EntryKind.REORGANISED, details={}))
    assert [row.listing_id for row in find_listings(log, Filter())] == [2]


def test_markets_in_one_log_are_told_apart(log: AuditLog) -> None:
    log.append_all(
        [listing(1, BUYER, 3, OTHER_MARKET), *trade(1, 1, BUYER, SELLER, 4, ("SessionOpened",), OTHER_MARKET)]
    )
    other = f"1:{OTHER_MARKET}"
    assert [row.seller for row in find_trades(log, Filter(trade=1, market=other))] == [BUYER]
    assert [row.seller for row in find_trades(log, Filter(trade=1, market=f"1:{MARKET}"))] == [SELLER]
    assert len(find_entries(log, Filter(trade=1, market=other))) == 2
    assert len(find_entries(log, Filter(trade=1, market=f"1:{MARKET}"))) == 8
    with pytest.raises(InvalidRecordError, match="several markets"):
        find_entries(log, Filter(trade=1))


def test_steps_that_name_no_market_belong_to_the_only_one(log: AuditLog) -> None:
    log.append(step(trade_id=3))
    assert find_entries(log, Filter(trade=3))[-1].record == step(trade_id=3)


def test_manifests_are_found_by_their_words(log: AuditLog) -> None:
    about = [b'{"name":"Credit risk of small firms","task":"classification"}', b'{"name":"Lung nodules"}']
    for number, content in enumerate(about, start=21):
        digest = f"0x{keccak(content).hex()}"
        log.append(replace(listing(number, SELLER, 6000 + number), details={"seller": SELLER, "manifest_hash": digest}))
        assert add_manifest(log, content) == add_manifest(log, content) == digest
    assert [one.listings[0].listing_id for one in search_manifests(log, "credit RISK")] == [21]
    assert [one.listings[0].listing_id for one in search_manifests(log, "nodules")] == [22]
    assert search_manifests(log, "credit nodules") == search_manifests(log, '"; DROP TABLE entries; --') == []
    assert search_manifests(log, "") == []
    with pytest.raises(InvalidRecordError, match="no listing"):
        add_manifest(log, b"{}")
    with pytest.raises(InvalidRecordError):
        add_manifest(log, b"\xff")


QUESTIONS: list[Callable[[AuditLog], object]] = [
    lambda log: find_entries(log, Filter(trade=3)),
    lambda log: find_entries(log, Filter(seller=SELLER, event=EntryKind.PURCHASED)),
    lambda log: find_entries(log, Filter(buyer=BUYER, since_seconds=START, last_block=1100)),
    lambda log: find_entries(log, Filter(digest=hash_of(4 * 10**6 + 1101))),
    lambda log: find_entries(log, Filter(state="Slashed", least_wei=WEI)),
    lambda log: find_entries(log, Filter(least_gas=51_000)),
    lambda log: find_entries(log, Filter(since_seconds=START + 60 * 1100)),
    lambda log: find_trades(log, Filter(seller=SELLER)),
    lambda log: find_trades(log, Filter(buyer=BUYER, state="Settled")),
    lambda log: find_trades(log, Filter(listing=2)),
    lambda log: find_trades(log, Filter(trade=2, market=MARKET_NAME)),
    lambda log: find_trades(log, Filter(least_wei=WEI)),
    lambda log: find_trades(log, Filter(least_gas=10)),
    lambda log: find_trades(log, Filter(since_seconds=START)),
    lambda log: find_listings(log, Filter(seller=SELLER)),
    lambda log: find_obligations(log, START),
]


def plans(log: AuditLog, ask: Callable[[AuditLog], object]) -> list[list[str]]:
    """How SQLite goes about each query of a question, but for those that read one row."""
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    with up_to_date(log):
        pass
    event.listen(log._store._engine, "before_cursor_execute", note)
    try:
        ask(log)
    finally:
        event.remove(log._store._engine, "before_cursor_execute", note)
    selects = [one for one in asked if one[0].startswith("SELECT")]
    queries = [one for one in selects if not re.search(r"FROM catalogued|max\(entries.sequence\)", one[0])]
    with log.reading() as connection:
        return [
            [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in queries
        ]


@pytest.mark.parametrize("ask", QUESTIONS)
def test_every_question_goes_through_an_index(shared: AuditLog, ask: Callable[[AuditLog], object]) -> None:
    found = plans(shared, ask)
    assert found
    for plan in found:
        # What is asked for is a list, which is read through; tables are not.
        scans = [line for line in plan if re.match(r"SCAN (?!CONSTANT|json_each)", line)]
        assert not [line for line in scans if "USING" not in line], plan


def test_the_first_trades_in_a_state_are_found_without_sorting_all(shared: AuditLog) -> None:
    for plan in plans(shared, lambda log: find_trades(log, Filter(state="Settled"), limit=1)):
        assert not [line for line in plan if "TEMP B-TREE" in line], plan
