"""The page of a run: the figures as a table, the machine, the command, and a plot per sweep."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.plots import draw
from trader.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rows import Row, Sweep

PAGE = "README.md"


@dataclass(frozen=True)
class Result:
    """What one run of `modelseal bench` gave.

    Attributes:
        bench: the benchmark's name, or `all`.
        machine: what it ran on.
        rows: figures.
        sweeps: how cost grows; empty after a quick run.
    """

    bench: str
    machine: dict[str, Any]
    rows: tuple[Row, ...]
    sweeps: tuple[Sweep, ...]

    def as_json(self) -> dict[str, Any]:
        """Machine and rows, those of the sweeps among them."""
        rows = [*self.rows, *(row for sweep in self.sweeps for row in sweep.rows())]
        return {"bench": self.bench, "machine": self.machine, "rows": [asdict(row) for row in rows]}


def write_page(result: Result, folder: Path, command: str) -> None:
    """Write `README.md`, `<bench>.json` and `<sweep>.svg` into a folder.

    Raises:
        ImportError: matplotlib is missing.
        EnvironmentFaultError: the folder can't be written.
    """
    for sweep in result.sweeps:
        write_file(folder / f"{sweep.name}.svg", draw(sweep))
    write_file(folder / f"{result.bench}.json", (json.dumps(result.as_json(), indent=1) + "\n").encode())
    write_file(folder / PAGE, markdown(result, command).encode())


def markdown(result: Result, command: str) -> str:
    """Return the page."""
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.machine.items())
    lines = [
        "# Results",
        "",
        f"Written by `{command}`, not by hand. {about}.",
        "",
        "| id | value | against | its value | ratio | bar | holds | runs | spread |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_table_row(row) for row in result.rows),
    ]
    for sweep in result.sweeps:
        lines += ["", f"![{sweep.name} by {sweep.axis}]({sweep.name}.svg)"]
    return "\n".join(lines) + "\n"


def _table_row(row: Row) -> str:
    return f"| {' | '.join(cells(row))} |"


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as text, for tables: the columns of `markdown`."""
    peer_value = "" if row.peer_value is None else f"{figure(row.peer_value)} {row.unit}"
    ratio = "" if row.ratio is None else figure(row.ratio)
    holds = ("yes" if row.holds else "**no**") if row.bar else ""
    value = f"{figure(row.value)} {row.unit}"
    return (f"`{row.id}`", value, row.peer, peer_value, ratio, row.bar, holds, str(row.runs), f"{row.spread:.0%}")


def figure(value: float) -> str:
    """Three significant digits, or the whole number where that has more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
