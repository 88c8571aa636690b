"""Envelopes: messages that only the addressee can open, in the trade and for the purpose they were sealed for.

HPKE (RFC 9180) in base mode with the hybrid KEM MLKEM768-X25519 (draft-ietf-hpke-pq), HKDF-SHA256 and AES-256-GCM, all
from the `cryptography` package. Base mode says nothing about the sender: its signature does
(`trader.exchange.signing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from trader.exchange.errors import EnvelopeError
from trader.exchange.keyfile import read_key_file, write_key_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_PLAINTEXT_BYTES = 1 << 26
PUBLIC_KEY_BYTES = 1216
OVERHEAD_BYTES = 1136
"""An envelope is this much longer than its plaintext: the encapsulated key (1120) and the tag (16)."""

_MLKEM_SEED_BYTES = 64
_MLKEM_PUBLIC_BYTES = 1184
_SECRET_BYTES = _MLKEM_SEED_BYTES + 32
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Purpose(Enum):
    """What an envelope carries."""

    AUDIT_INPUTS = "audit-inputs"
    MODEL = "model"


@dataclass(frozen=True)
class Context:
    """What an envelope is bound to: it opens only with the same context.

    Attributes:
        chain_id: Of the escrow's chain.
        market: The escrow's address, 0x and 40 hex digits.
        manifest_hash: 32 bytes, of the listing.
        trade_id: The escrow's trade.
        purpose: What is inside.
    """

    chain_id: int
    market: str
    manifest_hash: bytes
    trade_id: int
    purpose: Purpose

    def __post_init__(self) -> None:
        """Check the lengths: with them no two contexts have the same bytes."""
        if len(self.manifest_hash) != 32:
            raise ValueError(f"a manifest hash has 32 bytes, not {len(self.manifest_hash)}")
        if len(self.market) != 42:
            raise ValueError(f"an address has 0x and 40 hex digits: {self.market!r} has not")

    def to_bytes(self) -> bytes:
        """HPKE's `info`."""
        return b"".join(
            (
                b"modelseal/envelope/2",
                self.chain_id.to_bytes(32, "big"),
                bytes.fromhex(self.market[2:]),
                self.manifest_hash,
                self.trade_id.to_bytes(32, "big"),
                self.purpose.value.encode(),
            )
        )


@dataclass(frozen=True)
class EncryptionKey:
    """A private key for receiving envelopes; `trader.exchange.keyfile` describes its file.

    Attributes:
        secret: 96 bytes: the seed of ML-KEM-768 (64), then the X25519 private key (32).
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the length."""
        if len(self.secret) != _SECRET_BYTES:
            raise ValueError(f"an encryption key has {_SECRET_BYTES} bytes, not {len(self.secret)}")

    @classmethod
    def generate(cls) -> EncryptionKey:
        """Draw a fresh key from the system's randomness."""
        return cls(MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw())

    @property
    def public_key(self) -> bytes:
        """1216 bytes: the ML-KEM-768 encapsulation key, then the X25519 public key."""
        mlkem, x25519 = self._halves()
        return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def save(self, path: Path, password: str) -> None:
        """Write an encrypted key file with mode 0600, whole or not at all; missing folders are made.

        Raises:
            KeyFileError: The file exists already (a key is never overwritten), or it can't be written.
        """
        write_key_file(path, password, secret=self.secret, public_key=self.public_key)

    @classmethod
    def load(cls, path: Path, password: str) -> EncryptionKey:
        """Read a key file.

        Raises:
            KeyFileError: It is missing or malformed, or the password is wrong.
        """
        return cls(read_key_file(path, password))

    def open(self, envelope: bytes, context: Context) -> bytes:
        """Open an envelope that was sealed to this key in this context.

        Raises:
            EnvelopeError: Too large, damaged, or sealed to another key or for another context.
        """
        if len(envelope) > MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES:
            raise EnvelopeError(f"the envelope has {len(envelope)} bytes, more than this version takes")
        try:
            return _SUITE.decrypt(envelope, MLKEM768X25519PrivateKey(*self._halves()), info=context.to_bytes())
        except InvalidTag as error:
            raise EnvelopeError(
                f"the envelope does not open as {context.purpose.value} of trade {context.trade_id}: it is damaged, or "
                "was sealed to another key, market, trade or purpose. Ask the sender to send it again"
            ) from error

    def _halves(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        seed, scalar = self.secret[:_MLKEM_SEED_BYTES], self.secret[_MLKEM_SEED_BYTES:]
        return MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(scalar)


def seal(public_key: bytes, plaintext: bytes, context: Context) -> bytes:
    """Seal `plaintext` so that only the holder of the private key opens it, and only in this context.

    Raises:
        EnvelopeError: The public key is malformed or the plaintext too large.
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise EnvelopeError(f"{len(plaintext)} bytes do not fit an envelope: at most {MAX_PLAINTEXT_BYTES}")
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise EnvelopeError(f"an encryption key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}: see the manifest")
    try:
        recipient = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:]),
        )
        return _SUITE.encrypt(plaintext, recipient, info=context.to_bytes())
    except ValueError as error:
        raise EnvelopeError(f"the recipient's encryption key is not valid: {error}") from error
