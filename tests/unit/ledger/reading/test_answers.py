"""Answers that are complete, and every way to make them lack, add or change something."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger import (
    AuditLog,
    EntryKind,
    IndexRootError,
    LedgerError,
    ProofError,
    TamperedError,
    export_log,
    verify_export,
    verify_log,
)
from ledger.catalogue import upkeep
from ledger.catalogue.index import Commitment
from ledger.catalogue.keys import AUTHENTICATED, Key, KeyKind
from ledger.catalogue.upkeep import carry_map, count_missing, rebuild, up_to_date
from ledger.checkpoint import Checkpoint
from ledger.reading.answers import Answer, commit_index, prove_answer, verify_answer
from ledger.reading.catalogue_check import verify_catalogue
from ledger.reading.questions import Filter, find_trades
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import BUYER, SELLER, any_record, contract_event, step
from tests.simulators.ledger_trades import MARKET_NAME, other_account, trades

TRADES = Key(KeyKind.SELLER_TRADES, SELLER)
STORY = Key(KeyKind.TRADE, f"{MARKET_NAME}/2")


@pytest.fixture
def log(location: Path | str) -> Iterator[AuditLog]:
    """Five trades of two sellers, interleaved."""
    with AuditLog.open(location) as log:
        log.append_all(trades(5))
        yield log


@pytest.fixture
def answer(log: AuditLog) -> Answer:
    return prove_answer(log, STORY)[0]


def test_an_answer_holds_all_entries_of_its_key(log: AuditLog) -> None:
    with up_to_date(log) as connection:
        entries = select_entries(connection)
    for answer in prove_answer(log, STORY, TRADES, Key(KeyKind.BUYER, BUYER), Key(KeyKind.EVENT, "Proven")):
        read = Answer.from_json(answer.to_json())
        assert read == answer
        found = verify_answer(read, log.checkpoint(), answer.key)
        assert found.complete_up_to == len(entries)
        assert found.records == {e.sequence: e.record for e in entries if e.sequence in found.records}
    story = verify_answer(prove_answer(log, STORY)[0], log.checkpoint()).records
    assert list(story) == [e.sequence for e in entries if e.record.trade_id == 2]
    sold = verify_answer(prove_answer(log, TRADES)[0], log.checkpoint()).records
    assert {record.trade_id for record in sold.values()} == {1, 3, 5}


def root_now(log: AuditLog) -> bytes:
    with log.writing() as connection:
        return carry_map(connection)


def test_an_answer_is_proven_for_a_signed_checkpoint_whatever_came_since(log: AuditLog) -> None:
    commit_index(log)
    checkpoint = log.checkpoint()
    before = verify_answer(prove_answer(log, TRADES, checkpoint=checkpoint)[0], checkpoint).records
    log.append_all(trades(3, first=20))
    with up_to_date(log):
        pass
    assert verify_answer(prove_answer(log, TRADES, checkpoint=checkpoint)[0], checkpoint).records == before
    newer = log.checkpoint()
    assert verify_answer(prove_answer(log, TRADES, checkpoint=newer)[0], newer).records == before
    commit_index(log)
    for refused in (checkpoint, replace(checkpoint, root_hash=bytes(32)), replace(newer, entries=10**6)):
        with pytest.raises(ProofError):
            prove_answer(log, TRADES, checkpoint=refused)
    assert len(verify_answer(prove_answer(log, TRADES)[0], log.checkpoint()).records) == len(before) + 1


def test_nothing_is_an_answer_too(log: AuditLog) -> None:
    key = Key(KeyKind.SELLER_TRADES, other_account(99))
    answer = prove_answer(log, key)[0]
    assert verify_answer(answer, log.checkpoint(), key).records == {}
    nothing = replace(answer, key=TRADES)
    with pytest.raises(ProofError, match="not all entries"):
        verify_answer(nothing, log.checkpoint())


def test_digests_are_not_in_the_index(log: AuditLog) -> None:
    with pytest.raises(ProofError, match="no such keys"):
        prove_answer(log, Key(KeyKind.DIGEST, "0x" + "00" * 32))


def test_a_log_commits_itself_once_for_what_is_new(log: AuditLog, location: Path | str) -> None:
    first = commit_index(log)
    assert commit_index(log) == first
    prove_answer(log, STORY)
    assert log.head().entries == first.sequence + 1
    log.append(step())
    assert commit_index(log).sequence == first.sequence + 2
    verify_log(location)


def test_index_and_catalogue_follow_from_the_entries_however_they_were_made(log: AuditLog) -> None:
    one_batch = root_now(log)
    verify_catalogue(log)
    assert rebuild(log) == one_batch
    for record in trades(3, first=20):
        log.append(record)
        with up_to_date(log):
            pass
    verify_catalogue(log)
    one_by_one = root_now(log)
    assert rebuild(log) == one_by_one


# --------------------------------------------------------------------------------------------------------- the liar


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Answer], Checkpoint]:
    with AuditLog.open(tmp_path_factory.mktemp("log") / "audit.sqlite") as log:
        log.append_all(trades(5))
        keys = STORY, TRADES, Key(KeyKind.ACTOR, SELLER), Key(KeyKind.EVENT, "Revealed"), Key(KeyKind.TRADE, "none/1")
        return prove_answer(log, *keys), log.checkpoint()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_an_answer_with_a_row_left_out_added_moved_or_changed_is_refused(
    proven: tuple[list[Answer], Checkpoint], data: st.DataObject
) -> None:
    answers, checkpoint = proven
    answer = data.draw(st.sampled_from(answers))
    everything = sorted({entry for one in answers for entry in one.entries}, key=lambda one: one.encoded)
    entries = list(answer.entries)
    for _ in range(data.draw(st.integers(1, 3))):
        move = data.draw(st.sampled_from(["drop", "add", "swap", "take"]))
        place = data.draw(st.integers(0, max(0, len(entries) - 1)))
        if move == "drop" and entries:
            del entries[place]
        elif move == "add":
            entries.insert(place, data.draw(st.sampled_from(everything)))
        elif move == "swap" and entries:
            other = data.draw(st.integers(0, len(entries) - 1))
            entries[place], entries[other] = entries[other], entries[place]
        elif move == "take" and entries:
            entries[place] = data.draw(st.sampled_from(everything))
    changed = replace(answer, entries=tuple(entries))
    if changed == answer:
        return
    with pytest.raises(TamperedError):
        verify_answer(changed, checkpoint)
    with pytest.raises(TamperedError):
        verify_answer(Answer.from_json(changed.to_json()), checkpoint)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_an_answer_whose_text_was_changed_is_refused(
    proven: tuple[list[Answer], Checkpoint], data: st.DataObject
) -> None:
    answers, checkpoint = proven
    text = data.draw(st.sampled_from(answers)).to_json()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + data.draw(st.integers(0, 3)) :]
    if changed == text:
        return
    with pytest.raises(LedgerError):
        verify_answer(Answer.from_json(changed), checkpoint, Answer.from_json(text).key)


def test_an_answer_about_another_key_or_checkpoint_is_refused(log: AuditLog, answer: Answer) -> None:
    checkpoint = log.checkpoint()
    with pytest.raises(ProofError, match="was asked"):
        verify_answer(answer, checkpoint, TRADES)
    log.append(step())
    with pytest.raises(ProofError, match="not for yours"):
        verify_answer(answer, log.checkpoint())
    with pytest.raises(ProofError):
        verify_answer(replace(answer, key=Key(KeyKind.TRADE, f"{MARKET_NAME}/3")), checkpoint)


def test_the_proof_is_short(log: AuditLog, answer: Answer) -> None:
    assert len(answer.to_json()) - sum(len(entry.encoded) for entry in answer.entries) < 10_000


# -------------------------------------------------------------------------------------------- a log that lies itself


def test_a_commitment_that_leaves_an_entry_out_is_found_by_whoever_has_the_entries(tmp_path: Path) -> None:
    """The log proves to a buyer that a seller's bad trade never was; its export gives it away."""
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all(trades(3))
        commit_index(log)
        hidden = contract_event(500, trade_id=77, kind=EntryKind.SLASHED)
        root = root_now(log)
        log.append(hidden)
        entries = log.head().entries
        log.append(Commitment(entries, root).to_record(1_700_000_000))
        export_log(log, tmp_path / "audit.jsonl")
    with pytest.raises(IndexRootError) as caught:
        verify_export(tmp_path / "audit.jsonl")
    assert caught.value.sequence == entries
    with pytest.raises(IndexRootError, match="does not follow"):
        verify_log(path)


