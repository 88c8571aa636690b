"""`modelseal keys`: keyfiles that other wallets read, and passwords that don't fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account


def test_new_account_opens_with_its_password_alone(
    tmp_path: Path, modelseal: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyfile, password = tmp_path / "seller.json", tmp_path / "password"
    password.write_text("correct horse\n")
    made = modelseal("keys", "new", keyfile, "--password-file", password, "--json")
    assert made.code == 0, made.err
    address = json.loads(made.out)["address"]
    assert keyfile.stat().st_mode & 0o077 == 0
    assert Account.from_key(Account.decrypt(json.loads(keyfile.read_text()), "correct horse")).address == address

    assert modelseal("keys", "show", keyfile, "--password-file", password).out.strip() == address
    monkeypatch.setenv("MODELSEAL_PASSWORD", "wrong")
    wrong = modelseal("keys", "show", keyfile)
    assert wrong.code == 2
    assert "password" in wrong.err
    assert "Traceback" not in wrong.err


def test_existing_keyfile_is_never_overwritten(
    tmp_path: Path, modelseal: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", "x")
    (tmp_path / "key.json").write_text("precious")
    ran = modelseal("keys", "new", tmp_path / "key.json")
    assert ran.code == 2
    assert (tmp_path / "key.json").read_text() == "precious"
