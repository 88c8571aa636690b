"""Thousands of logs that somebody has worked on: each is found out offline, at the right entry.

The forger may flip, drop, double, move, cut, and add, and may compute every hash anew behind what it changed
(`rehashed`): then the export is whole in itself, and the signed checkpoints tell between which of them the first bad
entry is."""

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import rfc8785
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ledger import EntryKind, Head, LedgerError, TamperedError, export_log
from ledger.encoding import GENESIS_HASH, hash_entry
from ledger.errors import ForkError, HeadError
from ledger.notes.note import SignedNote
from ledger.notes.policy import Policy
from ledger.publishing.views import compare_views, verify_view
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import log_keys, signed_log

ENTRIES, SIGNED = 12, (4, 9, 12)
MUTATED, REHASHED, FLIPPED = 450, 350, 1500
POLICY = Policy(log_keys().public, all_logs=True)


@dataclass(frozen=True)
class Honest:
    """An export of a small log, line by line, and the checkpoints that its keeper has signed."""

    lines: list[dict[str, object]]
    notes: list[SignedNote]
    folder: Path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Honest:
    folder = tmp_path_factory.mktemp("mutations")
    notes = [signed_log(folder / "audit.sqlite", entries).note for entries in SIGNED[:-1]]
    signed = signed_log(folder / "audit.sqlite", ENTRIES - 1)
    signed.log.append(step(99, kind=EntryKind.REQUEST_REFUSED, details={"reason": "text", "bytes": 1}))
    signed = signed_log(folder / "audit.sqlite", ENTRIES)
    export_log(signed.log, folder / "log.jsonl", note=str(signed.note))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return Honest(lines[1:], [*notes, signed.note], folder)


def write(honest: Honest, lines: list[dict[str, object]], head: Head | None = None) -> Path:
    """An export of these lines; with a head of their own where the forger makes one."""
    path = honest.folder / "forged.jsonl"
    known = head or Head(len(honest.lines), bytes.fromhex(str(honest.lines[-1]["hash"])[2:]))
    first = {"format": "modelseal-ledger-export", "version": 2, "head": str(known), "checkpoint": str(honest.notes[-1])}
    path.write_bytes(b"".join(rfc8785.dumps(line) + b"\n" for line in (first, *lines)))
    return path


def rehashed(lines: list[dict[str, object]]) -> tuple[list[dict[str, object]], Head]:
    """The lines renumbered and chained anew, as the log's own writer would do it."""
    chained, last = [], GENESIS_HASH
    for sequence, line in enumerate(lines):
        entry = {**line["entry"], "sequence": sequence}
        last = hash_entry(last, rfc8785.dumps(entry))
        chained.append({**line, "entry": entry, "hash": f"0x{last.hex()}"})
    return chained, Head(len(chained), last)


def first_difference(left: list[dict[str, object]], right: list[dict[str, object]]) -> int:
    same = (ours == theirs for ours, theirs in zip(left, right, strict=False))
    return next((number for number, equal in enumerate(same) if not equal), min(len(left), len(right)))


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, int, int, str]:
    """What is done, where, to where, and to which field."""
    verb = draw(st.sampled_from(["flip", "drop", "double", "swap", "truncate", "insert", "extend"]))
    fields = ["kind", "actor", "role", "trade_id", "occurred_at_seconds", "details", "hash"]
    return verb, draw(st.integers(0, ENTRIES - 1)), draw(st.integers(0, ENTRIES - 1)), draw(st.sampled_from(fields))


def mutate(lines: list[dict[str, object]], verb: str, at: int, to: int, field: str) -> list[dict[str, object]]:
    made_up = {"entry": {**lines[at]["entry"], "trade_id": "666"}, "hash": lines[at]["hash"]}
    if verb == "flip":
        return [*lines[:at], flipped(lines[at], field), *lines[at + 1 :]]
    if verb == "drop":
        return [*lines[:at], *lines[at + 1 :]]
    if verb == "double":
        return [*lines[: at + 1], lines[at], *lines[at + 1 :]]
    if verb == "swap":
        swapped = [*lines]
        swapped[at], swapped[to] = swapped[to], swapped[at]
        return swapped
    if verb == "truncate":
        return lines[:at]
    return [*lines[:at], made_up, *lines[at:]] if verb == "insert" else [*lines, made_up]


