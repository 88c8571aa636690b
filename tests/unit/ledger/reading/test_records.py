"""A seller's record that its reader derives from an answer is the one that the log's own sums give."""

from dataclasses import replace
from pathlib import Path

import pytest

from ledger import AuditLog, EntryKind, ProofError
from ledger.catalogue.keys import Key, KeyKind
from ledger.reading.answers import prove_answer, verify_answer
from ledger.reading.questions import Filter, find_entries, summarize_sellers
from ledger.reading.records import derive_record, prove_record
from tests.simulators.ledger_records import BUYER, SELLER
from tests.simulators.ledger_trades import other_account, trades


def test_the_record_is_derived_from_a_complete_answer(location: Path | str) -> None:
    with AuditLog.open(location) as log:
        log.append_all(trades(10))
        settled = find_entries(log, Filter(trade=1, event=EntryKind.SETTLED))[0].record
        for records in ([], [replace(settled, kind=EntryKind.REORGANISED, details={})], trades(7, first=30)):
            log.append_all(records)
            for expected in summarize_sellers(log):
                answer = prove_record(log, expected.seller)
                assert derive_record(verify_answer(answer, log.checkpoint())) == expected


def test_a_record_without_a_bad_trade_is_refused(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(10))
        answer = prove_record(log, other_account(2))
        checkpoint = log.checkpoint()
    assert derive_record(verify_answer(answer, checkpoint)).slashed == 1
    better = [one for one in answer.entries if b"Slashed" not in one.encoded]
    with pytest.raises(ProofError, match="not all entries"):
        verify_answer(replace(answer, entries=tuple(better)), checkpoint)


def test_of_nobody_and_of_a_buyer_there_is_no_record(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(3))
        nobody = verify_answer(prove_record(log, BUYER), log.checkpoint())
        assert derive_record(nobody).trades == 0
        bought = verify_answer(prove_answer(log, Key(KeyKind.BUYER, BUYER))[0], log.checkpoint())
    assert SELLER != BUYER
    with pytest.raises(ProofError, match="not about a seller"):
        derive_record(bought)
