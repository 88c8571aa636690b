"""Made-up entries for the ledger's benchmarks: whole trades as a party logs them, of many sellers and buyers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import ActorRole, ChainPosition, EntryKind, MarketId, Record
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKET = MarketId(chain_id=1, contract="0x" + "11" * 20)
START_SECONDS, SECONDS_PER_TRADE = 1_700_000_000, 60
WEI = 10**15
SELLERS, BUYERS, LISTINGS = 200, 1000, 500
SELLER, BUYER = ActorRole.SELLER, ActorRole.BUYER
PATH = (
    (EntryKind.SESSION_OPENED, BUYER),
    (EntryKind.REQUEST_SENT, BUYER),
    (EntryKind.REQUEST_RECEIVED, SELLER),
    (EntryKind.ANSWERED, SELLER),
    (EntryKind.RESPONSE_RECEIVED, BUYER),
    (EntryKind.PURCHASED, BUYER),
    (EntryKind.PROVEN, SELLER),
    (EntryKind.ACCEPTED, BUYER),
    (EntryKind.REVEALED, SELLER),
    (EntryKind.SETTLED, BUYER),
)
"""The entries of a trade; some trades end after a part of them."""
ENTRIES_PER_TRADE = len(PATH)
_ON_CHAIN = frozenset(kind for kind, _ in PATH) - {
    EntryKind.REQUEST_SENT, EntryKind.REQUEST_RECEIVED, EntryKind.RESPONSE_RECEIVED,
}  # fmt: skip


def seller_of(trade: int) -> str:
    """Return who sells in a trade."""
    return f"0x{1 + trade % LISTINGS % SELLERS:040x}"


def buyer_of(trade: int) -> str:
    """Return who buys in a trade."""
    return f"0x{10**6 + trade * 7 % BUYERS:040x}"


def listed() -> Iterator[Record]:
    """Yield what all listings began with."""
    for number in range(LISTINGS):
        details = {"seller": seller_of(number), "manifest_hash": _digest(number, 99), "terms_price": str(number * WEI)}
        yield Record(
            kind=EntryKind.LISTED, actor=seller_of(number), role=SELLER, occurred_at_seconds=START_SECONDS,
            listing_id=number, chain=_position(number, 99), details=details,
        )  # fmt: skip


def trade(number: int) -> Iterator[Record]:
    """Yield the entries of a trade."""
    for place, (kind, role) in enumerate(PATH):
        seconds = START_SECONDS + SECONDS_PER_TRADE * number + place
        details: dict[str, str | int] = {"digest": _digest(number, place)}
        if kind is EntryKind.SESSION_OPENED:
            details |= {"buyer": buyer_of(number), "samples": 50}
        if kind is EntryKind.PURCHASED:
            details["price"] = str(number * WEI)
        on_chain = kind in _ON_CHAIN
        yield Record(
            kind=kind, actor=seller_of(number) if role is SELLER else buyer_of(number), role=role,
            occurred_at_seconds=seconds, listing_id=number % LISTINGS, trade_id=number,
            chain=_position(number, place) if on_chain else None, market=None if on_chain else MARKET,
            details=details, identity=None if on_chain else f"{number:x}/{place}",
        )  # fmt: skip


def _position(number: int, place: int) -> ChainPosition:
    return ChainPosition(
        chain_id=MARKET.chain_id, contract=MARKET.contract, block_number=1000 + number,
        block_hash=_digest(number, 100), transaction_hash=_digest(number, 100 + place), log_index=place,
        gas_used=100_000,
    )  # fmt: skip


def _digest(number: int, place: int) -> str:
    return f"0x{keccak256(number.to_bytes(8, 'big') + bytes([place])).hex()}"
