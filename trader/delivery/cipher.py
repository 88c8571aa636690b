"""The chunk cipher: encryption that a contract can check one chunk at a time.

Word i (32 bytes, i = 0 … 31) of chunk j is XORed with keccak256(key ‖ uint256(j) ‖ uint256(i)). A key serves one
artifact only. Confidentiality comes from here until the key is revealed on-chain, and from the envelope around the
ciphertext after that; integrity from the ciphertext's Merkle root.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from zk.commitments.merkle import keccak256

if TYPE_CHECKING:
    from zk.commitments import ChunkTree

KEY_BYTES = 32


def generate_key() -> bytes:
    """A fresh key for one trade."""
    return secrets.token_bytes(KEY_BYTES)


def key_hash(key: bytes) -> bytes:
    """The escrow's ``keyHash``: keccak256 of the key."""
    return keccak256(key)


def encrypt_artifact(artifact: bytes, key: bytes) -> bytes:
    """Encrypt all chunks.

    Raises:
        ChunkError: ``artifact`` is not a whole number of chunks.
        ValueError: The key is not 32 bytes long.
    """
    raise NotImplementedError


def decrypt_artifact(ciphertext: bytes, key: bytes) -> bytes:
    """The inverse of :func:`encrypt_artifact`; checks no integrity."""
    return encrypt_artifact(ciphertext, key)


def ciphertext_tree(ciphertext: bytes) -> ChunkTree:
    """Tree over keccak256 of each ciphertext chunk; its root is the escrow's ``ciphertextRoot``."""
    raise NotImplementedError


def verify_ciphertext(ciphertext: bytes, ciphertext_root: bytes, chunk_count: int) -> None:
    """Check a downloaded ciphertext before accepting the delivery; silent on success.

    Raises:
        CiphertextError: Its length or its root is another one.
    """
    raise NotImplementedError
