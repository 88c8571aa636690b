"""Which entries a reorganisation of the chain has undone, and the records that say so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from web3.exceptions import BlockNotFound

from ledger.catalogue.trades import find_void_sequences
from ledger.entries import Entry, EntryKind, MarketId, Record
from ledger.log import AuditLog
from ledger.reading.queries import read_blocks
from ledger.storage.tables import ENTRIES

if TYPE_CHECKING:
    from web3.contract import Contract


def find_undone(log: AuditLog, contract: "Contract", market: MarketId | None = None) -> tuple[list[Entry], int | None]:
    """Return the entries whose blocks left the chain, newest first, and the newest logged block that is still in it.

    Args:
        log: The log.
        contract: The market, on the chain as it is now.
        market: Whose entries; those of all if None, where the log holds one market.
    """
    undone: list[Entry] = []
    block_number = newest_logged_block(log, market)
    while block_number is not None:
        canonical_hash = canonical_hash_of(contract, block_number)
        at_height = [entry for entry in read_blocks(log, block_number, block_number) if _is_of(entry, market)]
        standing, fallen = _divide(at_height, canonical_hash)
        undone += reversed(fallen)
        if standing:  # and so does every block below it
            return undone, block_number
        block_number = newest_logged_block(log, market, below=block_number)
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


def newest_logged_block(log: AuditLog, market: MarketId | None = None, *, below: int | None = None) -> int | None:
    """Return the newest block that an entry of a market, or of any, is from; None if there is none."""
    query = select(func.max(ENTRIES.c.block_number))
    if market is not None:
        query = query.where(ENTRIES.c.chain_id == market.chain_id, ENTRIES.c.contract == market.contract)
    if below is not None:
        query = query.where(ENTRIES.c.block_number < below)
    with log.reading() as connection:
        number: int | None = connection.execute(query).scalar_one()
    return number


def _is_of(entry: Entry, market: MarketId | None) -> bool:
    return market is None or entry.record.market_name == str(market)


def canonical_hash_of(contract: "Contract", block_number: int) -> str | None:
    """Return the hash of the block of that number, None where the chain is shorter."""
    try:
        return contract.w3.eth.get_block(block_number)["hash"].to_0x_hex()
    except BlockNotFound:
        return None


def undo(entry: Entry, occurred_at_seconds: int) -> Record:
    """Return the record that takes back an entry whose block left the chain."""
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
