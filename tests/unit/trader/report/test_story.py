import json
import string
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from ledger import ActorRole, Entry, EntryKind, Record, TradeStory
from ledger.entries import CONTRACT_EVENTS, ON_CHAIN
from ledger.reading.queries import find_void_sequences
from tests.simulators.ledger_records import contract_event, position, step
from trader.report import print_story, story_rows
from trader.report.story import _WORDS


def story_of(*records: Record) -> TradeStory:
    entries = tuple(Entry(sequence=i, record=record, entry_hash=bytes(32)) for i, record in enumerate(records))
    return TradeStory(trade_id=7, entries=entries, void_sequences=find_void_sequences(entries))


def printed(story: TradeStory, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    print_story(console, story)
    return console.file.getvalue()


OPENED = contract_event(
    8,
    kind=EntryKind.SESSION_OPENED,
    role=ActorRole.BUYER,
    details={"samples": 256, "fee": str(10**15), "deadline": 1},
)


def test_story_says_when_where_who_what_and_for_how_much() -> None:
    text = printed(story_of(OPENED, step(20, details={"bytes": 6_095_724})))
    assert "Trade 7 of listing 3, 2023-11-14 (UTC)" in text
    first = text.splitlines()[2]
    for part in ("22:13:28", "8", "0x00000000", "Buyer", "opened a test session", "50,000"):
        assert part in first
    assert "12 s" in text
    assert "of up to 256 samples for 0.001 ETH" in " ".join(text.replace("50,000", "").split())
    assert "6.1 MB" in text
    assert "Buyer: 50,000 gas" in text


def test_story_fits_eighty_columns() -> None:
    hostile = step(details={"bytes": 2**53 - 1, "reason": "x" * 256})
    long_names = replace(hostile, kind=EntryKind.DELIVERY_REFUSED)
    huge = replace(OPENED, occurred_at_seconds=253_402_300_799, chain=replace(position(), gas_used=10**9))
    lines = printed(story_of(hostile, long_names, huge, OPENED)).splitlines()
    assert max(map(len, lines)) <= 80


def test_what_others_wrote_is_never_markup() -> None:
    refused = step(kind=EntryKind.REQUEST_REFUSED, details={"reason": "[red]paid[/red] {bytes} [link=x]"})
    assert "[red]paid[/red] {bytes}" in " ".join(printed(story_of(refused), 200).split())


def test_gas_of_a_transaction_stands_at_its_first_event() -> None:
    confirmed = contract_event(9, 0, kind=EntryKind.CONFIRMED)
    settled = contract_event(9, 1, kind=EntryKind.SETTLED, details={"amount": str(12 * 10**17)})
    rows = story_rows(story_of(confirmed, settled))
    assert [row["gas_used"] for row in rows] == [50_000, None]
    assert rows[1]["what"] == "settled: 1.2 ETH to the seller"


def test_undone_entries_are_marked() -> None:
    story = story_of(OPENED, replace(OPENED, kind=EntryKind.REORGANISED, details={"undone_kind": "SessionOpened"}))
    assert [row["undone"] for row in story_rows(story)] == [True, False]
    assert "(undone)" in printed(story)
    assert "gas" not in printed(story).splitlines()[-1]


def test_rows_are_json() -> None:
    rows = story_rows(story_of(OPENED, step(3)))
    assert json.loads(json.dumps(rows)) == rows
    assert rows[0]["time"] == "2023-11-14T22:13:28Z"
    assert rows[1]["time"] == "2023-11-14T22:13:23Z"
    assert rows[1]["not_before"] == "2023-11-14T22:13:28Z"
    assert rows[1]["seconds_since_previous"] == 0
    assert (rows[1]["block"], rows[1]["transaction"], rows[1]["gas_used"]) == (None, None, None)


def test_times_run_forwards_whatever_clocks_say() -> None:
    text = printed(story_of(OPENED, step(3), step(20)))
    assert "~22:13:28" in text
    assert "at this time or later" in text
    assert [row["seconds_since_previous"] for row in story_rows(story_of(OPENED, step(3), step(20)))] == [0, 0, 12]
    assert "~" not in printed(story_of(OPENED, step(20)))


def test_events_that_were_logged_late_are_told_before_what_they_caused() -> None:
    received = step(9, kind=EntryKind.REQUEST_RECEIVED)
    answered = contract_event(12, kind=EntryKind.ANSWERED)
    responded = step(13, kind=EntryKind.RESPONSE_SENT)
    late = story_rows(story_of(received, responded, OPENED, answered))  # a seller's own log
    assert [row["kind"] for row in late] == ["SessionOpened", "RequestReceived", "Answered", "ResponseSent"]
    assert [row["sequence"] for row in late] == [2, 0, 3, 1]


def test_events_of_the_chain_keep_their_order() -> None:
    proven = contract_event(20, kind=EntryKind.PROVEN)
    accepted = contract_event(21, kind=EntryKind.ACCEPTED)
    revealed = contract_event(22, kind=EntryKind.REVEALED)
    late = story_rows(story_of(step(25, kind=EntryKind.KEY_RECEIVED), proven, accepted, revealed))
    assert [row["kind"] for row in late] == ["Proven", "Accepted", "Revealed", "KeyReceived"]


def test_a_new_day_is_told() -> None:
    text = printed(story_of(OPENED, step(100_000)))
    assert "11-16" in text


def test_each_kind_has_its_words_and_none_needs_its_details() -> None:
    assert set(_WORDS) == set(EntryKind)
    for kind in EntryKind:
        chain = position(index=0) if kind in ON_CHAIN else None
        row = story_rows(story_of(step(kind=kind, chain=chain, details={})))[0]
        assert row["what"].replace("?", "").strip()
        assert row["what"].count("?") == sum(
            name is not None for _, name, _, _ in string.Formatter().parse(_WORDS[kind])
        )


@pytest.mark.parametrize(
    ("details", "what"),
    [
        ({"ended": 3, "to_buyer": str(10**18), "to_seller": "0"}, "overdue in Purchased: 1 ETH to the buyer, 0 ETH to"),
        ({"ended": 99, "to_buyer": "x", "to_seller": True}, "overdue in 99: x to the buyer, True to the seller"),
        ({"ended": "Proven", "to_buyer": "1"}, "overdue in Proven: 0.000000000000000001 ETH to the buyer, ? to"),
    ],
)
def test_details_out_of_range_are_told_as_they_are(details: dict[str, object], what: str) -> None:
    expired = contract_event(kind=EntryKind.EXPIRED, details=details)
    assert what in story_rows(story_of(expired))[0]["what"]


def test_disputes_have_names() -> None:
    for number, name in ((0, "weights chunk"), (2, "sum step"), (3, "3"), (-1, "-1")):
        slashed = contract_event(kind=EntryKind.SLASHED, details={"dispute": number, "amount": "1"})
        assert f"({name})" in story_rows(story_of(slashed))[0]["what"]
    assert EntryKind.SLASHED in CONTRACT_EVENTS
