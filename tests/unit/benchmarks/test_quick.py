"""Each benchmark runs, and prints the figures that the project holds itself to. How fast is not asked here."""

from __future__ import annotations

import math
import re

import pytest

from benchmarks import Row, measure_rows

PROMISED = {
    "he": {
        "he.throughput",
        "he.latency",
        "he.overhead",
        "he.ns_per_mac",
        "he.samples",
        "he.request_proof",
        "he.memory",
    },
    "zk": {"zk.per_sample"},
    "gas": {"gas.trade", "gas.trade_with_accept", "gas.chunk_dispute", "gas.sum_step", "gas.prove"},
    "ledger": {
        "ledger.append",
        "ledger.batch",
        "ledger.query",
        "ledger.query.p95",
        "ledger.complete",
        "ledger.postgresql.append",
    },
}


def check_row(row: Row) -> None:
    assert re.fullmatch(r"[a-z]+(\.[\w.-]+)+", row.id)
    assert math.isfinite(row.value)
    assert row.value > 0 or row.id == "zk.marginal_sample"  # a difference of two timings, on a busy machine
    assert row.unit
    assert row.runs >= 1
    assert row.spread >= 0
    assert row.holds or row.bar
    assert (row.peer_value is None) == (row.peer == "")


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", PROMISED)
def test_a_quick_run_prints_what_is_promised(benchmark: str) -> None:
    rows = list(measure_rows(benchmark, quick=True))
    for row in rows:
        check_row(row)
    ids = [row.id for row in rows]
    assert len(ids) == len(set(ids))
    assert PROMISED[benchmark] <= set(ids)
    assert all(name.startswith(f"{benchmark}.") for name in ids)
