"""Envelopes: messages that only the addressee can open, in the trade and for the purpose they were sealed for.

HPKE (RFC 9180) in base mode with the hybrid KEM MLKEM768-X25519 (draft-ietf-hpke-pq), HKDF-SHA256 and AES-256-GCM, all
from the ``cryptography`` package. Base mode says nothing about the sender: digests on the chain do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

MAX_ENVELOPE_BYTES = 1 << 28
PUBLIC_KEY_BYTES = 1216


class Purpose(Enum):
    """What an envelope carries."""

    AUDIT_INPUTS = "audit-inputs"
    MODEL = "model"


@dataclass(frozen=True)
class Context:
    """What an envelope is bound to: it opens only with the same context.

    Attributes:
        manifest_hash: 32 bytes, of the listing.
        trade_id: The escrow's trade.
        purpose: What is inside.
    """

    manifest_hash: bytes
    trade_id: int
    purpose: Purpose


@dataclass(frozen=True)
class EncryptionKey:
    """A private key for receiving envelopes, kept in an encrypted key file."""

    private_key: MLKEM768X25519PrivateKey = field(repr=False)

    @property
    def public_key(self) -> bytes:
        """1216 bytes: ML-KEM-768 encapsulation key ‖ X25519 public key."""
        raise NotImplementedError

    @classmethod
    def generate(cls) -> EncryptionKey:
        """A fresh key from the system's randomness."""
        raise NotImplementedError

    def save(self, path: Path, password: str) -> None:
        """Write an encrypted key file (scrypt, AES-256-GCM), mode 0600, atomically.

        Raises:
            KeyFileError: The file exists already (a key is never overwritten) or can't be written.
        """
        raise NotImplementedError

    @classmethod
    def load(cls, path: Path, password: str) -> EncryptionKey:
        """Read a key file.

        Raises:
            KeyFileError: Missing, malformed, or the password is wrong.
        """
        raise NotImplementedError

    def open(self, envelope: bytes, context: Context) -> bytes:
        """Open an envelope that was sealed to this key in this context.

        Raises:
            EnvelopeError: Too large, damaged, or sealed to another key or for another context.
        """
        raise NotImplementedError


def seal(public_key: bytes, plaintext: bytes, context: Context) -> bytes:
    """Seal ``plaintext`` so that only the holder of the private key opens it, and only in this context.

    Raises:
        EnvelopeError: The public key is malformed or the plaintext too large.
    """
    raise NotImplementedError
