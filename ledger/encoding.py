"""How entries are written, hashed and read back. Pure: no IO, no clock.

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
from typing import Any, Final

from ledger.details import MAXIMUM_INTEGER, encode_details, quote
from ledger.entries import ActorRole, ChainPosition, EntryKind, MarketId, Record, check_integer
from ledger.errors import InvalidRecordError, MalformedEntryError

HASH_BYTES: Final = 32
GENESIS_HASH: Final = hashlib.sha256(b"modelseal/ledger/genesis/v1").digest()
ENTRY_DOMAIN: Final = b"modelseal/ledger/entry/v1\x00"
MAXIMUM_JSON_CHARACTERS: Final = 64 * 1024  # above what any entry takes, escapes and multi-byte characters included
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,77}")

CHAIN_FIELDS: Final = tuple(ChainPosition.__dataclass_fields__)
MARKET_FIELDS: Final = tuple(MarketId.__dataclass_fields__)
_NOWHERE: Final = (None,) * len(CHAIN_FIELDS)
_HEX_FIELDS: Final = ("actor", "contract", "block_hash", "transaction_hash")
_FIELD_NAMES: Final = {"sequence", *CHAIN_FIELDS, *Record.__dataclass_fields__} - {"chain", "market"}


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
    identity = "" if record.identity is None else f',"identity":{quote(record.identity)}'
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
        check_integer("sequence", sequence, MAXIMUM_INTEGER)
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


def _parse_id(name: str, text: object) -> int | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise InvalidRecordError(f"{name} must be a decimal string, got {text!r:.80}")
    return int(text)
