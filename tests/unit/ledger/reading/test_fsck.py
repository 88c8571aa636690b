"""Every way to tamper with a log or its export, done the way a thief would do it, and found out offline."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import (
    AuditLog,
    EntryHashError,
    Head,
    HeadError,
    LedgerError,
    LedgerUnavailableError,
    MalformedEntryError,
    NotALedgerError,
    SequenceError,
    TamperedError,
    TreeError,
    export_log,
    read_trade,
    verify_export,
    verify_log,
)
from ledger.checkpoint import EMPTY_HEAD
from ledger.encoding import encode_entry, from_fields, hash_entry
from ledger.merkle import Frontier, hash_leaf
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import SELLER, any_record, contract_event, hash_of, step

ENTRIES = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of steps and contract events."""
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append_all(step(i) if i % 2 else contract_event(i) for i in range(ENTRIES))
    return path


@pytest.fixture
def head(path: Path) -> Head:
    with AuditLog.open(path) as log:
        return log.head()


@pytest.fixture
def export(path: Path, tmp_path: Path) -> Path:
    with AuditLog.open(path) as log:
        export_log(log, tmp_path / "audit.jsonl")
    return tmp_path / "audit.jsonl"


def tamper(path: Path, *statements: str) -> None:
    """Runs `statements` behind the program's back, and leaves the schema as it was."""
    with sqlite3.connect(path) as connection:
        guards = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement
        for _, guard in guards:
            connection.execute(guard)
    AuditLog.open(path).close()


def fit_tree(path: Path) -> None:
    """Makes the stored tree that of the stored entries."""
    with AuditLog.open(path) as log, log.reading() as connection:
        entries = select_entries(connection)
    frontier, nodes = Frontier(), {}
    for entry in entries:
        frontier, completed = frontier.append(hash_leaf(encode_entry(entry.sequence, entry.record)))
        nodes |= completed
    rows = ", ".join(f"({level}, {position}, X'{value.hex()}')" for (level, position), value in nodes.items())
    tamper(path, "DELETE FROM nodes", f"INSERT INTO nodes VALUES {rows}")


def forge(path: Path, first: int, **changes: object) -> None:
    """Changes an entry and makes all later hashes fit, as somebody who knows the format would."""
    with AuditLog.open(path) as log, log.reading() as connection:
        entries = select_entries(connection)
    previous_hash, statements = entries[first - 1].entry_hash, []
    for entry in entries[first:]:
        changed = entry.record if entry.sequence > first else step(entry.sequence, **changes)
        previous_hash = hash_entry(previous_hash, encode_entry(entry.sequence, changed))
        digest = previous_hash.hex()
        statements.append(f"UPDATE entries SET entry_hash = X'{digest}' WHERE sequence = {entry.sequence}")
    tamper(path, f"UPDATE entries SET actor = '{changes['actor']}' WHERE sequence = {first}", *statements)
    fit_tree(path)


def test_untouched_log_passes(path: Path, head: Head) -> None:
    assert verify_log(path) == verify_log(path, known_head=head) == head
    assert verify_log(path, known_head=EMPTY_HEAD) == head


def test_log_that_has_grown_still_has_its_old_head(path: Path, head: Head) -> None:
    with AuditLog.open(path) as log:
        log.append(step(99))
        assert verify_log(path, known_head=head) == log.head()


def test_empty_log_passes(tmp_path: Path) -> None:
    AuditLog.open(tmp_path / "empty.sqlite").close()
    assert verify_log(tmp_path / "empty.sqlite") == EMPTY_HEAD


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'Proven'",
        "listing_id = '4'",
        "listing_id = NULL",
        "trade_id = '8'",
        f"actor = '{hash_of(1)[:42]}'",
        "role = 'Buyer'",
        "occurred_at_seconds = occurred_at_seconds + 1",
        "chain_id = 2",
        f"contract = '{SELLER}'",
        "block_number = 7",
        f"block_hash = '{hash_of(7)}'",
        f"transaction_hash = '{hash_of(7)}'",
        "log_index = 1",
        "gas_used = 1",
        """details = '{"deadline":1700003601,"response_digest":"' || substr(details, 43)""",
        "details = '{}'",
    ],
)
def test_changed_field_is_found(path: Path, change: str) -> None:
    tamper(path, f"UPDATE entries SET {change} WHERE sequence = 4")
    with pytest.raises(TamperedError) as caught:
        verify_log(path)
    assert isinstance(caught.value, (EntryHashError, MalformedEntryError))
    assert caught.value.sequence == 4


@pytest.mark.parametrize(
    "change", ["actor = upper(actor)", "details = details || ' '", "trade_id = '07'", "kind = 'No'"]
)
def test_field_in_another_form_is_found(path: Path, change: str) -> None:
    tamper(path, f"UPDATE entries SET {change} WHERE sequence = 4")
    with pytest.raises(MalformedEntryError):
        verify_log(path)


