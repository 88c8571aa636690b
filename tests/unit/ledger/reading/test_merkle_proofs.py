import json
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    AuditLog,
    Checkpoint,
    EntryProof,
    InvalidRecordError,
    LedgerError,
    ProofError,
    prove_entry,
    prove_growth,
    verify_entry,
    verify_growth,
)
from ledger.checkpoint import EMPTY_CHECKPOINT
from tests.simulators.ledger_records import contract_event, step

RECORDS = [step(i) if i % 3 else contract_event(i) for i in range(23)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditLog, list[Checkpoint]]:
    """A log, and its checkpoint after every entry."""
    log = AuditLog.open(tmp_path_factory.mktemp("log") / "audit.sqlite")
    checkpoints = [log.checkpoint()]
    for record in RECORDS:
        log.append(record)
        checkpoints.append(log.checkpoint())
    return log, checkpoints


def test_each_entry_is_proven_at_each_later_checkpoint(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    for checkpoint in points:
        for sequence in range(checkpoint.entries):
            proof = prove_entry(log, sequence, checkpoint)
            assert verify_entry(EntryProof.from_json(proof.to_json()), checkpoint) == RECORDS[sequence]
            assert len(proof.hashes) <= 5


def test_growth_is_proven_between_any_checkpoints(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    for older in points:
        for newer in points[older.entries :]:
            verify_growth(older, newer, prove_growth(log, older, newer))


def test_changed_entry_is_refused(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    proof = prove_entry(log, 4, points[-1])
    changed = proof.encoded.replace(b'"bytes":4', b'"bytes":5')
    assert changed != proof.encoded
    moved = proof.encoded.replace(b'"sequence":4', b'"sequence":5')
    for encoded in (changed, moved, b"", b"\xff", b"{}", b"[]"):
        with pytest.raises(LedgerError):
            verify_entry(replace(proof, encoded=encoded), points[-1])
    with pytest.raises(ProofError):
        verify_entry(proof, points[-2])
    with pytest.raises(ProofError):
        verify_entry(replace(proof, hashes=proof.hashes[::-1]), points[-1])


def test_entry_after_the_checkpoint_has_no_proof(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    for sequence in (5, 22, 23, -1):
        with pytest.raises(ProofError):
            prove_entry(log, sequence, points[5])


def test_foreign_checkpoints_are_refused(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    foreign = Checkpoint(7, bytes(32))
    with pytest.raises(ProofError, match="another log"):
        prove_entry(log, 3, foreign)
    with pytest.raises(ProofError, match="another log"):
        prove_growth(log, foreign, points[-1])
    with pytest.raises(ProofError):
        prove_growth(log, points[-1], points[3])
    with pytest.raises(ProofError, match="the log has 23 entries"):
        prove_entry(log, 3, Checkpoint(24, bytes(32)))
    with pytest.raises(ProofError):
        verify_growth(foreign, points[-1], prove_growth(log, points[7], points[-1]))


def test_second_opening_goes_on_with_the_same_tree(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as one:
        for record in RECORDS:
            with AuditLog.open(path) as other:
                other.append(record)
            one.append(step(99))
        whole = one.checkpoint()
    with AuditLog.open(tmp_path / "whole.sqlite") as log:
        log.append_all(record for pair in RECORDS for record in (pair, step(99)))
        assert log.checkpoint() == whole


def test_empty_log_has_the_empty_trees_root(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        assert log.checkpoint() == EMPTY_CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "[]",
        '{"entry":{},"hashes":[1]}',
        '{"entry":{},"hashes":["0g"]}',
        '{"entry":1.5e400,"hashes":[]}',
        '{"entry":' + '{"a":' * 900 + "1" + "}" * 900 + ',"hashes":[]}',
    ],
)
def test_what_is_no_proof_is_refused(text: str, checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    with pytest.raises(LedgerError):
        verify_entry(EntryProof.from_json(text), checkpoints[1][-1])


def test_checkpoint_is_a_tlog_checkpoint() -> None:
    checkpoint = Checkpoint(23, bytes(range(32)))
    assert str(checkpoint) == "modelseal/ledger\n23\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert Checkpoint.parse(str(checkpoint)) == checkpoint


@given(st.text() | st.binary().map(lambda raw: f"modelseal/ledger\n5\n{raw.hex()[:43]}=\n"))
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    try:
        assert str(Checkpoint.parse(text)) == text
    except InvalidRecordError:
        return


def test_base64_has_one_form_only() -> None:
    text = str(Checkpoint(23, bytes(range(32))))
    with pytest.raises(InvalidRecordError):
        Checkpoint.parse(text.replace("h8=", "h9="))


def test_proof_is_canonical_json(checkpoints: tuple[AuditLog, list[Checkpoint]]) -> None:
    log, points = checkpoints
    text = prove_entry(log, 4, points[-1]).to_json()
    assert rfc8785.dumps(json.loads(text)).decode() == text
