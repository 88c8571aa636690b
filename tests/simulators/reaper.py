"""Kills real processes (SIGKILL) where it hurts: around transactions, while files are written, at any other time.

A `Wire` stands between a process and its node and knows what it sends; a `Reaper` starts a party's
process again and again, and kills it by a plan that a seed fixes (moments are the machine's).
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from tests.simulators.proxy import Proxy, call_of
from trader.cli.exit_codes import DONE, ENVIRONMENT_FAULT

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from typing import IO

    from tests.simulators.companies import Process
    from tests.simulators.proxy import Faults

WATCH_SECONDS = 0.01
LONGEST_LIFE_SECONDS = 12.0
"""Of work, so that a life is as long on a busy machine."""
IDLE_SHARE = 0.25
"""Of the time that passes, which counts as work: processes that wait are killed as well."""
AT_ANY_TIME = "at any time"
UNSENT, SENT = "before the node has a transaction", "when the node has a transaction, before it knows"
WRITING, WITH_CHILD = "while it writes a file", "while a process of its own works"
WAYS = (AT_ANY_TIME, AT_ANY_TIME, UNSENT, SENT, WRITING, WITH_CHILD)
ONE_OF_ITS_OWN = "by the loss of a process of its own, which it outlives"
FULL_DISK = "by no process, but left without room to write anything for a while"
WAYS_OF_A_SERVICE = (*WAYS, ONE_OF_ITS_OWN, FULL_DISK)
OUTLIVED = {ONE_OF_ITS_OWN, FULL_DISK}
FULL_SECONDS = 4.0


class Wire(Proxy):
    """Passes calls on to the node.

    Attributes:
        sent: Calldata of every transaction that has reached the node, in order.
        calls: How many calls the process has made.
        doomed: Set when its transaction is to end it; it gets no answer before it is `dead`.
        dead: Set by whoever killed it.
    """

    def __init__(self, url: str, faults: Faults | None = None) -> None:
        super().__init__(url, faults=faults)
        self.sent: list[bytes] = []
        self.calls = 0
        self.doomed, self.dead = threading.Event(), threading.Event()
        self._way = ""

    def prepare(self, way: str) -> None:
        """For the next process, and how a transaction ends it, if it does."""
        self._way, self.calls = way, 0
        self.doomed.clear()
        self.dead.clear()

    def answer(self, body: bytes) -> bytes | None:
        call = call_of(body)
        self.calls += 1
        if call["method"] != "eth_sendRawTransaction":
            return super().answer(body)
        if self._way == UNSENT:
            return self._doom()
        self.sent.append(calldata(HexBytes(call["params"][0])))
        answer = super().answer(body)
        return self._doom() if self._way == SENT else answer

    def _doom(self) -> None:
        self.doomed.set()
        self.dead.wait()


def calldata(signed: bytes) -> bytes:
    """What a signed transaction calls."""
    return bytes(HexBytes(TypedTransaction.from_bytes(HexBytes(signed)).as_dict()["data"]))


class Kills:
    """How many processes are still to be killed, by all reapers together."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there was one left, which is then used."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def add(self, count: int = 1) -> None:
        """There are more; or one was not used."""
        with self._lock:
            self._left = max(self._left, 0) + count

    @property
    def left(self) -> bool:
        """Whether there are any."""
        return self._left > 0


