"""Anchored checkpoints: the keeper's alone, once each, and enough to find a log that was written anew."""

from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ledger import AuditLog
from ledger.errors import ForkError, HeadError
from ledger.publishing.views import verify_view
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import ORIGIN, signed_log
from trader.chain import Chain
from trader.chain.anchors import Anchors
from trader.errors import CallerError, TransactionRefusedError


def funded(chain: Chain) -> LocalAccount:
    account: LocalAccount = Account.create()
    chain.fund(account.address, 10**18)
    return account


def test_a_growing_log_is_anchored_and_a_forged_one_found(chain: Chain, tmp_path: Path) -> None:
    anchors, keeper, stranger = Anchors(chain), funded(chain), funded(chain)
    assert anchors.anchored(keeper.address, ORIGIN) == []
    checkpoints = [signed_log(tmp_path / "audit.sqlite", entries).note.checkpoint() for entries in (4, 9)]
    for checkpoint in checkpoints:
        assert anchors.anchor(keeper, checkpoint) is not None
        assert anchors.anchor(keeper, checkpoint) is None
    with AuditLog.open(tmp_path / "forged.sqlite") as forged:
        forged.append_all(step(number, trade_id=9) for number in range(9))
        forged.give_origin(ORIGIN)
        anchors.anchor(stranger, forged.checkpoint())  # under the log's name, and of no account
        with pytest.raises(CallerError, match="another root of 9 entries"):
            anchors.anchor(keeper, forged.checkpoint())
    found = [anchor.checkpoint for anchor in anchors.anchored(keeper.address, ORIGIN)]
    assert found == checkpoints
    assert verify_view(str(tmp_path / "audit.sqlite"), anchors=found).entries == 9
    with pytest.raises(ForkError, match="entries 0 to 3"):
        verify_view(str(tmp_path / "forged.sqlite"), anchors=found)
    shorter = signed_log(tmp_path / "shorter.sqlite", 5)
    with pytest.raises(HeadError, match="truncated"):
        verify_view(str(shorter.log.path), anchors=found)
    with pytest.raises(TransactionRefusedError, match="LogNotGrown"):
        anchors.anchor(keeper, shorter.note.checkpoint())


def test_an_empty_log_is_not_anchored(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="empty"):
        Anchors(chain).anchor(funded(chain), signed_log(tmp_path / "audit.sqlite", 0).note.checkpoint())
