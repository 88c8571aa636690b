"""Public keys of logs and witnesses, and what a signature of each type signs. Pure.

A key is written `name+hash+material` (a *vkey*: c2sp.org/signed-note v1.0.0). Three types of signature are known:

- Ed25519 over the text of a note (c2sp.org/signed-note v1.0.0, type 0x01): a log's;
- Ed25519 over time and text, `cosignature/v1` (c2sp.org/tlog-cosignature v1.1.0-rc.1, type 0x04): a witness's;
- ML-DSA-44 over name, time, origin, size and root, `subtree/v1` (the same, type 0x06): either's. It withstands quantum
  computers; extension lines of a checkpoint are *not* signed by it.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from ledger.checkpoint import Checkpoint
from ledger.errors import InvalidRecordError, NoteError, SignatureError
from ledger.notes.names import MAXIMUM_NAME_BYTES, check_key_name

KEY_ID_BYTES: Final = 4
MAXIMUM_TIMESTAMP: Final = 2**63 - 1
_TIMESTAMP: Final = struct.Struct(">Q")
_COSIGNED: Final = b"subtree/v1\n\x00"


class SignatureType(IntEnum):
    """The first byte of a key's material: the algorithm, and what it signs."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06

    @property
    def timestamped(self) -> bool:
        """Whether signatures begin with the time at which they were made."""
        return self is not SignatureType.ED25519

    @property
    def label(self) -> str:
        """What people call the algorithm."""
        return "ML-DSA-44" if self is SignatureType.ML_DSA_44_COSIGNATURE else "Ed25519"


_PUBLIC_BYTES: Final = {
    SignatureType.ED25519: 32,
    SignatureType.ED25519_COSIGNATURE: 32,
    SignatureType.ML_DSA_44_COSIGNATURE: 1312,
}


@dataclass(frozen=True)
class VerifierKey:
    """A public key with the name of whoever signs with it.

    Attributes:
        name: Of the log (its origin) or the witness: like a URL without a scheme; no spaces, no plus sign.
        type: Algorithm and message.
        public: The public key; 32 bytes, 1312 for ML-DSA-44.

    Raises:
        NoteError: The name or the key has another form.
    """

    name: str
    type: SignatureType
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public) != _PUBLIC_BYTES[self.type]:
            raise NoteError(
                f"the key {self.name} must have {_PUBLIC_BYTES[self.type]} bytes, it has {len(self.public)}"
            )

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that, with the name, tell which key signed; no protection against forgery."""
        material = bytes([self.type]) + self.public
        return hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.type]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back `str(key)`, white space around it left out.

        Raises:
            NoteError: Not a key, one of an unknown type, or one whose hash doesn't fit: a letter was changed.
        """
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            material = decode_base64(encoded)
            key = cls(name, SignatureType(material[0]), material[1:])
        except (ValueError, IndexError) as error:
            raise NoteError(f"a key is written name+hash+base64 and of type 1, 4 or 6, got {text!r:.80}") from error
        if key.key_id.hex() != key_id:
            raise NoteError(f"the key {name} doesn't have the hash {key_id:.8}: it was not copied whole")
        return key

    def verify(self, text: str, signature: bytes) -> int | None:
        """Check a signature on the text of a note.

        Returns:
            When it was made, by the signer's own clock (POSIX seconds), or None where that isn't signed.

        Raises:
            SignatureError: It is not this key's on this text.
        """
        timestamp = None
        try:
            if self.type.timestamped:
                (timestamp,) = _TIMESTAMP.unpack(signature[: _TIMESTAMP.size])
                signature = signature[_TIMESTAMP.size :]
            message = message_to_sign(self.type, self.name, text, timestamp)
            if self.type is SignatureType.ML_DSA_44_COSIGNATURE:
                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, InvalidRecordError, ValueError, struct.error) as error:
            raise SignatureError(f"the {self.type.label} signature of {self.name} is not on this text") from error
        return timestamp


def message_to_sign(kind: SignatureType, name: str, text: str, timestamp: int | None) -> bytes:
    """Return the bytes that a key signs for a note with this text.

    Args:
        kind: Type of the signature.
        name: Of the key.
        text: Of the note; for cosignatures, of a checkpoint.
        timestamp: POSIX seconds; None for a type that doesn't sign the time.

    Raises:
        InvalidRecordError: The type signs checkpoints, and the text is none.
        ValueError: The time is out of range.
    """
    if kind is SignatureType.ED25519:
        return text.encode()
    if timestamp is None or not 0 <= timestamp <= MAXIMUM_TIMESTAMP:
        raise ValueError(f"a time is given in seconds, at most 2^63 - 1, got {timestamp}")
    checkpoint = Checkpoint.parse(text)
    if kind is SignatureType.ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    cosigner, origin = name.encode(), checkpoint.origin.encode()
    if max(len(cosigner), len(origin)) > MAXIMUM_NAME_BYTES:
        raise ValueError(f"names have at most {MAXIMUM_NAME_BYTES} bytes")
    size = struct.pack(">QQ", 0, checkpoint.entries)  # a subtree that begins with the first entry: the tree
    parts = (_COSIGNED, _prefixed(cosigner), _TIMESTAMP.pack(timestamp), _prefixed(origin), size, checkpoint.root_hash)
    return b"".join(parts)


def decode_base64(text: str) -> bytes:
    """Decode standard base64 (RFC 4648 section 4) in its one canonical form.

    Raises:
        ValueError: It has another form.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("base64 with bits to spare")
    return decoded


def _prefixed(value: bytes) -> bytes:
    return bytes([len(value)]) + value
