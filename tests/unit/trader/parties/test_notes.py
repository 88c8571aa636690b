"""Steps that an account logs: of a trade each once, whatever a crash makes it do again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account

from ledger import AuditLog, EntryKind
from trader.parties.actor import Actor, Equipment
from trader.parties.conduct import Conduct
from trader.trade import Role


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog.open(tmp_path / "audit.sqlite")


def actor(log: AuditLog, folder: Path, market: str = "11") -> Actor:
    folder.mkdir(exist_ok=True)
    place: Any = SimpleNamespace(
        place=f"1-0x{market * 20}",
        read_through=lambda *_: None,
    )
    equipment = Equipment(place, Account.create(), SimpleNamespace(), log, folder, vault_key=None)  # type: ignore[arg-type]
    return Actor(Role.BUYER, equipment, Conduct())


def test_a_step_of_a_trade_is_logged_once(log: AuditLog, tmp_path: Path) -> None:
    buyer = actor(log, tmp_path / "buyer")
    for _ in range(3):
        buyer.note(EntryKind.RESPONSE_RECEIVED, trade_id=7, details={"bytes": 5})
    assert log.head().entries == 1
    buyer.note(EntryKind.RESPONSE_RECEIVED, trade_id=8, details={"bytes": 5})
    buyer.note(EntryKind.RESPONSE_RECEIVED, trade_id=7, details={"bytes": 6})
    buyer.note(EntryKind.KEY_RECEIVED, trade_id=7, details={"bytes": 5})
    actor(log, tmp_path / "other").note(EntryKind.RESPONSE_RECEIVED, trade_id=7, details={"bytes": 5})
    elsewhere = actor(log, tmp_path / "elsewhere", market="22")
    elsewhere.account = buyer.account
    elsewhere.note(EntryKind.RESPONSE_RECEIVED, trade_id=7, details={"bytes": 5})
    assert log.head().entries == 6


def test_what_goes_wrong_and_what_is_told_in_words_may_happen_again(log: AuditLog, tmp_path: Path) -> None:
    buyer = actor(log, tmp_path / "buyer")
    for _ in range(2):
        buyer.note(EntryKind.MESSAGE_REPEATED, trade_id=7, details={"bytes": 5})
        buyer.note(EntryKind.DELIVERY_REFUSED, trade_id=7, details={"reason": "a chunk is wrong"})
        buyer.note(EntryKind.LISTING_VERIFIED, listing_id=3)
    assert log.head().entries == 6
