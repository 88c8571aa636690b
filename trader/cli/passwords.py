"""Where a password comes from: a file, the environment or the terminal; never an argument, which anyone can see."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trader.errors import AccountError

PASSWORD_VARIABLE = "MODELSEAL_PASSWORD"  # noqa: S105 - the name of a variable

PasswordFile = Annotated[
    Path | None,
    typer.Option(help=f"File whose first line is the password. Otherwise ${PASSWORD_VARIABLE}, or a prompt."),
]


def ask_password(file: Path | None, purpose: str, *, confirm: bool = False) -> str:
    """Find the password for `purpose`.

    Raises:
        AccountError: no file, no variable, and no terminal to ask at.
    """
    if file is not None:
        return _first_line(file)
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    if not sys.stdin.isatty():
        raise AccountError(f"no password for {purpose}: give --password-file, or set {PASSWORD_VARIABLE}.")
    return str(typer.prompt(f"Password for {purpose}", hide_input=True, confirmation_prompt=confirm, err=True))


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AccountError(f"the password file {file} can't be read: {error}. Name a readable text file.") from error
