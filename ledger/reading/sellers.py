"""How accounts' sales have gone: sums over their trades, and what is said of their models' accuracies.

    summarize_sellers(log)
    summarize_sellers(log, Filter(seller="0x…", since_seconds=…))

What reorganisations have undone counts in no sum. `ledger.reading.records` derives the same from a proven answer.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.catalogue.trades import WAITING, ListingRow, TradeRow
from ledger.catalogue.upkeep import up_to_date
from ledger.entries import EntryKind, Record
from ledger.log import AuditLog
from ledger.reading.accuracies import Accuracy, fold_accuracies
from ledger.reading.questions import Filter, find_entries, find_listings, find_trades, only_market

_ENDINGS: Final = {
    "Testing": "not_answered",
    "Answered": "not_bought",
    "Purchased": "not_proven",
    "Proven": "proof_refused",
    "Accepted": "key_withheld",
}


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
