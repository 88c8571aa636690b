"""The public half of a package: what a buyer needs to check a listing before it pays.

On disk it is a folder of plain files; between parties it is one archive: for each part in the order of
`PublicPackage`'s fields an unsigned 64-bit big-endian length, then the bytes. What the parts say is not checked here:
`trader.verify.listing` does that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

from trader.files import write_file
from trader.package.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = "public"
"""The public half's folder in a seller's package."""
MAGIC = b"MSPK\x00\x01"
MAX_PART_BYTES = 1 << 28
_LENGTH_BYTES = 8

SRS_FILE = "development.srs"
_FILES = {
    "manifest": "manifest.json",
    "architecture": "architecture.onnx",
    "settings": "settings.json",
    "leaves": "leaves.bin",
    "development_srs": SRS_FILE,
}
"""File name of each part."""
PUBLIC_FILES = tuple(_FILES.values())


@dataclass(frozen=True, slots=True)
class PublicPackage:
    """A listing's public files.

    Attributes:
        manifest: manifest.json; its keccak256 is the listing's `manifestHash`.
        architecture: architecture.onnx.
        settings: the audit circuit's settings.
        leaves: published leaves of both chunk trees (`zk.binding.ChunkCommitments.to_bytes`).
        development_srs: the structured reference string, where it is a locally made one; empty where the manifest
            names a ceremony's, which buyers get from there.
    """

    manifest: bytes = field(repr=False)
    architecture: bytes = field(repr=False)
    settings: bytes = field(repr=False)
    leaves: bytes = field(repr=False)
    development_srs: bytes = field(default=b"", repr=False)

    def to_bytes(self) -> bytes:
        """Return the archive that travels to buyers."""
        parts = [getattr(self, part.name) for part in fields(self)]
        return MAGIC + b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)

    @classmethod
    def from_bytes(cls, archive: bytes) -> Self:
        """Read an archive that comes from the other party.

        Raises:
            PackageError: not an archive of this version, truncated, oversize, or with bytes left over.
        """
        if not archive.startswith(MAGIC):
            raise PackageError(
                "this is no package of this version: its first bytes are wrong. Ask the seller for it again."
            )
        parts: list[bytes] = []
        position = len(MAGIC)
        for part in fields(cls):
            length = int.from_bytes(archive[position : position + _LENGTH_BYTES], "big")
            position += _LENGTH_BYTES
            if length > min(MAX_PART_BYTES, len(archive) - position):
                raise PackageError(f"the package is truncated in its {part.name} part. Ask the seller for it again.")
            parts.append(archive[position : position + length])
            position += length
        if position != len(archive):
            raise PackageError(
                f"the package has {len(archive) - position} bytes too many. Ask the seller for it again."
            )
        return cls(*parts)

    def write(self, folder: Path) -> None:
        """Write the parts as files.

        Raises:
            EnvironmentFaultError: the folder can't be written.
        """
        for name, file in _FILES.items():
            if part := getattr(self, name):
                write_file(folder / file, part)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that `write` made.

        Raises:
            PackageError: a file is missing, unreadable or too large.
        """
        return cls(**{name: _read_part(folder / file, name) for name, file in _FILES.items()})


def _read_part(path: Path, name: str) -> bytes:
    if name == "development_srs" and not path.exists():
        return b""
    try:
        if path.stat().st_size > MAX_PART_BYTES:
            raise PackageError(f"{path} is larger than {MAX_PART_BYTES} bytes. Take the package from its source again.")
        return path.read_bytes()
    except OSError as error:
        raise PackageError(
            f"{path} can't be read: {error.strerror}. Name a folder that `modelseal model prepare` made."
        ) from error
