"""How long the audit log takes to answer, by key and by size, and a scan of the chain's logs beside it."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from web3 import Web3
from web3.providers import JSONBaseProvider

from benchmarks import ledger_trades as made_up
from benchmarks.ledger_trades import ENTRIES_PER_TRADE, MARKET
from benchmarks.rows import Timing, measure
from ledger import AuditLog, EntryKind, prove_entry
from ledger.catalogue.keys import Key, KeyKind
from ledger.catalogue.upkeep import up_to_date
from ledger.reading.answers import prove_answer, verify_answer
from ledger.reading.questions import Filter, find_entries, find_trades
from zk.binding.merkle import keccak256
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from web3.types import LogReceipt, RPCEndpoint, RPCResponse

ENTRIES_VARIABLE = "MODELSEAL_BENCH_LEDGER_ENTRIES"
SIZES = (10**4, 10**5, 10**6)
QUICK_SIZES = (10**4,)
QUERIES, QUICK_QUERIES = 200, 20
QUERIES_PER_PROOF = 4
"""Proofs take longer than questions, and are fewer."""
SHOWN = 10
"""Entries or trades that a question asks for: those of a seller grow with the log, and what is asked must not."""
PAGE_LOGS = 10_000
MOST_SCANNED = 10**6
"""A scan goes from page to page, and each takes as long as the one before."""
ADDRESS = Web3.to_checksum_address(MARKET.contract)
TOPIC = Web3.keccak(text="Answered(uint256,bytes32,uint40)").to_0x_hex()


@dataclass(frozen=True)
class QueryPoint:
    """Figures at one size of the log.

    Attributes:
        entries: Size of the log.
        queries: Seconds of a question by what is asked.
        query_processor: Processor seconds of a question, the mean of all: what it takes on an idle machine.
        proof: Seconds of a proof that one entry is in the log.
        complete: Seconds of all entries of a trade with the proof that they are all.
        complete_processor: The processor's share of that: what it takes on an idle machine.
        complete_check: Seconds of checking it.
        complete_bytes: What the proof adds to the entries.
        settled_per_second: Entries that are moved from segments into the tables.
        catalogue_per_second: Entries that the catalogue takes in.
        entry_bytes: Bytes of the database for each entry, catalogue included; 0 on a server.
        scan: Seconds of finding a trade's logs, out of as many, through web3; beyond `MOST_SCANNED` in proportion.
        parse: The same scan without web3.
    """

    entries: int
    queries: Mapping[str, Timing]
    query_processor: float
    proof: Timing
    complete: Timing
    complete_processor: float
    complete_check: Timing
    complete_bytes: int
    settled_per_second: float
    catalogue_per_second: float
    entry_bytes: float
    scan: Timing
    parse: Timing

    def p95_seconds(self, question: str) -> float:
        """95th percentile of a question's times."""
        return statistics.quantiles(self.queries[question].seconds, n=20)[-1]

    @property
    def slowest(self) -> str:
        """The question with the longest p95."""
        return max(self.queries, key=self.p95_seconds)


def sizes(quick: bool) -> tuple[int, ...]:
    """Return the sizes that are measured; a larger one as MODELSEAL_BENCH_LEDGER_ENTRIES says."""
    if quick:
        return QUICK_SIZES
    largest = int(os.environ.get(ENTRIES_VARIABLE, SIZES[-1]))
    return tuple(sorted({size for size in SIZES if size < largest} | {largest}))


@cache
def measure_queries(of_sizes: tuple[int, ...], queries: int = QUERIES) -> tuple[QueryPoint, ...]:
    """One log in a file that grows from size to size; so many questions of each kind at each."""
    with scratch_folder(cache_folder("benchmark")) as folder:
        return tuple(measure_queries_at(folder / "log.sqlite", of_sizes, queries))


