"""An acceptance that is signed instead of sent: what a buyer does if it isn't used, and what makes a key safe to go."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from contracts import Acceptance, delivery_digest
from ledger import EntryKind
from trader.chain.market import Trade
from trader.errors import EnvironmentFaultError, NotYetError, TooLateError
from trader.exchange import FolderMailbox, Kind, Label, NotDeliveredError
from trader.parties.conduct import HONEST_SELLER
from trader.parties.filenames import ACCEPTANCE, DELIVERY_KEY
from trader.parties.key_release import KeyRelease
from trader.parties.margins import SellerPolicy
from trader.parties.receiving import Receiving
from trader.parties.vault import Vault
from trader.trade import Position, Proven, State
from trader.verify import BuyerPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW, WINDOW = 1_800_000_000, 7_200
ROOT, KEY = keccak(b"root"), keccak(b"key")
CHAIN_ID, MARKET = 31337, "0x" + "ab" * 20
BUYER, SELLER, STRANGER = (Account.from_key(keccak(name)) for name in (b"buyer", b"seller", b"stranger"))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Table:
    """One proven trade, the mailbox between its sides, and what either of them does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mailbox = FolderMailbox(folder / "mailbox")
        self.now = NOW
        self.position = self.newest = Position(State.PROVEN, NOW + WINDOW)
        self.root = ROOT
        self.windows = SimpleNamespace(acceptance_seconds=WINDOW, reveal_seconds=3_600)
        self.sent: list[tuple[str, Any]] = []
        self.noted: list[EntryKind] = []
        self.checks = 0
        chain = SimpleNamespace(chain_id=CHAIN_ID, confirmations=1, time=lambda: SimpleNamespace(latest=self.now))
        self.market = SimpleNamespace(
            chain=chain,
            deployment=SimpleNamespace(market=MARKET),
            trade=lambda _: self.trade,
            newest_position=lambda _: self.newest,
            listing=lambda _: SimpleNamespace(terms=SimpleNamespace(windows=self.windows)),
            event=lambda *_: Proven(NOW, self.root, keccak(KEY), 0, 1),
            accept=lambda _account, _trade, delivery: self.sent.append(("accept", delivery)),
            reveal=self._reveal,
        )

    @property
    def trade(self) -> Trade:
        return Trade(1, 7, BUYER.address, 16, 0, 0, 1, self.position, delivery_digest(self.root, keccak(KEY)))

    def _reveal(self, _account: object, _trade: int, _root: bytes, _key: bytes, acceptance: bytes, **ways: Any) -> None:
        ways["before_sending"](b"signed")
        self.sent.append(("reveal", acceptance))

    def actor(self, account: Any) -> Any:
        @contextmanager
        def working(_: str) -> Iterator[None]:
            yield

        def deliver(label: Label, vault: Vault, note: EntryKind, trade_id: int) -> bool:
            written = self.mailbox.put(label, vault.read(label.kind.value), account)
            self.noted += [note] if written else []
            return written

        return SimpleNamespace(
            market=self.market,
            mailbox=self.mailbox,
            account=account,
            address=account.address,
            label=self.label,
            note=lambda kind, **_: self.noted.append(kind),
            require_legal=lambda *_: self.trade,
            transact=lambda _, send: send(),
            working=working,
            deliver=deliver,
        )

    def label(self, kind: Kind, anchor: bytes, trade_id: int = 0) -> Label:
        return Label(kind, CHAIN_ID, MARKET, trade_id, anchor)

    def key_release(self) -> KeyRelease:
        """The seller's, as a fresh process has it."""
        vault = Vault(self.folder / "seller", None)
        vault.write(DELIVERY_KEY, KEY)
        return KeyRelease(self.actor(SELLER), SellerPolicy(), HONEST_SELLER, lambda _: vault)

    def receiving(self, percent: int = 50) -> Receiving:
        """The buyer's, whose checks are counted."""
        table = self

        class Counting(Receiving):
            def _check_and_download(self, trade: Trade) -> None:
                table.checks += 1

        listing = SimpleNamespace(verify=lambda: SimpleNamespace(terms=SimpleNamespace(windows=self.windows)))
        policy = BuyerPolicy(reveal_patience_percent=percent)
        return Counting(self.actor(BUYER), listing, policy, Vault(self.folder / "buyer", None), SimpleNamespace())

    def post(self, message: bytes, account: Any = BUYER) -> None:
        self.mailbox.put(self.label(Kind.ACCEPTANCE, self.trade.digest, 1), message, account)

    def signature(self, account: Any = BUYER, delivery: bytes | None = None) -> bytes:
        acceptance = Acceptance(1, self.trade.digest if delivery is None else delivery)
        return bytes(account.sign_typed_data(*acceptance.typed_data(CHAIN_ID, MARKET)).signature)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


# --------------------------------------------------------------------------------------------------------- the buyer


def test_a_buyer_signs_once_and_waits(table: Table) -> None:
    buyer = table.receiving()
    buyer.ask_for_key(1)
    assert (table.noted, table.checks, table.sent) == ([EntryKind.ACCEPTANCE_SENT], 1, [])
    for again in (buyer, table.receiving()):
        with pytest.raises(NotYetError, match=f"accepts by a transaction at {NOW + WINDOW // 2}"):
            again.ask_for_key(1)
    assert (table.checks, table.sent) == (1, [])


