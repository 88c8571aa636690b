"""Questions with filters: entries, trades and listings that meet all of them, and what is still owed.

    find_entries(log, Filter(seller="0x…", event=EntryKind.SLASHED))
    find_trades(log, Filter(state="Purchased", least_wei=10**18))
    find_obligations(log, now_seconds)

Every question goes through an index: its cost grows with its answer, and with the logarithm of the log. The filters
that are keys (`ledger.catalogue.keys`) are intersected from the rarest one on. What reorganisations have undone counts
in no trade; among entries it stands with the `Reorganised` that undid it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from ledger.catalogue.keys import Key, KeyKind
from ledger.catalogue.trades import WAITING, ListingRow, TradeRow, pad_wei
from ledger.catalogue.upkeep import read_keys, up_to_date
from ledger.entries import Entry, EntryKind
from ledger.errors import InvalidRecordError
from ledger.log import AuditLog
from ledger.storage.rows import select_entries
from ledger.storage.tables import ENTRIES, KEYS, LISTINGS, POSTINGS, SCANS, TRADES

LIMIT: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What an answer must meet; None and empty mean that anything does.

    Attributes:
        market: Chain and contract, `1:0x…`; needed with `trade` and `listing` if the log holds several markets.
        trade: Number of a trade.
        listing: Number of a listing.
        seller: Account that sells.
        buyer: Account that buys.
        actor: Account that acted.
        event: Kind of entry.
        digest: 32 bytes in hex that an entry names, or its transaction.
        state: State of the trade, by the contract's name.
        since_seconds: Unix time of an entry, or of a trade's opening, at the earliest.
        until_seconds: At the latest.
        first_block: Block of an entry, at the least.
        last_block: At the most.
        least_wei: Price that was paid in the trade, at the least, in ETH: what is paid in tokens meets no price.
        most_wei: At the most.
        least_gas: Gas of an entry's transaction, or of all the trade's, at the least.
        most_gas: At the most.
    """

    market: str | None = None
    trade: int | None = None
    listing: int | None = None
    seller: str | None = None
    buyer: str | None = None
    actor: str | None = None
    event: EntryKind | None = None
    digest: str | None = None
    state: str | None = None
    since_seconds: int | None = None
    until_seconds: int | None = None
    first_block: int | None = None
    last_block: int | None = None
    least_wei: int | None = None
    most_wei: int | None = None
    least_gas: int | None = None
    most_gas: int | None = None


@dataclass(frozen=True, kw_only=True)
class Obligation:
    """What somebody has to do, or else the trade ends.

    Attributes:
        trade: The trade.
        who: Account whose move it is; None where the log does not know.
        role: Seller or buyer.
        what: What it may do.
        deadline_seconds: Until when.
        overdue: Whether that is past.
    """

    trade: TradeRow
    who: str | None
    role: str
    what: str
    deadline_seconds: int | None
    overdue: bool


_MOVES: Final = {
    "Testing": ("Seller", "answer the test"),
    "Answered": ("Buyer", "purchase"),
    "Purchased": ("Seller", "prove"),
    "Proven": ("Buyer", "accept the delivery"),
    "Accepted": ("Seller", "reveal the key"),
    "Revealed": ("Buyer", "confirm or dispute"),
}


def keys_in(wanted: Filter, market: str | None) -> list[Key]:
    """Return the keys that a filter names.

    Args:
        wanted: The filter.
        market: The log's only market; see `only_market`.

    Raises:
        InvalidRecordError: It names a trade or listing, and not in which of several markets.
    """
    if (wanted.trade, wanted.listing) != (None, None) and wanted.market is None and market is None:
        raise InvalidRecordError("the log holds several markets: say in which the trade or listing is, as 1:0x…")
    place = wanted.market or market
    named = (
        (KeyKind.TRADE, None if wanted.trade is None else f"{place}/{wanted.trade}"),
        (KeyKind.LISTING, None if wanted.listing is None else f"{place}/{wanted.listing}"),
        (KeyKind.SELLER, wanted.seller),
        (KeyKind.BUYER, wanted.buyer),
        (KeyKind.ACTOR, wanted.actor),
        (KeyKind.EVENT, None if wanted.event is None else wanted.event.value),
        (KeyKind.DIGEST, wanted.digest),
    )
    exact = (KeyKind.EVENT,)
    return [Key(kind, value if kind in exact else value.lower()) for kind, value in named if value is not None]


def read_final_blocks(connection: Connection) -> dict[str, int]:
    """Return the last block of each market that the chain called final when it was read."""
    query = select(SCANS.c.chain_id, SCANS.c.contract, SCANS.c.final_block).where(SCANS.c.final_block.is_not(None))
    return {f"{chain_id}:{contract}": block for chain_id, contract, block in connection.execute(query)}


