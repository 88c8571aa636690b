"""What is under way, on disk: whole or not there, held by one, and without anything secret."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trader.chain.fees import Bid, Fees
from trader.chain.journal import Entry, Journal
from trader.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = Entry(7, b"c" * 32, Bid(Fees(5, 1), Fees(9, 2)), (b"v" * 32, b"w" * 32), True, 1_800_000_000, True)
HOLD_AND_DIE = """
import os, sys
from pathlib import Path
from trader.chain.journal import Journal
held = Journal(Path(sys.argv[1])).hold(7)
assert held is not None
print("held", flush=True)
sys.stdin.read()
os._exit(9)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "account")


def test_what_is_written_is_read(journal: Journal) -> None:
    fresh = Entry(8, b"d" * 32)
    with journal.alone():
        assert journal.read() == {}
        journal.write(ENTRY)
        journal.write(fresh)
        assert journal.read() == {7: ENTRY, 8: fresh}
        journal.forget(7)
        journal.forget(7)
    assert Journal(journal.folder).read() == {8: fresh}


def test_a_version_keeps_what_was_offered_first() -> None:
    signed = Entry(1, b"c" * 32).signed(b"v", Fees(5, 1), 10).signed(b"w", Fees(9, 2), 20)
    assert signed.bid == Bid(Fees(5, 1), Fees(9, 2))
    assert (signed.versions, signed.sent_at_seconds) == ((b"v", b"w"), 20)


def test_a_number_is_held_by_one_and_free_when_that_lets_go(journal: Journal) -> None:
    with journal.alone():
        held = journal.hold(7)
        assert held is not None
        assert journal.hold(7) is None
        assert journal.hold(8) is not None
    held.release()
    held.release()
    assert journal.hold(7) is not None


def test_a_killed_process_holds_nothing(journal: Journal) -> None:
    with journal.alone():
        pass
    command = [sys.executable, "-c", HOLD_AND_DIE, str(journal.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert journal.hold(7) is None
        process.kill()
        process.wait()
    assert journal.hold(7) is not None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"nonce": 7}', ENTRY.to_bytes().replace(b"76", b"zz")])
def test_a_damaged_entry_is_named(journal: Journal, damage: bytes) -> None:
    with journal.alone():
        journal.write(ENTRY)
        (journal.folder / "7.json").write_bytes(damage)
        with pytest.raises(EnvironmentFaultError, match=r"7\.json can't be read .* Remove it once none"):
            journal.read()


def test_the_floor_only_rises(journal: Journal) -> None:
    with journal.alone():
        assert journal.floor == 0
        journal.raise_floor(5)
        journal.raise_floor(3)
    assert Journal(journal.folder).floor == 5


def test_others_on_the_machine_read_nothing(journal: Journal) -> None:
    with journal.alone():
        journal.write(ENTRY)
    assert journal.folder.stat().st_mode & 0o077 == 0
    assert (journal.folder / "7.json").stat().st_mode & 0o077 == 0
