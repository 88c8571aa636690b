"""A stranger in the shared folder: no party to the trade, but it may write where the parties do, and knows the code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from eth_account import Account

from trader.exchange import Kind, Label
from trader.exchange.signing import sign_trailer
from trader.trade import Answered, Proven, Purchased, SessionOpened, State
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from trader.chain.market import Market
    from trader.exchange import FolderMailbox

FLOOD_FILES = 1_000
_JUNK = b"a stranger was here" * 50


class Squatter:
    """Floods the folder, and puts each message aside once, as soon as the chain shows its name.

    In turn: junk, a folder, a message that the stranger has signed itself, and the message cut to half.

    Attributes:
        attacked: Names of the messages that it got at.
    """

    def __init__(self, market: Market, mailbox: FolderMailbox) -> None:
        self.attacked: list[str] = []
        self._market = market
        self._root = mailbox.root
        self._account = Account.create()
        self._flooded = False

    def act(self, listing_id: int, trade_id: int | None = None) -> None:
        """Do what harm can be done now."""
        if not self._flooded:
            self._flood()
        for label in self._names(listing_id, trade_id):
            if label.name not in self.attacked:
                self._attack(label)

    def _flood(self) -> None:
        self._flooded = True
        self._root.mkdir(parents=True, exist_ok=True)
        for number in range(FLOOD_FILES):
            (self._root / f"request-{number}").write_bytes(_JUNK)
        for kind in Kind:
            (self._root / "trade-1").mkdir(exist_ok=True)
            (self._root / "trade-1" / kind.value).write_bytes(_JUNK)

    def _names(self, listing_id: int, trade_id: int | None) -> list[Label]:
        """Return the messages whose names anybody can read off the chain by now."""
        manifest_hash = self._market.listing(listing_id).terms.manifest_hash
        names = [self._label(Kind.PACKAGE, manifest_hash)]
        if trade_id is None:
            return names
        trade = self._market.trade(trade_id)
        match trade.position.state:
            case State.TESTING:
                names.append(self._label(Kind.REQUEST, self._market.event(trade_id, SessionOpened).request_digest))
            case State.ANSWERED:
                digest = self._market.event(trade_id, Answered).response_digest
                names.append(self._label(Kind.RESPONSE, digest, trade_id))
            case State.PURCHASED:
                commitment = self._market.event(trade_id, Purchased).input_commitment
                names.append(self._label(Kind.AUDIT_INPUTS, commitment, trade_id))
            case State.PROVEN:
                root = self._market.event(trade_id, Proven).ciphertext_root
                names.append(self._label(Kind.MODEL, root, trade_id))
        return names

    def _label(self, kind: Kind, anchor: bytes, trade_id: int = 0) -> Label:
        return Label(kind, self._market.chain.chain_id, self._market.deployment.market, trade_id, anchor)

    def _attack(self, label: Label) -> None:
        path = self._root / label.name
        delivered = path.read_bytes() if path.is_file() else b""
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        match len(self.attacked) % 4:
            case 0:
                path.write_bytes(_JUNK)
            case 1:
                path.mkdir()
                (path / "squatted").write_bytes(_JUNK)
            case 2:
                path.write_bytes(_JUNK + sign_trailer(label, keccak256(_JUNK), self._account))
            case _:
                path.write_bytes(delivered[: len(delivered) // 2])
        self.attacked.append(label.name)