def test_changed_hash_is_found(path: Path) -> None:
    tamper(path, f"UPDATE entries SET entry_hash = X'{'00' * 32}' WHERE sequence = 4")
    with pytest.raises(EntryHashError) as caught:
        verify_log(path)
    assert (caught.value.sequence, caught.value.expected) == (4, bytes(32))


def test_dropped_entry_is_found(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence = 4")
    with pytest.raises(SequenceError) as caught:
        verify_log(path)
    assert (caught.value.expected, caught.value.actual) == (4, 5)


def test_dropped_first_entry_is_found(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence = 0")
    with pytest.raises(SequenceError):
        verify_log(path)


def test_dropped_and_renumbered_entries_are_found(path: Path) -> None:
    tamper(
        path, "DELETE FROM entries WHERE sequence = 4", "UPDATE entries SET sequence = sequence - 1 WHERE sequence > 4"
    )
    with pytest.raises(EntryHashError):
        verify_log(path)


def test_swapped_entries_are_found(path: Path) -> None:
    tamper(
        path,
        "UPDATE entries SET sequence = -1 WHERE sequence = 4",
        "UPDATE entries SET sequence = 4 WHERE sequence = 5",
        "UPDATE entries SET sequence = 5 WHERE sequence = -1",
    )
    with pytest.raises(EntryHashError):
        verify_log(path)


def test_truncation_is_found_by_whoever_knows_the_head(path: Path, head: Head) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence >= 9")
    with pytest.raises(TreeError):
        verify_log(path)
    fit_tree(path)
    assert verify_log(path).entries == 9  # nothing in the file can tell
    with pytest.raises(HeadError, match="truncated") as caught:
        verify_log(path, known_head=head)
    assert caught.value.expected == head


def test_rewritten_log_is_found_by_whoever_knows_the_head(path: Path, head: Head) -> None:
    forge(path, 5, actor=SELLER)
    assert verify_log(path) != head  # the chain is whole, and another one
    with pytest.raises(HeadError, match="replaced"):
        verify_log(path, known_head=head)


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE nodes SET hash = X'{'00' * 32}' WHERE level = 1 AND position = 2",
        f"UPDATE nodes SET hash = X'{'00' * 32}' WHERE level = 0 AND position = 11",
        "DELETE FROM nodes WHERE level = 3",
        f"INSERT INTO nodes VALUES (3, 1, X'{'00' * 32}')",
        "UPDATE nodes SET position = 7 WHERE level = 2 AND position = 2",
    ],
)
def test_changed_tree_is_found(path: Path, statement: str) -> None:
    tamper(path, statement)
    with pytest.raises(TreeError):
        verify_log(path)


def test_two_views_of_one_log_are_found(path: Path, head: Head, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "other.sqlite") as other:
        other.append_all(step(i, actor=SELLER) for i in range(ENTRIES))
        shown = other.head()
    assert verify_log(path) == head
    with pytest.raises(HeadError):
        verify_log(path, known_head=shown)


@pytest.mark.parametrize("make", [lambda path: path.write_text("hello " * 100), lambda path: sqlite3.connect(path)])
def test_what_is_no_log_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "other")
    (tmp_path / "other").touch()
    with pytest.raises(LedgerError):
        verify_log(tmp_path / "other")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    for check in (verify_log, verify_export):
        with pytest.raises(LedgerUnavailableError):
            check(tmp_path / "missing")
        with pytest.raises(LedgerUnavailableError):
            check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_view_with_giant_rows_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "giant.sqlite") as connection:
        connection.execute("CREATE VIEW entries AS SELECT 0 AS sequence, hex(zeroblob(100000000)) AS details")
    with pytest.raises(LedgerError):
        verify_log(tmp_path / "giant.sqlite")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(data=st.data())
