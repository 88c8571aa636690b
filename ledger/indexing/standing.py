"""What has happened in one market, as far as no reorganisation has undone it: asked again and again, read once."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from ledger.catalogue.keys import Key, KeyKind
from ledger.catalogue.trades import in_chain_order
from ledger.catalogue.upkeep import read_keys, read_size, up_to_date
from ledger.entries import CONTRACT_EVENTS, Entry, EntryKind, MarketId, PositionKey, Record
from ledger.log import AuditLog
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES, POSTINGS

_UNDONE: Final = Key(KeyKind.EVENT, EntryKind.REORGANISED.value)


class StandingEvents:
    """The events of a market that stand under some keys and have not been undone.

    Each `read` asks for what was logged since the last one. It knows what the log knows: whoever needs what the chain
    has now lets an indexer catch up before.
    """

    def __init__(self, log: AuditLog, market: MarketId, keys: Sequence[Key]):
        """Nothing is read yet.

        Args:
            log: The log.
            market: Whose events.
            keys: All of them must be an event's; at least one.
        """
        self._log = log
        self._market = market
        self._keys = keys
        self._found: dict[PositionKey, Entry] = {}
        self._next = 0

    def read(self) -> list[Record]:
        """Return the records, in the chain's order.

        Raises:
            LedgerUnavailableError: The log can't be read, or not be locked for bringing its catalogue up to date.
        """
        with up_to_date(self._log) as connection:
            events = self._select(connection, self._keys)
            undone = self._select(connection, [_UNDONE]) if self._found or events else []
            self._next = read_size(connection)
        for entry in sorted(events + undone, key=lambda entry: entry.sequence):
            kind, position = entry.record.kind, entry.record.chain
            if position is not None and kind is EntryKind.REORGANISED:
                self._found.pop(position.key, None)
            elif position is not None and kind in CONTRACT_EVENTS:
                self._found[position.key] = entry
        return [entry.record for entry in in_chain_order([*self._found.values()])]

    def _select(self, connection: Connection, keys: Sequence[Key]) -> list[Entry]:
        """Return the market's new entries that stand under all keys; the rarest one's are looked at."""
        numbers = sorted(read_keys(connection, keys).values(), key=lambda number: number[1].leaves)
        if len(numbers) < len(keys):
            return []
        under_all: list[ColumnElement[bool]] = [
            ENTRIES.c.sequence.in_(
                select(POSTINGS.c.sequence).where(POSTINGS.c.key_id == numbers[0][0], POSTINGS.c.sequence >= self._next)
            )
        ]
        for key_id, _ in numbers[1:]:
            one = POSTINGS.alias()
            under_all.append(select(1).where(one.c.key_id == key_id, one.c.sequence == ENTRIES.c.sequence).exists())
        in_market = ENTRIES.c.chain_id == self._market.chain_id, ENTRIES.c.contract == self._market.contract
        return select_entries(connection, *under_all, *in_market)
