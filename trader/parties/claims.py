"""Accuracy that a seller has proven on public data: published beside its package, read and verified by buyers.

The certificates lie in the package's folder (`modelseal model certify`). The claims about them are one small message,
each certificate is another; anybody may read both, as the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex

from ledger import EntryKind
from ledger.reading.accuracies import ACCURACY_FIELDS
from trader.certificates import (
    MAX_CERTIFICATE_BYTES,
    MAX_CLAIMS_BYTES,
    Certificate,
    Claim,
    Dataset,
    PublicModel,
    claims_of,
    parse_claims,
    published_certificates,
    verify_certificate,
)
from trader.errors import CallerError
from trader.exchange import Kind, Label, MessageError, NotDeliveredError
from trader.package import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.exchange import Mailbox
    from trader.model import Manifest
    from trader.parties.actor import Actor
    from trader.parties.goods import Goods
    from trader.verify import VerifiedListing


def publish_claims(actor: Actor, goods: Goods) -> None:
    """Put the certificates of a package into the mailbox, and what they claim; what lies there is left.

    What is claimed of a listed model is logged.

    Raises:
        MailboxFaultError: The mailbox can't be written.
        ChainUnavailableError: The node does not answer.
    """
    manifest = goods.manifest
    certificates = published_certificates(goods.package.folder / PUBLIC, manifest)
    label = actor.label(Kind.CLAIMS, manifest.manifest_hash())
    if not certificates and actor.mailbox.holds(label, actor.address, MAX_CLAIMS_BYTES) is None:
        return
    for certificate in certificates:  # first: a claim is no more than the way to its certificate
        actor.mailbox.put(actor.label(Kind.CERTIFICATE, certificate.digest), certificate.to_bytes(), actor.account)
    claims = claims_of(certificates)
    actor.mailbox.put(label, claims.to_bytes(), actor.account)
    for listing_id in actor.market.find_listings(actor.address, manifest.manifest_hash()) if certificates else ():
        for claim in claims.claims:
            _note(actor, EntryKind.ACCURACY_CLAIMED, listing_id, manifest, claim)


def read_claims(mailbox: Mailbox, label: Label, seller: str) -> tuple[Claim, ...]:
    """Return what the seller of a listing claims to have proven; nothing of it is verified.

    Args:
        mailbox: The seller's.
        label: Of the claims.
        seller: Who must have signed them.

    Raises:
        TransferError: The mailbox can't be read.
        CertificateFormError: What the seller signed are no claims.
    """
    try:
        return parse_claims(mailbox.get(label, seller, MAX_CLAIMS_BYTES))
    except NotDeliveredError:
        return ()


def verify_claim(
    actor: Actor,
    verified: VerifiedListing,
    data: Path,
    labels: Path,
    on_batch: Callable[[int, int], None] = lambda _done, _all: None,
) -> Certificate:
    """Fetch the certificate about a public data set from a listing's seller, verify it on that set, and log it.

    Args:
        actor: The buyer's account at work.
        verified: The listing, which passed every check.
        data: The data set, from its source: .csv, .npy or .npz.
        labels: Its true classes.
        on_batch: Sees the progress.

    Raises:
        CallerError: The seller claims nothing about this data set.
        CertificateError: The certificate fails a check.
        MessageError: It is another than was claimed.
        TransferError: It can't be fetched.
        DataError: The files can't be read.
    """
    manifest = verified.manifest
    dataset = Dataset.read("", data, labels, verified.graph.features, manifest.input.columns)
    label = actor.label(Kind.CLAIMS, manifest.manifest_hash())
    claims = read_claims(actor.mailbox, label, verified.seller)
    claim = _about(claims, dataset)
    anchor = decode_hex(claim.certificate)
    content = actor.mailbox.get(actor.label(Kind.CERTIFICATE, anchor), verified.seller, MAX_CERTIFICATE_BYTES)
    if keccak(content) != anchor:
        raise MessageError("the certificate is another than the seller claims to have. Don't rely on it.")
    model = PublicModel(manifest, verified.graph, verified.circuit, verified.srs)
    named = Dataset(claim.dataset.name, dataset.samples, dataset.labels)
    certificate = verify_certificate(content, model, named, on_batch)
    _note(actor, EntryKind.ACCURACY_VERIFIED, verified.listing_id, manifest, *claims_of([certificate]).claims)
    return certificate


def _note(actor: Actor, kind: EntryKind, listing_id: int, manifest: Manifest, claim: Claim) -> None:
    """Log what is said of an accuracy (`ledger.reading.records`)."""
    dataset = claim.dataset
    about = encode_hex(manifest.manifest_hash()), dataset.data_digest, dataset.labels_digest
    told: tuple[str | int, ...] = (*about, dataset.samples, claim.correct, claim.certificate)
    actor.note(kind, listing_id=listing_id, details=dict(zip(ACCURACY_FIELDS, told, strict=True)))


def _about(claims: tuple[Claim, ...], dataset: Dataset) -> Claim:
    digests = (encode_hex(dataset.data_digest), encode_hex(dataset.labels_digest))
    for claim in claims:
        if (claim.dataset.data_digest, claim.dataset.labels_digest) == digests:
            return claim
    named = "; ".join(claim.words for claim in claims) or "no data set"
    raise CallerError(
        f"the seller has no certificate about the given data set. It claims: {named}. Rows count in their order: take "
        "the data set from its source as it is."
    )
