"""The market contract's events as records: who sent the transaction, in which role, in which block, for how much gas.

Arguments become details: structs are spread (`terms_price`), and integers that can be wide, such as amounts in wei, are
decimal strings.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex
from hexbytes import HexBytes
from sqlalchemy import ColumnElement
from web3.exceptions import LogTopicError, Web3Exception

from contracts import read_logs
from ledger.entries import HASH_BYTES, ActorRole, ChainPosition, Detail, EntryKind, Record
from ledger.errors import IndexingError
from ledger.log import AuditLog
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import BlockData, LogReceipt, TxReceipt

WIDEST_PLAIN_INTEGER_BITS: Final = 48  # wider ABI integers are logged as decimal strings, whatever their value

_ROLES: Final = {
    EntryKind.LISTED: ActorRole.SELLER,
    EntryKind.DELISTED: ActorRole.SELLER,
    EntryKind.SESSION_OPENED: ActorRole.BUYER,
    EntryKind.ANSWERED: ActorRole.SELLER,
    EntryKind.PURCHASED: ActorRole.BUYER,
    EntryKind.PROVEN: ActorRole.SELLER,
    EntryKind.ACCEPTED: ActorRole.BUYER,
    EntryKind.REVEALED: ActorRole.SELLER,
    EntryKind.CONFIRMED: ActorRole.BUYER,
    EntryKind.REFUNDED: ActorRole.BUYER,
}
"""Events that only one party can cause; for the others it depends on who sent the transaction."""


@dataclass(frozen=True)
class Happened:
    """What an event of the market says, as an entry has it.

    Attributes:
        kind: What happened.
        details: The event's arguments but for the ids.
        listing_id: Of the listing, if the event names one.
        trade_id: Of the trade, if the event names one.
    """

    kind: EntryKind
    details: dict[str, Detail]
    listing_id: int | None
    trade_id: int | None


def decode_event(contract: "Contract", event_log: "LogReceipt") -> Happened:
    """Read an event of the market; no node is asked.

    Raises:
        IndexingError: This version doesn't know it, or its arguments can't be read.
    """
    events: Any = contract.events  # iterable, though its annotation says otherwise
    topics = event_log["topics"]
    event = next((one for one in events if topics and one.topic == topics[0].to_0x_hex()), None)
    if event is None:
        raise IndexingError("the contract emitted an event that this version doesn't know: update modelseal")
    try:
        arguments = dict(event().process_log(event_log)["args"])
    except (DecodingError, LogTopicError) as error:
        raise IndexingError(f"the arguments of a {event.name} event can't be read: {error}") from error
    listing_id, trade_id = arguments.pop("listingId", None), arguments.pop("tradeId", None)
    items = [item for item in event.abi["inputs"] if item["name"] in arguments]
    return Happened(EntryKind(event.name), dict(_spread(items, arguments)), listing_id, trade_id)


def read_arguments(contract: "Contract", record: Record) -> dict[str, Any]:
    """Return the arguments of the event that a record was made of, as web3 decodes them: what `decode_event` undoes.

    Raises:
        IndexingError: This version doesn't know the event, or the record lacks an argument.
    """
    ids = {"listingId": record.listing_id, "tradeId": record.trade_id}
    try:
        items = contract.events[record.kind.value]().abi["inputs"]
        own = {item["name"]: ids[item["name"]] for item in items if item["name"] in ids}
        return own | dict(_gather([item for item in items if item["name"] not in ids], record.details))
    except (KeyError, ValueError, Web3Exception) as error:
        raise IndexingError(f"a record of {record.kind} lacks an argument of the event: {error}") from error


class EventReader:
    """The events in chain order as records; each block and receipt is fetched once."""

    def __init__(self, log: AuditLog, contract: "Contract"):
        self._contract = contract
        self._chain_id = contract.w3.eth.chain_id
        self._parties = _Parties(log, self._chain_id, contract.address.lower())
        self._blocks: dict[bytes, BlockData] = {}
        self._receipts: dict[bytes, TxReceipt] = {}

    def read(self, first_block: int, last_block: int) -> Iterator[Record]:
        """Return the records of all events from `first_block` to `last_block`, both included, in chain order.

        Raises:
            IndexingError: The contract emitted what this version doesn't know.
            Web3Exception, OSError: The node can't be read.
        """
        yield from self.to_records(
            read_logs(self._contract.w3, {"address": self._contract.address}, first_block, last_block)
        )

    def to_records(self, event_logs: Iterable["LogReceipt"]) -> Iterator[Record]:
        """Return the records of events that were read, in chain order; raises as `read` does."""
        for event_log in event_logs:
            yield self._to_record(event_log)

    def receipt(self, transaction_hash: bytes) -> "TxReceipt":
        """Return the receipt of a transaction; raises as `read` does."""
        if transaction_hash not in self._receipts:
            self._receipts[transaction_hash] = self._contract.w3.eth.get_transaction_receipt(HexBytes(transaction_hash))
        return self._receipts[transaction_hash]

    def _to_record(self, event_log: "LogReceipt") -> Record:
        happened = decode_event(self._contract, event_log)
        kind, listing_id, trade_id = happened.kind, happened.listing_id, happened.trade_id
        receipt = self.receipt(event_log["transactionHash"])
        sender = receipt["from"].lower()
        if listing_id is None and trade_id is not None:
            listing_id = self._parties.listing_of(trade_id)
        record = Record(
            kind=kind,
            actor=sender,
            role=_ROLES.get(kind) or self._parties.role_of(sender, listing_id, trade_id),
            occurred_at_seconds=self._block(event_log["blockHash"])["timestamp"],
            listing_id=listing_id,
            trade_id=trade_id,
            chain=self._position(event_log, receipt["gasUsed"]),
            details=happened.details,
        )
        self._parties.note(record)
        return record

    def _position(self, event_log: "LogReceipt", gas_used: int) -> ChainPosition:
        return ChainPosition(
            chain_id=self._chain_id,
            contract=event_log["address"],
            block_number=event_log["blockNumber"],
            block_hash=event_log["blockHash"].to_0x_hex(),
            transaction_hash=event_log["transactionHash"].to_0x_hex(),
            log_index=event_log["logIndex"],
            gas_used=gas_used,
        )

    def _block(self, block_hash: bytes) -> "BlockData":
        if block_hash not in self._blocks:
            self._blocks[block_hash] = self._contract.w3.eth.get_block(HexBytes(block_hash))
        return self._blocks[block_hash]


class _Parties:
    """Who sells a listing and who buys in a trade, from what is logged or was read in this run."""

    def __init__(self, log: AuditLog, chain_id: int, contract: str):
        self._log = log
        self._in_market = ENTRIES.c.chain_id == chain_id, ENTRIES.c.contract == contract
        self._listed: dict[int, Record | None] = {}
        self._opened: dict[int, Record | None] = {}
        self._last: dict[str, Record | None] = {}

    def note(self, record: Record) -> None:
        """Remember what was read, for the events after it."""
        self._last[record.actor] = record
        if record.kind is EntryKind.LISTED and record.listing_id is not None:
            self._listed[record.listing_id] = record
        if record.kind is EntryKind.SESSION_OPENED and record.trade_id is not None:
            self._opened[record.trade_id] = record

    def listing_of(self, trade_id: int) -> int | None:
        """Return the listing that a trade is about, None if the log begins after the trade did."""
        opened = self._session(trade_id)
        return None if opened is None else opened.listing_id

    def role_of(self, sender: str, listing_id: int | None, trade_id: int | None) -> ActorRole:
        """Return the role of `sender` in a trade; outside of trades, the one in which it acted last."""
        if trade_id is None:
            if sender not in self._last:
                self._last[sender] = self._newest(ENTRIES.c.actor == sender)
            last = self._last[sender]
            return ActorRole.ANYONE if last is None else last.role
        if listing_id is not None and listing_id not in self._listed:
            by_listing = ENTRIES.c.listing_id == str(listing_id)
            self._listed[listing_id] = self._newest(by_listing, ENTRIES.c.kind == EntryKind.LISTED.value)
        for beginning in (self._session(trade_id), self._listed.get(listing_id or 0)):
            if beginning is not None and beginning.actor == sender:
                return beginning.role
        return ActorRole.ANYONE

    def _session(self, trade_id: int) -> Record | None:
        if trade_id not in self._opened:
            by_trade = ENTRIES.c.trade_id == str(trade_id)
            self._opened[trade_id] = self._newest(by_trade, ENTRIES.c.kind == EntryKind.SESSION_OPENED.value)
        return self._opened[trade_id]

    def _newest(self, *criteria: ColumnElement[bool]) -> Record | None:
        with self._log.reading() as connection:
            entries = select_entries(connection, *criteria, *self._in_market, newest_first=True, limit=1)
        return entries[0].record if entries else None


def _spread(items: Iterable[Any], values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Detail]]:
    """Return arguments, or the fields of a struct, as details."""
    for item in items:
        name, value = prefix + _snake_case(item["name"]), values[item["name"]]
        if item["type"] == "tuple":
            yield from _spread(item["components"], value, f"{name}_")
        else:
            yield name, _to_detail(item["type"], value)


def _gather(items: Iterable[Any], details: Mapping[str, Detail], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Undo `_spread`."""
    for item in items:
        name = prefix + _snake_case(item["name"])
        if item["type"] == "tuple":
            yield item["name"], dict(_gather(item["components"], details, f"{name}_"))
        else:
            yield item["name"], _from_detail(item["type"], details[name])


def _from_detail(abi_type: str, detail: Detail) -> Any:
    if abi_type.startswith("bytes"):
        return decode_hex(str(detail))
    if abi_type == "address":
        return to_checksum_address(str(detail))
    return int(detail) if abi_type.startswith(("uint", "int")) else detail


def _to_detail(abi_type: str, value: Any) -> Detail:
    if abi_type.startswith("bytes"):
        return f"0x{value.hex()}" if len(value) <= HASH_BYTES else f"0x{keccak(value).hex()}"
    if abi_type.startswith(("uint", "int")):
        wide = int(abi_type.removeprefix("u").removeprefix("int")) > WIDEST_PLAIN_INTEGER_BITS
        return str(value) if wide else int(value)
    return bool(value) if abi_type == "bool" else str(value).lower()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
