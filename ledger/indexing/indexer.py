"""Reads the market contract's events into the log, each once, whatever crashes or is reorganised in between.

Each run (1) notes the newest block, (2) appends a `Reorganised` for every logged event whose block is no longer part of
the chain, newest first, (3) reads the events from the last one that still stands up to the newest block, (4) checks
that the newest block is still there, else it starts again, (5) appends everything in one transaction. There is no state
but the log itself: after a crash the next run finds out what is missing.

This is a party's own indexing, of the one market that it trades in; `ledger.indexing.markets` follows any number of
them, and does not take a node's word for what it left out. How an event becomes a record is in
`ledger.indexing.events`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from web3.exceptions import BlockNotFound, TransactionNotFound, Web3Exception

from ledger.entries import Entry, Record, as_reason
from ledger.errors import ChainMovedError, IndexingError, WrongMarketError
from ledger.indexing.events import EventReader
from ledger.indexing.reorganisations import find_undone, newest_logged_block, undo
from ledger.log import AuditLog
from ledger.reading.queries import read_blocks

if TYPE_CHECKING:
    from web3.contract import Contract

ATTEMPTS: Final = 5


def index_events(log: AuditLog, contract: "Contract", *, first_block: int = 0) -> Sequence[Entry]:
    """Append every event of `contract` that the log does not hold yet, and return what it appended.

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
        raise IndexingError(
            f"the chain can't be read ({as_reason(error)}): check that the node runs and try again"
        ) from error
    raise ChainMovedError(f"the chain was reorganised during each of {ATTEMPTS} attempts: wait, and try again")


def _check_market(log: AuditLog, chain_id: int, address: str) -> None:
    newest = newest_logged_block(log)
    for entry in [] if newest is None else read_blocks(log, newest, newest):
        chain = entry.record.chain
        if chain is not None and (chain.chain_id, chain.contract) != (chain_id, address.lower()):
            raise WrongMarketError(
                f"{log.name} holds market {chain.contract} on chain {chain.chain_id}, not {address.lower()} on chain"
                f" {chain_id}: use another file for it"
            )


def _read_records(log: AuditLog, contract: "Contract", first_block: int) -> list[Record] | None:
    """Return what is to be appended, or None if the chain moved meanwhile."""
    eth = contract.w3.eth
    try:
        newest = eth.get_block("latest")  # (1)
        undone, last_standing_block = find_undone(log, contract)  # (2)
        records = [undo(entry, newest["timestamp"]) for entry in undone]
        start = first_block if last_standing_block is None else last_standing_block
        records += EventReader(log, contract).read(start, newest["number"])  # (3)
        return records if eth.get_block(newest["number"])["hash"] == newest["hash"] else None  # (4)
    except (BlockNotFound, TransactionNotFound):
        return None
