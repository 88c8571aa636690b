"""Passwords and keys are planted; then everything that somebody else may see is searched for them.

What a whole trade leaves is searched in `tests/integration/test_honest_trade.py`, which plays one anyway.
"""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from tests.simulators.planted import files_of, find_secrets, forms, shown_objects
from tests.simulators.signing_server import SigningServer, serving
from trader.chain.accounts import create_account, import_account, load_account
from trader.chain.external import ExternalAccount
from trader.cli.app import app
from trader.errors import TraderError
from trader.exchange import Context, EncryptionKey, Kind, Label, Purpose, seal, wrapping
from trader.exchange.signing import sign_trailer
from trader.parties.filenames import DELIVERY_KEY
from trader.parties.rotation import Rotation, rotate_password
from trader.parties.vault import Vault
from trader.parties.vault_key import VaultKey, unlock_vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.trader.conftest import Ran

PASSWORD, NEW_PASSWORD = "planted-password-7f3a91", "planted-successor-c2d4e8"
PRIVATE_KEY = keccak(b"planted private key")
DELIVERY = keccak(b"planted delivery key")
ENVELOPE = EncryptionKey.generate()
VAULT = VaultKey(keccak(b"planted vault key"))
LABEL = Label(Kind.MODEL, 1, "0x" + "ab" * 20, 1, bytes(32))
SECRETS = {
    "password": PASSWORD.encode(),
    "new password": NEW_PASSWORD.encode(),
    "private key": PRIVATE_KEY,
    "delivery key": DELIVERY,
    "envelope's seed": ENVELOPE.secret[:64],
    "envelope's scalar": ENVELOPE.secret[64:],
    "vault's key": VAULT.secret,
}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wrapping, "_SCRYPT_LOG_N", 4)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ETH_KEYSTORE", raising=False)


@pytest.mark.parametrize("form", sorted(forms(PRIVATE_KEY)))
def test_the_search_finds_what_it_is_to_find(form: bytes) -> None:
    assert find_secrets(SECRETS, {"here": b"before " + form + b" after"}) == ["private key in here"]


def test_the_search_finds_base64_inside_of_more() -> None:
    for shift in range(3):
        hidden = base64.b64encode(bytes(shift) + PRIVATE_KEY + bytes(7))
        assert find_secrets({"key": PRIVATE_KEY}, {"here": hidden}) == ["key in here"]


def belongings(folder: Path) -> dict[str, Any]:
    """An account, an envelope key, and a vault with a delivery key in it, under the planted password."""
    keyfile = folder / "account.json"
    keyfile.write_text(json.dumps(Account.encrypt(PRIVATE_KEY, PASSWORD, iterations=2)))
    ENVELOPE.save(folder / "envelope", PASSWORD)
    key = unlock_vault(folder / "party", PASSWORD)
    Vault(folder / "party", key).write(DELIVERY_KEY, DELIVERY)
    return {"keyfile": keyfile, "envelope": folder / "envelope", "party": folder / "party", "key": key}


def mistakes(own: dict[str, Any], folder: Path) -> Iterator[Callable[[], object]]:
    """What goes wrong around keys: each raises one of our errors."""
    wrong = PASSWORD + NEW_PASSWORD
    damaged = Vault(folder / "damaged", VAULT)
    damaged.write(DELIVERY_KEY, DELIVERY)
    kept = damaged.folder / DELIVERY_KEY
    kept.write_bytes(kept.read_bytes()[:-1])
    in_clear = Vault(folder / "clear", None)
    (folder / "clear").mkdir()
    (folder / "raw").write_bytes(b"0x" + b"f" * 64)
    context = Context(1, "0x" + "ab" * 20, bytes(32), 1, Purpose.MODEL)
    yield lambda: load_account(own["keyfile"], wrong)
    yield lambda: EncryptionKey.load(own["envelope"], wrong)
    yield lambda: unlock_vault(own["party"], wrong)
    yield lambda: damaged.read(DELIVERY_KEY)
    yield lambda: in_clear.read(DELIVERY_KEY)
    yield lambda: Vault(own["party"], VAULT).read(DELIVERY_KEY)
    yield lambda: import_account(folder / "raw", folder / "new.json", PASSWORD, NEW_PASSWORD)
    yield lambda: create_account(own["keyfile"], PASSWORD)
    yield lambda: rotate_password(Rotation([own["party"]], (), own["keyfile"]), wrong, NEW_PASSWORD)
    yield lambda: ENVELOPE.open(seal(EncryptionKey.generate().public_key, DELIVERY, context), context)