def only_market(connection: Connection) -> str | None:
    """Return the market of the log's listings and trades, empty if there are none, None if it holds several."""
    found: set[str] = set()
    for table in (LISTINGS, TRADES):
        lowest, highest = func.min(table.c.market), func.max(table.c.market)  # both stand at an end of the table's key
        for query in (select(lowest), select(highest)):
            market = connection.execute(query).scalar()
            found |= set() if market is None else {market}
    return None if len(found) > 1 else next(iter(found), "")


def find_entries(
    log: AuditLog, wanted: Filter, *, limit: int | None = LIMIT, newest_first: bool = False
) -> list[Entry]:
    """Return the entries that meet all of a filter, in log order unless `newest_first`."""
    with up_to_date(log) as connection:
        keys = keys_in(wanted, only_market(connection))
        numbers = read_keys(connection, keys)
        if len(numbers) < len(keys):
            return []
        ordered = sorted(numbers.values(), key=lambda number: number[1].leaves)
        criteria = _entry_criteria(wanted)
        if wanted.state or wanted.least_wei is not None or wanted.most_wei is not None:
            criteria.append(ENTRIES.c.sequence.in_(_entries_of_trades(wanted)))
        if not ordered:
            return _walk(connection, criteria, newest_first, limit)
        return _intersect(connection, [key_id for key_id, _ in ordered], criteria, newest_first, limit)


def _walk(
    connection: Connection, criteria: Sequence[ColumnElement[bool]], newest_first: bool, limit: int | None
) -> list[Entry]:
    """Read along the index of what is asked; along the log where everything is."""
    place = ENTRIES.c.sequence + 0 if criteria else ENTRIES.c.sequence  # the sum lets SQLite not walk along the log
    query = select(ENTRIES.c.sequence).where(*criteria).order_by(place.desc() if newest_first else place).limit(limit)
    return _read_places(connection, list(connection.execute(query).scalars()), newest_first)


def _intersect(
    connection: Connection,
    key_ids: Sequence[int],
    criteria: Sequence[ColumnElement[bool]],
    newest_first: bool,
    limit: int | None,
) -> list[Entry]:
    """Walk along the rarest key, and keep what stands under all of them."""
    others = [POSTINGS.alias() for _ in key_ids[1:]]
    under_all = [
        select(1).where(other.c.key_id == key_id, other.c.sequence == POSTINGS.c.sequence).exists()
        for other, key_id in zip(others, key_ids[1:], strict=True)
    ]
    order = POSTINGS.c.sequence.desc() if newest_first else POSTINGS.c.sequence
    query = select(POSTINGS.c.sequence).where(POSTINGS.c.key_id == key_ids[0], *under_all)
    if criteria:
        query = query.join(ENTRIES, ENTRIES.c.sequence == POSTINGS.c.sequence).where(*criteria)
    return _read_places(
        connection, list(connection.execute(query.order_by(order).limit(limit)).scalars()), newest_first
    )


def _read_places(connection: Connection, sequences: Sequence[int], newest_first: bool) -> list[Entry]:
    entries: list[Entry] = []
    for start in range(0, len(sequences), 500):
        part = sequences[start : start + 500]
        entries += select_entries(connection, ENTRIES.c.sequence.in_(part), newest_first=newest_first)
    return entries


def _entry_criteria(wanted: Filter) -> list[ColumnElement[bool]]:
    bounds = (
        (ENTRIES.c.occurred_at_seconds, wanted.since_seconds, wanted.until_seconds),
        (ENTRIES.c.block_number, wanted.first_block, wanted.last_block),
        (ENTRIES.c.gas_used, wanted.least_gas, wanted.most_gas),
    )
    return _within(bounds)


def _in_ether(token: Column[Any], wanted: Filter) -> list[ColumnElement[bool]]:
    """Return that a row is in ETH, where a price is asked for: amounts of tokens are no less and no more than it."""
    return [token.is_(None)] if (wanted.least_wei, wanted.most_wei) != (None, None) else []


def _within(bounds: Iterable[tuple[Any, Any, Any]]) -> list[ColumnElement[bool]]:
    criteria: list[ColumnElement[bool]] = []
    for column, least, most in bounds:
        if least is not None:
            criteria.append(column >= least)
        if most is not None:
            criteria.append(column <= most)
    return criteria


def _entries_of_trades(wanted: Filter) -> Any:
    """Return a query for the entries of the trades that a filter's state and amounts are about."""
    of_trade = and_(KEYS.c.kind == KeyKind.TRADE.value, KEYS.c["value"] == TRADES.c.market + "/" + TRADES.c.trade_id)
    trades = Filter(state=wanted.state, least_wei=wanted.least_wei, most_wei=wanted.most_wei)
    return (
        select(POSTINGS.c.sequence)
        .join(KEYS, KEYS.c.key_id == POSTINGS.c.key_id)
        .join(TRADES, of_trade)
        .where(*_trade_criteria(trades))
    )


