"""The bill of materials: CycloneDX 1.6 JSON with the model as its component.

The library has no model cards yet, so that part of the standard's JSON is added to what it writes; its strict
validator judges the whole.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from trader.publishing.card import TAGS
from trader.publishing.errors import PublishingError, missing_library

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom

    from trader.publishing.provenance import Provenance

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:modelseal:bundle")
_COMPONENT = "model"


def bill_of_materials(provenance: Provenance, onnx: bytes, manifest: bytes, certificate: bytes | None) -> bytes:
    """Return `bom.cdx.json` of a bundle: a function of its arguments, apart from the time.

    Raises:
        PublishingError: It would not be valid.
        EnvironmentFaultError: The library is not installed.
    """
    try:
        from cyclonedx.output.json import JsonV1Dot6
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError as error:
        raise missing_library(error) from error
    document: dict[str, Any] = json.loads(JsonV1Dot6(_bom(provenance, onnx, manifest, certificate)).output_as_string())
    document["metadata"]["component"]["modelCard"] = _model_card(provenance)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise PublishingError(f"the bill of materials would not be valid: {str(fault)[:200]}")
    return text.encode()


def _bom(provenance: Provenance, onnx: bytes, manifest: bytes, certificate: bytes | None) -> Bom:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalContact
    from cyclonedx.model.license import DisjunctiveLicense

    def hashed(data: bytes) -> list[HashType]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())]

    references = [
        ExternalReference(
            type=ExternalReferenceType.ATTESTATION,
            url=XsUri(provenance.listing_uri),
            comment=f"parameter commitment {provenance.parameter_commitment} on the chain",
        ),
        ExternalReference(
            type=ExternalReferenceType.EVIDENCE,
            url=XsUri(provenance.trade_uri),
            comment="the trade that proved and delivered the model",
        ),
        ExternalReference(
            type=ExternalReferenceType.MODEL_CARD,
            url=XsUri("README.md"),
        ),
        ExternalReference(type=ExternalReferenceType.ATTESTATION, url=XsUri("manifest.json"), hashes=hashed(manifest)),
    ]
    if certificate is not None:
        references.append(
            ExternalReference(
                type=ExternalReferenceType.CERTIFICATION_REPORT,
                url=XsUri("certificate.json"),
                hashes=hashed(certificate),
            )
        )
    model = Component(
        name=provenance.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_COMPONENT,
        version=provenance.manifest_hash,
        description=provenance.description or None,
        hashes=hashed(onnx),
        licenses=[DisjunctiveLicense(name=provenance.licence)] if provenance.licence else None,
        authors=[OrganizationalContact(name=provenance.author)] if provenance.author else None,
        external_references=references,
        properties=[Property(name=f"modelseal:{name}", value=value) for name, value in provenance.facts.items()],
        tags=TAGS,
    )
    serial = uuid.uuid5(NAMESPACE, hashlib.sha256(onnx + manifest).hexdigest())
    return Bom(serial_number=serial, metadata=BomMetaData(component=model))


def _model_card(provenance: Provenance) -> dict[str, Any]:
    """Return the part `modelCard` of CycloneDX 1.6 (section `modelCard` of its JSON schema)."""
    metrics = [
        {
            "type": metric.name,
            "value": repr(metric.value),
            "slice": f"{metric.samples} samples of {metric.dataset or 'unnamed data'}; {metric.basis}",
        }
        for metric in provenance.metrics
    ]
    card: dict[str, Any] = {
        "modelParameters": {
            "task": provenance.task,
            "inputs": [{"format": tensor} for tensor in provenance.inputs],
            "outputs": [{"format": tensor} for tensor in provenance.outputs],
        },
        "properties": [
            {"name": "modelseal:commitment", "value": provenance.parameter_commitment},
            {"name": "modelseal:proof", "value": dict(provenance.transactions).get("prove", provenance.trade_uri)},
        ],
    }
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if provenance.development:
        limit = "The seller made the proof's reference string, and could have forged the proof."
        card["considerations"] = {"technicalLimitations": [limit]}
    return card
