"""Reads the market contract's events into the log, each once, whatever crashes or is reorganised in between.

Each run (1) notes the newest block, (2) appends a `Reorganised` for every logged event whose block is no longer part of
the chain, newest first, (3) reads the events from the last one that still stands up to the newest block, (4) checks
that the newest block is still there, else it starts again, (5) appends everything in one transaction. There is no state
but the log itself: after a crash the next run finds out what is missing.

The actor of an event is the account that sent the transaction. Events are trusted as far as the node is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from sqlalchemy import func, select
from web3.exceptions import BlockNotFound, TransactionNotFound, Web3Exception

from ledger.entries import ChainPosition, Detail, Entry, EntryKind, Record, Role
from ledger.errors import ChainMovedError, IndexingError, WrongMarketError
from ledger.log import AuditLog
from ledger.queries import find_void_sequences, read_blocks
from ledger.store import ENTRIES, select_entries

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import BlockData, EventData, LogReceipt, TxReceipt

ATTEMPTS: Final = 5
BLOCKS_PER_REQUEST: Final = 2000  # public nodes refuse larger ranges
WIDEST_PLAIN_INTEGER_BITS: Final = 48  # wider ABI integers are logged as decimal strings, whatever their value

_ROLES: Final = {
    EntryKind.LISTED: Role.SELLER,
    EntryKind.DELISTED: Role.SELLER,
    EntryKind.SESSION_OPENED: Role.BUYER,
    EntryKind.ANSWERED: Role.SELLER,
    EntryKind.PURCHASED: Role.BUYER,
    EntryKind.PROVEN: Role.SELLER,
    EntryKind.ACCEPTED: Role.BUYER,
    EntryKind.REVEALED: Role.SELLER,
    EntryKind.CONFIRMED: Role.BUYER,
}
"""Events that only one party can cause; for the others it depends on who sent the transaction."""


def index_events(log: AuditLog, contract: "Contract", *, first_block: int = 0) -> Sequence[Entry]:
    """Appends every event of `contract` that the log does not hold yet, and returns what it appended.

    Args:
        log: The log; it may hold the events of one market only.
        contract: The market, as `contracts.bind_market` returns it.
        first_block: Where to start in a log without events: the market's deployment block.

    Raises:
        WrongMarketError: The log holds the events of another market.
        ChainMovedError: The chain was reorganised during each of several attempts.
        IndexingError: The node can't be read, or the contract emits what this version doesn't know.
    """
    try:
        _check_market(log, contract.w3.eth.chain_id, contract.address)
        for _ in range(ATTEMPTS):
            records = _read_records(log, contract, first_block)
            if records is not None:
                return log.append_all(records)
    except (Web3Exception, OSError) as error:
        raise IndexingError(f"the chain can't be read: {error}; check that the node runs and try again") from error
    raise ChainMovedError(f"the chain was reorganised during each of {ATTEMPTS} attempts: wait, and try again")


def _check_market(log: AuditLog, chain_id: int, address: str) -> None:
    with log.reading() as connection:
        newest = select_entries(connection, ENTRIES.c.block_number.is_not(None), newest_first=True, limit=1)
    for entry in newest:
        chain = entry.record.chain
        if chain is not None and (chain.chain_id, chain.contract) != (chain_id, address.lower()):
            raise WrongMarketError(
                f"{log.path} holds market {chain.contract} on chain {chain.chain_id}, not {address.lower()} on chain"
                f" {chain_id}: use another file for it"
            )


def _read_records(log: AuditLog, contract: "Contract", first_block: int) -> list[Record] | None:
    """What is to be appended, or None if the chain moved meanwhile."""
    eth = contract.w3.eth
    try:
        newest = eth.get_block("latest")  # (1)
        undone, last_standing_block = _find_undone(log, contract)  # (2)
        records = [_undo(entry, newest["timestamp"]) for entry in undone]
        start = first_block if last_standing_block is None else last_standing_block
        records += _EventReader(contract).read(start, newest["number"])  # (3)
        return records if eth.get_block(newest["number"])["hash"] == newest["hash"] else None  # (4)
    except (BlockNotFound, TransactionNotFound):
        return None


def _find_undone(log: AuditLog, contract: "Contract") -> tuple[list[Entry], int | None]:
    """The logged entries whose blocks left the chain, newest first, and the newest logged block that is still in it."""
    undone: list[Entry] = []
    block_number = _newest_logged_block(log, None)
    while block_number is not None:
        entries = read_blocks(log, block_number, block_number)
        void = find_void_sequences(entries)
        canonical_hash = _canonical_hash(contract, block_number)
        standing = False
        for entry in reversed(entries):
            if entry.record.kind is EntryKind.REORGANISED or entry.sequence in void or entry.record.chain is None:
                continue
            if entry.record.chain.block_hash == canonical_hash:
                standing = True
            else:
                undone.append(entry)
        if standing:
            return undone, block_number
        block_number = _newest_logged_block(log, block_number)
    return undone, None


def _newest_logged_block(log: AuditLog, below: int | None) -> int | None:
    query = select(func.max(ENTRIES.c.block_number))
    with log.reading() as connection:
        number: int | None = connection.execute(
            query if below is None else query.where(ENTRIES.c.block_number < below)
        ).scalar_one()
    return number


def _canonical_hash(contract: "Contract", block_number: int) -> str | None:
    try:
        return contract.w3.eth.get_block(block_number)["hash"].to_0x_hex()
    except BlockNotFound:
        return None


def _undo(entry: Entry, occurred_at_seconds: int) -> Record:
    record = entry.record
    return Record(
        kind=EntryKind.REORGANISED,
        actor=record.actor,
        role=record.role,
        occurred_at_seconds=occurred_at_seconds,
        listing_id=record.listing_id,
        trade_id=record.trade_id,
        chain=record.chain,
        details={"undone_kind": record.kind.value, "undone_sequence": entry.sequence},
    )


class _EventReader:
    """Turns the contract's events into records; fetches each block and receipt once."""

    def __init__(self, contract: "Contract"):
        self._contract = contract
        self._chain_id = contract.w3.eth.chain_id
        events: Any = contract.events  # iterable, though its annotation says otherwise
        self._events = {event.topic: event for event in events}
        self._blocks: dict[bytes, BlockData] = {}
        self._receipts: dict[bytes, TxReceipt] = {}

    def read(self, first_block: int, last_block: int) -> Iterator[Record]:
        """The records of all events from `first_block` to `last_block`, both included, in chain order."""
        for start in range(first_block, last_block + 1, BLOCKS_PER_REQUEST):
            stop = min(start + BLOCKS_PER_REQUEST - 1, last_block)
            query: Any = {"address": self._contract.address, "fromBlock": start, "toBlock": stop}
            logs = self._contract.w3.eth.get_logs(query)
            for event_log in sorted(logs, key=lambda found: (found["blockNumber"], found["logIndex"])):
                yield self._to_record(event_log)

    def _to_record(self, event_log: "LogReceipt") -> Record:
        event = self._events.get(event_log["topics"][0].to_0x_hex())
        if event is None:
            raise IndexingError("the contract emitted an event that this version doesn't know: update modelseal")
        decoded: EventData = event().process_log(event_log)
        arguments = dict(decoded["args"])
        receipt = self._receipt(event_log["transactionHash"])
        kind = EntryKind(decoded["event"])
        listing_id, trade_id = arguments.pop("listingId", None), arguments.pop("tradeId", None)
        return Record(
            kind=kind,
            actor=receipt["from"],
            role=_ROLES.get(kind, Role.ANYONE),
            occurred_at_seconds=self._block(event_log["blockHash"])["timestamp"],
            listing_id=listing_id,
            trade_id=trade_id,
            chain=ChainPosition(
                chain_id=self._chain_id,
                contract=event_log["address"],
                block_number=event_log["blockNumber"],
                block_hash=event_log["blockHash"].to_0x_hex(),
                transaction_hash=event_log["transactionHash"].to_0x_hex(),
                log_index=event_log["logIndex"],
                gas_used=receipt["gasUsed"],
            ),
            details=_to_details(event.abi, arguments),
        )

    def _block(self, block_hash: bytes) -> "BlockData":
        if block_hash not in self._blocks:
            self._blocks[block_hash] = self._contract.w3.eth.get_block(HexBytes(block_hash))
        return self._blocks[block_hash]

    def _receipt(self, transaction_hash: bytes) -> "TxReceipt":
        if transaction_hash not in self._receipts:
            self._receipts[transaction_hash] = self._contract.w3.eth.get_transaction_receipt(HexBytes(transaction_hash))
        return self._receipts[transaction_hash]


def _to_details(abi: Any, arguments: dict[str, Any]) -> dict[str, Detail]:
    """An event's arguments as details: names in snake case, amounts as decimal strings, structs and lists by digest."""
    types = {item["name"]: item for item in abi["inputs"]}
    return {_snake_case(name): _to_detail(types[name], value) for name, value in arguments.items()}


def _to_detail(item: Any, value: Any) -> Detail:
    if item["type"].startswith("tuple") or item["type"].endswith("]"):
        return "0x" + keccak(encode([collapse_if_tuple(item)], [_to_tuples(value)])).hex()
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        bits = int("".join(filter(str.isdigit, item["type"])) or 256)
        return value if bits <= WIDEST_PLAIN_INTEGER_BITS else str(value)
    return value if isinstance(value, (bool, str)) else str(value)


def _to_tuples(value: Any) -> Any:
    """Structs, which web3 decodes as mappings in the order of their fields, as the tuples that it encodes."""
    return tuple(map(_to_tuples, value.values())) if isinstance(value, Mapping) else value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
