"""Secrets on disk under a password: JSON, the secret under AES-256-GCM with a key that scrypt derives.

Two files have this form: the encryption key of a package (`trader.exchange.keyfile`), and the key of a party's vault
(`trader.parties.vault_key`).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

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
_SALT_BYTES, _NONCE_BYTES = 32, 12


class WrappedSecret(BaseModel):
    """What such a file holds at least. The scrypt cost is part of the version: 2^17, r = 8, p = 1 (128 MiB).

    Attributes:
        salt: 32 bytes in hex, of scrypt.
        nonce: 12 bytes in hex, of AES-GCM.
        ciphertext: The secret and the tag, in hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    ciphertext: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){16,4096}$")]

    @classmethod
    def wrap(cls, secret: bytes, password: str, authenticated: bytes, **stated: str) -> Self:
        """Encrypt a secret under a password.

        Args:
            secret: What is encrypted.
            password: Opens it.
            authenticated: What the file states in clear and vouches for.
            stated: The other fields of the form.
        """
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        ciphertext = AESGCM(_derive(password, salt)).encrypt(nonce, secret, authenticated)
        sealed = {"salt": salt.hex(), "nonce": nonce.hex(), "ciphertext": ciphertext.hex()}
        return cls.model_validate(stated | sealed)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return self.model_dump_json(indent=2).encode()

    def unwrap(self, password: str, authenticated: bytes, path: Path) -> bytes:
        """Return the secret.

        Args:
            password: Opens it.
            authenticated: What the file states in clear and vouches for.
            path: Names the file in the error.

        Raises:
            KeyFileError: The password is wrong, or the file was changed.
        """
        cipher = AESGCM(_derive(password, bytes.fromhex(self.salt)))
        try:
            return cipher.decrypt(bytes.fromhex(self.nonce), bytes.fromhex(self.ciphertext), authenticated)
        except InvalidTag as error:
            raise KeyFileError(f"{path} does not open: the password is wrong, or the file was changed") from error


Form = TypeVar("Form", bound=WrappedSecret)


def read_wrapped(path: Path, form: type[Form], name: str) -> Form:
    """Read a file of a form; no password is needed, and none proven.

    Raises:
        KeyFileError: It is missing or malformed; called by its `name`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES)
        return form.model_validate_json(data)
    except OSError as error:
        raise KeyFileError(f"{path}, {name}, cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise KeyFileError(f"{path} is not {name} file: {error.errors()[0]['msg']}") from None  # it quotes the content


def create_wrapped(path: Path, document: WrappedSecret, name: str) -> None:
    """Write a new file with mode 0600, whole or not at all; missing folders are made.

    Raises:
        KeyFileError: The file exists already (a key is never overwritten), or it can't be written.
    """
    try:
        create_file(path, document.to_bytes(), secret=True)
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists already: choose another name, a key is never overwritten") from error
    except EnvironmentFaultError as error:
        raise KeyFileError(f"{name} cannot be written: {error}") from error


def _derive(password: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << _SCRYPT_LOG_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(password.encode())
