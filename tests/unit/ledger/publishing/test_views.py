"""Views of one log: whole or not, signed or not, the same story or two; and an alarm for whoever watches."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import AuditLog, export_log
from ledger.errors import ForkError, HeadError, LedgerError, LedgerUnavailableError, NoteError, SignatureError
from ledger.notes.note import SignedNote
from ledger.notes.policy import Policy, parse_policy
from ledger.publishing.tile_reader import TileReader
from ledger.publishing.tiles import write_tiles
from ledger.publishing.views import Comparison, compare_views, verify_view
from ledger.publishing.watching import look
from ledger.witness.state import hash_origin
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import (
    NOW,
    ORIGIN,
    WITNESSES,
    SignedLog,
    log_keys,
    records,
    signed_log,
    witness_keys,
)

POLICY = Policy(log_keys().public, all_logs=True)
URL = "https://w1.example"


def forked_log(path: Path, common: int, entries: int) -> SignedLog:
    """A log of the same keeper that tells another story from entry `common` on."""
    log = AuditLog.open(path)
    log.append_all([*records(range(common)), *(step(number, trade_id=9) for number in range(common, entries))])
    log.give_origin(ORIGIN)
    return SignedLog(log, log_keys().sign(str(log.checkpoint()), NOW))


def views_of(signed: SignedLog, folder: Path) -> list[Path]:
    """The three forms of one log."""
    folder.mkdir()
    export_log(signed.log, folder / "log.jsonl", note=str(signed.note))
    write_tiles(signed.log, signed.note, folder / "tiles")
    return [signed.log.path, folder / "log.jsonl", folder / "tiles"]


def test_every_view_is_verified_with_a_public_key(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 270)
    for view in views_of(signed, tmp_path / "views"):
        verdict = verify_view(str(view), policy=POLICY, notes=[signed.note])
        assert (verdict.entries, verdict.signed) == (270, signed.note.checkpoint())
        assert set(verdict.signers) == set(log_keys().public)
        assert verify_view(str(view)).signed is None


def test_what_is_not_signed_is_not_taken_for_signed(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 20)
    database, export, tiles = views_of(signed, tmp_path / "views")
    with pytest.raises(SignatureError, match="no signed checkpoint"):
        verify_view(str(database), policy=POLICY)
    strangers = Policy(log_keys("example.com/else").public)
    for view in (export, tiles):
        with pytest.raises(NoteError, match="key is not known"):
            verify_view(str(view), policy=strangers)
    longer = signed_log(tmp_path / "audit.sqlite", 25)  # the log has grown since: the rest is not signed
    assert verify_view(str(longer.log.path), policy=POLICY, notes=[signed.note]).signed.entries == 20


def test_a_log_that_was_written_anew_is_found_and_bounded_by_checkpoints(tmp_path: Path) -> None:
    """Whoever holds the database can make all hashes anew; only what was signed earlier tells."""
    earlier = [signed_log(tmp_path / "honest.sqlite", entries).note for entries in (5, 9, 20)]
    forged = forked_log(tmp_path / "forged.sqlite", 7, 20)
    export_log(forged.log, tmp_path / "forged.jsonl", note=str(earlier[2]))
    for view in (tmp_path / "forged.sqlite", tmp_path / "forged.jsonl"):
        assert verify_view(str(view)).entries == 20
        with pytest.raises(ForkError, match="entries 5 to 8") as raised:
            verify_view(str(view), policy=POLICY, notes=earlier)
        assert raised.value.sequence == 5
    shorter = signed_log(tmp_path / "shorter.sqlite", 19)
    with pytest.raises(HeadError, match="truncated"):
        verify_view(str(shorter.log.path), policy=POLICY, notes=earlier)


def test_damaged_tiles_name_the_entry(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 20)
    *_, tiles = views_of(signed, tmp_path / "views")
    bundle, hashes = tiles / "tile/entries/000.p/20", tiles / "tile/0/000.p/20"
    whole = {path: path.read_bytes() for path in (bundle, hashes)}
    place = whole[bundle].index(b'"sequence":7')
    for path, content in [
        (bundle, whole[bundle][: place - 5] + b"x" + whole[bundle][place - 4 :]),
        (hashes, whole[hashes][: 7 * 32] + bytes(32) + whole[hashes][8 * 32 :]),
    ]:
        path.write_bytes(content)
        with pytest.raises(LedgerError, match="entry 7"):
            verify_view(str(tiles))
        path.write_bytes(whole[path])
    for content in (b"", whole[bundle][:-1], whole[bundle] + b"\0\1x"):
        bundle.write_bytes(content)
        with pytest.raises(LedgerError, match=r"entry (0|19|20)"):
            verify_view(str(tiles))
    bundle.write_bytes(whole[bundle])
    assert verify_view(str(tiles)).entries == 20


def test_views_are_compared_entry_by_entry(tmp_path: Path) -> None:
    honest = views_of(signed_log(tmp_path / "a.sqlite", 20), tmp_path / "a")
    behind = views_of(signed_log(tmp_path / "b.sqlite", 12), tmp_path / "b")
    forked = views_of(forked_log(tmp_path / "c.sqlite", 7, 15), tmp_path / "c")
    for left, right in zip(honest, [*honest[1:], honest[0]], strict=True):
        assert compare_views(left, right) == Comparison(20, 20, 20)
    for left, right in zip(honest, [*behind[1:], behind[0]], strict=True):
        assert compare_views(left, right) == Comparison(12, 20, 12)
        assert not compare_views(right, left).forked
    for left, right in zip(honest, [*forked[1:], forked[0]], strict=True):
        assert compare_views(left, right) == Comparison(7, 20, 15)
        assert compare_views(right, left).forked


# ------------------------------------------------------------------------------------------------------- watching


def witness_fetch(notes: dict[str, SignedNote]) -> Callable[[str], bytes]:
    def fetch(url: str) -> bytes:
        if url not in notes:
            raise LedgerUnavailableError(f"{url} can't be reached")
        return str(notes[url]).encode()

    return fetch


def cosigned(note: SignedNote, name: str = WITNESSES[0]) -> SignedNote:
    return note.with_signatures(witness_keys(name).signatures(note.text, NOW))


WATCHED = f"{URL}/{hash_origin(ORIGIN)}/checkpoint"
WATCH_POLICY = parse_policy(
    f"log {log_keys().public[0]}\nwitness w1 {witness_keys(WITNESSES[0]).public[0]} {URL}/\nquorum none"
)


def published(signed: SignedLog, folder: Path) -> TileReader:
    write_tiles(signed.log, signed.note, folder)
    return TileReader.of_folder(folder)


def test_a_log_that_grows_is_watched(tmp_path: Path) -> None:
    memory = tmp_path / "seen"
    for entries in (3, 3, 20, 300, 601):
        signed = signed_log(tmp_path / "audit.sqlite", entries)
        reader = published(signed, tmp_path / "tiles")
        sight = look(reader, WATCH_POLICY, memory, witness_fetch({WATCHED: cosigned(signed.note)}))
        assert (sight.log.entries, sight.lagging, sight.witnesses) == (entries, 0, {"w1": entries})
    assert look(reader, WATCH_POLICY, memory, witness_fetch({})).witnesses == {"w1": None}


def test_a_log_that_takes_entries_back_raises_an_alarm(tmp_path: Path) -> None:
    memory = tmp_path / "seen"
    look(published(signed_log(tmp_path / "a.sqlite", 20), tmp_path / "a"), WATCH_POLICY, memory, witness_fetch({}))
    shorter = published(signed_log(tmp_path / "b.sqlite", 12), tmp_path / "b")
    assert look(shorter, WATCH_POLICY, memory, witness_fetch({})).lagging == 8
    forked = published(forked_log(tmp_path / "c.sqlite", 7, 25), tmp_path / "c")
    with pytest.raises(ForkError, match="contradicts what was seen before"):
        look(forked, WATCH_POLICY, memory, witness_fetch({}))
    longer = published(signed_log(tmp_path / "a.sqlite", 25), tmp_path / "a")
    look(longer, WATCH_POLICY, memory, witness_fetch({}))


@pytest.mark.parametrize("entries", [12, 20, 28])
def test_a_story_of_my_own_raises_an_alarm(tmp_path: Path, entries: int) -> None:
    """The witness has seen another history; whether it is behind, level, or ahead of what I am shown."""
    memory = tmp_path / "seen"
    mine = forked_log(tmp_path / "mine.sqlite", 7, 20)
    others = signed_log(tmp_path / "others.sqlite", entries)
    fetch = witness_fetch({WATCHED: cosigned(others.note)})
    if entries <= 20:
        with pytest.raises(ForkError, match="w1 has signed"):
            look(published(mine, tmp_path / "tiles"), WATCH_POLICY, memory, fetch)
        return
    assert look(published(mine, tmp_path / "tiles"), WATCH_POLICY, memory, fetch).lagging == 8
    # Whichever story it goes on with, it contradicts one of the two that are remembered.
    with pytest.raises(ForkError):
        look(published(forked_log(tmp_path / "mine2.sqlite", 7, 30), tmp_path / "tiles2"), WATCH_POLICY, memory, fetch)
    with pytest.raises(ForkError):
        look(published(signed_log(tmp_path / "o2.sqlite", 30), tmp_path / "tiles3"), WATCH_POLICY, memory, fetch)


def test_a_witness_that_answers_with_something_else_is_no_comfort(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 5)
    reader, memory = published(signed, tmp_path / "tiles"), tmp_path / "seen"
    for note in (signed.note, cosigned(signed.note, WITNESSES[1]), witness_keys().sign(signed.note.text, NOW)):
        with pytest.raises((SignatureError, NoteError)):
            look(reader, WATCH_POLICY, memory, witness_fetch({WATCHED: note}))
    memory.write_text("nonsense")
    with pytest.raises(LedgerUnavailableError, match="restore it"):
        look(reader, WATCH_POLICY, memory, witness_fetch({}))
