"""A party's folder: what it must still know after its process was killed.

Secrets (encryption keys, audit salt, delivery keys, sealed messages) are written here *before* the transaction that
depends on them is sent. Files are whole or not there, and their owner alone can read them.
"""

from __future__ import annotations

import io
import mmap
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.errors import EnvironmentFaultError, PartyFolderError
from trader.files import staged_file, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        self._sweep(name)
        write_file(self.folder / name, bytes(data), secret=True)

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Yield the path of a new file, to be written in the block; at its end it is kept under `name`.

        Raises:
            EnvironmentFaultError: The folder or the file can't be written.
        """
        self._sweep(name)
        with staged_file(self.folder / name) as path:
            yield path

    def path(self, name: str) -> Path:
        """Return where something is kept under `name`, or may be; the folder is made.

        Raises:
            EnvironmentFaultError: It can't be made.
        """
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
            PartyFolderError: Nothing is, or it can't be read.
        """
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise self._unreadable(name, error) from error

    def map(self, name: str) -> memoryview:
        """Map what is kept under `name`, read-only, without reading all of it into memory.

        Raises:
            PartyFolderError: Nothing is, or it can't be read.
        """
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