def test_flipped_bit_of_the_file_is_found_or_changes_nothing(path: Path, head: Head, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    flipped = path.with_suffix(".flipped")
    flipped.write_bytes(content)
    with suppress(LedgerError):
        assert verify_log(flipped, known_head=head) == head  # a bit of free space, or of the file's header
        with AuditLog.open(flipped) as log, AuditLog.open(path) as untouched:
            assert read_trade(log, 7) == read_trade(untouched, 7)


# ------------------------------------------------------------------------------------------------------------ exports


def test_untouched_export_passes(export: Path, head: Head) -> None:
    assert verify_export(export) == verify_export(export, known_head=head) == head


def test_export_is_the_same_file_each_time(path: Path, export: Path, tmp_path: Path) -> None:
    with AuditLog.open(path) as log:
        export_log(log, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == export.read_bytes()


def test_export_to_nowhere_leaves_nothing(path: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with AuditLog.open(path) as log, pytest.raises(LedgerUnavailableError):
        export_log(log, tmp_path / "missing" / "audit.jsonl")
    with AuditLog.open(path) as log, pytest.raises(LedgerUnavailableError):
        export_log(log, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def lines_of(export: Path) -> list[bytes]:
    return export.read_bytes().splitlines(keepends=True)


def restate_head(lines: list[bytes]) -> list[bytes]:
    """Makes the first line fit the rest, as a thief would."""
    last = json.loads(lines[-1])
    stated = Head(last["entry"]["sequence"] + 1, bytes.fromhex(last["hash"][2:]))
    return [rfc8785.dumps(json.loads(lines[0]) | {"head": str(stated)}) + b"\n", *lines[1:]]


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda lines: lines[:5] + lines[6:], SequenceError),
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], SequenceError),
        (lambda lines: [*lines[:5], lines[5], *lines[5:]], SequenceError),
        (lambda lines: lines[:-1], HeadError),
        (lambda lines: [lines[0].replace(b"12:", b"11:"), *lines[1:]], HeadError),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], MalformedEntryError),
        (lambda lines: [*lines[:-1], lines[-1][:40]], MalformedEntryError),
        (lambda lines: [*lines, b"\n"], MalformedEntryError),
        (lambda lines: [*lines, b"[]\n"], MalformedEntryError),
        (lambda lines: [*lines, b'{"entry":{},"hash":"0x"}\n'], MalformedEntryError),
        (lambda lines: [*lines, b'{"entry":1,"hash":2}\n'], MalformedEntryError),
        (lambda lines: [*lines, b"\xff\xfe\n"], MalformedEntryError),
        (lambda lines: [*lines, b'{"a":' * 5000 + b"\n"], MalformedEntryError),
        (lambda lines: [*lines, b"1" * 300_000 + b"\n"], MalformedEntryError),
        (lambda lines: [*lines[:5], lines[5].replace(b'":', b'": ', 1), *lines[6:]], MalformedEntryError),
        (
            lambda lines: [*lines[:5], lines[5].replace(b'"trade_id":"7"', b'"trade_id":"8"'), *lines[6:]],
            EntryHashError,
        ),
        (lambda lines: lines[1:], NotALedgerError),
        (lambda lines: [lines[0].replace(b'"version":2', b'"version":3'), *lines[1:]], NotALedgerError),
        (lambda lines: [b'{"head":5}\n', *lines[1:]], NotALedgerError),
        (lambda lines: [lines[0].replace(b'"head":"12', b'"head":"x'), *lines[1:]], NotALedgerError),
        (lambda lines: [lines[0][:-68] + lines[0][-68:].upper(), *lines[1:]], NotALedgerError),
        (lambda lines: [*lines[:-1], lines[-1][:-67] + lines[-1][-67:].upper()], MalformedEntryError),
        (lambda lines: [], NotALedgerError),
    ],
)
def test_tampered_export_is_found(
    export: Path, edit: Callable[[list[bytes]], list[bytes]], error: type[LedgerError]
) -> None:
    lines = lines_of(export)
    edited = edit(lines)
    assert edited != lines
    export.write_bytes(b"".join(edited))
    with pytest.raises(error):
        verify_export(export)


def test_truncated_export_with_a_fitting_first_line_is_found_by_whoever_knows_the_head(
    export: Path, head: Head
) -> None:
    export.write_bytes(b"".join(restate_head(lines_of(export)[:-3])))
    assert verify_export(export).entries == ENTRIES - 3
    with pytest.raises(HeadError, match="truncated"):
        verify_export(export, known_head=head)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_any_flipped_bit_of_an_export_is_found(export: Path, data: st.DataObject) -> None:
    content = bytearray(export.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    flipped = export.with_suffix(".flipped")
    flipped.write_bytes(content)
    with pytest.raises(LedgerError):
        verify_export(flipped)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(data=st.data())
def test_any_edit_of_an_exports_lines_is_found(export: Path, head: Head, data: st.DataObject) -> None:
    """Drops, repeats and moves whole lines, with the first line made to fit: the known head finds them all."""
    lines = lines_of(export)
    order = data.draw(st.lists(st.integers(1, len(lines) - 1), min_size=1, max_size=20))
    if order == list(range(1, len(lines))):
        return
    edited = export.with_suffix(".edited")
    edited.write_bytes(b"".join(restate_head([lines[0], *(lines[i] for i in order)])))
    with pytest.raises(TamperedError):
        verify_export(edited, known_head=head)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(records=st.lists(any_record, max_size=8))
def test_any_log_verifies_and_reads_back(tmp_path_factory: pytest.TempPathFactory, records: list) -> None:
    folder = tmp_path_factory.mktemp("log")
    with AuditLog.open(folder / "audit.sqlite") as log:
        appended = log.append_all(records)
        exported = export_log(log, folder / "audit.jsonl")
        assert verify_log(folder / "audit.sqlite") == verify_export(folder / "audit.jsonl") == exported == log.head()
    read = [from_fields(json.loads(line)["entry"]) for line in lines_of(folder / "audit.jsonl")[1:]]
    assert read == [(entry.sequence, entry.record) for entry in appended]
