"""Claims: what the certificates of a listing say, in a few lines that travel ahead of them.

A certificate has a proof for every k rows, a megabyte or more; who looks through a market wants to know which data sets
there are certificates for, and what they claim. Nothing of a claim is believed: the certificate of its digest is
fetched and verified (`trader.certificates.verify`). The seller signs its claims as it signs every message.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

import rfc8785
from eth_utils.hexadecimal import encode_hex
from pydantic import Field, ValidationError

from trader.certificates.certificate import Certificate, Count, DatasetSection
from trader.certificates.errors import CertificateFormError
from trader.model.documents import Section, describe_fault
from trader.model.manifest import Digest

MAX_CLAIMS = 64
MAX_CLAIMS_BYTES = 1 << 16


class Claim(Section):
    """What one certificate claims.

    Attributes:
        dataset: On which the model was measured.
        correct: Samples that it is said to classify correctly; more than there are is no claim.
        certificate: keccak256 of the certificate's bytes.
    """

    dataset: DatasetSection
    correct: Count
    certificate: Digest

    @property
    def words(self) -> str:
        """The claim in words."""
        samples = self.dataset.samples
        return f"{self.correct / samples:.2%} ({self.correct} of {samples}) on '{self.dataset.name}'"


class Claims(Section):
    """What the certificates of one package claim.

    Attributes:
        version: Of this format.
        claims: At most `MAX_CLAIMS`.
    """

    version: Literal[1] = 1
    claims: Annotated[tuple[Claim, ...], Field(max_length=MAX_CLAIMS)] = ()

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return rfc8785.dumps(self.model_dump(mode="json"))


def claims_of(certificates: Iterable[Certificate]) -> Claims:
    """Return what certificates claim, the first `MAX_CLAIMS` of them."""
    claims = [
        Claim(dataset=each.dataset, correct=each.correct, certificate=encode_hex(each.digest)) for each in certificates
    ]
    return Claims(claims=tuple(claims[:MAX_CLAIMS]))


def parse_claims(data: bytes) -> tuple[Claim, ...]:
    """Read claims that come from the other party.

    Raises:
        CertificateFormError: Too big, not of this form, or more correct answers than samples.
    """
    if len(data) > MAX_CLAIMS_BYTES:
        raise CertificateFormError(f"the claims have {len(data)} bytes, more than {MAX_CLAIMS_BYTES}")
    try:
        claims = Claims.model_validate_json(data).claims
    except ValidationError as error:
        raise CertificateFormError(f"the claims are not valid{describe_fault(error)}") from error
    for claim in claims:
        if claim.correct > claim.dataset.samples:
            raise CertificateFormError(f"{claim.correct} of {claim.dataset.samples} samples are said to be correct")
    return claims