@pytest.mark.parametrize("details", [{}, {"entries": 3, "root": "0x00"}, {"entries": "3", "root": "0xzz"}])
def test_a_commitment_that_says_nothing_is_found(tmp_path: Path, details: dict[str, object]) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(step(i) for i in range(3))
        log.append(step(kind=EntryKind.INDEX_COMMITTED, details=details))
    with pytest.raises(IndexRootError):
        verify_log(tmp_path / "audit.sqlite")


CATALOGUE_LIES = {
    "a posting less": "DELETE FROM postings WHERE sequence = 4",
    "a posting more": "INSERT INTO postings SELECT key_id, 999 FROM keys WHERE kind = 'seller' LIMIT 1",
    "another state": "UPDATE trades SET state = 'Settled' WHERE trade_id = '2'",
    "a trade less": "DELETE FROM trades WHERE trade_id = '2'",
    "another seller": f"UPDATE listings SET seller = '{other_account(5)}'",
    "a key less": "DELETE FROM keys WHERE kind = 'seller'",
    "another count": "UPDATE keys SET entries = entries + 1 WHERE kind = 'trade'",
    "another root": "UPDATE map_nodes SET hash = X'00' WHERE path = ''",
    "moved entry": "UPDATE postings SET sequence = 1000 WHERE sequence = 4",
}


