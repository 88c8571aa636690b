"""Accuracies on public data that a log has something about: who claims one, and who says to have verified it.

Certificates of accuracy are proofs off the chain, so that a log proves none of them. What it says is a reason to fetch
the certificate, which proves itself, and no more; what somebody verified is told apart from what sellers say of
themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ledger.entries import EntryKind, Record

ACCURACY_FIELDS: Final = ("manifest_hash", "data_digest", "labels_digest", "samples", "correct", "certificate")
"""Details of the entries about an accuracy."""
_TOLD_BY: Final = {True: EntryKind.ACCURACY_CLAIMED, False: EntryKind.ACCURACY_VERIFIED}
"""What counts by whether the seller itself says it: nobody claims for another, and nobody verifies itself."""


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

    @property
    def share(self) -> float:
        """Share of the samples that are said to be classified correctly."""
        return self.correct / self.samples


def fold_accuracies(seller: str, records: Iterable[Record]) -> tuple[Accuracy, ...]:
    """Return what accuracies an account claims for its models, and who says to have verified them.

    Records that lack a field or can't be true are passed over. What was verified of another model, on another data set
    or with another number is another accuracy.

    Args:
        seller: The account, in lower case.
        records: About its listings; others than those about accuracies are passed over.
    """
    said: dict[Accuracy, set[str]] = {}
    for record in records:
        accuracy = _read_accuracy(record)
        if accuracy is not None and record.kind is _TOLD_BY[record.actor == seller]:
            said.setdefault(accuracy, set()).add(record.actor)
    return tuple(
        replace(accuracy, claimed=seller in who, verified_by=tuple(sorted(who - {seller})))
        for accuracy, who in sorted(said.items())
    )


def _read_accuracy(record: Record) -> Accuracy | None:
    match [record.details.get(name) for name in ACCURACY_FIELDS]:
        case [str(manifest), str(data), str(labels), int(samples), int(correct), str(certificate)] if (
            0 <= correct <= samples > 0
        ):
            return Accuracy(manifest, data, labels, samples, correct, certificate)
    return None
