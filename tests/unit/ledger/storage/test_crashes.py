"""Two processes that write to one log, and processes that are killed while they write."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ledger import AuditLog, verify_log
from ledger.storage.rows import select_entries
from tests.simulators.ledger_records import BUYER, SELLER, step

WRITER = """
import sys
from ledger import AuditLog, EntryKind, Record, ActorRole
path, actor, count, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def record(n):
    return Record(kind=EntryKind.REQUEST_SENT, actor=actor, role=ActorRole.BUYER, occurred_at_seconds=n, trade_id=n)
with AuditLog.open(path) as log:
    for first in range(0, count, batch):
        if batch == 1:
            log.append(record(first))
        else:
            log.append_all(record(first + i) for i in range(batch))
        print(first + batch, flush=True)
"""


def start_writer(location: Path | str, actor: str, count: int, batch: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(location), actor, str(count), str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])


def logged(location: Path | str, actor: str) -> list[int]:
    with AuditLog.open(location) as log, log.reading() as connection:
        return [entry.record.trade_id for entry in select_entries(connection) if entry.record.actor == actor]


def test_two_processes_write_to_one_new_file(location: Path | str) -> None:
    writers = [start_writer(location, SELLER, 150), start_writer(location, BUYER, 150)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert logged(location, SELLER) == logged(location, BUYER) == list(range(150))
    assert verify_log(location).entries == 300


def kill_in_the_middle(location: Path | str, batch: int) -> int:
    """Kills a writer after it has confirmed some entries, and returns how many it confirmed."""
    with start_writer(location, BUYER, 1_000_000, batch) as writer:
        for _ in range(5):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        confirmed = [int(line) for line in writer.stdout]
    return confirmed[-1] if confirmed else 5 * batch


def test_killed_writer_loses_nothing_that_it_confirmed(location: Path | str) -> None:
    for _ in range(3):
        with AuditLog.open(location) as log:
            before = log.head()
        confirmed = kill_in_the_middle(location, 1)
        head = verify_log(location, known_head=before)
        assert head.entries - before.entries in (confirmed, confirmed + 1)  # the last one may be on disk, unconfirmed
    with AuditLog.open(location) as log:
        assert log.append(step()).sequence == head.entries
    verify_log(location, known_head=head)


def test_killed_writer_leaves_no_part_of_a_batch(location: Path | str) -> None:
    confirmed = kill_in_the_middle(location, 500)
    assert verify_log(location).entries in (confirmed, confirmed + 500)
    numbers = logged(location, BUYER)
    assert numbers == list(range(len(numbers)))
