"""What the work costs, against a peer or a limit: `modelseal bench`.

Each benchmark is one module with `rows(quick)`, the figures that are held against a bar, and `sweeps()`, how cost grows
along at least three sizes: `he`, `zk`, `gas`, `ledger`. Read `rows` first (the form of a figure and of a sweep), then
the benchmark of interest; `plots` draws, `report` writes the pages under `benchmarks/results`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks.rows import Row, Series, Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = ("he", "zk", "gas", "ledger")

__all__ = ["BENCHMARKS", "Row", "Series", "Sweep", "measure_rows", "measure_sweeps"]


def measure_rows(benchmark: str, *, quick: bool = False) -> Iterator[Row]:
    """Yield the figures of one benchmark, each as soon as it is measured.

    Args:
        benchmark: One of `BENCHMARKS`.
        quick: Fewer repeats and smaller problems under the same ids: less than a minute on two cores. Such figures
            show that everything runs; the bars are meant for the full run.
    """
    yield from import_module(f"benchmarks.{benchmark}").rows(quick)


def measure_sweeps(benchmark: str) -> Iterator[Sweep]:
    """How the cost of one benchmark's work grows, each sweep as soon as it is measured."""
    yield from import_module(f"benchmarks.{benchmark}").sweeps()
