"""The market's events as records: who sent the transaction, in which role, in which block, for how much gas."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from hexbytes import HexBytes
from sqlalchemy import ColumnElement

from ledger.entries import ActorRole, ChainPosition, EntryKind, Record
from ledger.indexing.batches import Batches
from ledger.indexing.decoding import EventDecoder
from ledger.log import AuditLog
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import BlockData, LogReceipt, TxReceipt

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


class EventReader:
    """The events in chain order as records; each block and receipt is fetched once."""

    def __init__(self, log: AuditLog, contract: "Contract", batches: Batches):
        """Nothing is read yet.

        Args:
            log: It knows who acts in which role.
            contract: The market.
            batches: What is known of how the node takes many questions at once.
        """
        self._contract = contract
        self._decoder = EventDecoder(contract)
        self._batches = batches
        self._chain_id = contract.w3.eth.chain_id
        self._parties = _Parties(log, self._chain_id, contract.address.lower())
        self._blocks: dict[bytes, BlockData] = {}
        self._receipts: dict[bytes, TxReceipt] = {}

    def to_records(self, event_logs: Iterable["LogReceipt"]) -> Iterator[Record]:
        """Return the records of events, in their order.

        Raises:
            IndexingError: The contract emitted what this version doesn't know.
            Web3Exception, OSError: The node can't be read.
        """
        for event_log in event_logs:
            yield self._to_record(event_log)

    def prefetch(self, event_logs: Iterable["LogReceipt"]) -> None:
        """Ask for the receipts and blocks of events, many at once.

        An answer is taken for what it says that it is of; what is missing then is asked for when it is needed.

        Raises:
            Web3Exception, OSError: The node can't be read.
        """
        eth, logs = self._contract.w3.eth, list(event_logs)
        transactions = {bytes(log["transactionHash"]) for log in logs} - self._receipts.keys()
        for receipt in self._batches.ask(eth.get_transaction_receipt, transactions):
            self._receipts[bytes(receipt["transactionHash"])] = receipt
        blocks = {bytes(log["blockHash"]) for log in logs} - self._blocks.keys()
        for block in self._batches.ask(eth.get_block, blocks):
            self._blocks[bytes(block["hash"])] = block

    def receipt(self, transaction_hash: bytes) -> "TxReceipt":
        """Return the receipt of a transaction; raises as `prefetch` does."""
        if transaction_hash not in self._receipts:
            self._receipts[transaction_hash] = self._contract.w3.eth.get_transaction_receipt(HexBytes(transaction_hash))
        return self._receipts[transaction_hash]

    def _to_record(self, event_log: "LogReceipt") -> Record:
        happened = self._decoder.decode(event_log)
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