@dataclass
class Reaper:
    """Kills one party's processes.

    Attributes:
        wire: What its processes reach the node through.
        folder: What they write to.
        start: Starts one that prints to a file.
        kills: Those that are left.
        random: Draws the plan.
        tell: Is told of each death.
        ways: How they are killed.
        record: Where all that they print is kept.
        over: When it is set, the process that runs is ended.
        deaths: How each was killed, and after how many seconds on the clock.
        gave_up: How many ended by themselves because of their environment, and were started again.
    """

    wire: Wire
    folder: Path
    start: Callable[[IO[str]], Process]
    kills: Kills
    random: random.Random
    tell: Callable[[str], None]
    ways: tuple[str, ...] = WAYS
    record: Path | None = None
    over: threading.Event = field(default_factory=threading.Event)
    deaths: list[tuple[str, float]] = field(default_factory=list)
    gave_up: int = 0
    _armed: bool = False
    _way: str = ""
    _begin: float = 0.0

    def run(self) -> None:
        """Start it again and again until it ends by itself, well, or it is over.

        Raises:
            AssertionError: It ended by itself, and not well, nor because its environment failed.
        """
        while not self.over.is_set():
            self._way, self._begin = self._draw(), time.monotonic()
            code = self._live()
            if code is not None or self.over.is_set():
                if self._armed:
                    self.kills.add()
                if code != ENVIRONMENT_FAULT or self.over.is_set():
                    return
                self.gave_up += 1
                self.tell(f"{self.folder.name} gave up after {time.monotonic() - self._begin:.1f} s")
            else:
                self._note()

    def _draw(self) -> str:
        """How the process is to be killed; empty if it is not."""
        self._armed = self.kills.take()
        return self.random.choice(self.ways) if self._armed else ""

    def _note(self) -> None:
        way = self._way
        self.deaths.append((way, time.monotonic() - self._begin))
        self.tell(f"{self.folder.name} killed {way} after {self.deaths[-1][1]:.1f} s")

    def _live(self) -> int | None:
        """One life; its exit code, if it ended by itself."""
        wire = self.wire
        wire.prepare(self._way)
        with tempfile.TemporaryFile("w+") as printed:
            process = self.start(printed)
            try:
                self._await_end(process)
                code = process.poll()
            finally:
                process.kill()
                process.wait()
                wire.dead.set()
            printed.seek(0)
            text = printed.read()
            if self.record is not None:
                with self.record.open("a") as record:
                    record.write(text)
            assert code in (None, DONE, ENVIRONMENT_FAULT), text
            assert code != ENVIRONMENT_FAULT or wire.faults is not None, text
        return code

    def _await_end(self, process: Process) -> None:
        """Until the process is to be killed, or has ended."""
        seconds, sightings, born = self._draw_age(), int(200 ** self.random.random()), 0.0
        while process.poll() is None and not self.wire.doomed.is_set() and not self.over.is_set():
            # Imports take a while, in which there is nothing to lose.
            born = born or (worked_seconds(process.pid) if self.wire.calls else 0.0)
            age = worked_seconds(process.pid) - born if born else 0.0
            if born and not self._way and self.kills.left:
                self._way, born, age, seconds = self._draw(), 0.0, 0.0, self._draw_age()
                self.wire.prepare(self._way)
            way = self._way
            if way in OUTLIVED and age > seconds and self._harm(process, way):
                self._note()
                self._way, self._armed = "", False
            elif way and age > (seconds if way == AT_ANY_TIME else LONGEST_LIFE_SECONDS):
                return
            seen = (way == WRITING and _writes(self.folder)) or (way == WITH_CHILD and any(children(process.pid)))
            sightings -= seen
            if sightings <= 0:
                return
            time.sleep(WATCH_SECONDS)

    def _draw_age(self) -> float:
        return LONGEST_LIFE_SECONDS * self.random.random() ** 2

    def _harm(self, process: Process, way: str) -> bool:
        """Do what a process outlives; whether that was possible."""
        if way == ONE_OF_ITS_OWN:
            return self._kill_one_of(process)
        with full_disk(process.pid):
            self.over.wait(FULL_SECONDS)
        return True

    def _kill_one_of(self, process: Process) -> bool:
        """Kill a process that it, or one of those, has started; whether there was any."""
        found = list(descendants(process.pid))
        if not found:
            return False
        os.kill(self.random.choice(found), signal.SIGKILL)
        return True


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """A process and its own can't write to any file meanwhile: EFBIG, where a full disk says ENOSPC."""
    _limit_files(pid, 0)
    try:
        yield
    finally:
        _limit_files(pid, resource.RLIM_INFINITY)


def _limit_files(pid: int, size_bytes: int) -> None:
    for each in (pid, *descendants(pid)):
        with suppress(ProcessLookupError):
            _, most = resource.prlimit(each, resource.RLIMIT_FSIZE)
            resource.prlimit(each, resource.RLIMIT_FSIZE, (most if size_bytes < 0 else size_bytes, most))


def _writes(folder: Path) -> bool:
    """Whether a file is being written there."""
    return any(name.startswith(".") for _, _, names in os.walk(folder) for name in names)


def children(pid: int) -> Iterator[int]:
    """Processes that a process has started."""
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            yield from map(int, (thread / "children").read_text().split())
        except OSError:
            continue


def descendants(pid: int) -> Iterator[int]:
    """Processes that a process has started, and that those have."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def worked_seconds(pid: int) -> float:
    """What a process and its children that have ended have worked, and a share of the time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return ticks / os.sysconf("SC_CLK_TCK") + IDLE_SHARE * time.monotonic()


def marked_processes(mark: str) -> set[int]:
    """Processes whose environment holds a text: those that a marked one has started, and what these have."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue
    return found
