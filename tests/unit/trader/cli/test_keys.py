"""`modelseal keys`: keyfiles that other wallets read, keystores, passwords that don't fit, and their change."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from tests.simulators.signing_server import SigningServer, serving
from trader.exchange import EncryptionKey, wrapping
from trader.package.checksums import check_checksums, write_checksums
from trader.parties import rotation
from trader.parties.vault import Vault
from trader.parties.vault_key import unlock_vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.trader.conftest import Ran

OLD, NEW = "correct horse", "battery staple"
ACCOUNT = Account.create()
CHEAP = ACCOUNT.encrypt(OLD, iterations=2)
"""A keyfile that costs nothing to open; its cost stands in the file."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keystore of whoever runs the tests, and cheap passwords."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ETH_KEYSTORE", raising=False)
    monkeypatch.setattr(wrapping, "_SCRYPT_LOG_N", 4)


@pytest.fixture
def passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", OLD)
    monkeypatch.setenv("MODELSEAL_NEW_PASSWORD", NEW)


def write_keyfile(path: Path, **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({k: v for k, v in (CHEAP | changes).items() if v is not None}))
    path.chmod(0o600)
    return path


def key_in(path: Path, password: str) -> bytes:
    return bytes(Account.decrypt(json.loads(path.read_text()), password))


