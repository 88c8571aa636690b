"""The form of a benchmark's results: a figure with what it is held against, and how cost grows along an axis."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark.

    Attributes:
        id: name of the row, e.g. `he.throughput`.
        value: median over the runs.
        unit: of value and peer_value.
        peer: what it is compared with, or empty.
        peer_value: the peer's median, in the same run of the benchmark unless the peer says that it is published.
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
class Series:
    """One quantity along a sweep's points; series of one unit are drawn in one panel."""

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """How cost grows.

    Attributes:
        name: e.g. `he.samples`; also the name of its plot.
        axis: what the points are.
        points: sizes, ascending, at least three.
        series: quantities, with one value per point each.
    """

    name: str
    axis: str
    points: tuple[int, ...]
    series: tuple[Series, ...]

    def rows(self) -> Iterator[Row]:
        """Yield the same figures as rows: `he.samples.50.seconds`."""
        for series in self.series:
            for point, value in zip(self.points, series.values, strict=True):
                yield Row(f"{self.name}.{point}.{series.name.replace(' ', '_')}", value, series.unit)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of repeated runs."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median in seconds."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """Least, in seconds: what else a machine does only adds to it."""
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """(largest - smallest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def measure(work: Callable[[], Any], runs: int, *, warm_up: bool = True) -> Timing:
    """Time `work`, after one run that isn't counted."""
    (timing,) = measure_in_turn([work], runs, warm_up=warm_up)
    return timing


def measure_in_turn(works: Sequence[Callable[[], Any]], runs: int, *, warm_up: bool = True) -> list[Timing]:
    """Time several works that are compared, each once per run: what else a machine does slows all of them alike."""
    seconds: list[list[float]] = [[] for _ in works]
    if warm_up:
        for work in works:
            work()
    for _ in range(runs):
        for work, own in zip(works, seconds, strict=True):
            started = time.perf_counter()
            work()
            own.append(time.perf_counter() - started)
    return [Timing(tuple(own)) for own in seconds]


def peak_bytes() -> int:
    """High-water mark of this process; `getrusage` would count the parent's, which survives exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def at_least(ratio: float, bar: float) -> tuple[str, bool]:
    """Bar and verdict of a ratio that should be large."""
    return f">= {bar:g}", ratio >= bar


def at_most(ratio: float, bar: float) -> tuple[str, bool]:
    """Bar and verdict of a ratio that should be small."""
    return f"<= {bar:g}", ratio <= bar


def machine() -> dict[str, Any]:
    """Return what the figures are measured on, and how busy it is already: load above 0 makes times longer."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the processor's own name where the system tells it, else its architecture."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8", errors="replace").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
