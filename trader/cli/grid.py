"""`modelseal model grid`: the bins that an ensemble of trees is tested on, and data that has one value for each."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from trader.cli.output import JsonFlag, print_figures
from trader.errors import CallerError
from trader.files import write_file
from trader.model import make_grid, read_samples

DataFile = Annotated[Path, typer.Argument(metavar="DATA", help="Samples as the model is trained on: .csv, .npy, .npz.")]
OutFile = Annotated[Path, typer.Option("--out", help="File of the grid to write, JSON.")]
Bins = Annotated[int, typer.Option(min=2, max=1024, help="Bins per column, at most.")]
SnappedFile = Annotated[
    Path | None, typer.Option("--snapped", help="Write the samples with one value per bin to this .csv: train on it.")
]


def grid_command(
    data: DataFile,
    out: OutFile,
    bins: Bins = 32,
    snapped: SnappedFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Divide columns into bins, by the order of magnitude of their ranges; a tree trained on bins loses nothing."""
    for path in (out, snapped):
        if path is not None and path.exists():
            raise CallerError(f"{path} exists: name another file, or remove it.")
    samples = read_samples(data)
    grid = make_grid(samples, bins)
    write_file(out, grid.to_json().encode())
    if snapped is not None:
        text = io.StringIO()
        csv.writer(text).writerows(grid.snap(samples).tolist())
        write_file(snapped, text.getvalue().encode())
    print_figures({"columns": len(grid.sizes), "edges": sum(grid.sizes), "rows": len(samples)}, as_json)
