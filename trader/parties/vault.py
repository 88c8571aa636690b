"""A party's folder: what it must still know after its process was killed.

Secrets (encryption keys, audit salt, delivery keys, sealed messages) are written here *before* the transaction that
depends on them is sent. Files are whole or not there, their owner alone can read them, and all but those that are
`PLAIN` are encrypted if the folder has a key (`trader.parties.vault_key`).
"""

from __future__ import annotations

import io
import mmap
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.errors import EnvironmentFaultError, PartyFolderError
from trader.files import staged_file, write_file
from trader.parties.filenames import PLAIN
from trader.parties.vault_key import is_encrypted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from trader.parties.vault_key import VaultKey


class Vault:
    """A folder of small secrets by name.

    Attributes:
        folder: Made when the first one is written.
    """

    def __init__(self, folder: Path, key: VaultKey | None, place: str = "") -> None:
        """Open a folder, whether or not it exists.

        Args:
            folder: Where the files lie.
            key: Encrypts them; None keeps them in clear, which is for development.
            place: The folder's path in the party's folder, each part ending in `/`; empty for the party's folder.
        """
        self.folder = folder
        self._key = key
        self._place = place

    def inner(self, *names: str) -> Vault:
        """Return the vault of a folder in this one, under the same key."""
        return Vault(self.folder.joinpath(*names), self._key, self._place + "".join(f"{name}/" for name in names))

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Keep `data` under `name`, durably; an earlier one is replaced.

        Raises:
            EnvironmentFaultError: The folder can't be written.
        """
        self._sweep(name)
        kept = bytes(data) if self._key is None or name in PLAIN else self._key.encrypt(bytes(data), self._place + name)
        write_file(self.folder / name, kept, secret=True)

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Yield the path of a new message, to be written in the block; at its end it is kept under `name`.

        Raises:
            EnvironmentFaultError: The folder or the file can't be written.
        """
        _require_plain(name)
        self._sweep(name)
        with staged_file(self.folder / name) as path:
            yield path

    def path(self, name: str) -> Path:
        """Return where a message is kept under `name`, or may be; the folder is made.

        Raises:
            EnvironmentFaultError: It can't be made.
        """
        _require_plain(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentFaultError(f"{self.folder} can't be made: {error.strerror}. Make room.") from error
        return self.folder / name

    def forget(self, name: str) -> None:
        """Keep nothing under `name` any more."""
        with suppress(OSError):  # it only takes room
            (self.folder / name).unlink(missing_ok=True)

    def write_arrays(self, name: str, *arrays: NDArray[Any]) -> None:
        """Keep arrays under `name`, as `write` does."""
        buffer = io.BytesIO()
        np.savez(buffer, *arrays)
        self.write(name, buffer.getvalue())

    def read_arrays(self, name: str) -> tuple[NDArray[Any], ...]:
        """Read the arrays that are kept under `name`.

        Raises:
            PartyFolderError: There are none.
        """
        with np.load(io.BytesIO(self.read(name)), allow_pickle=False) as archive:
            return tuple(archive[f"arr_{index}"] for index in range(len(archive.files)))

    def has(self, name: str) -> bool:
        """Return whether something is kept under `name`."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        """Read what is kept under `name`.

        Raises:
            PartyFolderError: Nothing is, it can't be read, or it is not what was written.
        """
        try:
            kept = (self.folder / name).read_bytes()
        except OSError as error:
            raise self._unreadable(name, error) from error
        if name in PLAIN:
            return kept
        if self._key is not None:
            return self._key.decrypt(kept, self._place + name)
        if is_encrypted(kept):
            raise PartyFolderError(f"{self.folder / name} is encrypted: unlock the folder with the account's password.")
        return kept

    def derive(self, name: str, context: bytes) -> bytes:
        """Return 32 secret bytes for what is kept under `name`; a folder without a key has random ones.

        The same for the same context, so that a backup of the folder's key brings them back.
        """
        return secrets.token_bytes(32) if self._key is None else self._key.derive(self._place + name, context)

    def map(self, name: str) -> memoryview:
        """Map the message that is kept under `name`, read-only, without reading all of it into memory.

        Raises:
            PartyFolderError: Nothing is, or it can't be read.
        """
        _require_plain(name)
        try:
            with (self.folder / name).open("rb") as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise self._unreadable(name, error) from error

    def _sweep(self, name: str) -> None:
        """Remove what killed processes left of earlier attempts: it would add up, and nobody else writes here."""
        for left in self.folder.glob(f".{name}.????????"):
            left.unlink(missing_ok=True)

    def _unreadable(self, name: str, error: OSError | ValueError) -> PartyFolderError:
        reason = error.strerror if isinstance(error, OSError) else error
        return PartyFolderError(
            f"{self.folder / name} can't be read: {reason}. Name the folder in which the trade was begun."
        )


def _require_plain(name: str) -> None:
    """Refuse to hand out a file as it lies on disk that is encrypted there, or should be."""
    if name not in PLAIN:
        raise ValueError(f"{name} is a secret: write and read it whole")
