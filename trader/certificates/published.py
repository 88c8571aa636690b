"""The proofs of certificates that lie in public beside a package: they count as published, whoever forgot them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.certificates.certificate import MAX_CERTIFICATE_BYTES, Certificate, parse_certificate
from trader.certificates.errors import CertificateError

if TYPE_CHECKING:
    from pathlib import Path

    from trader.model import Manifest
    from zk import Proof

CERTIFICATES = "certificates"
"""In a package's public folder."""


def published_proofs(public: Path, manifest: Manifest) -> list[Proof]:
    """Return the proofs in the certificates of a public folder that are about the manifest's parameters.

    What is no certificate, or another model's, is passed over. Not checked: that the proofs are valid.
    """
    return [batch.decode() for certificate in published_certificates(public, manifest) for batch in certificate.proofs]


def published_certificates(public: Path, manifest: Manifest) -> list[Certificate]:
    """Return the certificates in a public folder that are about the manifest's parameters, as `published_proofs`."""
    found: list[Certificate] = []
    for file in sorted((public / CERTIFICATES).glob("*.json")):
        try:
            with file.open("rb") as stream:
                certificate = parse_certificate(stream.read(MAX_CERTIFICATE_BYTES + 1))
        except (OSError, CertificateError):
            continue
        if certificate.parameter_commitment == manifest.parameter_commitment:
            found.append(certificate)
    return found
