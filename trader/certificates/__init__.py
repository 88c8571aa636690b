"""Certificates: accuracy on a public data set, proven before anyone pays.

A seller makes one with `certify`, anyone checks it with `verify_certificate`. Read `dataset` and
`certificate` (what is claimed), then `certify` and `verify`. Why a certificate refers to a listing and not the other
way round, and why it takes all rows, stands in `docs/decisions`.
"""

from trader.certificates.batches import PublicModel
from trader.certificates.bounty import accepted_circuit, class_indices, public_test_set
from trader.certificates.certificate import MAX_CERTIFICATE_BYTES, Certificate, parse_certificate
from trader.certificates.certify import certify
from trader.certificates.claims import MAX_CLAIMS_BYTES, Claim, claims_of, parse_claims
from trader.certificates.dataset import Dataset
from trader.certificates.errors import (
    CertificateCircuitError,
    CertificateClaimError,
    CertificateDatasetError,
    CertificateError,
    CertificateFormError,
    CertificateModelError,
    CertificateProofError,
    CertificationError,
)
from trader.certificates.published import CERTIFICATES, published_certificates, published_proofs
from trader.certificates.verify import verify_certificate

__all__ = [
    "CERTIFICATES",
    "MAX_CERTIFICATE_BYTES",
    "MAX_CLAIMS_BYTES",
    "Certificate",
    "CertificateCircuitError",
    "CertificateClaimError",
    "CertificateDatasetError",
    "CertificateError",
    "CertificateFormError",
    "CertificateModelError",
    "CertificateProofError",
    "CertificationError",
    "Claim",
    "Dataset",
    "PublicModel",
    "accepted_circuit",
    "certify",
    "claims_of",
    "class_indices",
    "parse_certificate",
    "parse_claims",
    "public_test_set",
    "published_certificates",
    "published_proofs",
    "verify_certificate",
]
