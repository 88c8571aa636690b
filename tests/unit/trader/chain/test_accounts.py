import json
from pathlib import Path

import pytest

from trader.chain.accounts import create_account, load_account, read_address
from trader.errors import AccountError


def test_account_survives_its_keyfile_which_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "account.json"
    account = create_account(path, "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    assert account.key.hex() not in path.read_text()
    assert load_account(path, "correct horse").address == account.address


def test_keyfile_is_of_the_standard_form(tmp_path: Path) -> None:
    create_account(tmp_path / "account.json", "password")
    keyfile = json.loads((tmp_path / "account.json").read_text())
    assert keyfile["version"] == 3
    assert set(keyfile["crypto"]) >= {"cipher", "ciphertext", "kdf", "mac"}


def test_whose_a_keyfile_is_takes_no_password(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    account = create_account(path, "password")
    assert read_address(path) == account.address
    for stated in ({}, {"address": "c0" * 19}, {"address": None}):
        path.write_text(json.dumps({"version": 3} | stated))
        with pytest.raises(AccountError, match="states no address"):
            read_address(path)


def test_wrong_password_says_so_and_shows_no_key(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    account = create_account(path, "right")
    with pytest.raises(AccountError, match="the password does not open") as refused:
        load_account(path, "wrong")
    assert account.key.hex() not in str(refused.value)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    create_account(path, "password")
    before = path.read_bytes()
    with pytest.raises(AccountError, match="exists already"):
        create_account(path, "password")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"version": 3, "crypto": {}}'])
def test_other_files_are_no_keyfiles(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_bytes(content)
    with pytest.raises(AccountError, match="is no keyfile"):
        load_account(path, "password")


def test_missing_and_oversize_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="can't be read"):
        load_account(tmp_path / "missing.json", "password")
    (tmp_path / "large.json").write_bytes(b" " * (1 << 17))
    with pytest.raises(AccountError, match="too large"):
        load_account(tmp_path / "large.json", "password")
