"""Encrypts a party's folder of an earlier version, whose secrets lie in clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, PartyFolderError
from trader.files import write_file
from trader.parties.filenames import OWNER, VAULT_KEY, find_kept, left_of
from trader.parties.folder import lock_folder
from trader.parties.vault_key import create_vault_key, is_encrypted, read_vault_key

if TYPE_CHECKING:
    from pathlib import Path


def protect_folder(folder: Path, password: str) -> int:
    """Encrypt what a folder keeps in clear; killed at any point, it goes on when it is called again.

    What the disk still holds of the files that were replaced is beyond it.

    Returns:
        Files that it encrypted.

    Raises:
        PartyFolderError: It is no party's folder, or a process works in it.
        KeyFileError: The folder has a key already, which the password does not open.
        EnvironmentFaultError: A file can't be read or written.
    """
    if not (folder / OWNER).exists() and not (folder / VAULT_KEY).exists() and not find_kept(folder):
        raise PartyFolderError(f"{folder} is no party's folder: name the one in which a trade was begun.")
    lock = lock_folder(folder)
    has_key = (folder / VAULT_KEY).exists()
    key = read_vault_key(folder, password) if has_key else create_vault_key(folder, password)
    encrypted = 0
    try:
        for path in find_kept(folder):
            data = path.read_bytes()
            if left_of(path.name) is not None:
                path.unlink()
            elif not is_encrypted(data):
                write_file(path, key.encrypt(data, path.relative_to(folder).as_posix()), secret=True)
                encrypted += 1
    except OSError as error:
        raise EnvironmentFaultError(f"{error.filename} can't be read or removed: {error.strerror}. Repeat.") from error
    del lock  # held until here
    return encrypted
