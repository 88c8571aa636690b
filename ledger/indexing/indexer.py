"""Reads the market contract's events into the log, each once, whatever crashes or is reorganised in between.

Each run (1) notes the newest block, (2) appends a `Reorganised` for every logged event whose block is no longer part of
the chain, newest first, (3) reads the events from the last one that still stands up to the newest block, (4) checks
that the newest block is still there, else it starts again, (5) appends everything in one transaction. There is no state
but the log itself: after a crash the next run finds out what is missing.

How an event becomes a record is in `ledger.indexing.events`. Events are trusted as far as the node is.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select
from web3.exceptions import BlockNotFound, TransactionNotFound, Web3Exception

from ledger.catalogue.trades import find_void_sequences
from ledger.entries import Entry, EntryKind, Record, as_reason
from ledger.errors import ChainMovedError, IndexingError, WrongMarketError
from ledger.indexing.events import EventReader
from ledger.log import AuditLog
from ledger.reading.queries import read_blocks
from ledger.storage.tables import ENTRIES

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
    newest = _newest_logged_block(log)
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
        undone, last_standing_block = _find_undone(log, contract)  # (2)
        records = [_undo(entry, newest["timestamp"]) for entry in undone]
        start = first_block if last_standing_block is None else last_standing_block
        records += EventReader(log, contract).read(start, newest["number"])  # (3)
        return records if eth.get_block(newest["number"])["hash"] == newest["hash"] else None  # (4)
    except (BlockNotFound, TransactionNotFound):
        return None


def _find_undone(log: AuditLog, contract: "Contract") -> tuple[list[Entry], int | None]:
    """Return the entries whose blocks left the chain, newest first, and the newest logged block that is still in it."""
    undone: list[Entry] = []
    block_number = _newest_logged_block(log)
    while block_number is not None:
        canonical_hash = _canonical_hash(contract, block_number)
        standing, fallen = _divide(read_blocks(log, block_number, block_number), canonical_hash)
        undone += reversed(fallen)
        if standing:  # and so does every block below it
            return undone, block_number
        block_number = _newest_logged_block(log, below=block_number)
    return undone, None


def _divide(entries: Sequence[Entry], canonical_hash: str | None) -> tuple[list[Entry], list[Entry]]:
    """Divide the entries at one height, the void ones left out, into those in the canonical block and the others."""
    void = find_void_sequences(entries)
    standing: list[Entry] = []
    fallen: list[Entry] = []
    for entry in entries:
        chain = entry.record.chain
        if chain is not None and entry.record.kind is not EntryKind.REORGANISED and entry.sequence not in void:
            (standing if chain.block_hash == canonical_hash else fallen).append(entry)
    return standing, fallen


def _newest_logged_block(log: AuditLog, *, below: int | None = None) -> int | None:
    query = select(func.max(ENTRIES.c.block_number))
    if below is not None:
        query = query.where(ENTRIES.c.block_number < below)
    with log.reading() as connection:
        number: int | None = connection.execute(query).scalar_one()
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
