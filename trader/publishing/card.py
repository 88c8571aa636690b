"""The model card: Markdown under a YAML header, as the Hugging Face Hub reads it."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from trader.publishing.errors import missing_library
from trader.publishing.provenance import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from huggingface_hub import EvalResult

    from trader.publishing.provenance import Provenance

LICENCES = frozenset({"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "bsd-3-clause"})
"""Identifiers of the Hub that are taken over; any other licence is `other`, with the seller's text as its name."""
TAGS = ["onnx", "modelseal"]
_ESCAPES = str.maketrans({char: f"\\{char}" for char in string.punctuation})


def model_card(provenance: Provenance, certificate: bool) -> str:
    """Return README.md of a bundle.

    Args:
        provenance: Where the model comes from.
        certificate: Whether the bundle has the file `certificate.json`.

    Raises:
        EnvironmentFaultError: `huggingface_hub` is not installed.
    """
    return f"---\n{_header(provenance)}\n---\n\n{_body(provenance, certificate)}"


def _header(provenance: Provenance) -> str:
    try:
        from huggingface_hub import ModelCardData
    except ImportError as error:
        raise missing_library(error) from error
    known = provenance.licence.lower() in LICENCES
    data = ModelCardData(
        library_name="onnx",
        pipeline_tag=provenance.task,
        tags=[*TAGS],
        model_name=provenance.name,
        eval_results=_results(provenance) or None,
        license=provenance.licence.lower() if known else "other",
        license_name=None if known else provenance.licence or None,
    )
    return str(data.to_yaml()).strip("\n")


def _results(provenance: Provenance) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=provenance.task,
            dataset_type="other",
            dataset_name=metric.dataset or "unnamed",
            metric_type=metric.name,
            metric_value=metric.value,
            metric_name=f"{metric.name} ({metric.basis})",
        )
        for metric in provenance.metrics
    ]


def _body(provenance: Provenance, certificate: bool) -> str:
    facts = [(name, f"`{value}`") for name, value in provenance.facts.items()]
    metrics = [
        (escape(m.name), f"{m.value:.6g}", str(m.basis), str(m.samples), escape(m.dataset)) for m in provenance.metrics
    ]
    link = "[certificate.json](certificate.json)" if certificate else escape(provenance.certificate)
    parts = [
        f"# {escape(provenance.name)}",
        escape(provenance.description),
        f"Author: {escape(provenance.author)}" if provenance.author else "",
        _STORY,
        _WARNING if provenance.development else "",
        "## Quality",
        _table(("metric", "value", "basis", "samples", "data"), metrics) if metrics else "No figures were given.",
        _BASES,
        "## Inputs and outputs",
        "\n".join(f"- input {escape(tensor)}" for tensor in provenance.inputs),
        "\n".join(f"- output {escape(tensor)}" for tensor in provenance.outputs),
        "## Provenance",
        _table(("fact", "value"), facts),
        f"Listing: `{provenance.listing_uri}`, trade: `{provenance.trade_uri}` (EIP-681).",
        f"Certificate of the trade: {link}" if link else "",
        "## Check it",
        _CHECKS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_STORY = (
    "This model was bought on ModelSeal. Its parameters are those that the listing below committed to before it was "
    "tested: each chunk was checked against `weightsRoot` when it was delivered."
)
_WARNING = (
    "**Development reference string:** the seller made the proof system's parameters, and could have forged the proof."
)
_BASES = (
    "*proven*: a zero-knowledge proof about the committed parameters; *measured*: by the buyer; *claimed*: by the "
    "seller, unchecked."
)
_CHECKS = (
    "`model_signing verify key . --signature model.sig --public_key KEY` checks that no file was changed since the "
    "buyer signed it. `bom.cdx.json` is a CycloneDX bill of materials; `manifest.json` is what was listed, and its "
    "keccak256 is `manifestHash`."
)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape(text: str) -> str:
    """Return one line of text that Markdown shows as it is: every punctuation mark is escaped (CommonMark, 2.4)."""
    return one_line(text).translate(_ESCAPES)
