"""`modelseal keys`: accounts in standard encrypted keyfiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trader.cli.output import JsonFlag, print_json_line, results
from trader.cli.passwords import PasswordFile, ask_password

app = typer.Typer(help="Accounts in encrypted keyfiles (Web3 Secret Storage v3).", no_args_is_help=True)

KeyFile = Annotated[Path, typer.Argument(help="The keyfile.")]


@app.command()
def new(file: KeyFile, password_file: PasswordFile = None, as_json: JsonFlag = False) -> None:
    """Make an account and keep it in FILE, encrypted."""
    from trader.chain.accounts import create_account

    account = create_account(file, ask_password(password_file, f"the new account in {file}", confirm=True))
    _show(account.address, as_json)


@app.command()
def show(file: KeyFile, password_file: PasswordFile = None, as_json: JsonFlag = False) -> None:
    """Print the address of the account in FILE; never its key."""
    from trader.chain.accounts import load_account

    _show(load_account(file, ask_password(password_file, str(file))).address, as_json)


def _show(address: str, as_json: bool) -> None:
    if as_json:
        print_json_line({"address": address})
    else:
        results.print(address)
