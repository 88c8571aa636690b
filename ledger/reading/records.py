"""A seller's record from an answer that is complete: derived by whoever checks it, not told by the log's keeper.

answer = prove_record(log, seller)                          # the keeper's side, or anybody's with the log
record = derive_record(verify_answer(answer, checkpoint))   # the buyer's side needs no log

Trades and how they ended are the chain's events; what is said of accuracies is not (`ledger.reading.accuracies`).
"""

from collections.abc import Mapping

from ledger.catalogue.keys import Key, KeyKind, Parties
from ledger.catalogue.trades import fold_listing
from ledger.catalogue.upkeep import fold_trade_of
from ledger.checkpoint import Checkpoint
from ledger.encoding import GENESIS_HASH
from ledger.entries import Entry, Record
from ledger.errors import ProofError
from ledger.log import AuditLog
from ledger.reading.accuracies import fold_accuracies
from ledger.reading.answers import Answer, VerifiedAnswer, prove_answer
from ledger.reading.sellers import SellerSummary, summarize_trades


def prove_record(log: AuditLog, seller: str, checkpoint: Checkpoint | None = None) -> Answer:
    """Return all entries of an account's listings and of their trades, with proofs; see `prove_answer`."""
    return prove_answer(log, Key(KeyKind.SELLER, seller.lower()), checkpoint=checkpoint)[0]


def derive_record(answer: VerifiedAnswer) -> SellerSummary:
    """Return how an account's sales have gone, from all that a log has about them.

    Raises:
        ProofError: The answer is not about a seller.
    """
    _require_seller(answer)
    parties = Parties()
    trades: dict[tuple[str, int], list[Entry]] = {}
    listings: dict[tuple[str, int], list[Entry]] = {}
    for entry in _entries(answer.records):
        record = entry.record
        parties.note(record)
        if record.trade_id is not None:
            trades.setdefault((parties.market, record.trade_id), []).append(entry)
        elif record.listing_id is not None:
            listings.setdefault((parties.market, record.listing_id), []).append(entry)
    rows = [fold_trade_of(market, number, entries, parties) for (market, number), entries in trades.items()]
    listed = [fold_listing(market, number, entries) for (market, number), entries in listings.items()]
    opened = [row for row in rows if row.state != "Unknown"]
    accuracies = fold_accuracies(answer.key.value, answer.records.values())
    return summarize_trades(answer.key.value, sum(one is not None for one in listed), opened, accuracies)


def _require_seller(answer: VerifiedAnswer) -> None:
    if answer.key.kind is not KeyKind.SELLER:
        raise ProofError(f"the answer is about {answer.key}, and not about a seller")


def _entries(records: Mapping[int, Record]) -> list[Entry]:
    """Return records as entries; their hashes are of no use here, the proofs have stood in for them."""
    return [Entry(sequence, record, GENESIS_HASH) for sequence, record in sorted(records.items())]
