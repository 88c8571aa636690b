"""SHA-256 of every file of a package, as `sha256sum` writes them: a bit that flips on disk is found whatever it means.

`secret/SHA256SUMS` is written once, with the package; `sha256sum --check secret/SHA256SUMS` reads it too. What grows
later is not in it: the list of published proofs and the kept proofs, which vouch for each other
(`trader.package.budget`), and certificates, which `modelseal certificate verify` checks.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trader.files import write_file
from trader.package.errors import DamagedPackageError, PackageError
from trader.package.public import PUBLIC_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHECKSUMS = "secret/SHA256SUMS"
SECRET_FILES = ("parameters.npz", "chunks.bin", "model.onnx", "encryption_key")
FILES = (*(f"public/{name}" for name in PUBLIC_FILES), *(f"secret/{name}" for name in SECRET_FILES))
"""Every file with a checksum, by its path in the package; the development reference string may be missing."""


def write_checksums(folder: Path) -> None:
    """Record the checksums of a package that was just written.

    Raises:
        PackageError: A file can't be read.
        EnvironmentFaultError: The folder can't be written.
    """
    lines = [_line(folder, name) for name in FILES if (folder / name).exists()]
    write_file(folder / CHECKSUMS, "".join(lines).encode(), secret=True)


def check_checksums(folder: Path, names: Sequence[str] = FILES) -> None:
    """Check that files of a package are as they were written; silent on success.

    Raises:
        DamagedPackageError: It names those that are not.
        PackageError: The checksums can't be read, or a file can't.
    """
    recorded = _recorded(folder)
    foreign = [line for line in recorded if line[_NAME_AT:].rstrip("\n") not in FILES]
    changed = [name for name in names if (folder / name).exists() and _line(folder, name) not in recorded]
    listed = {line[_NAME_AT:].rstrip("\n") for line in recorded}
    missing = [name for name in names if name in listed and not (folder / name).exists()]
    if foreign or changed or missing:
        names_at_fault = ", ".join([*changed, *missing]) or "none of the package's files"
        raise DamagedPackageError(
            f"in {folder}, {names_at_fault} is not what {CHECKSUMS} says: a file was changed or damaged, or that line. "
            "Restore them from a copy, or prepare the model again."
        )


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Replace a secret file of a package that may be written differently (`trader.parties.rotation`).

    At every moment the file is one that the checksums name: both are while it is replaced (`drop_replaced`).

    Raises:
        DamagedPackageError: The file is not what the checksums say: it is not replaced.
        PackageError: The checksums can't be read.
        EnvironmentFaultError: The folder can't be written.
    """
    check_checksums(folder, [name])
    recorded = _recorded(folder)
    line = f"{hashlib.sha256(data).hexdigest()}  {name}\n"
    write_file(folder / CHECKSUMS, "".join([*recorded, line]).encode(), secret=True)
    write_file(folder / name, data, secret=True)


def drop_replaced(folder: Path, name: str) -> None:
    """Drop the checksums that a file had before it was replaced.

    Raises:
        DamagedPackageError: The file is none that the checksums name; nothing is dropped.
        PackageError: The checksums can't be read.
        EnvironmentFaultError: The folder can't be written.
    """
    check_checksums(folder, [name])
    recorded, present = _recorded(folder), _line(folder, name)
    kept = [line for line in recorded if line == present or line[_NAME_AT:].rstrip("\n") != name]
    if kept != recorded:
        write_file(folder / CHECKSUMS, "".join(dict.fromkeys(kept)).encode(), secret=True)


def _recorded(folder: Path) -> list[str]:
    try:
        return (folder / CHECKSUMS).read_text().splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(
            f"{folder / CHECKSUMS} can't be read: {error}. Restore it from a copy, or prepare the model again."
        ) from error


_NAME_AT = 2 * hashlib.sha256().digest_size + 2


def _line(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"
    except OSError as error:
        raise PackageError(
            f"{folder / name} can't be read: {error.strerror}. Restore it from a copy, or prepare the model again."
        ) from error
