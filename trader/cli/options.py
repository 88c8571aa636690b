"""Arguments and options that several commands take, declared once so that they read the same in every `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

if TYPE_CHECKING:
    from trader.chain.node import Confirmations

PackageFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `model prepare` made.")]

PublicFolder = Annotated[Path, typer.Option(help="The seller's public folder.")]

DevelopmentFlag = Annotated[bool, typer.Option("--development", help="Accept a reference string that the seller made.")]

CONFIRMATIONS: Final = "N|finalized"
CONFIRMATIONS_HELP: Final = "Blocks that must stand before anything counts; on public chains, if not given: finalized."


def read_confirmations(text: str | int) -> Confirmations:
    """Return what counts on a chain, as it is written: a number from 1 on, or `finalized`."""
    if str(text) == "finalized":
        return "finalized"
    if not str(text).isdecimal() or int(text) < 1:
        raise typer.BadParameter('a number of blocks from 1 on, or "finalized"')
    return int(text)


ConfirmationsOption: TypeAlias = Annotated[
    Any, typer.Option("--confirmations", parser=read_confirmations, metavar=CONFIRMATIONS, help=CONFIRMATIONS_HELP)
]
"""Left out on development chains, whose blocks nobody replaces."""
