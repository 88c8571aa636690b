"""What a node leaves out, adds or changes in its logs, found by what else it and others say.

`eth_getLogs` is a search in an index that nodes build aside of the chain: it lags, has holes, and nothing that a client
knows vouches for it. So what came back is compared with

(1) the receipts of the transactions that it names, which are needed anyway: an event must stand in its receipt as it
    was given, and no event of the market in the receipt may be missing;
(2) near the head, the bloom filter in each block's header: where it has the market's address, the receipts of the whole
    block are read and compared;
(3) a second node, if there is one: it must find the same;
(4) what the market's own rules let follow on each other: numbers of listings and trades run 1, 2, 3, …, and a trade
    comes into each state from the one before.

(1) and (2) find what one part of a node hides from another; (3) a node that lies in all parts, as far as the second one
is another's; (4) what was hidden earlier, as soon as something follows on it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from eth_bloom.bloom import BloomFilter
from eth_utils.hexadecimal import decode_hex
from hexbytes import HexBytes
from sqlalchemy import Connection, select
from web3.exceptions import MethodUnavailable, Web3RPCError

from contracts import read_logs
from ledger.catalogue.trades import TradeRow
from ledger.entries import Entry, EntryKind
from ledger.errors import IncompleteLogsError
from ledger.storage.tables import ENTRIES, LISTINGS, SCANS, TRADES

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract
    from web3.types import LogReceipt

    from ledger.indexing.events import EventReader

TAIL_BLOCKS: Final = 64
"""Ranges up to so many blocks are compared with the headers: a request for each block."""

_BEFORE: Final = {
    "Answered": ("Testing",),
    "Purchased": ("Answered",),
    "Proven": ("Purchased",),
    "Accepted": ("Proven",),
    "Revealed": ("Proven",),
    "Settled": ("Revealed",),
    "Slashed": ("Revealed",),
    "Expired": ("Testing",),
}
"""Through which states a trade came, by the state that it came into."""


def check_logs(contract: "Contract", reader: "EventReader", logs: Sequence["LogReceipt"], blocks: range) -> None:
    """Compare the logs of a range of blocks with receipts and headers: (1) and (2).

    Raises:
        IncompleteLogsError: They differ: read them again.
        Web3Exception, OSError: The node can't be read.
    """
    given = {_identity(log) for log in logs}
    for transaction in {bytes(log["transactionHash"]) for log in logs}:
        _compare(given, _of_market(contract, reader.receipt(transaction)["logs"]), f"0x{transaction.hex()}")
    seen = {log["transactionHash"] for log in logs}
    stood = {_identity(log) for one in seen for log in _of_market(contract, reader.receipt(one)["logs"])}
    if given - stood:
        raise IncompleteLogsError("the node gives events that stand in no receipt of its own")
    if len(blocks) <= TAIL_BLOCKS:
        address = decode_hex(contract.address)
        for number in blocks:
            block = contract.w3.eth.get_block(number)
            if address in BloomFilter(int.from_bytes(block["logsBloom"], "big")):
                _compare(given, _logs_in_block(contract, block), f"block {number}")


def check_with(second: "Web3", contract: "Contract", logs: Sequence["LogReceipt"], blocks: range) -> None:
    """Compare the logs of a range of blocks with what a second node finds there: (3).

    Raises:
        IncompleteLogsError: They differ: read them again.
        Web3Exception, OSError: The second node can't be read.
    """
    query = {"address": contract.address}
    theirs = {_identity(log) for log in read_logs(second, query, blocks.start, blocks.stop - 1)}
    ours = {_identity(log) for log in logs}
    if ours != theirs:
        raise IncompleteLogsError(
            f"two nodes disagree about blocks {blocks.start} to {blocks.stop - 1}: one has {len(ours - theirs)} events"
            f" that the other has not, which has {len(theirs - ours)} more"
        )


def find_gap(connection: Connection, added: Iterable[Entry]) -> int | None:
    """Return a block from which on to read again, where what was added can't follow on what is logged, or None: (4).

    The catalogue must be up to date, and the log must hold the market from its deployment on.
    """
    starts: list[int] = []
    for entry in added:
        record = entry.record
        if record.chain is None or record.kind is EntryKind.REORGANISED:
            continue
        market = record.market_name
        if record.kind is EntryKind.LISTED and record.listing_id is not None:
            before = select(LISTINGS.c.listing_id).where(
                LISTINGS.c.market == market, LISTINGS.c.listing_id == str(record.listing_id - 1)
            )
            if record.listing_id > 1 and connection.execute(before).first() is None:
                starts.append(_block_of(connection, market, ENTRIES.c.listing_id, record.listing_id - 2))
        elif record.trade_id is not None:
            starts += _gaps_of_trade(connection, market, record.trade_id)
    return min(starts, default=None)


def _gaps_of_trade(connection: Connection, market: str, trade_id: int) -> list[int]:
    rows = {
        row.trade_id: TradeRow.from_columns(dict(row._mapping))
        for row in connection.execute(
            select(TRADES).where(TRADES.c.market == market, TRADES.c.trade_id.in_([str(trade_id), str(trade_id - 1)]))
        )
    }
    trade, before = rows.get(str(trade_id)), rows.get(str(trade_id - 1))
    if trade_id > 1 and (before is None or "Testing" not in before.phases):
        return [_block_of(connection, market, ENTRIES.c.trade_id, trade_id - 2)]
    if trade is None or all(one in trade.phases for state in trade.phases for one in _BEFORE.get(state, ())):
        return []
    earliest = trade_id if "Testing" in trade.phases else trade_id - 1
    return [_block_of(connection, market, ENTRIES.c.trade_id, earliest)]


def _block_of(connection: Connection, market: str, column: Any, number: int) -> int:
    """Return the first logged block about a listing or trade; the market's first one if there is none."""
    chain_id, _, contract = market.partition(":")
    in_market = ENTRIES.c.chain_id == int(chain_id), ENTRIES.c.contract == contract
    query = select(ENTRIES.c.block_number).where(column == str(number), *in_market, ENTRIES.c.block_number.is_not(None))
    block = connection.execute(query.order_by(ENTRIES.c.block_number).limit(1)).scalar()
    if block is None:
        place = SCANS.c.chain_id == int(chain_id), SCANS.c.contract == contract
        block = connection.execute(select(SCANS.c.first_block).where(*place)).scalar()
    return int(block or 0)


