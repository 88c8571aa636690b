"""What a reader asks the audit log: the story of a trade, what an account did, where something happened.

Every query is keyed by an index, so its cost grows with its answer and not with the log.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, select

from ledger.catalogue.trades import find_void_sequences, standing_entries, token_of
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
        token: What it is paid in, None for ETH.
    """

    trade_id: int
    entries: tuple[Entry, ...]
    void_sequences: frozenset[int]
    token: str | None = None

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
    void = find_void_sequences(entries)
    token = _token_of(log, [entry for entry in entries if entry.sequence not in void])
    return TradeStory(trade_id=trade_id, entries=tuple(entries), void_sequences=void, token=token)


def _token_of(log: AuditLog, entries: Sequence[Entry]) -> str | None:
    """Return the token of the listing that a trade's entries name, None for ETH and for a log without the listing."""
    named = [one.record for one in entries if one.record.listing_id is not None and one.record.market_name]
    if not named:
        return None
    listing = and_(ENTRIES.c.listing_id == str(named[0].listing_id), ENTRIES.c.kind == EntryKind.LISTED.value)
    with log.reading() as connection:
        listed = standing_entries(select_entries(connection, listing))
    found = [one.record for one in listed if one.record.market_name == named[0].market_name]
    return token_of(found[-1]) if found else None


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
