import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trader.errors import PartyFolderError
from trader.exchange import AuditInputs, Context, EncryptionKey, MessageError, Purpose, seal
from trader.parties.messages import Order, delivery_bytes, order_limit_bytes
from trader.parties.vault import Vault

CIRCUIT = SimpleNamespace(audit_samples=2, features=3, salt_elements=4, input_elements=10)
KEY = EncryptionKey.generate()
ORDER = Order(KEY.public_key, AuditInputs(np.arange(6).reshape(2, 3), (1, 2, 3, 4)))
CONTEXT = Context(31337, "0x" + "ab" * 20, bytes(32), 1, Purpose.AUDIT_INPUTS)


def test_an_order_is_read_back() -> None:
    order = Order.decode(ORDER.encode(), CIRCUIT)
    assert order.reply_key == KEY.public_key
    assert (order.inputs.samples == ORDER.inputs.samples).all()
    assert order.inputs.salt == ORDER.inputs.salt


@pytest.mark.parametrize(
    "change", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:1216]]
)
def test_an_order_of_another_length_is_refused(change) -> None:
    with pytest.raises(MessageError):
        Order.decode(change(ORDER.encode()), CIRCUIT)


def test_the_size_limits_are_those_of_honest_messages() -> None:
    sealed = seal(KEY.public_key, ORDER.encode(), CONTEXT)
    assert len(sealed) <= order_limit_bytes(CIRCUIT) < len(sealed) + 512
    assert delivery_bytes(4) == len(seal(KEY.public_key, bytes(4 * 1024), CONTEXT))


def test_secrets_do_not_show() -> None:
    assert "AuditInputs" not in repr(ORDER)


def test_a_vault_keeps_what_only_its_owner_can_read(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "party", None)
    assert not vault.has("key")
    vault.write("key", b"secret")
    vault.write("key", bytearray(b"other"))
    assert vault.has("key")
    assert vault.read("key") == b"other"
    assert stat.S_IMODE((tmp_path / "party" / "key").stat().st_mode) == 0o600
    assert list((tmp_path / "party").iterdir()) == [tmp_path / "party" / "key"]


def test_a_vault_says_what_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(PartyFolderError, match="can't be read: No such file"):
        Vault(tmp_path, None).read("key")