def _logs_in_block(contract: "Contract", block: Any) -> list["LogReceipt"]:
    """Return the market's events in a block, from its receipts."""
    eth = contract.w3.eth
    try:
        receipts = eth.get_block_receipts(HexBytes(block["hash"]))
    except (MethodUnavailable, Web3RPCError, NotImplementedError):
        receipts = [eth.get_transaction_receipt(HexBytes(transaction)) for transaction in block["transactions"]]
    return [log for receipt in receipts for log in _of_market(contract, receipt["logs"])]


def _of_market(contract: "Contract", logs: Iterable["LogReceipt"]) -> list["LogReceipt"]:
    return [log for log in logs if log["address"] == contract.address]


def _compare(given: set[tuple[Any, ...]], expected: Iterable["LogReceipt"], where: str) -> None:
    missing = {_identity(log) for log in expected} - given
    if missing:
        raise IncompleteLogsError(f"the node leaves {len(missing)} events of {where} out of its logs, or changes them")


def _identity(log: "LogReceipt") -> tuple[Any, ...]:
    topics = tuple(bytes(topic) for topic in log["topics"])
    place = bytes(log["blockHash"]), bytes(log["transactionHash"]), log["logIndex"], log["blockNumber"]
    return *place, topics, bytes(HexBytes(log["data"]))