def test_errors_tell_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    own, told = belongings(tmp_path), {}
    for number, mistake in enumerate(mistakes(own, tmp_path)):
        with pytest.raises(TraderError) as raised:
            mistake()
        told[f"error {number}"] = "".join(traceback.format_exception(raised.value)).encode()
    printed = capfd.readouterr()
    told |= {"log": caplog.text.encode(), "printed": (printed.out + printed.err).encode(), **shown_objects()}
    assert len(told) > 12
    secrets = SECRETS | {"party's key": own["key"].secret}
    # These lines of the tests themselves are in tracebacks; their values are not.
    assert find_secrets(secrets, told) == []


def test_a_signer_is_shown_the_key_and_tells_nobody(caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    server = SigningServer(Account.from_key(PRIVATE_KEY))
    transaction = {"to": "0x" + "ab" * 20, "value": 0, "gas": 1, "nonce": 0, "chainId": 1, "data": DELIVERY}
    transaction |= {"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}
    told = {}
    with serving(server) as url:
        account = ExternalAccount.connect(url)
        assert DELIVERY in account.sign_transaction(transaction | {"gas": 30_000}).raw_transaction
        server.refusal = {"code": -1, "message": f"rejected: {DELIVERY.hex()} of 0x{DELIVERY.hex()}"}
        ways = (account.sign_transaction, lambda asked: sign_trailer(LABEL, asked["data"], account))
        for number, sign in enumerate(ways):
            with pytest.raises(TraderError) as raised:
                sign(transaction)
            told[f"refusal {number}"] = "".join(traceback.format_exception(raised.value)).encode()
    with pytest.raises(TraderError) as raised:
        account.sign_transaction(transaction)
    printed = capfd.readouterr()
    told |= {"away": "".join(traceback.format_exception(raised.value)).encode(), "log": caplog.text.encode()}
    told |= {"printed": (printed.out + printed.err).encode(), "repr": repr(account).encode()}
    assert find_secrets(SECRETS, told) == []


def test_commands_leave_nothing_in_clear(
    tmp_path: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords come by files and variables; what is written and printed has none of them, nor a key."""
    own, outside = belongings(tmp_path), tmp_path / "passwords"
    outside.mkdir()
    (outside / "old").write_text(PASSWORD)
    (outside / "new").write_text(NEW_PASSWORD)
    passwords = ("--password-file", outside / "old", "--new-password-file", outside / "new")
    commands = [
        ("show", own["keyfile"], *passwords[:2]),
        ("export", own["keyfile"], tmp_path / "exported.json", *passwords),
        ("rotate", "--account", own["keyfile"], "--folder", own["party"], *passwords),
        ("show", own["keyfile"], *passwords[:2]),  # the old one no longer opens it
        ("list",),
    ]
    ran = [modelseal("keys", *command) for command in commands]
    assert [result.code for result in ran] == [0, 0, 0, 2, 0]
    told = {f"command {number}": (result.out + result.err).encode() for number, result in enumerate(ran)}
    left = {path: data for path, data in files_of(tmp_path).items() if not path.startswith(str(outside))}
    assert len(left) >= 5
    assert find_secrets(SECRETS | {"party's key": own["key"].secret}, told | left) == []
    monkeypatch.setenv("MODELSEAL_PASSWORD", PASSWORD)
    assert find_secrets(SECRETS, {"help": modelseal("keys", "new", "--help").out.encode()}) == []


DEFECT = """
import base64, sys
from trader.cli import passwords
from trader.cli.app import main

def broken(file, purpose, **options):
    password = base64.b64decode(sys.stdin.read()).decode()
    raise RuntimeError("a defect")

passwords.ask_password = broken
sys.argv = ["modelseal", "keys", "show", sys.argv[1]]
main()
"""


def test_the_traceback_of_a_defect_shows_no_variables(tmp_path: Path) -> None:
    own = belongings(tmp_path)
    assert not app.pretty_exceptions_enable
    ran = subprocess.run(
        [sys.executable, "-c", DEFECT, own["keyfile"]],
        input=base64.b64encode(PASSWORD.encode()).decode(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "RuntimeError: a defect" in ran.stderr) == (1, True), ran.stderr
    assert find_secrets(SECRETS, {"traceback": ran.stderr.encode() + ran.stdout.encode()}) == []
