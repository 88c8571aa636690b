"""What one entry of the audit log says, how it is encoded, and how it is hashed. Pure: no IO, no clock.

Reading order: `EntryKind` and `ActorRole` (the vocabulary), `ChainPosition` and `Record` (what a writer reports),
`Entry` (a record at its place in the log), then the encoding.

A log is a list of entries, sequence 0, 1, 2, …. The bytes of an entry are the canonical JSON (RFC 8785) of its fields;
absent fields are left out. Its hash is

    SHA-256("modelseal/ledger/entry/v1" ‖ 0x00 ‖ previous entry's hash ‖ bytes)

and the hash before entry 0 is `GENESIS_HASH`. Whoever knows the last hash, the *head*, can tell whether any entry was
changed, dropped, moved or added. The log proves order and integrity, not truth: off-chain steps are what their
writer says they are; contract events can be compared with the chain, for which each carries its position.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring as _quote  # as RFC 8785 quotes what an entry can hold: printable text
from types import MappingProxyType
from typing import Any, Final

from contracts.events import MarketEvent
from ledger.errors import InvalidRecordError, MalformedEntryError

HASH_BYTES: Final = 32
GENESIS_HASH: Final = hashlib.sha256(b"modelseal/ledger/genesis/v1").digest()
ENTRY_DOMAIN: Final = b"modelseal/ledger/entry/v1\x00"

MAXIMUM_INTEGER: Final = 2**53 - 1  # what RFC 8785 can carry exactly; SQLite and JavaScript read it back unchanged
MAXIMUM_ID: Final = 2**256 - 1
MAXIMUM_TIME_SECONDS: Final = 253_402_300_799  # the end of the year 9999, the last that calendars print
MAXIMUM_DETAILS: Final = 64
MAXIMUM_DETAIL_CHARACTERS: Final = 256  # room for digests, amounts and short reasons, not for data or key material
MAXIMUM_DETAILS_BYTES: Final = 60_000  # an entry has less than 2^16 bytes: standard logs have no room for more
_DETAILS_THAT_FIT: Final = 48  # whatever is in them: at most 64 + 4 * 256 bytes each, and some signs between
MAXIMUM_JSON_CHARACTERS: Final = 64 * 1024  # above what any entry takes, escapes and multi-byte characters included
_LITERALS: Final = ("false", "true")
_DETAIL_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,77}")
_IDENTITY: Final = re.compile(r"[!-~]{1,128}")

Detail = str | int | bool
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
        _check_integer("chain_id", self.chain_id, MAXIMUM_INTEGER)

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
            _check_integer(name, getattr(self, name), MAXIMUM_INTEGER)
        if self.log_index is not None:
            _check_integer("log_index", self.log_index, MAXIMUM_INTEGER)


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
        _check_integer("occurred_at_seconds", self.occurred_at_seconds, MAXIMUM_TIME_SECONDS)
        for name in ("listing_id", "trade_id"):
            if getattr(self, name) is not None:
                _check_integer(name, getattr(self, name), MAXIMUM_ID)
        if self.kind in CONTRACT_EVENTS and (self.chain is None or self.chain.log_index is None):
            raise InvalidRecordError(f"{self.kind} is a contract event: give its position on the chain")
        if self.chain is not None and self.kind not in ON_CHAIN:
            raise InvalidRecordError(f"{self.kind} is a step off the chain and has no position on it")
        if self.chain is not None and self.market is not None:
            raise InvalidRecordError("a position on the chain names the market already")
        _set(self, "details", MappingProxyType(_checked_details(self.details)))
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


def hash_entry(previous_hash: bytes, encoded: bytes) -> bytes:
    """Hash of the entry with these bytes after the one with `previous_hash`; 32 bytes."""
    return hashlib.sha256(ENTRY_DOMAIN + previous_hash + encoded).digest()


def encode_entry(sequence: int, record: Record) -> bytes:
    """Return the canonical bytes of an entry (RFC 8785): `to_fields` as JSON, its names in order.

    Written out by hand, as a log is as fast as this is: all values but details and identity are of shapes that JSON has
    no escapes for. A test compares it with the RFC's own encoder.

    Args:
        sequence: Place in the log.
        record: What happened.
    """
    chain, place = record.chain, record.chain or record.market
    before = after = gas = index = ""
    if chain is not None:
        before = f',"block_hash":"{chain.block_hash}","block_number":{chain.block_number}'
        gas = f',"gas_used":{chain.gas_used}'
        index = "" if chain.log_index is None else f',"log_index":{chain.log_index}'
        after = f',"transaction_hash":"{chain.transaction_hash}"'
    if place is not None:
        before += f',"chain_id":{place.chain_id},"contract":"{place.contract}"'
    identity = "" if record.identity is None else f',"identity":{_quote(record.identity)}'
    listing = "" if record.listing_id is None else f',"listing_id":"{record.listing_id}"'
    trade = "" if record.trade_id is None else f',"trade_id":"{record.trade_id}"'
    return (
        f'{{"actor":"{record.actor}"{before},"details":{encode_details(record.details)}{gas}{identity}'
        f',"kind":"{record.kind._value_}"{listing}{index},"occurred_at_seconds":{record.occurred_at_seconds}'
        f',"role":"{record.role._value_}","sequence":{sequence}{trade}{after}}}'
    ).encode()


def to_fields(sequence: int, record: Record) -> dict[str, Any]:
    """Return the entry as a flat JSON object, with the names of the database's columns; absent fields are left out."""
    fields: dict[str, Any] = {
        "sequence": sequence,
        "kind": record.kind.value,
        "listing_id": None if record.listing_id is None else str(record.listing_id),
        "trade_id": None if record.trade_id is None else str(record.trade_id),
        "actor": record.actor,
        "role": record.role.value,
        "occurred_at_seconds": record.occurred_at_seconds,
        "details": dict(record.details),
        "identity": record.identity,
    }
    if record.chain is not None:
        fields |= {name: getattr(record.chain, name) for name in CHAIN_FIELDS}
    elif record.market is not None:
        fields |= {name: getattr(record.market, name) for name in MARKET_FIELDS}
    return {name: value for name, value in fields.items() if value is not None}


