"""Encryption keys on disk: JSON, the secret under AES-256-GCM with a key that scrypt derives from a password."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.errors import EnvironmentFaultError
from trader.exchange.errors import KeyFileError
from trader.files import create_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_FILE_BYTES = 1 << 14
_SCRYPT_LOG_N, _SCRYPT_R, _SCRYPT_P = 17, 8, 1


class _KeyFile(BaseModel):
    """The file's form. The scrypt cost is part of the version: 2^17, r = 8, p = 1 (128 MiB)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["modelseal-encryption-key"] = "modelseal-encryption-key"
    version: Literal[1] = 1
    kem: Literal["MLKEM768-X25519"] = "MLKEM768-X25519"
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{2432}$")]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    ciphertext: Annotated[str, Field(pattern=r"^[0-9a-f]{224}$")]


def write_key_file(path: Path, password: str, *, secret: bytes, public_key: bytes) -> None:
    """Write an encrypted key file with mode 0600, whole or not at all; missing folders are made.

    Raises:
        KeyFileError: The file exists already (a key is never overwritten), or it can't be written.
    """
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    # The public key is authenticated too: swapping it in the file would make the owner publish a foreign key.
    ciphertext = AESGCM(_derive(password, salt)).encrypt(nonce, secret, public_key)
    document = _KeyFile(public_key=public_key.hex(), salt=salt.hex(), nonce=nonce.hex(), ciphertext=ciphertext.hex())
    try:
        create_file(path, document.model_dump_json(indent=2).encode(), secret=True)
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists already: choose another name, a key is never overwritten") from error
    except EnvironmentFaultError as error:
        raise KeyFileError(f"the encryption key cannot be written: {error}") from error


def read_key_file(path: Path, password: str) -> bytes:
    """Read the secret out of a key file.

    Raises:
        KeyFileError: It is missing or malformed, or the password is wrong.
    """
    document = _read(path)
    public_key = bytes.fromhex(document.public_key)
    cipher = AESGCM(_derive(password, bytes.fromhex(document.salt)))
    try:
        return cipher.decrypt(bytes.fromhex(document.nonce), bytes.fromhex(document.ciphertext), public_key)
    except InvalidTag as error:
        raise KeyFileError(f"{path} does not open: the password is wrong, or the file was changed") from error


def read_public_key(path: Path) -> bytes:
    """The public key beside the secret, which only the password proves to belong to it (`read_key_file`).

    Raises:
        KeyFileError: It is missing or malformed.
    """
    return bytes.fromhex(_read(path).public_key)


def _read(path: Path) -> _KeyFile:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES)
        return _KeyFile.model_validate_json(data)
    except OSError as error:
        raise KeyFileError(f"the encryption key {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise KeyFileError(f"{path} is not an encryption key file: {error.errors()[0]['msg']}") from error


def _derive(password: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << _SCRYPT_LOG_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(password.encode())
