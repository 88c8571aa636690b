"""The key of a party's vault: 256 random bits for each folder, kept in it under the account's password.

Every secret of the folder is encrypted under this key (AES-256-GCM, a fresh nonce each time) together with where it
lies, as `31337-0x…/trade-1-…/delivery.key`: a file that was moved to another name, trade or folder does not open. What
this doesn't tell is an older version of the same file at its own place. A kept file is::

    "MSVAULT" ‖ version 1 (1 byte) ‖ nonce (12) ‖ ciphertext and tag
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field

from trader.errors import PartyFolderError
from trader.exchange.wrapping import WrappedSecret, create_wrapped, read_wrapped
from trader.parties.filenames import VAULT_KEY, find_kept

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC, _VERSION = b"MSVAULT", 1
_HEADER = _MAGIC + bytes([_VERSION])
_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
_NAME = "a vault key"
_DERIVED = b"modelseal derived secret 1"


class _VaultKeyFile(WrappedSecret):
    format: Literal["modelseal-vault-key"] = "modelseal-vault-key"
    version: Literal[1] = 1
    ciphertext: Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]


_AUTHENTICATED = b"modelseal-vault-key 1"


@dataclass(frozen=True)
class VaultKey:
    """Encrypts what a party keeps.

    Attributes:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the length."""
        if len(self.secret) != _KEY_BYTES:
            raise ValueError(f"the key of a vault has {_KEY_BYTES} bytes, not {len(self.secret)}")

    @classmethod
    def generate(cls) -> VaultKey:
        """Draw a fresh key from the system's randomness."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    def encrypt(self, data: bytes, place: str) -> bytes:
        """Return what is written for `data` at `place`, relative to the party's folder.

        Raises:
            PartyFolderError: It is too large: 2 GiB are the most.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        try:
            return _HEADER + nonce + AESGCM(self.secret).encrypt(nonce, data, _HEADER + place.encode())
        except OverflowError:
            raise PartyFolderError(f"{place} has {len(data)} bytes: a vault keeps files below 2 GiB") from None

    def derive(self, place: str, context: bytes) -> bytes:
        """Return 32 bytes that follow from this key, a place and a context, and tell nothing of it (HKDF, RFC 5869)."""
        info = _DERIVED + len(place.encode()).to_bytes(4, "big") + place.encode() + context
        return HKDF(hashes.SHA256(), _KEY_BYTES, None, info).derive(self.secret)

    def decrypt(self, kept: bytes, place: str) -> bytes:
        """Return what was written at `place`.

        Raises:
            PartyFolderError: It is another vault's, comes from another place, was changed, or is not encrypted.
        """
        if not is_encrypted(kept):
            raise PartyFolderError(
                f"{place} is not encrypted, or by another version. A folder of an earlier version is migrated by "
                "`modelseal keys protect FOLDER`; if you did not make this file, restore the folder from a backup."
            )
        nonce, ciphertext = kept[len(_HEADER) :][:_NONCE_BYTES], kept[len(_HEADER) + _NONCE_BYTES :]
        try:
            return AESGCM(self.secret).decrypt(nonce, ciphertext, _HEADER + place.encode())
        except (InvalidTag, ValueError):
            raise PartyFolderError(
                f"{place} does not open with the folder's key: it was changed, or comes from another trade or folder. "
                "Restore it from a backup."
            ) from None


def is_encrypted(kept: bytes) -> bool:
    """Return whether a file has the form of an encrypted one."""
    return kept.startswith(_HEADER) and len(kept) >= len(_HEADER) + _NONCE_BYTES + _TAG_BYTES


def unlock_vault(folder: Path, password: str) -> VaultKey:
    """Return the key of a party's folder; a new folder gets one, before anything else is kept in it.

    Raises:
        KeyFileError: The password is wrong, or the key can't be read or written.
        PartyFolderError: The folder is of an earlier version, with secrets in clear; or its key is gone.
    """
    if (folder / VAULT_KEY).exists():
        return read_vault_key(folder, password)
    if kept := find_kept(folder):
        raise PartyFolderError(
            f"{folder} has no {VAULT_KEY} but holds {kept[0].name}: if the folder is of an earlier version, "
            f"`modelseal keys protect {folder}` encrypts what it keeps; otherwise restore {VAULT_KEY} from a backup."
        )
    return create_vault_key(folder, password)


def create_vault_key(folder: Path, password: str) -> VaultKey:
    """Make the key of a folder that has none.

    Raises:
        KeyFileError: It has one, or the folder can't be written.
    """
    key = VaultKey.generate()
    create_wrapped(folder / VAULT_KEY, _VaultKeyFile.wrap(key.secret, password, _AUTHENTICATED), _NAME)
    return key


def read_vault_key(folder: Path, password: str) -> VaultKey:
    """Read the key of a folder.

    Raises:
        KeyFileError: There is none, it is malformed, or the password is wrong.
    """
    path = folder / VAULT_KEY
    return VaultKey(read_wrapped(path, _VaultKeyFile, _NAME).unwrap(password, _AUTHENTICATED, path))


def rewrap_vault_key(folder: Path, password: str, new_password: str) -> bytes:
    """Return what the key's file would hold under another password; it is not written.

    Raises:
        KeyFileError: There is none, it is malformed, or the password is wrong.
    """
    secret = read_vault_key(folder, password).secret
    return _VaultKeyFile.wrap(secret, new_password, _AUTHENTICATED).to_bytes()
