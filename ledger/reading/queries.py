"""What a reader asks the audit log: the story of a trade, what an account did, where something happened.

Every query is keyed by an index, so its cost grows with its answer and not with the log.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from ledger.catalogue.trades import find_void_sequences
from ledger.entries import ActorRole, Entry, EntryKind
from ledger.errors import UnknownTradeError
from ledger.log import AuditLog
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES


@dataclass(frozen=True, kw_only=True)
class TradeStory:
    """Everything that the log says about one trade, oldest first.

    Attributes:
        trade_id: The contract's trade id.
        entries: The entries of the trade, in log order, the `Reorganised` ones too.
        void_sequences: Sequence numbers of the entries that a reorganisation of the chain has undone.
    """

    trade_id: int
    entries: tuple[Entry, ...]
    void_sequences: frozenset[int]

    def gas_used_by_role(self) -> Mapping[ActorRole, int]:
        """Return the gas of the trade's transactions by role, each transaction counted once, undone ones left out."""
        gas_used: Counter[ActorRole] = Counter()
        counted: set[str] = set()
        for entry in self.entries:
            chain = entry.record.chain
            if chain is None or entry.record.kind is EntryKind.REORGANISED or entry.sequence in self.void_sequences:
                continue
            if chain.transaction_hash not in counted:
                counted.add(chain.transaction_hash)
                gas_used[entry.record.role] += chain.gas_used
        return gas_used


def read_trade(log: AuditLog, trade_id: int, market: str | None = None) -> TradeStory:
    """Return the story of a trade.

    Args:
        log: The log.
        trade_id: The contract's trade id.
        market: Chain and contract, `1:0x…`; needed if the log has trades of that number in several markets. Steps that
            name no market are told in each.

    Raises:
        UnknownTradeError: The log says nothing about it, or about several and it is not said which.
    """
    with log.reading() as connection:
        entries = select_entries(connection, ENTRIES.c.trade_id == str(trade_id))
    markets = {entry.record.market_name for entry in entries} - {""}
    if market is not None:
        entries = [entry for entry in entries if entry.record.market_name in ("", market.lower())]
    elif len(markets) > 1:
        raise UnknownTradeError(f"{log.name} has a trade {trade_id} in each of {', '.join(sorted(markets))}: say which")
    if not entries:
        raise UnknownTradeError(f"{log.name} says nothing about trade {trade_id}: is it the log of the right market?")
    return TradeStory(trade_id=trade_id, entries=tuple(entries), void_sequences=find_void_sequences(entries))


def read_by_actor(log: AuditLog, actor: str, *, limit: int = 1000) -> list[Entry]:
    """Return the latest entries of an account, newest first; its address in any case."""
    with log.reading() as connection:
        return select_entries(connection, ENTRIES.c.actor == actor.lower(), newest_first=True, limit=limit)


def read_by_kind(log: AuditLog, kind: EntryKind, *, limit: int = 1000) -> list[Entry]:
    """Return the latest entries of a kind, newest first."""
    with log.reading() as connection:
        return select_entries(connection, ENTRIES.c.kind == kind.value, newest_first=True, limit=limit)


def read_blocks(log: AuditLog, first_block: int, last_block: int) -> list[Entry]:
    """Return the entries of the blocks `first_block` to `last_block`, both included, in log order."""
    with log.reading() as connection:
        return select_entries(connection, ENTRIES.c.block_number.between(first_block, last_block))


def count_by_kind(log: AuditLog) -> Mapping[EntryKind, int]:
    """Return how many entries of each kind the log holds; reads the whole index of kinds."""
    with log.reading() as connection:
        rows = connection.execute(select(ENTRIES.c.kind, func.count()).group_by(ENTRIES.c.kind))
        return {EntryKind(kind): count for kind, count in rows}
