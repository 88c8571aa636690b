"""`modelseal bench`: what the work costs, against peers and limits, measured now on this machine."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks import Row, Sweep
    from benchmarks.report import Result


class Bench(StrEnum):
    """Names of `benchmarks.BENCHMARKS`, and all of them; written out, so that `--help` loads no benchmark."""

    HE = "he"
    ZK = "zk"
    GAS = "gas"
    LEDGER = "ledger"
    ALL = "all"


def bench(
    which: Annotated[Bench, typer.Argument(help="Which benchmark.")] = Bench.ALL,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer repeats, smaller problems, no sweeps: under a minute each.")
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a page of results with a plot per sweep there.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure speed, memory and gas against peers; `holds` says which bars hold, the exit code does not."""
    if plots is not None and (quick or find_spec("matplotlib") is None):
        raise CallerError(
            "--plots draws the sweeps of a full run with matplotlib: leave --quick out, install the dev extra"
        )
    result = _run(which, quick)
    if plots is not None:
        from benchmarks.report import write_page

        write_page(result, plots, f"modelseal bench {which.value} --plots {plots}")
    if as_json:
        print_json_line(result.as_json())
    else:
        _print_table(result)


def _run(which: Bench, quick: bool) -> "Result":
    from benchmarks import BENCHMARKS, Row
    from benchmarks.report import Result
    from benchmarks.rows import machine

    names = BENCHMARKS if which is Bench.ALL else (which.value,)
    machine_before = machine()
    rows: list[Row] = []
    sweeps: list[Sweep] = []
    for measured in _measure(names, quick):
        if isinstance(measured, Row):
            rows.append(measured)
        else:
            sweeps.append(measured)
    return Result(which.value, machine_before, tuple(rows), tuple(sweeps))


def _measure(names: tuple[str, ...], quick: bool) -> "Iterator[Row | Sweep]":
    """Everything in turn; tells on standard error what is measured and what came out."""
    from benchmarks import measure_rows, measure_sweeps
    from benchmarks.report import figure

    with messages.status("") as status:
        for name in names:
            status.update(f"{name}: measuring")
            for row in measure_rows(name, quick=quick):
                messages.print(f"{row.id}: {figure(row.value)} {row.unit}", highlight=False)
                yield row
            if not quick:
                status.update(f"{name}: measuring how cost grows")
                for sweep in measure_sweeps(name):
                    messages.print(f"{sweep.name}: {len(sweep.points)} sizes", highlight=False)
                    yield sweep


def _print_table(result: "Result") -> None:
    from benchmarks.report import cells

    table = Table("id", "value", "against", "its value", "ratio", "bar", "holds", "runs", "spread")
    for row in result.rows:
        table.add_row(*(cell.strip("`*") for cell in cells(row)))
    results.print(table)
    results.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.machine.items()))
