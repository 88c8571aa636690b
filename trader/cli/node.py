"""How commands reach a chain."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

ConfirmationsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--confirmations", help="Blocks that must stand before anything counts; needed on public chains.", min=1
    ),
]
"""Left out on development chains, whose blocks nobody replaces."""
