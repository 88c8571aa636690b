"""Arguments and options that several commands take, declared once so that they read the same in every `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

PackageFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `model prepare` made.")]

PublicFolder = Annotated[Path, typer.Option(help="The seller's public folder.")]

DevelopmentFlag = Annotated[bool, typer.Option("--development", help="Accept a reference string that the seller made.")]

ConfirmationsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--confirmations", help="Blocks that must stand before anything counts; needed on public chains.", min=1
    ),
]
"""Left out on development chains, whose blocks nobody replaces."""
