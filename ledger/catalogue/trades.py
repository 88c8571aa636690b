"""What a trade or a listing has come to, from its entries. Pure: the same entries give the same row."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.details import Detail
from ledger.entries import ActorRole, Entry, EntryKind, PositionKey, Record
from ledger.storage.tables import WEI_DIGITS

STATES: Final = {
    "SessionOpened": "Testing",
    "Answered": "Answered",
    "Purchased": "Purchased",
    "Proven": "Proven",
    "Accepted": "Accepted",
    "Revealed": "Revealed",
    "Settled": "Settled",
    "Refunded": "Settled",
    "Expired": "Expired",
    "Slashed": "Slashed",
}
"""The state that each event of the contract brings a trade into, by the names of both."""
WAITING: Final = ("Testing", "Answered", "Purchased", "Proven", "Accepted", "Revealed")
ETH: Final = "0x" + "00" * 20
"""What stands for ETH where a token could."""
FINAL: Final = ("Settled", "Expired", "Slashed")


@dataclass(frozen=True, kw_only=True)
class TradeRow:
    """What a trade has come to.

    Attributes:
        market: Chain and contract, `1:0x…`.
        trade_id: Its number there.
        listing_id: What is traded.
        seller: Who sells.
        buyer: Who buys.
        state: Where it stands, by the contract's name; `Unknown` if the log has only steps off the chain.
        ended_from: The state that it ended from, None while it is open.
        price_wei: What was paid for the model, in wei or the token's smallest unit; None before that.
        refunded_wei: What the buyer got back of it by agreement, None if nothing.
        token: The token that is paid in, None for ETH.
        samples: Test samples.
        gas_used: Gas of all its transactions, each counted once.
        gas_of_seller: The seller's share of it.
        gas_of_buyer: The buyer's.
        opened_at_seconds: Time of its first entry.
        changed_at_seconds: Time of its last change of state.
        deadline_seconds: When it changes hands otherwise; None once it has ended.
        phases: When it came into each state.
    """

    market: str
    trade_id: int
    listing_id: int | None
    seller: str | None
    buyer: str | None
    state: str
    ended_from: str | None
    price_wei: int | None
    refunded_wei: int | None
    token: str | None
    samples: int | None
    gas_used: int
    gas_of_seller: int
    gas_of_buyer: int
    opened_at_seconds: int
    changed_at_seconds: int
    deadline_seconds: int | None
    phases: dict[str, int]

    def to_columns(self) -> dict[str, Any]:
        """Return the row as `ledger.storage.tables.TRADES` holds it."""
        return vars(self) | {
            "trade_id": str(self.trade_id),
            "listing_id": None if self.listing_id is None else str(self.listing_id),
            "price_wei": pad_wei(self.price_wei),
            "refunded_wei": pad_wei(self.refunded_wei),
            "phases": json.dumps(self.phases, sort_keys=True),
        }

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> "TradeRow":
        """Read back `to_columns`."""
        return cls(
            **columns
            | {
                "trade_id": int(columns["trade_id"]),
                "listing_id": None if columns["listing_id"] is None else int(columns["listing_id"]),
                "price_wei": None if columns["price_wei"] is None else int(columns["price_wei"]),
                "refunded_wei": None if columns["refunded_wei"] is None else int(columns["refunded_wei"]),
                "phases": json.loads(columns["phases"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class ListingRow:
    """What a listing has come to.

    Attributes:
        market: Chain and contract, `1:0x…`.
        listing_id: Its number there.
        seller: Who sells.
        open: Whether new sessions can be opened.
        manifest_hash: Digest of its manifest.
        price_wei: Its price, in wei or the token's smallest unit.
        token: The token that it asks for, None for ETH.
        listed_at_seconds: Since when.
    """

    market: str
    listing_id: int
    seller: str
    open: bool
    manifest_hash: str | None
    price_wei: int | None
    token: str | None
    listed_at_seconds: int

    def to_columns(self) -> dict[str, Any]:
        """Return the row as `ledger.storage.tables.LISTINGS` holds it."""
        changed = {"listing_id": str(self.listing_id), "open": int(self.open), "price_wei": pad_wei(self.price_wei)}
        return vars(self) | changed

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> "ListingRow":
        """Read back `to_columns`."""
        price = columns["price_wei"]
        return cls(
            **columns
            | {
                "listing_id": int(columns["listing_id"]),
                "open": bool(columns["open"]),
                "price_wei": None if price is None else int(price),
            }
        )


def token_of(record: Record) -> str | None:
    """Return the token that a `Listed` asks for, None for ETH."""
    token = str(record.details.get("terms_token", ETH)).lower()
    return None if token == ETH else token


def pad_wei(amount_wei: int | None) -> str | None:
    """Return an amount as text that sorts as the number does."""
    return None if amount_wei is None else f"{amount_wei:0{WEI_DIGITS}d}"


def fold_trade(
    market: str, trade_id: int, entries: Sequence[Entry], seller: str | None, token: str | None = None
) -> TradeRow:
    """Return what a trade has come to, from all its entries in log order; `seller` and `token` are its listing's."""
    live = standing_entries(entries)
    fields: dict[str, Any] = {"state": "Unknown", "ended_from": None, "deadline_seconds": None}
    fields |= {"buyer": None, "price_wei": None, "refunded_wei": None, "token": token, "samples": None}
    opened = live[0] if live else entries[0]
    fields["listing_id"] = next((one.record.listing_id for one in live if one.record.listing_id is not None), None)
    fields |= dict.fromkeys(("opened_at_seconds", "changed_at_seconds"), opened.record.occurred_at_seconds)
    phases: dict[str, int] = {}
    for entry in in_chain_order(live):
        record, details = entry.record, entry.record.details
        state = STATES.get(record.kind.value)
        if state is None:
            continue
        phases[state] = record.occurred_at_seconds
        fields["changed_at_seconds"] = record.occurred_at_seconds
        deadline = details.get("deadline")
        fields["deadline_seconds"] = deadline if state in WAITING and type(deadline) is int else None
        if state in FINAL and fields["state"] not in FINAL:
            fields["ended_from"] = fields["state"]
        fields["state"] = state
        if record.kind is EntryKind.SESSION_OPENED:
            fields["buyer"] = str(details.get("buyer", record.actor)).lower()
            fields["samples"] = _number(details.get("samples"))
        if record.kind is EntryKind.PURCHASED:
            fields["price_wei"] = _number(details.get("price"))
        if record.kind.value == "Refunded":
            fields["refunded_wei"] = _number(details.get("amount"))
    fields |= _gas(live)
    return TradeRow(market=market, trade_id=trade_id, seller=seller, phases=phases, **fields)