def test_new_account_opens_with_its_password_alone(
    tmp_path: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
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


@pytest.mark.parametrize("command", [("new",), ("import", "SOURCE"), ("export", "SOURCE")])
@pytest.mark.usefixtures("passwords")
def test_existing_keyfile_is_never_overwritten(
    tmp_path: Path, modelseal: Callable[..., Ran], command: tuple[str, ...]
) -> None:
    source = write_keyfile(tmp_path / "source.json")
    (tmp_path / "key.json").write_text("precious")
    ran = modelseal("keys", *(str(source) if word == "SOURCE" else word for word in command), tmp_path / "key.json")
    assert ran.code == 2
    assert (tmp_path / "key.json").read_text() == "precious"


def test_an_empty_password_file_is_refused(tmp_path: Path, modelseal: Callable[..., Ran]) -> None:
    (tmp_path / "password").write_bytes(b"\n")
    ran = modelseal("keys", "new", tmp_path / "key.json", "--password-file", tmp_path / "password")
    assert (ran.code, (tmp_path / "key.json").exists()) == (2, False)
    (tmp_path / "password").write_bytes(b"secret \xff")
    ran = modelseal("keys", "new", tmp_path / "key.json", "--password-file", tmp_path / "password")
    assert (ran.code, "secret" in ran.err) == (2, False)


@pytest.mark.usefixtures("passwords")
def test_keystores_of_other_wallets_are_read(
    tmp_path: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert modelseal("keys", "list", "--json").out == '{"accounts":[]}\n'
    foundry = write_keyfile(tmp_path / "home" / ".foundry" / "keystores" / "alice", address=None)
    geth = write_keyfile(tmp_path / "home" / ".ethereum" / "keystore" / "UTC--2026--abc")
    listed = json.loads(modelseal("keys", "list", "--json").out)["accounts"]
    assert [(row["file"], row["address"]) for row in listed] == [(str(foundry), None), (str(geth), ACCOUNT.address)]
    for name in ("alice", ACCOUNT.address, ACCOUNT.address.lower(), geth):
        assert modelseal("keys", "show", name).out.strip() == ACCOUNT.address
    own = write_keyfile(tmp_path / "own" / "alice")
    monkeypatch.setenv("ETH_KEYSTORE", str(own.parent))
    twice = modelseal("keys", "show", "alice")
    assert (twice.code, "name of several keyfiles" in twice.err) == (2, True)
    monkeypatch.setenv("ETH_KEYSTORE", str(own))
    assert json.loads(modelseal("keys", "list", "--json").out)["accounts"][0]["file"] == str(own)
    own.chmod(0o644)
    assert "chmod 600" in " ".join(modelseal("keys", "list").err.split())
    nobody = modelseal("keys", "show", "bob")
    assert (nobody.code, "no keyfile bob" in nobody.err) == (2, True)


def test_an_account_of_a_signer_is_shown(modelseal: Callable[..., Ran]) -> None:
    with serving(SigningServer(ACCOUNT, clef=True)) as url:
        assert modelseal("keys", "show", url).out.strip() == ACCOUNT.address
        assert modelseal("keys", "show", f"{url}#{ACCOUNT.address}").out.strip() == ACCOUNT.address
        assert modelseal("keys", "show", f"{url}#{Account.create().address}").code == 2
    gone = modelseal("keys", "show", url)
    assert (gone.code, "does not answer" in gone.err) == (4, True)


@pytest.mark.usefixtures("passwords")
def test_keys_come_and_go_encrypted_alone(tmp_path: Path, modelseal: Callable[..., Ran]) -> None:
    key = bytes(ACCOUNT.key)
    (tmp_path / "raw").write_text(f"0x{key.hex()}\n")
    ran = modelseal("keys", "import", tmp_path / "raw", tmp_path / "imported.json")
    assert ran.out.strip() == ACCOUNT.address
    assert "remove it" in ran.err
    assert key_in(tmp_path / "imported.json", NEW) == key
    ran = modelseal("keys", "export", write_keyfile(tmp_path / "old.json"), tmp_path / "exported.json")
    assert ran.out.strip() == ACCOUNT.address
    assert key_in(tmp_path / "exported.json", NEW) == key
    for path in (tmp_path / "imported.json", tmp_path / "exported.json"):
        assert path.stat().st_mode & 0o077 == 0
        assert key.hex() not in path.read_text() + ran.out + ran.err
    (tmp_path / "raw").write_text("f" * 64)  # no key of the curve
    ran = modelseal("keys", "import", tmp_path / "raw", tmp_path / "other.json")
    assert (ran.code, "f" * 64 in ran.err + ran.out, (tmp_path / "other.json").exists()) == (2, False, False)


@pytest.fixture
def belongings(tmp_path: Path) -> Path:
    """An account, a package's key and a party's folder under one password."""
    write_keyfile(tmp_path / "seller.json")
    EncryptionKey.generate().save(tmp_path / "package" / "secret" / "encryption_key", OLD)
    write_checksums(tmp_path / "package")
    Vault(tmp_path / "party", unlock_vault(tmp_path / "party", OLD)).write("delivery.key", b"delivery")
    return tmp_path


def rotate(modelseal: Callable[..., Ran], folder: Path) -> Ran:
    named = ("--account", folder / "seller.json", "--package", folder / "package", "--folder", folder / "party")
    return modelseal("keys", "rotate", *named, "--json")


def check_rotated(folder: Path, secret: bytes) -> None:
    assert key_in(folder / "seller.json", NEW) == bytes(ACCOUNT.key)
    assert EncryptionKey.load(folder / "package" / "secret" / "encryption_key", NEW).secret == secret
    check_checksums(folder / "package")
    assert len((folder / "package" / "secret" / "SHA256SUMS").read_text().splitlines()) == 1
    assert Vault(folder / "party", unlock_vault(folder / "party", NEW)).read("delivery.key") == b"delivery"


@pytest.mark.usefixtures("passwords")
def test_one_password_is_changed_everywhere(belongings: Path, modelseal: Callable[..., Ran]) -> None:
    secret = EncryptionKey.load(belongings / "package" / "secret" / "encryption_key", OLD).secret
    ran = rotate(modelseal, belongings)
    assert len(json.loads(ran.out)["changed"]) == 3
    check_rotated(belongings, secret)
    assert json.loads(rotate(modelseal, belongings).out) == {"changed": []}


@pytest.mark.usefixtures("passwords")
def test_a_wrong_password_changes_nothing(
    belongings: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keyfile(belongings / "seller.json", **Account.create().encrypt("another", iterations=2))
    before = {path: path.read_bytes() for path in belongings.rglob("*") if path.is_file()}
    assert rotate(modelseal, belongings).code == 2
    assert {path: path.read_bytes() for path in belongings.rglob("*") if path.is_file()} == before
    assert modelseal("keys", "rotate").code == 2


def test_a_change_that_was_killed_anywhere_is_gone_on_with(
    belongings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written by then, old or new password open each file, and the package is whole."""
    from trader.package import checksums

    secret = EncryptionKey.load(belongings / "package" / "secret" / "encryption_key", OLD).secret
    monkeypatch.setattr(rotation, "reencrypt_account", cheap_reencryption)
    writes, killed = rotation.write_file, 0
    for survived in range(6):
        folder = tmp_path / f"copy-{survived}"
        for name in ("seller.json", "package", "party"):
            source = belongings / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, _in(folder) / name)
        everything = rotation.Rotation([folder / "party"], [folder / "package"], folder / "seller.json")
        left = [survived]

        def write_or_die(*arguments: object, left: list[int] = left, **options: object) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            writes(*arguments, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(rotation, "write_file", write_or_die)
            patch.setattr(checksums, "write_file", write_or_die)
            try:
                rotation.rotate_password(everything, OLD, NEW)
            except KeyboardInterrupt:
                killed += 1
        check_checksums(folder / "package")
        rotation.rotate_password(everything, OLD, NEW)
        check_rotated(folder, secret)
    assert killed == 5


def _in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def cheap_reencryption(path: Path, password: str, new_password: str | None) -> bytes:
    from trader.chain.accounts import load_account

    account = load_account(path, password)
    return b"" if new_password is None else json.dumps(account.encrypt(new_password, iterations=2)).encode()


def test_a_folder_in_clear_is_protected(
    tmp_path: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", OLD)
    Vault(tmp_path / "party", None).write("session.key", b"session")
    assert json.loads(modelseal("keys", "protect", tmp_path / "party", "--json").out) == {"encrypted": 1}
    assert Vault(tmp_path / "party", unlock_vault(tmp_path / "party", OLD)).read("session.key") == b"session"
    assert modelseal("keys", "protect", tmp_path).code == 2
