"""The form of a benchmark's result: a value, what it is measured against, and whether the bar holds."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark.

    Attributes:
        id: name of the row, e.g. `he.throughput`.
        value: median over the runs.
        unit: of value and peer_value.
        peer: what it is compared with, or empty.
        peer_value: the peer's median, in the same run of the benchmark.
        ratio: value over peer_value, or the other way round, so that the bar reads naturally.
        bar: what the ratio is held against, e.g. `>= 10`, or empty.
        holds: whether it does; true without a bar.
        runs: measurements behind the median.
        spread: (largest - smallest) / median of the value.
    """

    id: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    bar: str = ""
    holds: bool = True
    runs: int = 1
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of repeated runs."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(largest - smallest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def measure(work: Callable[[], Any], runs: int, *, warm_up: bool = True) -> Timing:
    """Time `work`, after one run that isn't counted."""
    if warm_up:
        work()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return Timing(tuple(seconds))


def at_least(ratio: float, bar: float) -> tuple[str, bool]:
    """Bar and verdict of a ratio that should be large."""
    return f">= {bar:g}", ratio >= bar


def at_most(ratio: float, bar: float) -> tuple[str, bool]:
    """Bar and verdict of a ratio that should be small."""
    return f"<= {bar:g}", ratio <= bar


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def failed(rows: Sequence[Row]) -> list[str]:
    """Ids of the rows whose bar doesn't hold."""
    return [row.id for row in rows if not row.holds]
