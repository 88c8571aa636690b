"""Signatures: the stock tool of OpenSSF verifies ours, and nothing that was changed passes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from trader.publishing import PublishingError, create_signing_key, sign_bundle, verify_bundle

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "correct horse"


@pytest.fixture
def keyfile(tmp_path: Path) -> Path:
    create_signing_key(tmp_path / "key.pem", PASSWORD)
    return tmp_path / "key.pem"


@pytest.fixture
def signed(bundle: Path, keyfile: Path, tmp_path: Path) -> tuple[Path, Path]:
    sign_bundle(bundle, keyfile, PASSWORD)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes((bundle / "signing-key.pem").read_bytes())
    return bundle, trusted


def test_the_stock_tool_verifies_a_signature(signed: tuple[Path, Path]) -> None:
    folder, key = signed
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / "model.sig"), "--public_key", str(key)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    (folder / "model.onnx").write_bytes(b"another")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_a_folder_is_signed_again(signed: tuple[Path, Path], keyfile: Path) -> None:
    folder, key = signed
    sign_bundle(folder, keyfile, PASSWORD)
    verify_bundle(folder, key)


@pytest.mark.parametrize("change", ["changed", "added", "removed", "key", "signature"])
def test_what_was_changed_since_does_not_pass(signed: tuple[Path, Path], tmp_path: Path, change: str) -> None:
    folder, key = signed
    match change:
        case "changed":
            (folder / "README.md").write_text("Better than it is")
        case "added":
            (folder / "extra.py").write_text("import os")
        case "removed":
            (folder / "certificate.json").unlink()
        case "key":
            create_signing_key(tmp_path / "other.pem", PASSWORD)
            other = tmp_path / "copy"
            other.mkdir()
            for path in folder.iterdir():
                (other / path.name).write_bytes(path.read_bytes())
            sign_bundle(other, tmp_path / "other.pem", PASSWORD)
            folder = other
        case _:
            (folder / "model.sig").write_text("{}")
    with pytest.raises(PublishingError):
        verify_bundle(folder, key)


def test_a_key_is_secret_encrypted_and_never_overwritten(keyfile: Path) -> None:
    before = keyfile.read_bytes()
    assert (keyfile.stat().st_mode & 0o777, b"ENCRYPTED" in before) == (0o600, True)
    with pytest.raises(PublishingError, match="never overwritten"):
        create_signing_key(keyfile, PASSWORD)
    assert keyfile.read_bytes() == before
    with pytest.raises(PublishingError, match="needs a password"):
        create_signing_key(keyfile.with_name("none.pem"), "")


def test_other_keys_and_passwords_are_refused_without_a_trace(bundle: Path, keyfile: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishingError, match="password is wrong") as caught:
        sign_bundle(bundle, keyfile, "incorrect")
    assert "incorrect" not in str(caught.value)
    other = ec.generate_private_key(ec.SECP256K1())  # that of accounts
    encryption = BestAvailableEncryption(PASSWORD.encode())
    (tmp_path / "k1.pem").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    with pytest.raises(PublishingError, match="P-256"):
        sign_bundle(bundle, tmp_path / "k1.pem", PASSWORD)
    (tmp_path / "junk.pem").write_bytes(b"junk")
    with pytest.raises(PublishingError, match="no encrypted key"):
        sign_bundle(bundle, tmp_path / "junk.pem", PASSWORD)
    assert not (bundle / "model.sig").exists()


def test_no_secret_is_in_a_signed_bundle(signed: tuple[Path, Path], keyfile: Path) -> None:
    for path in signed[0].iterdir():
        data = path.read_bytes()
        assert b"PRIVATE KEY" not in data
        assert PASSWORD.encode() not in data
        assert keyfile.read_bytes() not in data
