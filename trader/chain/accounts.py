"""Accounts: private keys in standard encrypted keyfiles (Web3 Secret Storage v3), as geth and other wallets keep them.

`create_account` and `load_account` give what `trader.chain.Chain` signs with;
`read_address` says whose a keyfile is and takes no password. A private key is never printed, logged or taken from
an argument; a password comes from the caller, who asks for it or reads it from a file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from eth_utils.address import is_address, to_checksum_address

from trader.errors import AccountError
from trader.files import create_file

if TYPE_CHECKING:
    from pathlib import Path

    from eth_account import Account
    from eth_account.signers.local import LocalAccount

MAX_KEYFILE_BYTES = 1 << 16
_RAW_KEY = re.compile(rb"\s*(?:0x)?[0-9a-fA-F]{64}\s*")


def create_account(path: Path, password: str) -> LocalAccount:
    """Make a fresh account and keep it in an encrypted keyfile (mode 0600).

    Raises:
        AccountError: The file exists already: a key is never overwritten.
        EnvironmentFaultError: The file can't be written.
    """
    account: LocalAccount = _eth_account().create()
    save_account(account, path, password)
    return account


def save_account(account: LocalAccount, path: Path, password: str) -> None:
    """Keep an account in an encrypted keyfile (mode 0600).

    Raises:
        AccountError: The file exists already: a key is never overwritten.
        EnvironmentFaultError: The file can't be written.
    """
    try:
        create_file(path, json.dumps(account.encrypt(password)).encode(), secret=True)
    except FileExistsError as error:
        raise AccountError(f"{path} exists already and keys are never overwritten: choose another file") from error


def load_account(path: Path, password: str) -> LocalAccount:
    """Read an account from its keyfile.

    Raises:
        AccountError: The file is missing, is no keyfile, or the password is wrong.
    """
    keyfile = _read_keyfile(path)
    try:
        key = _eth_account().decrypt(keyfile, password)
    except ValueError as error:
        # eth-keyfile raises the same exception for another password and for a changed file: its MAC does not match.
        raise AccountError(f"the password does not open {path} (or the file was damaged): try it again") from error
    except (KeyError, TypeError, NotImplementedError) as error:
        raise AccountError(f"{path} is no keyfile of version 3: name the file that holds the account") from error
    account: LocalAccount = _eth_account().from_key(key)
    return account


def reencrypt_account(path: Path, password: str, new_password: str | None) -> bytes:
    """Return what a keyfile would hold under another password, tried before it is returned; nothing is written.

    Args:
        path: The keyfile.
        password: Opens it.
        new_password: Opens what is returned; None only tries the first one, and returns nothing.

    Raises:
        AccountError: The file is missing, is no keyfile, or the password is wrong.
    """
    account = load_account(path, password)
    if new_password is None:
        return b""
    keyfile = account.encrypt(new_password)
    if bytes(_eth_account().decrypt(keyfile, new_password)) != bytes(account.key):
        raise AccountError(f"{path} could not be encrypted again: this machine computes wrongly. Nothing was changed")
    kept = {name: value for name, value in _read_keyfile(path).items() if name == "id"}
    return json.dumps({**keyfile, **kept}).encode()


def import_account(source: Path, path: Path, password: str, new_password: str) -> LocalAccount:
    """Keep the account of another wallet in a keyfile of its own (mode 0600).

    Args:
        source: A keyfile, or a text file with a private key in hex.
        path: The new keyfile.
        password: Opens the source, if it is a keyfile.
        new_password: Opens the new one.

    Raises:
        AccountError: The source is neither, its password is wrong, or the new file exists.
        EnvironmentFaultError: The new file can't be written.
    """
    account = _read_raw_key(source) if is_raw_key(source) else load_account(source, password)
    save_account(account, path, new_password)
    return account


def is_raw_key(path: Path) -> bool:
    """Return whether a file holds a private key in hex and nothing else, so that no password opens it."""
    try:
        return _RAW_KEY.fullmatch(_read_small(path)) is not None
    except AccountError:
        return False


def _read_raw_key(path: Path) -> LocalAccount:
    try:
        account: LocalAccount = _eth_account().from_key(_read_small(path).strip().decode())
    except Exception:  # whose text may repeat the key
        raise AccountError(f"{path} holds no private key of secp256k1: it is out of range") from None
    return account


def read_address(path: Path) -> str:
    """Read the address of the account in a keyfile, as the file states it: this takes no password.

    Raises:
        AccountError: The file is missing, is no keyfile, or states no address.
    """
    stated = str(_read_keyfile(path).get("address", ""))
    if not is_address(stated):
        raise AccountError(f"{path} states no address: name the account by its address")
    return str(to_checksum_address(stated))


def _eth_account() -> type[Account]:
    """Import the library when a key is used: it is slow to load, and whose a keyfile is takes none of it."""
    from eth_account import Account

    return Account


def _read_keyfile(path: Path) -> dict[str, object]:
    try:
        keyfile = json.loads(_read_small(path))
    except ValueError:
        raise AccountError(f"{path} is no keyfile: it isn't JSON. Name the account's keyfile") from None
    if not isinstance(keyfile, dict):
        raise AccountError(f"{path} is no keyfile: it holds no JSON object. Name the account's keyfile")
    return keyfile


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_KEYFILE_BYTES:
            raise AccountError(f"{path} is too large for a keyfile: name the file that holds the account")
        return path.read_bytes()
    except OSError as error:
        raise AccountError(f"{path} can't be read: {error.strerror}. Name the account's keyfile") from error