def test_a_buyer_accepts_by_a_transaction_what_is_not_used(table: Table) -> None:
    buyer = table.receiving()
    buyer.ask_for_key(1)
    table.now = NOW + WINDOW // 2 - 1
    with pytest.raises(NotYetError):
        buyer.ask_for_key(1)
    table.now += 1
    buyer.ask_for_key(1)
    assert (table.sent, table.checks) == ([("accept", table.trade.digest)], 1)


def test_a_buyer_whose_mailbox_is_away_accepts_in_time(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table.mailbox, "put", lambda *_: 1 / 0)
    table.now = NOW + WINDOW // 2
    table.receiving().ask_for_key(1)
    assert table.sent == [("accept", table.trade.digest)]


def test_a_buyer_without_patience_signs_nothing(table: Table) -> None:
    table.receiving(percent=0).ask_for_key(1)
    assert (table.sent, table.checks, table.noted) == ([("accept", table.trade.digest)], 1, [])


def test_another_delivery_after_a_reorganisation_is_checked_and_signed_anew(table: Table) -> None:
    buyer = table.receiving()
    buyer.ask_for_key(1)
    table.root = keccak(b"another root")
    buyer.ask_for_key(1)
    assert table.checks == 2
    table.key_release().take_acceptance(1)


# -------------------------------------------------------------------------------------------------------- the seller


def test_a_seller_reveals_with_the_signature(table: Table) -> None:
    table.receiving().ask_for_key(1)
    seller = table.key_release()
    seller.take_acceptance(1)
    seller.take_acceptance(1)
    seller.reveal(1)
    assert table.sent == [("reveal", table.signature())]
    assert table.noted.count(EntryKind.ACCEPTANCE_RECEIVED) == 1


def test_without_a_signature_the_key_stays(table: Table) -> None:
    seller = table.key_release()
    with pytest.raises(NotDeliveredError):
        seller.take_acceptance(1)
    with pytest.raises(NotYetError, match="has not accepted"):
        seller.reveal(1)
    assert table.sent == []


def test_a_signature_that_the_market_would_refuse_lets_no_key_out(table: Table) -> None:
    """The key would be public in a call that fails: a model for nothing."""
    signature = table.signature()
    mirrored = ORDER - int.from_bytes(signature[32:64], "big")
    for message, sender in (
        (table.signature(STRANGER), BUYER),
        (table.signature(delivery=keccak(b"another")), BUYER),
        (signature[:32] + mirrored.to_bytes(32, "big") + bytes([55 - signature[64]]), BUYER),
        (signature[:64] + bytes([signature[64] - 27]), BUYER),
        (signature, STRANGER),
        (bytes(65), BUYER),
        (b"\x01", BUYER),
    ):
        table.mailbox = FolderMailbox(table.folder / keccak(message + sender.key).hex())
        table.post(message, sender)
        seller = table.key_release()
        with pytest.raises(NotDeliveredError):
            seller.take_acceptance(1)
        with pytest.raises(NotYetError):
            seller.reveal(1)
    assert table.sent == []


def test_a_buyer_can_not_take_its_signature_back(table: Table) -> None:
    """Gone from the mailbox once the key has left, it would keep a seller from sending it again."""
    table.post(table.signature())
    table.key_release().take_acceptance(1)
    table.mailbox = FolderMailbox(table.folder / "emptied")
    restarted = table.key_release()
    restarted.take_acceptance(1)
    restarted.reveal(1)
    assert table.sent == [("reveal", table.signature())]


def test_a_full_disk_keeps_no_acceptance_from_being_used(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise EnvironmentFaultError("no space left")

    table.post(table.signature())
    seller = table.key_release()
    monkeypatch.setattr(Vault, "write", full)
    seller.take_acceptance(1)
    seller.reveal(1)
    assert table.sent == [("reveal", table.signature())]


def test_a_key_leaves_only_with_the_time_of_both_windows(table: Table) -> None:
    """A buyer may accept by a transaction just before the key is mined, and begin a window that is shorter."""
    table.post(table.signature())
    seller = table.key_release()
    seller.take_acceptance(1)
    table.windows.reveal_seconds = 600
    with pytest.raises(TooLateError, match="600 seconds are left"):
        seller.reveal(1)
    table.windows.reveal_seconds = 3_600
    table.newest = Position(State.ACCEPTED, NOW + 599)
    with pytest.raises(TooLateError, match="599 seconds are left"):
        seller.reveal(1)
    table.newest = table.position
    table.now = NOW + WINDOW - 600
    with pytest.raises(TooLateError, match="600 seconds are left"):
        seller.reveal(1)
    assert table.sent == []
    table.now -= 1
    seller.reveal(1)
    assert len(table.sent) == 1


def test_an_acceptance_on_the_chain_needs_no_signature(table: Table) -> None:
    table.position = table.newest = Position(State.ACCEPTED, NOW + 3_600)
    seller = table.key_release()
    seller.take_acceptance(1)
    seller.reveal(1)
    assert table.sent == [("reveal", b"")]
    assert not Vault(table.folder / "seller", None).has(ACCEPTANCE)
