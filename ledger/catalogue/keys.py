"""Under which keys an entry stands. Pure, and part of the log's format: an auditor derives the same keys.

An entry names a trade, a listing and an actor itself. Who sells and who buys in a trade was said earlier, by `Listed`
and `SessionOpened`: `Parties` remembers it, entry by entry, and so do later entries of the trade stand under its seller
and its buyer. The newest of two `Listed` of one number counts from then on, also where a reorganisation of the chain
has undone it. A step off the chain that names no market belongs to the last one that was named before it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ledger.entries import EntryKind, Record

_DIGEST: Final = re.compile(r"0x[0-9a-f]{64}")


class KeyKind(StrEnum):
    """What a key is about."""

    TRADE = "trade"
    """All entries of a trade; the value is the market, `/` and the trade's number."""
    LISTING = "listing"
    """All entries of a listing and its trades; the value is the market, `/` and the listing's number."""
    SELLER = "seller"
    """All entries of an account's listings and of their trades."""
    BUYER = "buyer"
    """All entries of the trades that an account opened."""
    SELLER_TRADES = "seller_trades"
    """The `SessionOpened` of each trade of an account's listings: one entry for each trade."""
    BUYER_TRADES = "buyer_trades"
    """The `SessionOpened` of each trade that an account opened."""
    ACTOR = "actor"
    """What an account did itself."""
    EVENT = "event"
    """All entries of a kind."""
    DIGEST = "digest"
    """Entries that name a digest or were part of a transaction; not in the authenticated index."""


AUTHENTICATED: Final = frozenset(KeyKind) - {KeyKind.DIGEST}
"""Kinds of keys whose answers can be proven complete. There are as many digests as entries; one is found or is not."""


class Key(NamedTuple):
    """A key that entries stand under.

    Attributes:
        kind: What it is about.
        value: Which one: hex in lower case, numbers in decimal.
    """

    kind: KeyKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.value}"


@dataclass
class Parties:
    """Who sells a listing and who buys in a trade, as the entries so far say.

    Attributes:
        find: Returns what the newest entry before all that were noted says: given kind, market and number.
        market: The last market that was named; empty before any was.
    """

    find: Callable[[EntryKind, str, int], Record | None] = lambda *_: None
    market: str = ""
    _listed: dict[tuple[str, int], Record | None] = field(default_factory=dict)
    _opened: dict[tuple[str, int], tuple[int | None, str] | None] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        """Take in the next entry of the log."""
        market = self.market = record.market_name or self.market
        if record.kind is EntryKind.LISTED and record.listing_id is not None:
            self._listed[market, record.listing_id] = record
        if record.kind is EntryKind.SESSION_OPENED and record.trade_id is not None:
            self._opened[market, record.trade_id] = record.listing_id, _party(record, "buyer")

    def seller(self, market: str, listing_id: int) -> str | None:
        """Return the seller of a listing."""
        listed = self.listed(market, listing_id)
        return None if listed is None else _party(listed, "seller")

    def listed(self, market: str, listing_id: int) -> Record | None:
        """Return the newest `Listed` of a number."""
        if (market, listing_id) not in self._listed:
            self._listed[market, listing_id] = self.find(EntryKind.LISTED, market, listing_id)
        return self._listed[market, listing_id]

    def opening(self, market: str, trade_id: int) -> tuple[int | None, str | None]:
        """Return listing and buyer of a trade, each None where it is not known."""
        if (market, trade_id) not in self._opened:
            found = self.find(EntryKind.SESSION_OPENED, market, trade_id)
            self._opened[market, trade_id] = None if found is None else (found.listing_id, _party(found, "buyer"))
        return self._opened[market, trade_id] or (None, None)


def keys_of(record: Record, parties: Parties) -> list[Key]:
    """Return the keys of the next entry of the log, each once; `parties` must have noted it and all before it."""
    market, listing_id, buyer = parties.market, record.listing_id, None
    keys = [Key(KeyKind.EVENT, record.kind.value), Key(KeyKind.ACTOR, record.actor)]
    if record.trade_id is not None:
        keys.append(Key(KeyKind.TRADE, f"{market}/{record.trade_id}"))
        opened_for, buyer = parties.opening(market, record.trade_id)
        listing_id = opened_for if listing_id is None else listing_id
    if listing_id is not None:
        keys.append(Key(KeyKind.LISTING, f"{market}/{listing_id}"))
    seller = None if listing_id is None else parties.seller(market, listing_id)
    for party, kind, kind_of_trades in (
        (seller, KeyKind.SELLER, KeyKind.SELLER_TRADES),
        (buyer, KeyKind.BUYER, KeyKind.BUYER_TRADES),
    ):
        if party is not None:
            keys.append(Key(kind, party))
            if record.kind is EntryKind.SESSION_OPENED:
                keys.append(Key(kind_of_trades, party))
    return keys + [Key(KeyKind.DIGEST, digest) for digest in _digests(record)]


def _digests(record: Record) -> list[str]:
    """Return the 32-byte values that an entry names, and its transaction."""
    named = [value for value in record.details.values() if isinstance(value, str) and _DIGEST.fullmatch(value)]
    if record.chain is not None:
        named.append(record.chain.transaction_hash)
    return sorted(set(named))


def _party(record: Record, name: str) -> str:
    """Return the account that the event names; the sender where it names none."""
    return str(record.details.get(name, record.actor)).lower()
