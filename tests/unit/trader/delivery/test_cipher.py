"""The chunk cipher against its definition, word by word."""

import numpy as np
import pytest
from Crypto.Hash import keccak

from trader.delivery import (
    CiphertextError,
    ciphertext_tree,
    decrypt_artifact,
    encrypt_artifact,
    generate_key,
    key_hash,
    verify_ciphertext,
)
from zk.binding import ChunkError

KEY = bytes(range(32))


def h(data):
    return keccak.new(digest_bits=256, data=data).digest()


@pytest.fixture(scope="module")
def artifact():
    return np.random.default_rng(0).bytes(5 * 1024)


def test_each_word_is_padded_with_the_hash_of_key_chunk_and_word(artifact):
    ciphertext = encrypt_artifact(artifact, KEY)
    for j in range(5):
        for i in range(32):
            at = 1024 * j + 32 * i
            pad = h(KEY + j.to_bytes(32, "big") + i.to_bytes(32, "big"))
            assert ciphertext[at : at + 32] == bytes(a ^ b for a, b in zip(artifact[at : at + 32], pad, strict=True))


def test_decryption_is_the_inverse(artifact):
    key = generate_key()
    assert decrypt_artifact(encrypt_artifact(artifact, key), key) == artifact


def test_equal_chunks_and_words_encrypt_differently():
    ciphertext = encrypt_artifact(bytes(3 * 1024), KEY)
    words = {ciphertext[at : at + 32] for at in range(0, len(ciphertext), 32)}
    assert len(words) == 3 * 32


def test_keys_are_fresh_and_hashed():
    key = generate_key()
    assert len(key) == 32
    assert key != generate_key()
    assert key_hash(key) == h(key)


@pytest.mark.parametrize("size", [0, 1, 1023, 1025])
def test_artifacts_that_are_not_whole_chunks_are_refused(size):
    with pytest.raises(ChunkError, match="whole number of chunks"):
        encrypt_artifact(bytes(size), KEY)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_another_length_are_refused(size, artifact):
    with pytest.raises(ValueError, match="32 bytes"):
        encrypt_artifact(artifact, bytes(size))


def test_ciphertext_leaves_are_hashes_of_chunks(artifact):
    assert ciphertext_tree(artifact).leaves == tuple(h(artifact[j * 1024 : (j + 1) * 1024]) for j in range(5))


def test_committed_ciphertext_is_accepted(artifact):
    verify_ciphertext(artifact, ciphertext_tree(artifact).root, 5)


@pytest.mark.parametrize("position", [0, 1024, 5119])
def test_changed_ciphertext_is_refused(artifact, position):
    changed = bytearray(artifact)
    changed[position] ^= 1
    with pytest.raises(CiphertextError, match="root"):
        verify_ciphertext(bytes(changed), ciphertext_tree(artifact).root, 5)


@pytest.mark.parametrize("size", [0, 1024, 5119, 5121, 6 * 1024])
def test_ciphertext_of_another_length_is_refused(artifact, size):
    with pytest.raises(CiphertextError, match="5120"):
        verify_ciphertext((artifact + bytes(2048))[:size], ciphertext_tree(artifact).root, 5)
