"""What one entry of the audit log says. Pure: no IO, no clock.

Reading order: `EntryKind` and `ActorRole` (the vocabulary), `ChainPosition` and `Record` (what a writer reports),
`Entry` (a record at its place in the log). `ledger.details` has what is told beside the fields, `ledger.encoding` how
all of it is written and hashed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.events import MarketEvent
from ledger.details import MAXIMUM_INTEGER, Detail, checked_details
from ledger.errors import InvalidRecordError

MAXIMUM_ID: Final = 2**256 - 1
MAXIMUM_TIME_SECONDS: Final = 253_402_300_799  # the end of the year 9999, the last that calendars print
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_IDENTITY: Final = re.compile(r"[!-~]{1,128}")

PositionKey = tuple[str, str, int | None]


class EntryKind(StrEnum):
    """Everything that the log can say happened; contract events have the names of `contracts.MarketEvent`."""

    # Events of the market contract.
    LISTED = MarketEvent.LISTED
    DELISTED = MarketEvent.DELISTED
    SESSION_OPENED = MarketEvent.SESSION_OPENED
    ANSWERED = MarketEvent.ANSWERED
    PURCHASED = MarketEvent.PURCHASED
    PROVEN = MarketEvent.PROVEN
    ACCEPTED = MarketEvent.ACCEPTED
    REVEALED = MarketEvent.REVEALED
    CONFIRMED = MarketEvent.CONFIRMED
    REFUNDED = MarketEvent.REFUNDED
    SETTLED = MarketEvent.SETTLED
    EXPIRED = MarketEvent.EXPIRED
    SLASHED = MarketEvent.SLASHED
    DEPOSITED = MarketEvent.DEPOSITED
    WITHDRAWN = MarketEvent.WITHDRAWN

    # Steps off the chain, in the order of a trade.
    LISTING_VERIFIED = "ListingVerified"
    LISTING_REFUSED = "ListingRefused"
    ACCURACY_CLAIMED = "AccuracyClaimed"
    """A seller has published a certificate of the accuracy of a listed model on public data."""
    ACCURACY_VERIFIED = "AccuracyVerified"
    """Somebody has verified such a certificate, on the data set as it took it from its source."""
    REQUEST_SENT = "RequestSent"
    REQUEST_RECEIVED = "RequestReceived"
    REQUEST_REFUSED = "RequestRefused"
    RESPONSE_SENT = "ResponseSent"
    RESPONSE_RECEIVED = "ResponseReceived"
    TEST_REFUSED = "TestRefused"
    OUTPUTS_COMMITTED = "OutputsCommitted"
    AUDIT_INPUTS_SENT = "AuditInputsSent"
    AUDIT_INPUTS_RECEIVED = "AuditInputsReceived"
    PROOF_MADE = "ProofMade"
    PROOF_REFUSED = "ProofRefused"
    DELIVERY_OFFERED = "DeliveryOffered"
    DELIVERY_DOWNLOADED = "DeliveryDownloaded"
    ACCEPTANCE_SENT = "AcceptanceSent"
    ACCEPTANCE_RECEIVED = "AcceptanceReceived"
    KEY_RECEIVED = "KeyReceived"
    DELIVERY_VERIFIED = "DeliveryVerified"
    DELIVERY_REFUSED = "DeliveryRefused"
    DISPUTE_RAISED = "DisputeRaised"

    # What went wrong on the way.
    MESSAGE_SKIPPED = "MessageSkipped"
    """Something else than the counterparty's message lay in its place."""
    MESSAGE_REPEATED = "MessageRepeated"
    """A message was put again: what had been delivered was gone, or changed."""
    TRANSACTION_FAILED = "TransactionFailed"
    REORGANISED = "Reorganised"
    """The chain dropped the block of an earlier entry: that entry, at the same position, no longer counts."""

    # What the log says about itself.
    INDEX_COMMITTED = "IndexCommitted"
    """The root of the authenticated index over all entries before this one (`ledger.catalogue.index`)."""


CONTRACT_EVENTS: Final = frozenset(EntryKind(event) for event in MarketEvent)
ON_CHAIN: Final = CONTRACT_EVENTS | {EntryKind.TRANSACTION_FAILED, EntryKind.REORGANISED}


