"""The certificate: a claim about accuracy and the proofs of it, in canonical JSON (RFC 8785).

It says *of n samples of this data set the committed parameters classify so many correctly*. The data set is cut in its
order into batches of k samples, as the listing's audit circuit takes them; the last one is filled with rows of zeros.
There is one proof per batch, about samples without salt (public data need no hiding), so that anyone who has the data
set can compute the commitment with which each proof begins.
"""

from typing import Annotated, Literal, Self

import rfc8785
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex
from pydantic import Field, ValidationError, model_validator

from trader.certificates.errors import CertificateFormError
from trader.model.documents import Section, describe_fault
from trader.model.manifest import Address, Digest
from zk import Proof

MAX_CERTIFICATE_BYTES = 256 << 20
MAX_SAMPLES = 1 << 24
_ELEMENT_BYTES = 32

HexBytes = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})+$", max_length=1 << 22)]
HexElements = Annotated[str, Field(pattern=r"^0x([0-9a-f]{64})+$", max_length=1 << 22)]
Count = Annotated[int, Field(ge=0, le=MAX_SAMPLES)]


class DatasetSection(Section):
    """The data set; see `trader.certificates.dataset` for the digests.

    Attributes:
        name: what people call it; nobody checks it.
        samples: number of rows, n.
        data_digest: of all rows, in order.
        labels_digest: of all labels, in order.
    """

    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=256)]
    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
    data_digest: Digest
    labels_digest: Digest


class BatchProof(Section):
    """The proof of one batch.

    Attributes:
        proof: its bytes.
        instances: the k·O outputs, row-major: field elements of 32 bytes, big-endian, one after another.
    """

    proof: HexBytes
    instances: HexElements

    @classmethod
    def of(cls, proof: Proof) -> Self:
        """Write a proof."""
        instances = b"".join(instance.to_bytes(_ELEMENT_BYTES, "big") for instance in proof.instances)
        return cls(proof=encode_hex(proof.data), instances=encode_hex(instances))

    def decode(self) -> Proof:
        """Return the proof; its form is not checked here."""
        data = decode_hex(self.instances)
        starts = range(0, len(data), _ELEMENT_BYTES)
        instances = (int.from_bytes(data[at : at + _ELEMENT_BYTES], "big") for at in starts)
        return Proof(decode_hex(self.proof), tuple(instances))


class Certificate(Section):
    """The whole certificate.

    Attributes:
        version: of this format.
        dataset: on which the model was measured.
        seller: the account that lists the model.
        circuit_digest: of the listing's audit circuit, which all proofs are about.
        parameter_commitment: of the listing.
        audit_samples: k, samples in one proof.
        padding: rows of zeros that fill the last batch.
        correct: samples that the model classifies as their labels say.
        proofs: one per batch, in order.
    """

    version: Literal[1] = 1
    dataset: DatasetSection
    seller: Address
    circuit_digest: Digest
    parameter_commitment: Digest
    audit_samples: Annotated[int, Field(ge=1, lt=1 << 16)]
    padding: Count
    correct: Count
    proofs: tuple[BatchProof, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Every row is in one proof, and there is no room for further ones."""
        proven = len(self.proofs) * self.audit_samples
        if self.padding >= self.audit_samples or proven != self.dataset.samples + self.padding:
            raise ValueError(
                f"{len(self.proofs)} proofs of {self.audit_samples} samples are not {self.dataset.samples} rows and "
                f"{self.padding} of padding"
            )
        if self.correct > self.dataset.samples:
            raise ValueError(f"{self.correct} of {self.dataset.samples} samples are said to be correct")
        return self

    @property
    def accuracy(self) -> float:
        """Share of samples that are classified correctly."""
        return self.correct / self.dataset.samples

    @property
    def digest(self) -> bytes:
        """keccak256 of the canonical bytes."""
        return keccak(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return rfc8785.dumps(self.model_dump(mode="json"))


def parse_certificate(data: bytes) -> Certificate:
    """Read a certificate that comes from the other party.

    Raises:
        CertificateFormError: too big, not of this form, contradictory, or not canonical.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise CertificateFormError(f"the certificate has {len(data)} bytes, more than {MAX_CERTIFICATE_BYTES}")
    try:
        certificate = Certificate.model_validate_json(data)
    except ValidationError as error:
        raise CertificateFormError(f"the certificate is not valid{describe_fault(error)}") from error
    if certificate.to_bytes() != data:
        raise CertificateFormError("the certificate is not in canonical form (RFC 8785). Ask for it again.")
    return certificate