@pytest.mark.parametrize("statement", CATALOGUE_LIES.values(), ids=CATALOGUE_LIES)
def test_a_catalogue_that_lies_is_found_and_made_anew(tmp_path: Path, statement: str) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(3))
        root = root_now(log)
        with log.writing() as connection:
            connection.exec_driver_sql(statement)
        with pytest.raises(IndexRootError):
            verify_catalogue(log)
        assert rebuild(log) == root
        verify_catalogue(log)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=st.lists(any_record, max_size=12))
def test_any_log_has_an_index(tmp_path_factory: pytest.TempPathFactory, records: list) -> None:
    with AuditLog.open(tmp_path_factory.mktemp("log") / "audit.sqlite") as log:
        log.append_all(records)
        commit_index(log)
        verify_catalogue(log)
        verify_log(log.path)


def test_json_is_small_and_names_what_it_is(answer: Answer) -> None:
    content = json.loads(answer.to_json())
    assert content["format"] == "modelseal-audit-answer"
    assert set(AUTHENTICATED) == set(KeyKind) - {KeyKind.DIGEST}


def test_a_large_import_is_catalogued_in_many_transactions_between_which_others_write(
    location: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "BATCH", 10)
    monkeypatch.setattr(upkeep, "AT_ONCE", 20)
    with AuditLog.open(location) as log, AuditLog.open(location) as other:
        log.append_all(trades(8))
        entries, writing, transactions = log.head().entries, log.writing, []

        @contextmanager
        def counted() -> Iterator[Connection]:
            with writing() as connection:
                yield connection
            transactions.append(other.append(step(len(transactions), trade_id=1000 + len(transactions))))

        with monkeypatch.context() as patch:
            patch.setattr(log, "writing", counted)
            with up_to_date(log) as connection:
                assert count_missing(connection) > 0  # what others wrote meanwhile is left for the next question
        assert len(transactions) == -(-entries // 20)
        verify_catalogue(log)
        with up_to_date(log) as connection:
            assert not count_missing(connection)
        verify_catalogue(log)
        assert find_trades(log, Filter(), limit=None) == find_trades(other, Filter(), limit=None)
