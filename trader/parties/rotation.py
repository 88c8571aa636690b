"""Changes the password of everything that one person's trades need: account, packages, party folders.

Killed at any point, it is repeated with the same two passwords and goes on: each file is replaced whole, and one that
the new password opens already is left as it is. Nothing is written before every file was opened. The account comes
last: until then the old password still opens what holds money.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trader.chain.accounts import reencrypt_account
from trader.errors import AccountError, CallerError
from trader.exchange import EncryptionKey, KeyFileError
from trader.exchange.keyfile import rewrap_key_file
from trader.files import write_file
from trader.package.checksums import check_checksums, drop_replaced, replace_file
from trader.package.seller import ENCRYPTION_KEY
from trader.parties.filenames import VAULT_KEY
from trader.parties.vault_key import read_vault_key, rewrap_vault_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_KEY_FILE = f"secret/{ENCRYPTION_KEY}"


@dataclass(frozen=True)
class Rotation:
    """What gets another password, in this order.

    Attributes:
        folders: Party folders whose secrets are encrypted.
        packages: Seller's packages.
        keyfile: The account's; None where another program keeps its key.
    """

    folders: Sequence[Path] = ()
    packages: Sequence[Path] = ()
    keyfile: Path | None = None


@dataclass(frozen=True)
class _Change:
    path: Path
    open: Callable[[str], object]
    rewrap: Callable[[str, str], bytes] = field(repr=False)
    replace: Callable[[bytes], None] = field(repr=False)


def rotate_password(rotation: Rotation, password: str, new_password: str) -> list[Path]:
    """Change the password; return the files that were changed, in order.

    Raises:
        CallerError: The new password is empty, or nothing is named.
        KeyFileError, AccountError: A file can't be read, or neither password opens it; nothing was changed.
        PackageError: A package's checksums can't be read, or its key file is not what they say; nothing was changed.
        EnvironmentFaultError: A file can't be written; those before it were changed. Repeat.
    """
    changes = _changes(rotation)
    if not changes or not new_password:
        raise CallerError("nothing to change: name files, and a new password that isn't empty")
    contents = {}
    for change in changes:
        if not _opens(change, new_password):
            contents[change.path] = change.rewrap(password, new_password)
    for change in changes:
        if change.path in contents:
            change.replace(contents[change.path])
    for package in rotation.packages:
        drop_replaced(package, _KEY_FILE)
    return list(contents)


def _changes(rotation: Rotation) -> list[_Change]:
    folders = [_change_of_folder(folder) for folder in rotation.folders]
    packages = [_change_of_package(package) for package in rotation.packages]
    return [*folders, *packages, *([] if rotation.keyfile is None else [_change_of_account(rotation.keyfile)])]


def _change_of_folder(folder: Path) -> _Change:
    path = folder / VAULT_KEY
    return _Change(
        path,
        lambda password: read_vault_key(folder, password),
        lambda old, new: rewrap_vault_key(folder, old, new),
        lambda data: write_file(path, data, secret=True),
    )


def _change_of_package(package: Path) -> _Change:
    check_checksums(package, [_KEY_FILE])
    path = package / _KEY_FILE
    return _Change(
        path,
        lambda password: EncryptionKey.load(path, password),
        lambda old, new: rewrap_key_file(path, old, new),
        lambda data: replace_file(package, _KEY_FILE, data),
    )


def _change_of_account(keyfile: Path) -> _Change:
    path = keyfile.resolve()  # a link stays one
    return _Change(
        path,
        lambda password: reencrypt_account(path, password, None),
        lambda old, new: reencrypt_account(path, old, new),
        lambda data: write_file(path, data, secret=True),
    )


def _opens(change: _Change, password: str) -> bool:
    try:
        change.open(password)
    except (KeyFileError, AccountError):
        return False
    return True
