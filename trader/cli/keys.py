"""`modelseal keys`: accounts in standard encrypted keyfiles, and the passwords of all that a party keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from trader.cli.output import JsonFlag, messages, print_json_line, results
from trader.cli.passwords import NewPasswordFile, PasswordFile, ask_new_password, ask_password

app = typer.Typer(help="Accounts in encrypted keyfiles (Web3 Secret Storage v3).", no_args_is_help=True)

NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="The keyfile to make.")]
AccountName = Annotated[
    str,
    typer.Argument(
        metavar="ACCOUNT",
        help="A keyfile; a name or address in a keystore ($ETH_KEYSTORE, foundry's, geth's); or the URL of a signer.",
    ),
]


@app.command()
def new(file: NewFile, password_file: PasswordFile = None, as_json: JsonFlag = False) -> None:
    """Make an account and keep it in FILE, encrypted."""
    from trader.chain.accounts import create_account

    account = create_account(file, ask_password(password_file, f"the new account in {file}", confirm=True))
    _show(account.address, as_json)


@app.command(name="list")
def list_command(as_json: JsonFlag = False) -> None:
    """List the keyfiles in keystores: of $ETH_KEYSTORE, foundry and geth; no password is needed."""
    from trader.chain.keystores import keystore_folders, list_keystores

    found = list_keystores()
    if as_json:
        rows = [{"name": e.name, "address": e.address, "file": str(e.path), "private": e.private} for e in found]
        print_json_line({"accounts": rows})
        return
    for entry in found:
        results.print(f"{entry.address or 'address not stated':42}  {escape(str(entry.path))}", highlight=False)
        if not entry.private:
            messages.print(f"others can read {escape(str(entry.path))}: chmod 600", style="yellow", soft_wrap=True)
    if not found:
        looked = ", ".join(map(str, keystore_folders())) or "there is no keystore folder"
        messages.print(f"no keyfiles found ({escape(looked)}): `modelseal keys new FILE` makes one", soft_wrap=True)


@app.command()
def show(account: AccountName, password_file: PasswordFile = None, as_json: JsonFlag = False) -> None:
    """Print the address of ACCOUNT, once its password or its signer has shown that it can sign; never its key."""
    from trader.chain.keystores import open_account

    _show(open_account(account, lambda purpose: ask_password(password_file, purpose)).address, as_json)


@app.command(name="import")
def import_command(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A keyfile, or a file with a private key in hex.", dir_okay=False)
    ],
    file: NewFile,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep the account of another wallet in FILE, encrypted under a password of its own."""
    from trader.chain.accounts import import_account, is_raw_key

    in_clear = is_raw_key(source)
    password = "" if in_clear else ask_password(password_file, str(source))
    account = import_account(source, file, password, ask_new_password(new_password_file, str(file)))
    if in_clear:
        messages.print(f"{escape(str(source))} holds the key in clear: remove it", style="yellow", soft_wrap=True)
    _show(account.address, as_json)


@app.command()
def export(
    account: AccountName,
    file: NewFile,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Write ACCOUNT to FILE for another wallet, always encrypted; keys are never shown."""
    from trader.chain.accounts import import_account
    from trader.chain.keystores import find_keyfile

    source = find_keyfile(account)
    password = ask_password(password_file, str(source))
    exported = import_account(source, file, password, ask_new_password(new_password_file, str(file)))
    _show(exported.address, as_json)


@app.command()
def rotate(
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="A keyfile, or its name in a keystore.")
    ] = None,
    package: Annotated[list[Path] | None, typer.Option(help="A seller's package; may be given again.")] = None,
    folder: Annotated[list[Path] | None, typer.Option(help="A party's folder; may be given again.")] = None,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Change the password of an account, of packages and of party folders together; repeat it if it was interrupted."""
    from trader.chain.keystores import find_keyfile
    from trader.parties.rotation import Rotation, rotate_password

    keyfile = None if account is None else find_keyfile(account)
    old, new = ask_password(password_file, "what is named"), ask_new_password(new_password_file, "what is named")
    changed = rotate_password(Rotation(folder or [], package or [], keyfile), old, new)
    if as_json:
        print_json_line({"changed": [str(path) for path in changed]})
        return
    for path in changed:
        results.print(f"changed {escape(str(path))}", highlight=False, soft_wrap=True)
    if not changed:
        results.print("the new password opens everything already")


@app.command()
def protect(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A party's folder, with secrets in clear.")],
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Encrypt what a party's FOLDER of an earlier version keeps in clear; repeat it if it was interrupted."""
    from trader.parties.protection import protect_folder

    encrypted = protect_folder(folder, ask_password(password_file, str(folder)))
    if as_json:
        print_json_line({"encrypted": encrypted})
    else:
        results.print(f"{encrypted} files encrypted in {escape(str(folder))}", highlight=False, soft_wrap=True)


def _show(address: str, as_json: bool) -> None:
    if as_json:
        print_json_line({"address": address})
    else:
        results.print(address)