def measure_queries_at(location: Path | str, of_sizes: tuple[int, ...], queries: int = QUERIES) -> Iterator[QueryPoint]:
    """One new log that grows from size to size."""
    with AuditLog.open(location) as log:
        log.append_all(made_up.listed())
        trades = 0
        for size in of_sizes:
            settling = cataloguing = 0.0
            first = trades
            while trades < size // ENTRIES_PER_TRADE:
                last = min(trades + PAGE_LOGS, size // ENTRIES_PER_TRADE)
                log.append_all(record for number in range(trades, last) for record in made_up.trade(number))
                settling += _seconds(lambda: _settle(log))
                cataloguing += _seconds(lambda: catalogue(log))
                trades = last
            new = ENTRIES_PER_TRADE * (trades - first)
            yield _query_point(log, size, new / settling, new / cataloguing, queries)


def _query_point(log: AuditLog, size: int, settled: float, catalogued: float, asked: int) -> QueryPoint:
    generator, trades, scan = random.Random(0), size // ENTRIES_PER_TRADE, _Scan()
    proofs = asked // QUERIES_PER_PROOF

    def any_trade() -> int:
        return generator.randrange(trades)

    def key() -> Key:
        return Key(KeyKind.TRADE, f"{MARKET}/{any_trade()}")

    answer = prove_answer(log, key())[0]
    checkpoint = log.checkpoint()
    started = time.process_time()
    queries = {name: measure(ask, asked) for name, ask in _questions(log, any_trade).items()}
    query_processor = (time.process_time() - started) / (asked + 1) / len(queries)
    started = time.process_time()
    complete = measure(lambda: prove_answer(log, key(), checkpoint=checkpoint), proofs)
    processor = (time.process_time() - started) / (proofs + 1)
    return QueryPoint(
        size,
        queries,
        query_processor,
        measure(lambda: prove_entry(log, generator.randrange(size), checkpoint), asked),
        complete,
        processor,
        measure(lambda: verify_answer(answer, checkpoint), proofs),
        len(answer.to_json()) - sum(len(entry.encoded) for entry in answer.entries),
        settled,
        catalogued,
        _file_bytes(log) / size,
        _in_proportion(scan.through_web3, size),
        _in_proportion(scan.parsing, size),
    )


def _questions(log: AuditLog, any_trade: Callable[[], int]) -> dict[str, Callable[[], object]]:
    """Return what is asked, each about a random trade's key."""

    def entries(**wanted: Any) -> object:
        return find_entries(log, Filter(**wanted), limit=SHOWN, newest_first=True)

    def trades(**wanted: Any) -> object:
        return find_trades(log, Filter(**wanted), limit=SHOWN)

    def time_of(trade: int) -> int:
        return made_up.START_SECONDS + made_up.SECONDS_PER_TRADE * trade

    def within(trade: int) -> object:
        return entries(since_seconds=time_of(trade), until_seconds=time_of(trade) + 9)

    return {
        "trade": lambda: entries(trade=any_trade()),
        "listing": lambda: entries(listing=any_trade() % made_up.LISTINGS),
        "seller": lambda: entries(seller=made_up.seller_of(any_trade())),
        "buyer": lambda: entries(buyer=made_up.buyer_of(any_trade())),
        "event": lambda: entries(event=EntryKind.ANSWERED),
        "digest": lambda: entries(digest=next(made_up.trade(any_trade())).details["digest"]),
        "time": lambda: within(any_trade()),
        "block": lambda: entries(first_block=(block := 1000 + any_trade()), last_block=block),
        "state": lambda: trades(state="Settled"),
        "amount": lambda: trades(least_wei=(wei := any_trade() * made_up.WEI), most_wei=wei),
        "seller_and_buyer": lambda: entries(
            seller=made_up.seller_of(trade := any_trade()), buyer=made_up.buyer_of(trade)
        ),
    }


def catalogue(log: AuditLog) -> None:
    """Bring the catalogue up to date."""
    with up_to_date(log):
        pass


def _settle(log: AuditLog) -> None:
    with log.reading():
        pass


def _seconds(work: Callable[[], object]) -> float:
    return measure(work, 1, warm_up=False).median


def _file_bytes(log: AuditLog) -> int:
    with log.reading() as connection:
        if connection.dialect.name == "postgresql":
            return int(
                connection.exec_driver_sql(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
                    " WHERE relnamespace = current_schema::regnamespace AND relkind = 'r'"
                ).scalar_one()
            )
    return log.path.stat().st_size


def _in_proportion(scan: Callable[[int], object], logs: int) -> Timing:
    scanned = min(logs, MOST_SCANNED)
    seconds = measure(lambda: scan(scanned), 1, warm_up=False).seconds
    return Timing(tuple(logs / scanned * one for one in seconds))


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
