"""A seller's record that its reader derives from an answer is the one that the log's own sums give."""

from dataclasses import replace
from pathlib import Path

import pytest

from ledger import AuditLog, EntryKind, ProofError
from ledger.catalogue.keys import Key, KeyKind
from ledger.entries import ActorRole, Record
from ledger.reading.accuracies import ACCURACY_FIELDS, Accuracy
from ledger.reading.answers import prove_answer, verify_answer
from ledger.reading.questions import Filter, find_entries
from ledger.reading.records import derive_record, prove_record
from ledger.reading.sellers import summarize_sellers
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


def test_an_accuracy_is_claimed_by_its_seller_and_verified_by_others_alone(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(3))
        listed = find_entries(log, Filter(event=EntryKind.LISTED))[0].record
        seller = str(listed.details["seller"])
        facts = ["0x" + f"{number:02x}" * 32 for number in range(4)]
        details = dict(zip(ACCURACY_FIELDS, [*facts[:3], 100, 98, facts[3]], strict=True))
        said = Record(
            kind=EntryKind.ACCURACY_CLAIMED, actor=seller, role=ActorRole.SELLER, occurred_at_seconds=1,
            listing_id=listed.listing_id, details=details,
        )  # fmt: skip
        verified = replace(said, kind=EntryKind.ACCURACY_VERIFIED, actor=BUYER, role=ActorRole.BUYER)
        log.append_all(
            [
                said,
                verified,
                replace(verified, actor=seller),  # nobody verifies itself,
                replace(said, actor=BUYER, details=details | {"correct": 99}),  # or claims for another;
                replace(said, details=details | {"correct": 101}),  # more than all can't be,
                replace(said, details={"correct": 3}),  # nor less than a whole claim;
                replace(verified, details=details | {"correct": 97}),  # what was verified may be another number
            ]
        )
        answer = verify_answer(prove_record(log, seller), log.checkpoint())
        (summed,) = (one for one in summarize_sellers(log) if one.seller == seller)
    claimed = Accuracy(*details.values(), claimed=True, verified_by=(BUYER.lower(),))  # type: ignore[arg-type]
    other = replace(claimed, correct=97, claimed=False)
    assert derive_record(answer) == summed
    assert summed.accuracies == (other, claimed)
    assert summed.listings > 0


def test_of_nobody_and_of_a_buyer_there_is_no_record(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(3))
        nobody = verify_answer(prove_record(log, BUYER), log.checkpoint())
        assert derive_record(nobody).trades == 0
        bought = verify_answer(prove_answer(log, Key(KeyKind.BUYER, BUYER))[0], log.checkpoint())
    assert SELLER != BUYER
    with pytest.raises(ProofError, match="not about a seller"):
        derive_record(bought)
