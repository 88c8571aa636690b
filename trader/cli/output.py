"""What every command prints with: one console for people, one line of JSON for programs.

Progress, tables and diagnoses go to standard error; results go to standard output, so that
`modelseal … --json | jq` works while the progress bars still move.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

results = Console()
messages = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")]


def print_json_line(payload: dict[str, Any]) -> None:
    """Print `payload` as one line on standard output, keys in the order given."""
    sys.stdout.write(json.dumps(payload, separators=(",", ":"), allow_nan=False) + "\n")
    sys.stdout.flush()


def print_figures(figures: dict[str, Any], as_json: bool, meanings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Print named figures: a line each, or all of them as one line of JSON.

    Args:
        figures: By name.
        as_json: Whether programs read it.
        meanings: What a figure says, for people, where its name does not.
    """
    if as_json:
        print_json_line(figures)
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a digest that is cut short can't be compared
    if meanings:
        table.add_column(style="dim", min_width=24)
    for name, value in figures.items():
        table.add_row(_in_words(name), _cell(value), *([meanings.get(name, "")] if meanings else []))
    results.print(table)


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys as a table with the keys as its head; nothing if there are no rows."""
    if not rows:
        return
    table = Table(*map(_in_words, rows[0]), box=None)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    results.print(table)


def _in_words(key: str) -> str:
    return key.replace("_", " ")


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def warn(text: str) -> None:
    """Print what the user should know, and may go on without heeding, on standard error."""
    messages.print(text, style="yellow", markup=False)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with elapsed and remaining time; yields `update(done, total)`.

    Drawn on standard error and only where that is a terminal; elsewhere the updates cost nothing.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=messages, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
