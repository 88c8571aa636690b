"""Key files: encrypted, whole, never overwritten, and silent about what they hold."""

import stat
from pathlib import Path

import pytest

from ledger.errors import KeyFileError, NoteError
from ledger.notes.keyfile import KeyRole, SigningKeys, generate_keys, read_keys, read_public, write_keys
from ledger.notes.keys import SignatureType
from tests.simulators.signed_logs import ORIGIN, log_keys

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "log.key"
    write_keys(path, log_keys(), PASSWORD)
    return path


def test_keys_are_read_back(file: Path) -> None:
    keys = read_keys(file, PASSWORD)
    assert (keys.name, keys.role, keys.public) == (ORIGIN, KeyRole.LOG, log_keys().public)
    assert read_public(file.with_name("log.key.pub")) == keys.public


def test_the_file_is_the_owners_and_encrypted(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text()
    assert content.count("BEGIN ENCRYPTED PRIVATE KEY") == 2
    for key in log_keys().private:
        assert key.private_bytes_raw().hex() not in content
    with pytest.raises(KeyFileError, match="another password"):
        read_keys(file, "wrong horse")


def test_keys_are_never_overwritten(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_keys(file, generate_keys(ORIGIN, KeyRole.LOG), PASSWORD)
    assert file.read_bytes() == before


def test_secrets_are_not_shown() -> None:
    assert "private" not in repr(log_keys()).lower()


def test_logs_and_witnesses_share_no_type_of_ed25519_signature() -> None:
    assert KeyRole.LOG.types[0] is SignatureType.ED25519
    assert KeyRole.WITNESS.types[0] is SignatureType.ED25519_COSIGNATURE


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"format": "modelseal-note-keys-v1"}', "{" * 10_000])
def test_another_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(KeyFileError):
        read_keys(path, PASSWORD)
    with pytest.raises((KeyFileError, NoteError)):
        read_public(path)
    with pytest.raises(KeyFileError):
        SigningKeys.from_json(content, PASSWORD)


def test_a_name_that_cannot_sign_makes_no_keys() -> None:
    for name in ("", "two words", "a+b", "x" * 256, "line\nbreak"):
        with pytest.raises(NoteError):
            generate_keys(name, KeyRole.LOG)
