"""Where a password comes from: a file, the environment or the terminal; never an argument, which anyone can see."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trader.errors import AccountError

PASSWORD_VARIABLE = "MODELSEAL_PASSWORD"  # noqa: S105 - the name of a variable

NEW_PASSWORD_VARIABLE = "MODELSEAL_NEW_PASSWORD"  # noqa: S105 - as above

PasswordFile = Annotated[
    Path | None,
    typer.Option(help=f"File whose first line is the password. Otherwise ${PASSWORD_VARIABLE}, or a prompt."),
]

NewPasswordFile = Annotated[
    Path | None,
    typer.Option(help=f"File whose first line is the new password. Otherwise ${NEW_PASSWORD_VARIABLE}, or a prompt."),
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


def ask_new_password(file: Path | None, purpose: str) -> str:
    """Find the password that something gets in place of its old one.

    Raises:
        AccountError: no file, no variable, and no terminal to ask at.
    """
    if file is not None:
        return _first_line(file)
    if password := os.environ.get(NEW_PASSWORD_VARIABLE):
        return password
    if not sys.stdin.isatty():
        raise AccountError(f"no new password for {purpose}: give --new-password-file, or set {NEW_PASSWORD_VARIABLE}.")
    return str(typer.prompt(f"New password for {purpose}", hide_input=True, confirmation_prompt=True, err=True))


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            password = lines.readline().rstrip("\r\n")
    except OSError as error:
        raise AccountError(f"the password file {file} can't be read: {error.strerror}. Name a text file.") from error
    except UnicodeDecodeError:  # whose text repeats bytes of the file
        raise AccountError(f"the password file {file} is no text in UTF-8. Name a text file.") from None
    if not password:
        raise AccountError(f"the first line of the password file {file} is empty: it would protect nothing.")
    return password