def flipped(line: dict[str, object], field: str) -> dict[str, object]:
    if field == "hash":
        return {**line, "hash": f"0x{sha256(str(line['hash']).encode()).hexdigest()}"}
    changed = {
        "kind": "ResponseSent" if line["entry"]["kind"] == "RequestSent" else line["entry"]["kind"],
        "actor": "0x" + "d4" * 20,
        "role": "Anyone",
        "trade_id": "8",
        "occurred_at_seconds": line["entry"]["occurred_at_seconds"] + 1,
        "details": {**line["entry"]["details"], "extra": 1},
    }
    return {**line, "entry": {**line["entry"], field: changed[field]}}


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, derandomize=True, database=None, phases=[Phase.generate])


def test_a_changed_export_is_found_at_the_right_entry(honest: Honest) -> None:
    tried: Counter[str] = Counter()

    @examples(MUTATED)
    @given(mutation=mutations())
    def check(mutation: tuple[str, int, int, str]) -> None:
        forged = mutate(honest.lines, *mutation)
        bad = first_difference(honest.lines, forged)
        if forged == honest.lines:
            return
        tried[mutation[0]] += 1
        path = write(honest, forged)
        with pytest.raises(TamperedError) as raised:
            verify_view(str(path), policy=POLICY if mutation[1] % 2 else None)  # without a key, the hash chain tells
        at_the_end = len(forged) < len(honest.lines) and bad == len(forged)
        assert raised.value.sequence == bad or (at_the_end and isinstance(raised.value, HeadError)), raised.value

    check()
    assert min(tried.values()) > 10
    assert sum(tried.values()) > 0.9 * MUTATED


def test_a_log_that_was_written_anew_is_found_between_checkpoints(honest: Honest) -> None:
    """All hashes are right, as the forger has the writer's program; it lacks the keeper's keys."""
    tried: Counter[str] = Counter()

    @examples(REHASHED)
    @given(mutation=mutations())
    def check(mutation: tuple[str, int, int, str]) -> None:
        forged, head = rehashed(mutate(honest.lines, *mutation))
        bad = first_difference(honest.lines, forged)
        if len(forged) >= ENTRIES and bad == ENTRIES:
            return  # all that was signed is there; a log may grow
        tried[mutation[0]] += 1
        path = write(honest, forged, head)
        assert verify_view(str(path)).entries == len(forged)  # no key, nothing to compare with
        with pytest.raises((ForkError, HeadError)) as raised:
            verify_view(str(path), policy=POLICY, notes=honest.notes)
        if bad < len(forged):
            last_good_checkpoint = max(size for size in (0, *SIGNED) if size <= bad)
            assert raised.value.sequence in (last_good_checkpoint, len(forged)), raised.value
        comparison = compare_views(path, honest.folder / "log.jsonl")  # with another's view, the entry itself is named
        assert comparison.common == bad

    check()
    assert sum(tried.values()) > 0.6 * REHASHED


def test_no_byte_of_an_export_can_be_changed(honest: Honest) -> None:
    """Not one of the signed checkpoint in it either."""
    content = (honest.folder / "log.jsonl").read_bytes()
    path = honest.folder / "flipped.jsonl"

    @examples(FLIPPED)
    @given(position=st.integers(0, len(content) - 1), value=st.integers(1, 255))
    def check(position: int, value: int) -> None:
        flipped = bytearray(content)
        flipped[position] ^= value
        path.write_bytes(flipped)
        with pytest.raises(LedgerError):
            verify_view(str(path), policy=POLICY)

    check()
