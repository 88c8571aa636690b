"""Signing keys of a log or a witness: an Ed25519 key and an ML-DSA-44 key under one name, in one encrypted file.

    keys = generate_keys("example.com/log", KeyRole.LOG)
    write_keys(Path("log.key"), keys, password)      # log.key is encrypted, log.key.pub is for everybody
    note = keys.sign(str(checkpoint), timestamp)

Both are made, encrypted (PKCS #8) and used by `cryptography`. A forger has to break both where both are asked for.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.errors import KeyFileError, NoteError
from ledger.files import write_new, write_whole
from ledger.notes.keys import SignatureType, VerifierKey, message_to_sign
from ledger.notes.note import NoteSignature, SignedNote

FORMAT: Final = "modelseal-note-keys-v1"
PUBLIC_SUFFIX: Final = ".pub"
MAXIMUM_FILE_BYTES: Final = 64 * 1024

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey


class KeyRole(StrEnum):
    """What keys are for; the same key never serves both."""

    LOG = "log"
    WITNESS = "witness"

    @property
    def types(self) -> tuple[SignatureType, SignatureType]:
        """The types of signature that are made."""
        ed25519 = SignatureType.ED25519 if self is KeyRole.LOG else SignatureType.ED25519_COSIGNATURE
        return ed25519, SignatureType.ML_DSA_44_COSIGNATURE


@dataclass(frozen=True)
class SigningKeys:
    """The two keys of a log or a witness.

    Attributes:
        name: Of whoever signs; a log's is its origin.
        role: What the keys are for.
        private: One key for each of `role.types`.
    """

    name: str
    role: KeyRole
    private: tuple[PrivateKey, PrivateKey] = field(repr=False)

    @property
    def public(self) -> tuple[VerifierKey, ...]:
        """The public keys, for everybody."""
        return tuple(
            VerifierKey(self.name, kind, key.public_key().public_bytes_raw())
            for kind, key in zip(self.role.types, self.private, strict=True)
        )

    def signatures(self, text: str, timestamp: int) -> tuple[NoteSignature, ...]:
        """Sign a text with both keys; whether it should be signed is the caller's to know.

        Args:
            text: A checkpoint's.
            timestamp: The time, in POSIX seconds.
        """
        return tuple(
            _sign(key, private, text, timestamp) for key, private in zip(self.public, self.private, strict=True)
        )

    def sign(self, text: str, timestamp: int) -> SignedNote:
        """Return the text with both signatures."""
        return SignedNote(text, self.signatures(text, timestamp))

    def to_json(self, password: str) -> str:
        """Return the keys as text, the private parts encrypted with the password."""
        encryption = BestAvailableEncryption(password.encode())
        pems = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode() for key in self.private]
        return json.dumps({"format": FORMAT, "name": self.name, "role": self.role, "keys": pems}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, password: str) -> Self:
        """Read back `to_json`.

        Raises:
            KeyFileError: It is something else, or the password is another.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError("another format")
            name, role, pems = content["name"], KeyRole(content["role"]), content["keys"]
            ed25519, ml_dsa = (load_pem_private_key(pem.encode(), password.encode()) for pem in pems)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedAlgorithm) as error:
            raise KeyFileError("no file of signing keys, or another password") from error
        if not isinstance(ed25519, Ed25519PrivateKey) or not isinstance(ml_dsa, MLDSA44PrivateKey):
            raise KeyFileError("the keys must be Ed25519 and ML-DSA-44")
        return cls(name, role, (ed25519, ml_dsa))


def generate_keys(name: str, role: KeyRole) -> SigningKeys:
    """Make new keys under a name.

    Raises:
        NoteError: The name can't stand in a signature.
    """
    keys = SigningKeys(name, role, (Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()))
    keys.public  # noqa: B018 - a name that is refused makes no file
    return keys


def write_keys(path: Path, keys: SigningKeys, password: str) -> Path:
    """Write the keys to a new file (mode 0600), the public ones beside it, and return where those stand.

    Raises:
        KeyFileError: There is a file already, or it can't be written.
    """
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    try:
        write_new(path, keys.to_json(password).encode())
        write_whole(public, write_public(keys.public).encode(), mode=0o644)
    except FileExistsError as error:
        raise KeyFileError(f"{path} is there already: keys are never overwritten; choose another name") from error
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror or error}") from error
    return public


def read_keys(path: Path, password: str) -> SigningKeys:
    """Read the keys of a file that `write_keys` made.

    Raises:
        KeyFileError: It can't be read, is something else, or the password is another.
    """
    try:
        return SigningKeys.from_json(_read(path), password)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from error


def write_public(keys: Iterable[VerifierKey]) -> str:
    """Return public keys as text, a line each."""
    return "".join(f"{key}\n" for key in keys)


def read_public(path: Path) -> tuple[VerifierKey, ...]:
    """Read a file of public keys, a line each.

    Raises:
        KeyFileError: It can't be read.
        NoteError: A line is no key, or there is none.
    """
    keys = tuple(VerifierKey.parse(line) for line in _read(path).splitlines() if line.strip())
    if not keys:
        raise NoteError(f"{path} has no key: it should have a line for each")
    return keys


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error


def _sign(key: VerifierKey, private: PrivateKey, text: str, timestamp: int) -> NoteSignature:
    prefix = timestamp.to_bytes(8, "big") if key.type.timestamped else b""
    message = message_to_sign(key.type, key.name, text, timestamp if prefix else None)
    return NoteSignature(key.name, key.key_id, prefix + private.sign(message))
