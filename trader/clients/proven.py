"""Certificates that a buyer has verified: kept in its folder, so that the market can be looked through with them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from eth_utils.hexadecimal import encode_hex

from trader.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from trader.certificates import Certificate, Claim

_FOLDER: Final = "certificates"


class Proven:
    """The certificates that passed every check here.

    Each lies under the manifest that it was verified for: another seller may claim to have the same certificate.
    """

    def __init__(self, folder: Path) -> None:
        """Look into the buyer's own folder, which need not exist."""
        self._folder = folder / _FOLDER

    def remember(self, manifest_hash: bytes, certificate: Certificate) -> None:
        """Keep a certificate that was verified for the model of this manifest.

        Raises:
            EnvironmentFaultError: The folder can't be written.
        """
        write_file(self._path(manifest_hash, encode_hex(certificate.digest)), certificate.to_bytes())

    def has(self, manifest_hash: bytes, claim: Claim) -> bool:
        """Return whether the certificate of a claim was verified for this manifest, and says what the claim says."""
        from trader.certificates import CertificateFormError, parse_certificate

        try:
            kept = parse_certificate(self._path(manifest_hash, claim.certificate).read_bytes())
        except (OSError, CertificateFormError):
            return False
        return (kept.dataset, kept.correct) == (claim.dataset, claim.correct)

    def accuracies(self, manifest_hash: bytes) -> list[float]:
        """Return the accuracies of the certificates that were verified for this manifest."""
        from trader.certificates import CertificateFormError, parse_certificate

        found = []
        for path in sorted((self._folder / encode_hex(manifest_hash)).glob("*.json")):
            with suppress(OSError, CertificateFormError):
                found.append(parse_certificate(path.read_bytes()).accuracy)
        return found

    def _path(self, manifest_hash: bytes, digest: str) -> Path:
        return self._folder / encode_hex(manifest_hash) / f"{digest}.json"