class ActorRole(StrEnum):
    """In which role the actor acted; `ANYONE` where the protocol lets anybody act (settle, expire)."""

    SELLER = "Seller"
    BUYER = "Buyer"
    ANYONE = "Anyone"


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketId:
    """Which market: a contract on a chain.

    Attributes:
        chain_id: EIP-155 chain id.
        contract: Address of the market contract.
    """

    chain_id: int
    contract: str

    def __post_init__(self) -> None:
        _set(self, "contract", _checked_hex(_ADDRESS, "contract", self.contract))
        check_integer("chain_id", self.chain_id, MAXIMUM_INTEGER)

    def __str__(self) -> str:
        return f"{self.chain_id}:{self.contract}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainPosition:
    """Where on the chain something happened.

    Attributes:
        chain_id: EIP-155 chain id.
        contract: Address of the market contract.
        block_number: Number of the block.
        block_hash: Hash of the block, `0x` and 64 hex digits.
        transaction_hash: Hash of the transaction, `0x` and 64 hex digits.
        log_index: Index of the event in its block; None for a transaction without event (a failed one).
        gas_used: Gas of the whole transaction, which several events may share.
    """

    chain_id: int
    contract: str
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int | None
    gas_used: int

    @property
    def key(self) -> PositionKey:
        """What tells one position from all others: block, transaction, and the event's index in the block."""
        return self.block_hash, self.transaction_hash, self.log_index

    def __post_init__(self) -> None:
        _set(self, "contract", _checked_hex(_ADDRESS, "contract", self.contract))
        _set(self, "block_hash", _checked_hex(_HASH, "block_hash", self.block_hash))
        _set(self, "transaction_hash", _checked_hex(_HASH, "transaction_hash", self.transaction_hash))
        for name in ("chain_id", "block_number", "gas_used"):
            check_integer(name, getattr(self, name), MAXIMUM_INTEGER)
        if self.log_index is not None:
            check_integer("log_index", self.log_index, MAXIMUM_INTEGER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a writer reports: one step of a trade, before it has a place in the log.

    Hex is stored in lower case, whatever case it is given in.

    Attributes:
        kind: What happened.
        actor: Address of the account that did it.
        role: The role in which it did it.
        occurred_at_seconds: Unix time; the block's timestamp for what happened on the chain.
        listing_id: The contract's listing id, if it concerns one.
        trade_id: The contract's trade id, if it concerns one.
        chain: Position on the chain; None for steps off the chain.
        market: The market that a step off the chain belongs to, where it is known; `chain` names that of the others.
        details: Digests, counts, amounts, short reasons. **Never secrets, never data**: values are integers, booleans
            and strings of at most 256 characters; integers above 2^53 - 1 (amounts in wei) come as decimal strings.
        identity: What tells a step off the chain from all others, if its writer can tell: appended again after a
            crash, it is not logged twice. 1 to 128 printable ASCII characters, no spaces.

    Raises:
        InvalidRecordError: A field is out of shape or range. That a detail is no secret is *not* checked.
    """

    kind: EntryKind
    actor: str
    role: ActorRole
    occurred_at_seconds: int
    listing_id: int | None = None
    trade_id: int | None = None
    chain: ChainPosition | None = None
    market: MarketId | None = None
    details: Mapping[str, Detail] = field(default_factory=dict, hash=False)
    identity: str | None = None

    def __post_init__(self) -> None:
        _set(self, "actor", _checked_hex(_ADDRESS, "actor", self.actor))
        check_integer("occurred_at_seconds", self.occurred_at_seconds, MAXIMUM_TIME_SECONDS)
        for name in ("listing_id", "trade_id"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), MAXIMUM_ID)
        if self.kind in CONTRACT_EVENTS and (self.chain is None or self.chain.log_index is None):
            raise InvalidRecordError(f"{self.kind} is a contract event: give its position on the chain")
        if self.chain is not None and self.kind not in ON_CHAIN:
            raise InvalidRecordError(f"{self.kind} is a step off the chain and has no position on it")
        if self.chain is not None and self.market is not None:
            raise InvalidRecordError("a position on the chain names the market already")
        _set(self, "details", MappingProxyType(checked_details(self.details)))
        if self.identity is not None:
            _check_identity(self.identity, self.chain)

    @property
    def market_name(self) -> str:
        """The market as text, `1:0x…`; empty where the record names none."""
        if self.chain is not None:
            return f"{self.chain.chain_id}:{self.chain.contract}"
        return "" if self.market is None else str(self.market)


@dataclass(frozen=True, slots=True)
class ClearValue:
    """A detail that stands beside the log, and its salted hash in the entry (`ledger.redaction`): it can be removed.

    Attributes:
        name: Of the detail.
        salt: 32 random bytes.
        value: The text.
    """

    name: str
    salt: bytes = field(repr=False)
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record at its place in the log.

    Attributes:
        sequence: Place in the log, from 0.
        record: What happened, as it was hashed: personal details are salted hashes.
        entry_hash: Hash of this entry and, through the hash before it, of all earlier ones; 32 bytes.
        clear: Personal details that have not been removed.
    """

    sequence: int
    record: Record
    entry_hash: bytes
    clear: tuple[ClearValue, ...] = ()

    @property
    def details(self) -> Mapping[str, Detail]:
        """The record's details with the personal ones that have not been removed, for people."""
        return {**self.record.details, **{value.name: value.value for value in self.clear}}


def check_integer(name: str, value: object, maximum: int) -> None:
    """Check that a value is an integer in range, and no boolean.

    Raises:
        InvalidRecordError: It is not.
    """
    if type(value) is not int or not 0 <= value <= maximum:
        raise InvalidRecordError(f"{name} must be an integer from 0 to {maximum}, got {value!r:.80}")


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)  # the documented way to normalise a field of a frozen dataclass


def _check_identity(identity: object, chain: ChainPosition | None) -> None:
    if chain is not None:
        raise InvalidRecordError("what happened on the chain has its position for an identity")
    if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
        raise InvalidRecordError(f"an identity has 1 to 128 printable ASCII characters, got {identity!r:.80}")


def _checked_hex(pattern: re.Pattern[str], name: str, value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value.lower()):
        raise InvalidRecordError(f"{name} must match {pattern.pattern}, got {value!r:.80}")
    return value.lower()
