"""A seller's record from an answer that is complete: derived by whoever checks it, not told by the log's keeper.

answer = prove_record(log, seller)                          # the keeper's side, or anybody's with the log
record = derive_record(verify_answer(answer, checkpoint))   # the buyer's side needs no log

Trades and how they ended are the chain's events. Accuracies are not: their certificates are proofs off the chain, and a
log says who claimed one and who verified it (`derive_accuracies`). That is a reason to fetch the certificate, which
proves itself, and no more; what somebody verified is told apart from what the seller says of itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ledger.catalogue.keys import Key, KeyKind, Parties
from ledger.catalogue.trades import fold_listing
from ledger.catalogue.upkeep import fold_trade_of
from ledger.checkpoint import Checkpoint
from ledger.entries import GENESIS_HASH, Entry, EntryKind, Record
from ledger.errors import ProofError
from ledger.log import AuditLog
from ledger.reading.answers import Answer, VerifiedAnswer, prove_answer
from ledger.reading.questions import SellerSummary, summarize_trades


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
    return summarize_trades(answer.key.value, sum(one is not None for one in listed), opened)


@dataclass(frozen=True, order=True)
class Accuracy:
    """An accuracy on public data that a log has something about.

    Attributes:
        manifest_hash: Of the model.
        data_digest: Of the data set's samples.
        labels_digest: Of its labels.
        samples: How many it has.
        correct: Samples that are said to be classified correctly.
        certificate: Digest of the certificate, which can be fetched from the seller.
        claimed: Whether the seller's own account has said so.
        verified_by: Other accounts that say that they have verified the certificate.
    """

    manifest_hash: str
    data_digest: str
    labels_digest: str
    samples: int
    correct: int
    certificate: str
    claimed: bool = False
    verified_by: tuple[str, ...] = ()


def derive_accuracies(answer: VerifiedAnswer) -> tuple[Accuracy, ...]:
    """Return what accuracies an account claims for its models, and who says to have verified them.

    Entries that lack a field or can't be true are passed over. What was verified of another model, on another data set
    or with another number is another accuracy.

    Raises:
        ProofError: The answer is not about a seller.
    """
    _require_seller(answer)
    seller = answer.key.value
    said: dict[Accuracy, set[str]] = {}
    for record in answer.records.values():
        accuracy = _read_accuracy(record)
        if accuracy is not None and record.kind is _TOLD_BY[record.actor == seller]:
            said.setdefault(accuracy, set()).add(record.actor)
    return tuple(
        replace(accuracy, claimed=seller in who, verified_by=tuple(sorted(who - {seller})))
        for accuracy, who in sorted(said.items())
    )


ACCURACY_FIELDS: Final = ("manifest_hash", "data_digest", "labels_digest", "samples", "correct", "certificate")
"""Details of the entries about an accuracy."""
_TOLD_BY: Final = {True: EntryKind.ACCURACY_CLAIMED, False: EntryKind.ACCURACY_VERIFIED}
"""What counts by whether the seller itself says it: nobody claims for another, and nobody verifies itself."""


def _read_accuracy(record: Record) -> Accuracy | None:
    match [record.details.get(name) for name in ACCURACY_FIELDS]:
        case [str(manifest), str(data), str(labels), int(samples), int(correct), str(certificate)] if (
            0 <= correct <= samples > 0
        ):
            return Accuracy(manifest, data, labels, samples, correct, certificate)
    return None


def _require_seller(answer: VerifiedAnswer) -> None:
    if answer.key.kind is not KeyKind.SELLER:
        raise ProofError(f"the answer is about {answer.key}, and not about a seller")


def _entries(records: Mapping[int, Record]) -> list[Entry]:
    """Return records as entries; their hashes are of no use here, the proofs have stood in for them."""
    return [Entry(sequence, record, GENESIS_HASH) for sequence, record in sorted(records.items())]