def _trade_criteria(wanted: Filter) -> list[ColumnElement[bool]]:
    equal = (
        (TRADES.c.market, wanted.market),
        (TRADES.c.trade_id, None if wanted.trade is None else str(wanted.trade)),
        (TRADES.c.listing_id, None if wanted.listing is None else str(wanted.listing)),
        (TRADES.c.seller, wanted.seller and wanted.seller.lower()),
        (TRADES.c.buyer, wanted.buyer and wanted.buyer.lower()),
        (TRADES.c.state, wanted.state),
    )
    bounds = (
        (TRADES.c.opened_at_seconds, wanted.since_seconds, wanted.until_seconds),
        (TRADES.c.price_wei, pad_wei(wanted.least_wei), pad_wei(wanted.most_wei)),
        (TRADES.c.gas_used, wanted.least_gas, wanted.most_gas),
    )
    criteria = [column == value for column, value in equal if value is not None] + _within(bounds)
    return criteria + _in_ether(TRADES.c.token, wanted)


def find_trades(log: AuditLog, wanted: Filter, *, limit: int | None = LIMIT) -> list[TradeRow]:
    """Return the trades that meet a filter, oldest first.

    Of a filter, `actor`, `event`, `digest` and blocks are met by trades of which some entry meets them.
    """
    of_entries = Filter(
        actor=wanted.actor,
        event=wanted.event,
        digest=wanted.digest,
        first_block=wanted.first_block,
        last_block=wanted.last_block,
    )
    criteria = _trade_criteria(wanted)
    if of_entries != Filter():
        about = {
            (entry.record.market_name, str(entry.record.trade_id))
            for entry in find_entries(log, of_entries, limit=None)
            if entry.record.trade_id is not None
        }
        if not about:
            return []
        criteria.append(or_(*(and_(TRADES.c.market == one, TRADES.c.trade_id == two) for one, two in sorted(about))))
    with up_to_date(log) as connection:
        query = select(TRADES).where(*criteria).order_by(TRADES.c.opened_at_seconds, TRADES.c.market, TRADES.c.trade_id)
        return [TradeRow.from_columns(dict(row._mapping)) for row in connection.execute(query.limit(limit))]


def find_listings(log: AuditLog, wanted: Filter, *, limit: int | None = LIMIT) -> list[ListingRow]:
    """Return the listings that meet a filter's market, listing, seller, digest (of the manifest), amount and time."""
    equal = (
        (LISTINGS.c.market, wanted.market),
        (LISTINGS.c.listing_id, None if wanted.listing is None else str(wanted.listing)),
        (LISTINGS.c.seller, wanted.seller and wanted.seller.lower()),
        (LISTINGS.c.manifest_hash, wanted.digest and wanted.digest.lower()),
    )
    bounds = (
        (LISTINGS.c.listed_at_seconds, wanted.since_seconds, wanted.until_seconds),
        (LISTINGS.c.price_wei, pad_wei(wanted.least_wei), pad_wei(wanted.most_wei)),
    )
    criteria = [column == value for column, value in equal if value is not None] + _within(bounds)
    criteria += _in_ether(LISTINGS.c.token, wanted)
    with up_to_date(log) as connection:
        query = select(LISTINGS).where(*criteria).order_by(LISTINGS.c.listed_at_seconds, LISTINGS.c.listing_id)
        return [ListingRow.from_columns(dict(row._mapping)) for row in connection.execute(query.limit(limit))]


def find_obligations(log: AuditLog, now_seconds: int, wanted: Filter | None = None) -> list[Obligation]:
    """Return what is owed in the open trades that meet a filter, the nearest deadline first."""
    wanted = Filter() if wanted is None else wanted
    criteria = [*_trade_criteria(wanted), TRADES.c.state.in_(WAITING)]
    with up_to_date(log) as connection:
        query = select(TRADES).where(*criteria)
        trades = [TradeRow.from_columns(dict(row._mapping)) for row in connection.execute(query)]
    obligations = []
    for trade in trades:
        role, what = _MOVES[trade.state]
        deadline = trade.deadline_seconds
        obligations.append(
            Obligation(
                trade=trade,
                who=trade.seller if role == "Seller" else trade.buyer,
                role=role,
                what=what,
                deadline_seconds=deadline,
                overdue=deadline is not None and deadline < now_seconds,
            )
        )
    return sorted(obligations, key=lambda one: (one.deadline_seconds is None, one.deadline_seconds or 0))