def fold_listing(market: str, listing_id: int, entries: Sequence[Entry]) -> ListingRow | None:
    """Return what a listing has come to, from its `Listed` and `Delisted`; None if it never stood."""
    row: ListingRow | None = None
    for entry in standing_entries(entries):
        record, details = entry.record, entry.record.details
        if record.kind is EntryKind.LISTED:
            manifest = details.get("manifest_hash")
            row = ListingRow(
                market=market,
                listing_id=listing_id,
                seller=str(details.get("seller", record.actor)).lower(),
                open=True,
                manifest_hash=None if manifest is None else str(manifest),
                price_wei=_number(details.get("terms_price")),
                token=token_of(record),
                listed_at_seconds=record.occurred_at_seconds,
            )
        elif record.kind is EntryKind.DELISTED and row is not None:
            row = ListingRow(**vars(row) | {"open": False})
    return row


def find_void_sequences(entries: Iterable[Entry]) -> frozenset[int]:
    """Return the sequence numbers of those `entries` (in log order) that a later `Reorganised` has undone."""
    live: dict[PositionKey, int] = {}
    void: set[int] = set()
    for entry in entries:
        if entry.record.chain is None:
            continue
        if entry.record.kind is not EntryKind.REORGANISED:
            live[entry.record.chain.key] = entry.sequence
        elif entry.record.chain.key in live:
            void.add(live.pop(entry.record.chain.key))
    return frozenset(void)


def standing_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return those `entries` (in log order) that no reorganisation has undone; contract events in chain order."""
    void = find_void_sequences(entries)
    return [entry for entry in entries if entry.sequence not in void and entry.record.kind is not EntryKind.REORGANISED]


def in_chain_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that have a place on the chain, in its order: one may have been found and logged late."""
    placed = [(entry.record.chain, entry) for entry in entries if entry.record.chain is not None]
    placed.sort(key=lambda one: (one[0].block_number, -1 if one[0].log_index is None else one[0].log_index))
    return [entry for _, entry in placed]


def _number(detail: Detail | None) -> int | None:
    """Return a detail as the number that the contract gave, None where a log has something else there."""
    if type(detail) is int:
        return detail if detail >= 0 else None
    if not isinstance(detail, str) or not (detail.isascii() and detail.isdecimal() and len(detail) <= WEI_DIGITS):
        return None
    return int(detail)


def _gas(entries: Sequence[Entry]) -> dict[str, int]:
    gas = {"gas_used": 0, "gas_of_seller": 0, "gas_of_buyer": 0}
    shares = {ActorRole.SELLER: "gas_of_seller", ActorRole.BUYER: "gas_of_buyer"}
    counted: set[str] = set()
    for entry in entries:
        chain = entry.record.chain
        if chain is not None and chain.transaction_hash not in counted:
            counted.add(chain.transaction_hash)
            gas["gas_used"] += chain.gas_used
            if entry.record.role in shares:
                gas[shares[entry.record.role]] += chain.gas_used
    return gas
