"""Verify a certificate: nothing in it is believed, everything is recomputed from the data set and the listing.

(1) It is a certificate in canonical form whose numbers agree with each other: every row is in one proof.
(2) Its proofs are about the listing's audit circuit, k samples each, and that circuit is exact.
(3) They are about the listed parameters, and the certificate names the seller who lists them.
(4) The data set is the given one: the same rows in the same order, the same labels.
(5) Each proof begins with the commitments to its rows and to the listed parameters, and holds.
(6) The proven outputs, post-processed as the manifest says, give the claimed number of correct answers.

Rows can't be picked: the digests are over all of them, and each has its place in a proof. What the caller must still
check: that the model is the listed one (`trader.verify.verify_listing`), that the data set is the one that the
name promises (take it from its source, not from the seller), and that the model was not trained on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.hexadecimal import encode_hex

from trader.certificates.batches import PublicModel, batch_context, batches_of, check_exact, check_labels, count_correct
from trader.certificates.certificate import Certificate, parse_certificate
from trader.certificates.errors import (
    CertificateCircuitError,
    CertificateClaimError,
    CertificateDatasetError,
    CertificateModelError,
    CertificateProofError,
)
from zk import Proof, input_commitment, verify
from zk.errors import ProofError

if TYPE_CHECKING:
    from trader.certificates.certify import OnBatch
    from trader.certificates.dataset import Dataset


def verify_certificate(
    data: bytes, model: PublicModel, dataset: Dataset, on_batch: OnBatch = lambda _done, _all: None
) -> Certificate:
    """Run checks (1) to (6) and return the certificate, whose count is then a fact.

    Args:
        data: the certificate's bytes; hostile until checked.
        model: the listed model, with the circuit rebuilt by the caller.
        dataset: the data set, from its source.
        on_batch: sees the progress.

    Raises:
        CertificateError: the check that failed, one subclass for each of (1) to (6).
        CertificationError: the listing's proofs are rounded, or the labels are not classes that this model predicts.
        DataError: a value is out of the model's input range.
        WorkerError: a check could not be run; nothing is known.
    """
    # (1) The bytes are a certificate, and say one thing.
    certificate = parse_certificate(data)
    # (2) and (3) It is about the listed model, whose proofs are exact.
    check_exact(model)
    _check_circuit(certificate, model)
    _check_parameters(certificate, model)
    # (4) It is about the given data set.
    _check_dataset(certificate, dataset)
    # (5) Every proof holds and is about its rows.
    proofs = _check_proofs(certificate, model, dataset, on_batch)
    # (6) The outputs give the claim.
    check_labels(dataset, model)
    _check_claim(certificate, count_correct(proofs, dataset, model))
    return certificate


def _check_circuit(certificate: Certificate, model: PublicModel) -> None:
    if certificate.audit_samples != model.circuit.audit_samples:
        raise CertificateCircuitError(
            f"the certificate's proofs take {certificate.audit_samples} samples each, the listed circuit "
            f"{model.circuit.audit_samples}. Ask for a certificate of this listing."
        )
    listed = encode_hex(model.circuit.digest)
    if certificate.circuit_digest != listed:
        raise CertificateCircuitError(
            f"the certificate is about the circuit {certificate.circuit_digest}, the listing has {listed}. "
            "Ask for a certificate of this listing."
        )


def _check_parameters(certificate: Certificate, model: PublicModel) -> None:
    if certificate.seller != model.manifest.seller:
        raise CertificateModelError(
            f"the certificate is {certificate.seller}'s, the model {model.manifest.seller}'s. "
            "Ask for a certificate of this listing."
        )
    listed = model.manifest.parameter_commitment
    if certificate.parameter_commitment != listed:
        raise CertificateModelError(
            f"the certificate is about the parameters {certificate.parameter_commitment}, listed are {listed}: "
            "it speaks of another model. Ask for a certificate of this listing."
        )


def _check_dataset(certificate: Certificate, dataset: Dataset) -> None:
    stated = certificate.dataset
    for what, claimed, found in (
        ("samples", str(stated.samples), str(len(dataset))),
        ("data digest", stated.data_digest, encode_hex(dataset.data_digest)),
        ("labels digest", stated.labels_digest, encode_hex(dataset.labels_digest)),
    ):
        if claimed != found:
            raise CertificateDatasetError(
                f"the certificate is about another data set than the given one: its {what}: {claimed}, given: {found}. "
                f"Get '{stated.name}' from its source; if it still differs, don't rely on this certificate."
            )


def _check_proofs(
    certificate: Certificate, model: PublicModel, dataset: Dataset, on_batch: OnBatch
) -> tuple[Proof, ...]:
    proofs = tuple(proof.decode() for proof in certificate.proofs)
    batches = batches_of(dataset, model)
    for index, (proof, batch) in enumerate(zip(proofs, batches, strict=True)):
        on_batch(index, len(proofs))
        points = input_commitment(model.circuit, batch, model.input_salt, model.srs)
        try:
            verify(
                model.circuit,
                proof,
                model.srs,
                input_points=points,
                parameter_points=model.parameter_points,
                context=batch_context(dataset, model, index),
            )
        except ProofError as error:
            first = index * len(batch)
            raise CertificateProofError(
                f"proof {index}, of rows {first} to {first + len(batch) - 1}: {error}. Don't rely on this certificate."
            ) from error
    on_batch(len(proofs), len(proofs))
    return proofs


def _check_claim(certificate: Certificate, correct: int) -> None:
    if certificate.correct != correct:
        raise CertificateClaimError(
            f"the certificate claims {certificate.correct} of {certificate.dataset.samples} correct, its proofs show "
            f"{correct}. Don't rely on it."
        )