def from_fields(fields: Mapping[str, Any]) -> tuple[int, Record]:
    """Read back what `to_fields` wrote, from a source that may be hostile: fields that are None count as absent.

    Raises:
        MalformedEntryError: Not the fields of an entry. Whether the hash fits is *not* checked.
    """
    get: Callable[[str], Any] = fields.get
    sequence, place = get("sequence"), tuple(map(get, CHAIN_FIELDS))
    try:
        _check_integer("sequence", sequence, MAXIMUM_INTEGER)
        on_chain = place[len(MARKET_FIELDS) :] != _NOWHERE[len(MARKET_FIELDS) :]
        off_chain = place != _NOWHERE and not on_chain
        record = Record(
            kind=EntryKind(get("kind")),
            actor=get("actor"),
            role=ActorRole(get("role")),
            occurred_at_seconds=get("occurred_at_seconds"),
            listing_id=_parse_id("listing_id", get("listing_id")),
            trade_id=_parse_id("trade_id", get("trade_id")),
            chain=ChainPosition(**dict(zip(CHAIN_FIELDS, place, strict=True))) if on_chain else None,
            market=MarketId(chain_id=get("chain_id"), contract=get("contract")) if off_chain else None,
            details=get("details"),
            identity=get("identity"),
        )
        # What is accepted in other forms than the written one: hex in capitals, and names that nobody reads.
        if any(text != text.lower() for text in map(get, _HEX_FIELDS) if text is not None) or any(
            get(name) is not None for name in fields.keys() - _FIELD_NAMES
        ):
            raise InvalidRecordError("its fields are not in the form in which they are written")
        return sequence, record
    except (InvalidRecordError, TypeError, ValueError) as error:
        number = fields.get("sequence")
        message = f"entry {number!r:.40} can't be read: {error}; the log was damaged or changed"
        raise MalformedEntryError(message, sequence=number if isinstance(number, int) else None) from error


