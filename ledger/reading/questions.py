"""Questions with filters: entries, trades and listings that meet all of them, sums per seller, and what is still owed.

    find_entries(log, Filter(seller="0x…", event=EntryKind.SLASHED))
    find_trades(log, Filter(state="Purchased", least_wei=10**18))
    summarize_sellers(log)
    find_obligations(log, now_seconds)

Every question goes through an index: its cost grows with its answer, and with the logarithm of the log. The filters
that are keys (`ledger.catalogue.keys`) are intersected from the rarest one on. What reorganisations have undone counts
in no trade and no sum; among entries it stands with the `Reorganised` that undid it.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from ledger.catalogue.keys import Key, KeyKind
from ledger.catalogue.trades import WAITING, ListingRow, TradeRow, pad_wei
from ledger.catalogue.upkeep import read_keys, up_to_date
from ledger.entries import Entry, EntryKind, Record
from ledger.errors import InvalidRecordError
from ledger.log import AuditLog
from ledger.reading.accuracies import Accuracy, fold_accuracies
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
class SellerSummary:
    """How an account's sales have gone.

    Attributes:
        seller: The account.
        listings: How many it has listed.
        trades: How many were opened.
        answered: Tests that it answered.
        settled: Paid for.
        refunded: Of these, with a part of the price given back by agreement.
        slashed: Disputes that it lost.
        not_answered: Ended with a test that was never answered.
        not_bought: Ended with an answered test.
        not_proven: Ended with the price paid and no proof: the price went back.
        proof_refused: Ended with a proof that the buyer did not accept.
        key_withheld: Ended with the ciphertext accepted and no key.
        open: Under way.
        earned_wei: Prices of settled trades in ETH, less what was given back; trades in tokens are not added up.
        seconds_to_answer: Median from the test's opening to its answer, None without one.
        seconds_to_prove: Median from the purchase to the proof.
        seconds_to_reveal: Median from the acceptance to the key.
        gas_of_seller: What it spent on its trades.
        gas_of_buyers: What its buyers spent.
        accuracies: What it claims for its models on public data, and who says to have verified it.
    """

    seller: str
    listings: int
    trades: int
    answered: int
    settled: int
    refunded: int
    slashed: int
    not_answered: int
    not_bought: int
    not_proven: int
    proof_refused: int
    key_withheld: int
    open: int
    earned_wei: int
    seconds_to_answer: float | None
    seconds_to_prove: float | None
    seconds_to_reveal: float | None
    gas_of_seller: int
    gas_of_buyers: int
    accuracies: tuple[Accuracy, ...] = ()


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
_ENDINGS: Final = {
    "Testing": "not_answered",
    "Answered": "not_bought",
    "Purchased": "not_proven",
    "Proven": "proof_refused",
    "Accepted": "key_withheld",
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


def summarize_sellers(log: AuditLog, wanted: Filter | None = None) -> list[SellerSummary]:
    """Return how each account's sales that meet a filter have gone, those with the most trades first."""
    wanted = Filter() if wanted is None else wanted
    trades: dict[str, list[TradeRow]] = {}
    for trade in find_trades(log, wanted, limit=None):
        if trade.seller is not None:
            trades.setdefault(trade.seller, []).append(trade)
    listed = find_listings(log, Filter(seller=wanted.seller), limit=None)
    listings = Counter(listing.seller for listing in listed)
    said = _read_accuracies(log, listed)
    sellers = trades.keys() | listings.keys()
    summaries = [
        summarize_trades(seller, listings[seller], trades.get(seller, []), fold_accuracies(seller, said[seller]))
        for seller in sellers
    ]
    return sorted(summaries, key=lambda one: (-one.trades, one.seller))


def _read_accuracies(log: AuditLog, listings: Sequence[ListingRow]) -> dict[str, list[Record]]:
    """Return what the log says about accuracies of listed models, by their sellers."""
    with up_to_date(log) as connection:
        market = only_market(connection)
    sellers: dict[tuple[str | None, int | None], str] = {
        (listing.market, listing.listing_id): listing.seller for listing in listings
    }
    found: dict[str, list[Record]] = defaultdict(list)
    for event in (EntryKind.ACCURACY_CLAIMED, EntryKind.ACCURACY_VERIFIED):
        for entry in find_entries(log, Filter(event=event), limit=None):
            seller = sellers.get((entry.record.market_name or market, entry.record.listing_id))
            if seller is not None:
                found[seller].append(entry.record)
    return found


def summarize_trades(
    seller: str, listings: int, trades: Sequence[TradeRow], accuracies: tuple[Accuracy, ...] = ()
) -> SellerSummary:
    """Return how an account's trades have gone."""
    endings = Counter(_ENDINGS.get(trade.ended_from or "", "") for trade in trades if trade.state == "Expired")
    return SellerSummary(
        seller=seller,
        listings=listings,
        trades=len(trades),
        answered=sum("Answered" in trade.phases for trade in trades),
        settled=sum(trade.state == "Settled" for trade in trades),
        refunded=sum(trade.refunded_wei is not None for trade in trades),
        slashed=sum(trade.state == "Slashed" for trade in trades),
        open=sum(trade.state in WAITING for trade in trades),
        earned_wei=sum(
            (trade.price_wei or 0) - (trade.refunded_wei or 0)
            for trade in trades
            if trade.state == "Settled" and trade.token is None
        ),
        seconds_to_answer=_median(trades, "Testing", "Answered"),
        seconds_to_prove=_median(trades, "Purchased", "Proven"),
        seconds_to_reveal=_median(trades, "Accepted", "Revealed"),
        gas_of_seller=sum(trade.gas_of_seller for trade in trades),
        gas_of_buyers=sum(trade.gas_of_buyer for trade in trades),
        accuracies=accuracies,
        **{name: endings[name] for name in _ENDINGS.values()},
    )


def _median(trades: Sequence[TradeRow], start: str, end: str) -> float | None:
    both = [trade.phases for trade in trades if start in trade.phases and end in trade.phases]
    return statistics.median(phases[end] - phases[start] for phases in both) if both else None


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
