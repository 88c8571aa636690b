"""A party's folder: what it must still know after its process was killed.

Secrets (encryption keys, audit salt, delivery keys, sealed messages) are written here *before* the transaction that
depends on them is sent. Files are whole or not there, and their owner alone can read them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.errors import PartyFolderError
from trader.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Vault:
    """A folder of small secrets by name.

    Attributes:
        folder: Made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Keep `data` under `name`, durably; an earlier one is replaced.

        Raises:
            EnvironmentFaultError: The folder can't be written.
        """
        write_file(self.folder / name, bytes(data), secret=True)

    def write_arrays(self, name: str, *arrays: NDArray[Any]) -> None:
        """Keep arrays under `name`, as `write` does."""
        buffer = io.BytesIO()
        np.savez(buffer, *arrays)
        self.write(name, buffer.getvalue())

    def read_arrays(self, name: str) -> tuple[NDArray[Any], ...]:
        """The arrays that are kept under `name`.

        Raises:
            PartyFolderError: There are none.
        """
        with np.load(io.BytesIO(self.read(name)), allow_pickle=False) as archive:
            return tuple(archive[f"arr_{index}"] for index in range(len(archive.files)))

    def has(self, name: str) -> bool:
        """Whether something is kept under `name`."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        """What is kept under `name`.

        Raises:
            PartyFolderError: Nothing is, or it can't be read.
        """
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise PartyFolderError(
                f"{self.folder / name} can't be read: {error.strerror}. Name the folder in which the trade was begun."
            ) from error
