"""What every command prints with: one console for people, one line of JSON for programs.

Progress, tables and diagnoses go to standard error; results go to standard output, so that
`modelseal … --json | jq` works while the progress bars still move.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

results = Console()
messages = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")]


def print_json_line(payload: dict[str, Any]) -> None:
    """Print `payload` as one line on standard output, keys in the order given."""
    sys.stdout.write(json.dumps(payload, separators=(",", ":"), allow_nan=False) + "\n")
    sys.stdout.flush()


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
