"""The market contract's events to and from what entries say of them; no node is asked.

Arguments become details: structs are spread (`terms_price`), and integers that can be wide, such as amounts in wei, are
decimal strings.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex
from web3.exceptions import Web3Exception

from ledger.details import Detail
from ledger.encoding import HASH_BYTES
from ledger.entries import EntryKind, Record
from ledger.errors import IndexingError

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import LogReceipt

WIDEST_PLAIN_INTEGER_BITS: Final = 48  # wider ABI integers are logged as decimal strings, whatever their value


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


class EventDecoder:
    """Reads the events of one contract, by its ABI: Solidity's contract ABI specification, "Events"."""

    def __init__(self, contract: "Contract") -> None:
        events: Any = contract.events  # iterable, though its annotation says otherwise
        self._events = {decode_hex(event.topic): _Event(event.name, event.abi["inputs"]) for event in events}

    def decode(self, event_log: "LogReceipt") -> Happened:
        """Read an event.

        Raises:
            IndexingError: This version doesn't know it, or its arguments can't be read.
        """
        topics = event_log["topics"]
        event = self._events.get(bytes(topics[0])) if topics else None
        if event is None:
            raise IndexingError("the contract emitted an event that this version doesn't know: update modelseal")
        try:
            arguments = event.arguments([bytes(topic) for topic in topics[1:]], bytes(event_log["data"]))
        except (DecodingError, OverflowError, ValueError) as error:
            raise IndexingError(f"the arguments of a {event.name} event can't be read: {error}") from error
        listing_id, trade_id = arguments.pop("listingId", None), arguments.pop("tradeId", None)
        items = [item for item in event.items if item["name"] in arguments]
        return Happened(EntryKind(event.name), dict(_spread(items, arguments.values())), listing_id, trade_id)


class _Event:
    """One event of an ABI."""

    def __init__(self, name: str, items: Sequence[Any]) -> None:
        self.name = name
        self.items = items
        self._in_topics = [item for item in items if item["indexed"]]
        self._in_data = [item for item in items if not item["indexed"]]
        self._data_types = [collapse_if_tuple(item) for item in self._in_data]

    def arguments(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Return all arguments in the order of the ABI; structs are tuples, addresses not checksummed."""
        if len(topics) != len(self._in_topics):
            raise ValueError(f"it has {len(topics)} topics for {len(self._in_topics)} arguments")
        found = dict(zip((item["name"] for item in self._in_data), decode(self._data_types, data), strict=True))
        for item, topic in zip(self._in_topics, topics, strict=True):
            (found[item["name"]],) = decode([item["type"]], topic)
        return {item["name"]: found[item["name"]] for item in self.items}


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


def _spread(items: Iterable[Any], values: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, Detail]]:
    """Return arguments, or the fields of a struct, as details."""
    for item, value in zip(items, values, strict=True):
        name = prefix + _snake_case(item["name"])
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
