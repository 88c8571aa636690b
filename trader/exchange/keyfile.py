"""Encryption keys on disk: the public key in clear, the secret under a password (`trader.exchange.wrapping`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from trader.exchange.wrapping import WrappedSecret, create_wrapped, read_wrapped

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "an encryption key"


class _KeyFile(WrappedSecret):
    """The file's form. The public key is authenticated: swapped, the owner would publish a foreign key."""

    format: Literal["modelseal-encryption-key"] = "modelseal-encryption-key"
    version: Literal[1] = 1
    kem: Literal["MLKEM768-X25519"] = "MLKEM768-X25519"
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{2432}$")]
    ciphertext: Annotated[str, Field(pattern=r"^[0-9a-f]{224}$")]


def write_key_file(path: Path, password: str, *, secret: bytes, public_key: bytes) -> None:
    """Write an encrypted key file with mode 0600, whole or not at all; missing folders are made.

    Raises:
        KeyFileError: The file exists already (a key is never overwritten), or it can't be written.
    """
    create_wrapped(path, _wrapped(secret, public_key, password), _NAME)


def read_key_file(path: Path, password: str) -> bytes:
    """Read the secret out of a key file.

    Raises:
        KeyFileError: It is missing or malformed, or the password is wrong.
    """
    document = read_wrapped(path, _KeyFile, _NAME)
    return document.unwrap(password, bytes.fromhex(document.public_key), path)


def rewrap_key_file(path: Path, password: str, new_password: str) -> bytes:
    """Return what the file would hold under another password; it is not written.

    Raises:
        KeyFileError: It is missing or malformed, or the password is wrong.
    """
    return _wrapped(read_key_file(path, password), read_public_key(path), new_password).to_bytes()


def read_public_key(path: Path) -> bytes:
    """Return the public key beside the secret, which only the password proves to belong to it (`read_key_file`).

    Raises:
        KeyFileError: It is missing or malformed.
    """
    return bytes.fromhex(read_wrapped(path, _KeyFile, _NAME).public_key)


def _wrapped(secret: bytes, public_key: bytes, password: str) -> _KeyFile:
    return _KeyFile.wrap(secret, password, public_key, public_key=public_key.hex())
