"""`modelseal srs`: structured reference strings, the public parameters of all proofs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader.cli.output import JsonFlag, messages, print_json_line, results
from zk import Srs, cached_srs, development_srs, fetch_srs, import_srs
from zk.setup.ceremony import CEREMONY_SHA256
from zk.setup.srs import MAX_LOGROWS, MIN_LOGROWS, srs_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(help="Structured reference strings: the public parameters of all proofs.", no_args_is_help=True)

CEREMONY = "Perpetual Powers of Tau"

CeremonyLogrows = Annotated[
    int,
    typer.Argument(
        min=min(CEREMONY_SHA256), max=max(CEREMONY_SHA256), help="log2 of the circuit's rows; `model prepare` names it."
    ),
]
DevelopmentLogrows = Annotated[int, typer.Argument(min=MIN_LOGROWS, max=MAX_LOGROWS, help="log2 of the rows.")]


@app.callback()
def _group() -> None:
    """Structured reference strings: the public parameters of all proofs."""


@app.command()
def fetch(logrows: CeremonyLogrows, as_json: JsonFlag = False) -> None:
    """Download the ceremony's file for 2^LOGROWS rows, and check it against the published digest."""
    with messages.status(f"downloading {srs_bytes(logrows):,} bytes"):
        srs = fetch_srs(logrows)
    _print([srs], as_json)


@app.command(name="import")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of the ceremony, in ezkl's format.")],
    as_json: JsonFlag = False,
) -> None:
    """Take a ceremony's file from disk, where there is no network; it is checked against the published digest."""
    _print([import_srs(file)], as_json)


@app.command()
def dev(logrows: DevelopmentLogrows, as_json: JsonFlag = False) -> None:
    """Make a reference string on this machine, for development: whoever made it can forge proofs."""
    with messages.status(f"making 2^{logrows} rows"):
        srs = development_srs(logrows)
    _print([srs], as_json)


@app.command()
def show(as_json: JsonFlag = False) -> None:
    """List the reference strings of this machine, from the ceremony or for development."""
    found = cached_srs()
    if not found and not as_json:
        messages.print("no reference strings yet: `modelseal srs fetch LOGROWS` gets a ceremony's")
        return
    _print(found, as_json)


def _print(strings: Sequence[Srs], as_json: bool) -> None:
    rows = [_row(srs) for srs in strings]
    if as_json:
        print_json_line({"srs": rows})
        return
    for row in rows:
        source = "[yellow]made on this machine, for development[/]" if row["development"] else CEREMONY
        results.print(f"2^{row['logrows']} rows: {source}", highlight=False)
        results.print(f"  keccak256 {row['digest']}\n  {row['file']}", highlight=False, soft_wrap=True, style="dim")


def _row(srs: Srs) -> dict[str, Any]:
    return {
        "logrows": srs.logrows,
        "development": srs.development,
        "digest": f"0x{srs.digest.hex()}",
        "bytes": srs_bytes(srs.logrows),
        "file": str(srs.path),
    }
