"""One account at work in a market: what it sends, logs and tells, whichever side of a trade it is on.

Transactions, messages and work off the chain all pass through here, so that each is written to the audit log, and told
to an observer as it happens (`Step`). What the two sides do is in `trader.parties.seller` and `trader.parties.buyer`.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import rfc8785
from eth_utils.hexadecimal import decode_hex

import ledger
from ledger import EntryKind, LedgerError, Record, WrongMarketError, as_reason
from ledger.redaction import PERSONAL_DETAILS
from trader.errors import IllegalMoveError, PartyFolderError, TransactionRefusedError
from trader.exchange import Context, Kind, Label, NotDeliveredError, SkippedMessageError
from trader.parties.filenames import VAULT_KEY, delivered_mark
from trader.parties.folder import claim_folder
from trader.parties.vault import Vault
from trader.trade import TIMEOUTS, Event, Role, legal_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ledger import AuditLog
    from trader.chain import Receipt
    from trader.chain.market import Market, Trade
    from trader.exchange import Mailbox, Purpose
    from trader.parties.conduct import Conduct
    from trader.parties.vault_key import VaultKey
    from trader.signer import Signer


@dataclass(frozen=True, slots=True)
class Step:
    """Something a party has just done, for timelines and progress.

    Attributes:
        role: Who.
        name: What: the contract's function for a transaction, a verb for work off the chain.
        seconds: How long it took.
        transaction_hash: 0x-hex, for a transaction.
        gas_used: Its gas.
        gas_cost_wei: What that cost.
        message_bytes: Size of a message that was sent.
        remark: What a person should know of it: why a message was skipped, or what is waited for.
    """

    role: Role
    name: str
    seconds: float
    transaction_hash: str | None = None
    gas_used: int = 0
    gas_cost_wei: int = 0
    message_bytes: int = 0
    remark: str = ""


@dataclass(frozen=True)
class Equipment:
    """What a party works with.

    Attributes:
        market: The escrow.
        account: Signs and pays.
        mailbox: Where messages to and from the other party are.
        log: The audit log.
        folder: The party's own folder, for its secrets.
        vault_key: Encrypts what it keeps there (`trader.parties.vault_key.unlock_vault`); None leaves secrets in clear,
            for development.
        observe: Told of every step when it is done.
        progress: Told of long work under way: its name, steps done, steps in all.
    """

    market: Market
    account: Signer = field(repr=False)
    mailbox: Mailbox
    log: AuditLog
    folder: Path
    observe: Callable[[Step], None] = lambda _: None
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None
    vault_key: VaultKey | None = field(repr=False, kw_only=True)


_RECURRING = {EntryKind.MESSAGE_REPEATED, EntryKind.MESSAGE_SKIPPED, EntryKind.TRANSACTION_FAILED}
_ACCURACIES = {EntryKind.ACCURACY_CLAIMED, EntryKind.ACCURACY_VERIFIED}
_IDENTITY_DIGITS = 32
WAITING = "Waiting"
READING = "read the market's events"
MOST_REMARKS = 8
"""Remarks of one kind that a process makes about one trade: strangers must not fill the log."""


class Actor:
    """An account with its equipment.

    Attributes:
        role: Which side of a trade it is on.
        market: The escrow.
        account: Signs and pays.
        mailbox: Where messages to and from the other party are.
        log: The audit log.
        folder: The party's own, which no other process uses meanwhile.
        vault: What it keeps there.
        observe: Told of every step.
        progress: Told of long work under way.
    """

    def __init__(self, role: Role, equipment: Equipment, conduct: Conduct) -> None:
        """Take the folder.

        Raises:
            PartyFolderError: Another process works in it, it belongs to another account, or it is encrypted and no key
                was given.
            EnvironmentFaultError: It can't be written.
        """
        self.role = role
        self.market = equipment.market
        self.account = equipment.account
        self.mailbox = equipment.mailbox
        self.log = equipment.log
        self.folder = equipment.folder
        self.observe = equipment.observe
        self.progress = equipment.progress
        self._conduct = conduct
        self._remarks: dict[tuple[str, int | None], list[str]] = {}
        self._lock = claim_folder(self.folder, f"{role.value} {self.address}")
        if equipment.vault_key is None and (self.folder / VAULT_KEY).exists():
            raise PartyFolderError(f"{self.folder} is encrypted: unlock it with the account's password (unlock_vault).")
        self.vault = Vault(self.folder, equipment.vault_key)
        self._unread: LedgerError | None = None
        self._events = self.market.read_through(self.log, lambda done, total: self.progress(READING, done, total))

    @property
    def address(self) -> str:
        """The account's address."""
        return str(self.account.address)

    # ------------------------------------------------------------------------------------------------------- moves

    def require_legal(self, event: type[Event], trade_id: int) -> Trade:
        """Read the trade, if its side may cause the event now.

        Raises:
            IllegalMoveError: It may not.
        """
        trade, now = self.market.trade(trade_id), self.market.chain.time()
        now_seconds = now.confirmed if event in TIMEOUTS else now.newest
        if event not in legal_events(self.role, trade.position, now_seconds):
            late = " and its deadline has passed" if trade.position.overdue(now_seconds) else ""
            raise IllegalMoveError(
                f"the {self.role.value} can't cause {event.__name__} now: trade {trade_id} is "
                f"{trade.position.state.name}{late}"
            )
        return trade

    def transact(self, name: str, send: Callable[[], Receipt]) -> Receipt:
        """Send a transaction, log its events, and tell the observer."""
        begin = time.perf_counter()
        try:
            receipt = send()
        except TransactionRefusedError as error:
            self.note(EntryKind.TRANSACTION_FAILED, details={"move": name, "reason": as_reason(error)})
            raise
        seconds = time.perf_counter() - begin
        self.observe(Step(self.role, name, seconds, receipt.transaction_hash, receipt.gas_used, receipt.gas_cost_wei))
        self._index()
        return receipt

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Tell the observer how long the work in the block took; it is off the chain."""
        begin = time.perf_counter()
        yield
        self.observe(Step(self.role, name, time.perf_counter() - begin))

    # --------------------------------------------------------------------------------------------------------- log

    def _index(self) -> None:
        """Read the market's events into the log. What was mined has happened, whether or not they can be read now."""
        begin = time.perf_counter()
        try:
            self._events.catch_up()
            self._unread = None
        except LedgerError as error:
            if self._unread is None or as_reason(error) != as_reason(self._unread):
                reason = f"events not logged yet: {as_reason(error)}"
                self.observe(Step(self.role, reason, time.perf_counter() - begin))
            self._unread = error

    def catch_up(self) -> None:
        """Log the events that could not be read when they happened; drivers do it before each step.

        Raises:
            WrongMarketError: The log belongs to another market: no step is done before it is replaced.
        """
        if self._unread is not None:
            self._index()
        if isinstance(self._unread, WrongMarketError):
            raise self._unread

    def note(
        self,
        kind: EntryKind,
        *,
        trade_id: int | None = None,
        listing_id: int | None = None,
        details: Mapping[str, str | int] | None = None,
    ) -> None:
        """Log a step off the chain.

        Of a trade each is logged once, as a crash may let it be done again; but for what goes wrong, which may happen
        again, and what is told in words. So is what is said of an accuracy.
        """
        told = details or {}
        lasting = trade_id is not None or kind in _ACCURACIES
        once = lasting and kind not in _RECURRING and not PERSONAL_DETAILS & told.keys()
        self.log.append(
            Record(
                kind=kind,
                actor=self.address,
                role=ledger.ActorRole(self.role.value.capitalize()),
                occurred_at_seconds=int(time.time()),
                listing_id=listing_id,
                trade_id=trade_id,
                details=told,
                identity=self._identity(kind, trade_id, listing_id, told) if once else None,
            )
        )

    def _identity(
        self, kind: EntryKind, trade_id: int | None, listing_id: int | None, details: Mapping[str, str | int]
    ) -> str:
        """Return what tells a step of this account in this market from all others."""
        step = {"kind": kind.value, "place": self.market.place, "account": self.address.lower()}
        step |= {"listing": str(listing_id)} if trade_id is None else {"trade": str(trade_id)}
        return hashlib.sha256(rfc8785.dumps({**step, "details": dict(details)})).hexdigest()[:_IDENTITY_DIGITS]

    def wait(self, error: NotDeliveredError, trade_id: int | None) -> None:
        """Say what message is waited for, or why what lies there was skipped."""
        kind = EntryKind.MESSAGE_SKIPPED if isinstance(error, SkippedMessageError) else None
        self.remark(kind, error, trade_id)

    def remark(self, kind: EntryKind | None, text: object, trade_id: int | None) -> None:
        """Tell the observer, and the log if there is a kind of entry for it: each text once, and few of them."""
        name, reason = WAITING if kind is None else kind.value, as_reason(text)
        said = self._remarks.setdefault((name, trade_id), [])
        if reason in said or len(said) >= MOST_REMARKS:
            return
        said.append(reason)
        self.observe(Step(self.role, name, 0.0, remark=reason))
        if kind is not None:
            self.note(kind, trade_id=trade_id, details={"reason": reason})

    # ---------------------------------------------------------------------------------------------------- messages

    def label(self, kind: Kind, anchor: bytes, trade_id: int = 0) -> Label:
        """Return the label of a message of this market."""
        return Label(kind, self.market.chain.chain_id, self.market.deployment.market, trade_id, anchor)

    def envelope_context(self, manifest_hash: bytes, trade_id: int, purpose: Purpose) -> Context:
        """Return what an envelope in this market is bound to."""
        market = self.market
        return Context(market.chain.chain_id, market.deployment.market, manifest_hash, trade_id, purpose)

    def request_context(self, listing_id: int, buyer: str) -> bytes:
        """Return what the request of a buyer is bound to: chain, market, listing and account, each of one length.

        The trade's number isn't known yet when a request is made; the request's digest is on the chain with it.
        """
        market = decode_hex(self.market.deployment.market)
        numbers = self.market.chain.chain_id.to_bytes(32, "big"), listing_id.to_bytes(32, "big")
        return b"".join((b"modelseal request", *numbers, market, decode_hex(buyer)))

    def deliver(self, label: Label, vault: Vault, note: EntryKind, trade_id: int) -> bool:
        """See to it that the kept message lies in the mailbox, whole: again, if somebody or something changed it.

        Returns:
            Whether it had to be written.

        Raises:
            PartyFolderError: It is not kept.
            MailboxFaultError: The mailbox can't be written.
        """
        if not self.mailbox.needs_delivery(label):
            return False
        mark = delivered_mark(label.kind)
        message = self._conduct.sent_message(label, vault.map(label.kind.value))
        written = self.mailbox.put(label, message, self.account)
        if not vault.has(mark):
            self.note(note, trade_id=trade_id, details={"bytes": len(message), "digest": f"0x{label.anchor.hex()}"})
            vault.write(mark, b"")
            self.observe(Step(self.role, note.value, 0.0, message_bytes=len(message)))
        elif written:
            self.remark(EntryKind.MESSAGE_REPEATED, f"put again, as it was gone or changed: the {label}", trade_id)
        return written
