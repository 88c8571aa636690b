"""Finds keyfiles where wallets keep them: by path, by name, or by address.

Looked through are `$ETH_KEYSTORE` (a folder or one file, as foundry's tools take it), foundry's
`~/.foundry/keystores`, and geth's `~/.ethereum/keystore` or `~/Library/Ethereum/keystore`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eth_utils.address import is_address, to_checksum_address

from trader.chain.accounts import load_account, read_address
from trader.errors import AccountError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trader.signer import Signer

KEYSTORE_VARIABLE = "ETH_KEYSTORE"
_FOLDERS = (".foundry/keystores", ".ethereum/keystore", "Library/Ethereum/keystore")
FOREIGN_ACCESS = 0o077


@dataclass(frozen=True, slots=True)
class KeystoreEntry:
    """A keyfile in a wallet's folder.

    Attributes:
        name: Its file name, by which foundry knows the account.
        address: The account's; None where the file does not state it, as foundry's don't.
        path: The file.
        private: Whether nobody but its owner can read it.
    """

    name: str
    address: str | None
    path: Path
    private: bool


def open_account(account: str, ask_password: Callable[[str], str]) -> Signer:
    """Return the account that a user means.

    Args:
        account: A keyfile (`find_keyfile`), or the URL of a signer (`trader.chain.external`), followed by `#0x…` if it
            has several accounts.
        ask_password: Returns the password of a keyfile, given what it is for.

    Raises:
        AccountError: There is no such account, the password is wrong, or the signer refuses.
        SignerUnavailableError: The signer does not answer.
    """
    if "://" in account:
        from trader.chain.external import ExternalAccount

        url, _, address = account.partition("#")
        return ExternalAccount.connect(url, address or None)
    path = find_keyfile(account)
    return load_account(path, ask_password(str(path)))


def keystore_folders() -> list[Path]:
    """Return the folders that are looked through, those that exist."""
    named = os.environ.get(KEYSTORE_VARIABLE)
    folders = [Path(named)] if named else []
    folders += [Path.home() / folder for folder in _FOLDERS]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def list_keystores() -> list[KeystoreEntry]:
    """Return the keyfiles in wallets' folders, in their order; no password is needed."""
    return [_entry(path) for path in _keyfiles()]


def find_keyfile(account: str) -> Path:
    """Return the keyfile that a user means.

    Args:
        account: A path; else a file name in one of the folders, or the address that one of their files states.

    Raises:
        AccountError: There is none, or several have that name or address.
    """
    if Path(account).is_file():
        return Path(account)
    found = [path for path in _keyfiles() if _is_meant(path, account)]
    if len(found) == 1:
        return found[0]
    if found:
        raise AccountError(f"{account} is the name of several keyfiles: {', '.join(map(str, found))}. Name one by path")
    looked = ", ".join(map(str, keystore_folders())) or "no keystore folder exists"
    raise AccountError(
        f"there is no keyfile {account}, neither as a file nor by this name or address in a keystore ({looked}). "
        "`modelseal keys list` shows those that are found; `modelseal keys new` makes one"
    )


def _keyfiles() -> Iterator[Path]:
    named = os.environ.get(KEYSTORE_VARIABLE)
    if named and Path(named).is_file():
        yield Path(named)
    for folder in keystore_folders():
        yield from sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _is_meant(path: Path, account: str) -> bool:
    if path.name == account:
        return True
    return is_address(account) and _entry(path).address == to_checksum_address(account)


def _entry(path: Path) -> KeystoreEntry:
    private = not path.stat().st_mode & FOREIGN_ACCESS
    try:
        return KeystoreEntry(path.name, read_address(path), path, private)
    except AccountError:
        return KeystoreEntry(path.name, None, path, private)
