"""The chunk cipher: encryption that a contract can check one chunk at a time.

Word i (32 bytes, i = 0 … 31) of chunk j is XORed with keccak256(key ‖ uint256(j) ‖ uint256(i)). A key serves one
artifact only. Confidentiality comes from here until the key is revealed on-chain, and from the envelope around the
ciphertext after that; integrity comes from the ciphertext's Merkle root.
"""

from __future__ import annotations

import secrets

import numpy as np

from trader.delivery.errors import CiphertextError
from zk.binding import ChunkTree
from zk.binding.chunks import CHUNK_BYTES, cut_chunks
from zk.binding.merkle import keccak256

KEY_BYTES = 32
_WORD_INDICES = [i.to_bytes(32, "big") for i in range(CHUNK_BYTES // 32)]


def generate_key() -> bytes:
    """Draw a fresh key for one trade."""
    return secrets.token_bytes(KEY_BYTES)


def key_hash(key: bytes) -> bytes:
    """Return the escrow's `keyHash`: keccak256 of the key."""
    return keccak256(key)


def encrypt_artifact(artifact: bytes, key: bytes) -> bytes:
    """Encrypt all chunks.

    Raises:
        ChunkError: `artifact` is not a whole number of chunks.
        ValueError: The key is not 32 bytes long.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a chunk key has {KEY_BYTES} bytes, not {len(key)}")
    keystream = b"".join(
        keccak256(key + index.to_bytes(32, "big") + word)
        for index in range(len(cut_chunks(artifact)))
        for word in _WORD_INDICES
    )
    return (np.frombuffer(artifact, dtype=np.uint8) ^ np.frombuffer(keystream, dtype=np.uint8)).tobytes()


def decrypt_artifact(ciphertext: bytes, key: bytes) -> bytes:
    """Decrypt what `encrypt_artifact` made, with the same errors; integrity is not checked."""
    return encrypt_artifact(ciphertext, key)


def ciphertext_tree(ciphertext: bytes) -> ChunkTree:
    """Return the tree over keccak256 of each ciphertext chunk; its root is the escrow's `ciphertextRoot`.

    Raises:
        ChunkError: `ciphertext` is not a whole number of chunks.
    """
    return ChunkTree([keccak256(chunk) for chunk in cut_chunks(ciphertext)])


def verify_ciphertext(ciphertext: bytes, ciphertext_root: bytes, chunk_count: int) -> None:
    """Check a downloaded ciphertext before accepting the delivery; silent on success.

    Raises:
        CiphertextError: Its length or its root is another one.
    """
    expected_bytes = chunk_count * CHUNK_BYTES
    if len(ciphertext) != expected_bytes:
        raise CiphertextError(
            f"the ciphertext has {len(ciphertext)} bytes, the listed model {expected_bytes}: do not accept it"
        )
    root = ciphertext_tree(ciphertext).root
    if root != ciphertext_root:
        raise CiphertextError(
            f"the ciphertext's root is 0x{root.hex()}, committed is 0x{ciphertext_root.hex()}: do not accept it"
        )
