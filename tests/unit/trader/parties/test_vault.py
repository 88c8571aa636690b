"""The vault: nothing secret lies in clear, nothing opens in another's place, and old folders are migrated whole."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.unit.trader.parties.test_party import equipment
from trader.errors import PartyFolderError
from trader.exchange import KeyFileError, wrapping
from trader.parties import filenames
from trader.parties.actor import Equipment
from trader.parties.conduct import Conduct
from trader.parties.filenames import DELIVERY_KEY, INPUTS, KEPT, KEY_SENT, PLAIN, REQUEST, SESSION, VAULT_KEY
from trader.parties.party import Party
from trader.parties.protection import protect_folder
from trader.parties.vault import Vault
from trader.parties.vault_key import VaultKey, create_vault_key, is_encrypted, read_vault_key, unlock_vault
from trader.trade import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = b"recognisable delivery key"
KEY = VaultKey.generate()


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a password is tried elsewhere (`test_envelope`)."""
    monkeypatch.setattr(wrapping, "_SCRYPT_LOG_N", 4)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "party", KEY)


def contents(folder: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_every_name_is_either_encrypted_or_plain() -> None:
    own = {filenames.LOCK, filenames.OWNER, VAULT_KEY}
    named = {getattr(filenames, name) for name in dir(filenames) if name.isupper() and name[0] != "_"}
    names = {name for name in named if isinstance(name, str)} - own
    assert names == KEPT | PLAIN
    assert not KEPT & PLAIN


@pytest.mark.parametrize("name", sorted(KEPT))
def test_what_is_kept_is_not_in_clear(vault: Vault, name: str) -> None:
    vault.inner("market", "trade-1").write(name, SECRET)
    assert vault.inner("market", "trade-1").read(name) == SECRET
    assert all(SECRET not in data for data in contents(vault.folder))
    assert stat.S_IMODE((vault.folder / "market" / "trade-1" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_messages_stay_as_they_are_and_only_they_are_mapped(vault: Vault, name: str) -> None:
    vault.write(name, SECRET)
    assert vault.read(name) == bytes(vault.map(name)) == vault.path(name).read_bytes() == SECRET
    with pytest.raises(ValueError, match="is a secret"):
        vault.map(SESSION)
    with pytest.raises(ValueError, match="is a secret"):
        vault.path(SESSION)
    with pytest.raises(ValueError, match="is a secret"), vault.staged(SESSION):
        pass


def test_arrays_and_marks_come_back(vault: Vault) -> None:
    vault.write_arrays(INPUTS, np.arange(6).reshape(2, 3), np.ones(2))
    assert [array.tolist() for array in vault.read_arrays(INPUTS)] == [[[0, 1, 2], [3, 4, 5]], [1.0, 1.0]]
    vault.write(KEY_SENT, b"")
    assert (vault.has(KEY_SENT), vault.read(KEY_SENT)) == (True, b"")


@pytest.mark.parametrize("to", ["market/trade-1/session.key", "market/trade-2/delivery.key", "delivery.key"])
def test_a_file_opens_nowhere_else(vault: Vault, to: str) -> None:
    vault.inner("market", "trade-1").write(DELIVERY_KEY, SECRET)
    (vault.folder / "market" / "trade-2").mkdir()
    shutil.copy(vault.folder / "market" / "trade-1" / DELIVERY_KEY, vault.folder / to)
    place, _, name = to.rpartition("/")
    with pytest.raises(PartyFolderError, match="comes from another trade or folder"):
        vault.inner(*filter(None, place.split("/"))).read(name)


def test_a_folder_may_be_moved_whole(vault: Vault, tmp_path: Path) -> None:
    vault.inner("market", "trade-1").write(DELIVERY_KEY, SECRET)
    vault.folder.rename(tmp_path / "moved")
    assert Vault(tmp_path / "moved", KEY).inner("market", "trade-1").read(DELIVERY_KEY) == SECRET


def test_every_changed_byte_and_every_cut_is_found(vault: Vault) -> None:
    vault.write(SESSION, b"short")
    path = vault.folder / SESSION
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(PartyFolderError):
            vault.read(SESSION)
        path.write_bytes(whole[:position])
        with pytest.raises(PartyFolderError):
            vault.read(SESSION)


def test_the_same_content_never_looks_the_same(vault: Vault) -> None:
    vault.write(SESSION, SECRET)
    first = (vault.folder / SESSION).read_bytes()
    vault.write(SESSION, SECRET)
    assert (vault.folder / SESSION).read_bytes() != first


def test_another_folders_key_opens_nothing_and_no_key_says_what_to_do(vault: Vault) -> None:
    vault.write(SESSION, SECRET)
    with pytest.raises(PartyFolderError, match="does not open with the folder's key"):
        Vault(vault.folder, VaultKey.generate()).read(SESSION)
    with pytest.raises(PartyFolderError, match="is encrypted: unlock the folder"):
        Vault(vault.folder, None).read(SESSION)


def test_a_planted_file_in_clear_is_not_taken_for_a_kept_one(vault: Vault) -> None:
    vault.folder.mkdir()
    (vault.folder / DELIVERY_KEY).write_bytes(bytes(32))
    with pytest.raises(PartyFolderError, match="modelseal keys protect"):
        vault.read(DELIVERY_KEY)


def test_a_key_is_made_once_and_opens_with_its_password_alone(tmp_path: Path) -> None:
    key = unlock_vault(tmp_path / "party", "correct horse")
    path = tmp_path / "party" / VAULT_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.secret.hex() not in path.read_text()
    assert unlock_vault(tmp_path / "party", "correct horse") == key
    with pytest.raises(KeyFileError, match="the password is wrong"):
        unlock_vault(tmp_path / "party", "wrong")
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_vault_key(tmp_path / "party", "other")
    path.write_bytes(b"{}")
    with pytest.raises(KeyFileError, match="is not"):
        unlock_vault(tmp_path / "party", "correct horse")


def test_a_lost_key_is_not_replaced(vault: Vault) -> None:
    """A new key beside the old secrets would hide that they are lost."""
    vault.inner("market", "trade-1").write(DELIVERY_KEY, SECRET)
    with pytest.raises(PartyFolderError, match=r"restore vault\.key from a backup"):
        unlock_vault(vault.folder, "password")


def test_secrets_do_not_show() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    shown = {name for name, field in Equipment.__dataclass_fields__.items() if field.repr}
    assert not shown & {"account", "vault_key"}


def test_a_party_names_its_choice_and_does_not_go_on_in_clear(tmp_path: Path) -> None:
    Equipment(*[None] * 4, tmp_path, vault_key=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="vault_key"):
        Equipment(*[None] * 4, tmp_path)  # type: ignore[arg-type,call-arg]
    create_vault_key(tmp_path, "password")
    party = type("Clear", (Party,), {"role": Role.BUYER})
    with pytest.raises(PartyFolderError, match="is encrypted: unlock it"):
        party(equipment(tmp_path), Conduct())


def old_folder(folder: Path) -> dict[str, bytes]:
    """A folder of an earlier version: everything in clear, with what a killed process left."""
    vault = Vault(folder, None)
    vault.write(SESSION, SECRET)
    vault.write(REQUEST, b"ciphertext")
    vault.inner("31337-0xab", "trade-1-cd").write(DELIVERY_KEY, SECRET * 2)
    vault.inner("31337-0xab", "trade-1-cd").write("model.delivered", b"")
    (folder / f".{SESSION}.abcd_123").write_bytes(SECRET)
    (folder / "notes.txt").write_text("the user's own")
    return {SESSION: SECRET, f"31337-0xab/trade-1-cd/{DELIVERY_KEY}": SECRET * 2}


def check_protected(folder: Path, secrets: dict[str, bytes]) -> None:
    assert all(SECRET not in data for data in contents(folder))
    vault = Vault(folder, unlock_vault(folder, "password"))
    for place, secret in secrets.items():
        *names, name = place.split("/")
        assert vault.inner(*names).read(name) == secret
    assert bytes(vault.map(REQUEST)) == b"ciphertext"
    assert (folder / "notes.txt").read_text() == "the user's own"
    assert is_encrypted((folder / "31337-0xab" / "trade-1-cd" / "model.delivered").read_bytes())


def test_a_folder_in_clear_is_refused_with_the_command_that_migrates_it(tmp_path: Path) -> None:
    secrets = old_folder(tmp_path / "party")
    with pytest.raises(PartyFolderError, match=r"modelseal keys protect .*/party"):
        unlock_vault(tmp_path / "party", "password")
    assert protect_folder(tmp_path / "party", "password") == 3
    check_protected(tmp_path / "party", secrets)
    assert protect_folder(tmp_path / "party", "password") == 0
    with pytest.raises(KeyFileError, match="password is wrong"):
        protect_folder(tmp_path / "party", "wrong")


def test_a_migration_that_was_killed_anywhere_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trader.parties import protection

    write, killed = protection.write_file, 0
    for survived in range(4):
        folder = tmp_path / str(survived)
        secrets = old_folder(folder)
        left = [survived]

        def write_or_die(*arguments: object, left: list[int] = left, **options: object) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(*arguments, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(protection, "write_file", write_or_die)
            try:
                protect_folder(folder, "password")
            except KeyboardInterrupt:
                killed += 1
        protect_folder(folder, "password")
        check_protected(folder, secrets)
    assert killed == 3


def test_what_is_no_party_folder_gets_no_key(tmp_path: Path) -> None:
    with pytest.raises(PartyFolderError, match="is no party's folder"):
        protect_folder(tmp_path, "password")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyFileError):
        read_vault_key(tmp_path, "password")