def encode_details(details: Mapping[str, Detail]) -> str:
    """Return details alone as canonical JSON, the form in which the database holds them."""
    told = []
    for name in sorted(details):
        value = details[name]
        if isinstance(value, str):
            told.append(f'"{name}":{_quote(value)}')
        else:
            told.append(f'"{name}":{value if type(value) is int else _LITERALS[value]}')
    return f"{{{','.join(told)}}}"


def parse_object(text: object) -> dict[str, Any]:
    """Parse a JSON object from a source that may be hostile; what is in it is *not* checked.

    Raises:
        MalformedEntryError: Not a JSON object, or longer than any entry.
    """
    if not isinstance(text, str) or len(text) > MAXIMUM_JSON_CHARACTERS:
        raise MalformedEntryError(f"expected JSON of at most {MAXIMUM_JSON_CHARACTERS} characters, got {text!r:.40}")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedEntryError(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise MalformedEntryError(f"expected a JSON object, got {text!r:.40}")
    return parsed


def as_reason(error: object) -> str:
    """Return what an error or a text says as a detail: one line of printable characters, cut to a detail's length."""
    return as_line(error)[:MAXIMUM_DETAIL_CHARACTERS]


def as_line(error: object) -> str:
    """Return what an error or a text says as one line of printable characters, whatever its length."""
    line = " ".join(str(error).split()) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in line)


CHAIN_FIELDS: Final = tuple(ChainPosition.__dataclass_fields__)
MARKET_FIELDS: Final = tuple(MarketId.__dataclass_fields__)
_NOWHERE: Final = (None,) * len(CHAIN_FIELDS)
_HEX_FIELDS: Final = ("actor", "contract", "block_hash", "transaction_hash")
_FIELD_NAMES: Final = {"sequence", *CHAIN_FIELDS, *Record.__dataclass_fields__} - {"chain", "market"}


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)  # the documented way to normalise a field of a frozen dataclass


def _check_integer(name: str, value: object, maximum: int) -> None:
    if type(value) is not int or not 0 <= value <= maximum:
        raise InvalidRecordError(f"{name} must be an integer from 0 to {maximum}, got {value!r:.80}")


def _check_identity(identity: object, chain: ChainPosition | None) -> None:
    if chain is not None:
        raise InvalidRecordError("what happened on the chain has its position for an identity")
    if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
        raise InvalidRecordError(f"an identity has 1 to 128 printable ASCII characters, got {identity!r:.80}")


def _checked_hex(pattern: re.Pattern[str], name: str, value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value.lower()):
        raise InvalidRecordError(f"{name} must match {pattern.pattern}, got {value!r:.80}")
    return value.lower()


def _checked_details(details: object) -> dict[str, Detail]:
    if not isinstance(details, Mapping) or len(details) > MAXIMUM_DETAILS:
        raise InvalidRecordError(f"details must be a mapping of at most {MAXIMUM_DETAILS} values")
    for name, value in details.items():
        if not isinstance(name, str) or not _DETAIL_NAME.fullmatch(name):
            raise InvalidRecordError(f"detail names are snake_case, at most 64 characters, got {name!r:.80}")
        _check_detail(name, value)
    if len(details) > _DETAILS_THAT_FIT and len(encode_details(details).encode()) > MAXIMUM_DETAILS_BYTES:
        raise InvalidRecordError(f"details have at most {MAXIMUM_DETAILS_BYTES} bytes in all")
    return dict(details)


def _check_detail(name: str, value: object) -> None:
    if type(value) is bool:
        return
    if type(value) is int:
        if abs(value) > MAXIMUM_INTEGER:
            raise InvalidRecordError(f"detail {name} is above 2^53 - 1: write it as a decimal string")
        return
    if not isinstance(value, str) or len(value) > MAXIMUM_DETAIL_CHARACTERS or not value.isprintable():
        limit = MAXIMUM_DETAIL_CHARACTERS
        raise InvalidRecordError(f"detail {name} must be a bool, an int or at most {limit} printable characters")


def _parse_id(name: str, text: object) -> int | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise InvalidRecordError(f"{name} must be a decimal string, got {text!r:.80}")
    return int(text)
