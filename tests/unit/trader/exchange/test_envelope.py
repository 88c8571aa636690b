"""Envelopes and key files: who can open what, and what an attacker can't do."""

import dataclasses
import json
import os
import stat

import pytest

from trader.exchange import Context, EncryptionKey, EnvelopeError, KeyFileError, Purpose, seal
from trader.exchange.envelope import MAX_PLAINTEXT_BYTES, OVERHEAD_BYTES, PUBLIC_KEY_BYTES

CONTEXT = Context(31337, "0x" + "ab" * 20, bytes(range(32)), 7, Purpose.MODEL)


@pytest.fixture(scope="module")
def key():
    return EncryptionKey.generate()


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_the_addressee_opens_it(key, size):
    plaintext = bytes(range(256)) * 20
    envelope = seal(key.public_key, plaintext[:size], CONTEXT)
    assert len(envelope) == size + OVERHEAD_BYTES
    assert key.open(envelope, CONTEXT) == plaintext[:size]


def test_envelopes_of_one_message_differ(key):
    assert seal(key.public_key, b"model", CONTEXT) != seal(key.public_key, b"model", CONTEXT)


def test_another_key_does_not_open_it(key):
    with pytest.raises(EnvelopeError, match="model of trade 7"):
        EncryptionKey.generate().open(seal(key.public_key, b"model", CONTEXT), CONTEXT)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(CONTEXT, chain_id=1),
        dataclasses.replace(CONTEXT, market="0x" + "ac" * 20),
        dataclasses.replace(CONTEXT, trade_id=8),
        dataclasses.replace(CONTEXT, manifest_hash=bytes(32)),
        dataclasses.replace(CONTEXT, purpose=Purpose.AUDIT_INPUTS),
    ],
    ids=["another chain", "another market", "another trade", "another listing", "another purpose"],
)
def test_replay_in_another_context_is_refused(key, other):
    with pytest.raises(EnvelopeError, match="was sealed to another key, market, trade or purpose"):
        key.open(seal(key.public_key, b"model", CONTEXT), other)


@pytest.mark.parametrize("position", [0, 1087, 1088, 1119, 1120, -1], ids=str)
def test_changed_envelopes_are_refused(key, position):
    envelope = bytearray(seal(key.public_key, b"model", CONTEXT))
    envelope[position] ^= 1
    with pytest.raises(EnvelopeError):
        key.open(bytes(envelope), CONTEXT)


@pytest.mark.parametrize("size", [0, 1, 1119, 1120, 1136, 1140])
def test_truncated_envelopes_are_refused(key, size):
    envelope = seal(key.public_key, b"model", CONTEXT)
    with pytest.raises(EnvelopeError):
        key.open(envelope[:size], CONTEXT)


def test_low_order_points_in_envelopes_are_refused(key):
    """An all-zero X25519 share would take one half of the hybrid away."""
    envelope = bytearray(seal(key.public_key, b"model", CONTEXT))
    envelope[1088:1120] = bytes(32)
    with pytest.raises(EnvelopeError):
        key.open(bytes(envelope), CONTEXT)


def test_oversized_messages_are_refused_on_both_sides(key):
    with pytest.raises(EnvelopeError, match="do not fit"):
        seal(key.public_key, bytes(MAX_PLAINTEXT_BYTES + 1), CONTEXT)
    with pytest.raises(EnvelopeError, match="more than this version takes"):
        key.open(bytes(MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES + 1), CONTEXT)


@pytest.mark.parametrize("size", [0, 32, PUBLIC_KEY_BYTES - 1, PUBLIC_KEY_BYTES + 1])
def test_public_keys_of_another_length_are_refused(size):
    with pytest.raises(EnvelopeError, match="1216 bytes"):
        seal(bytes(size), b"model", CONTEXT)


def test_public_keys_that_are_no_keys_are_refused(key):
    with pytest.raises(EnvelopeError, match="not valid"):
        seal(b"\xff" * PUBLIC_KEY_BYTES, b"model", CONTEXT)
    with pytest.raises(EnvelopeError, match="not valid"):
        seal(key.public_key[:-32] + bytes(32), b"model", CONTEXT)


def test_manifest_hash_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        dataclasses.replace(CONTEXT, manifest_hash=bytes(31))


def test_market_that_is_no_address_is_refused():
    with pytest.raises(ValueError, match="40 hex digits"):
        dataclasses.replace(CONTEXT, market="0x" + "ab" * 19)


def test_contexts_have_distinct_bytes():
    contexts = [
        Context(chain, f"0x{market:040x}", bytes([a]) * 32, trade, purpose)
        for chain in (0, 1)
        for market in (0, 1)
        for a in (0, 1)
        for trade in (0, 1, 256)
        for purpose in Purpose
    ]
    assert len({context.to_bytes() for context in contexts}) == len(contexts)


def test_secret_is_not_in_the_representation(key):
    assert repr(key) == "EncryptionKey()"


# Key files.


@pytest.fixture(scope="module")
def key_file(key, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "new" / "encryption_key"
    key.save(path, "correct horse")
    return path


def test_key_file_reads_back(key, key_file):
    loaded = EncryptionKey.load(key_file, "correct horse")
    assert loaded == key
    assert loaded.open(seal(key.public_key, b"model", CONTEXT), CONTEXT) == b"model"


def test_key_file_is_private_and_holds_no_secret_in_clear(key, key_file):
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    text = key_file.read_text()
    assert key.secret[:32].hex() not in text
    assert key.secret[-32:].hex() not in text
    assert list(key_file.parent.iterdir()) == [key_file]


def test_wrong_password_is_named(key_file):
    with pytest.raises(KeyFileError, match="the password is wrong"):
        EncryptionKey.load(key_file, "correct horse ")


def test_key_is_never_overwritten(key_file):
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        EncryptionKey.generate().save(key_file, "other")
    assert key_file.read_bytes() == before
    assert list(key_file.parent.iterdir()) == [key_file]


def test_swapped_public_key_is_noticed(key_file, tmp_path):
    document = json.loads(key_file.read_text())
    document["public_key"] = EncryptionKey.generate().public_key.hex()
    path = tmp_path / "swapped"
    path.write_text(json.dumps(document))
    with pytest.raises(KeyFileError, match="the file was changed"):
        EncryptionKey.load(path, "correct horse")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "other"},
        {"kem": "X25519"},
        {"salt": "00"},
        {"nonce": "zz" * 12},
        {"ciphertext": None},
        {"unknown": 1},
    ],
    ids=str,
)
def test_malformed_key_files_are_refused(change, key_file, tmp_path):
    path = tmp_path / "malformed"
    path.write_text(json.dumps(json.loads(key_file.read_text()) | change))
    with pytest.raises(KeyFileError, match="is not an encryption key file"):
        EncryptionKey.load(path, "correct horse")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 20000])
def test_files_that_are_something_else_are_refused(data, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(KeyFileError, match="is not an encryption key file") as caught:
        EncryptionKey.load(path, "password")
    assert "\n" not in str(caught.value)


def test_missing_key_file_is_named(tmp_path):
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        EncryptionKey.load(tmp_path / "none", "password")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_unwritable_folder_is_named(key, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(KeyFileError, match="cannot be written"):
        key.save(tmp_path / "key", "password")


def test_folder_that_is_a_file_is_named(key, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match=r"exists already|cannot be written"):
        key.save(tmp_path / "file" / "key", "password")
