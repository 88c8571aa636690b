"""The folder of a bought model: what stands in it, what a seller's words can't do in it, and when it is refused."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.unit.trader.model.test_manifest import example
from tests.unit.trader.publishing.conftest import ADDRESS, HASH, provenance_for
from trader.model import Manifest
from trader.publishing import Basis, Metric, PublishingError, export_hf, provenance_of, sign_bundle, write_bundle
from trader.publishing.bom import bill_of_materials
from trader.publishing.card import escape, model_card
from trader.publishing.provenance import one_line

if TYPE_CHECKING:
    from pathlib import Path

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "---\nlicense: mit\n---\n# Owned",
    "x\n\n![x](https://evil.example/track.png)",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "| a | b |\n|---|---|",
    "`code` **bold** [link](javascript:alert(1)) https://evil.example www.evil.example",
    "\u202egnp.exe \x00\x1b[31m",
    "*/ --> ]]> {{ template }} $(rm -rf /) & ; 'quote\" \\",
    "!!python/object/apply:os.system ['id']",
    "a: &a [*a, *a]",
]


def test_a_bundle_says_where_the_model_comes_from(bundle: Path, onnx_file: bytes, manifest: Manifest) -> None:
    assert (bundle / "model.onnx").read_bytes() == onnx_file
    assert (bundle / "manifest.json").read_bytes() == manifest.to_bytes()
    card = ModelCard.load(bundle / "README.md")
    assert (card.data.pipeline_tag, card.data.library_name, card.data.license) == (
        "tabular-classification",
        "onnx",
        "mit",
    )
    assert {(r.metric_name, r.metric_value) for r in card.data.eval_results or ()} == {
        ("accuracy (proven)", 0.975),
        ("accuracy (measured)", 0.96),
    }
    facts = ["31337", "0x" + manifest.manifest_hash().hex(), manifest.parameter_commitment, HASH]
    assert all(fact in card.text for fact in (*facts, "Development reference string", "[certificate.json]"))


def test_its_bill_of_materials_points_to_commitment_and_proof(
    bundle: Path, onnx_file: bytes, manifest: Manifest
) -> None:
    text = (bundle / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    model = json.loads(text)["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert {item["content"] for item in model["hashes"]} == {hashlib.sha256(onnx_file).hexdigest()}
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [(figure["type"], figure["value"]) for figure in figures] == [("accuracy", "0.975"), ("accuracy", "0.96")]
    properties = {item["name"]: item["value"] for item in model["modelCard"]["properties"]}
    assert properties == {"modelseal:commitment": manifest.parameter_commitment, "modelseal:proof": HASH}
    urls = {item["url"] for item in model["externalReferences"]}
    assert any(url.startswith("ethereum:0x") and url.endswith("@31337/listing?uint256=3") for url in urls)
    assert {"README.md", "manifest.json", "certificate.json"} <= urls


@pytest.mark.parametrize("text", HOSTILE)
def test_words_of_a_seller_stay_words(text: str) -> None:
    """No header, link, picture, table or HTML comes of them; they are shown as they are."""
    card = {"name": text, "description": text, "licence": text, "author": text}
    manifest = Manifest.model_validate_json(json.dumps(example(card=card)))
    provenance = provenance_for(manifest, metrics=[Metric(text, 0.5, Basis.MEASURED, 3, text)])
    readme = model_card(provenance, certificate=False)
    _, header, body = readme.split("---\n", 2)
    data = yaml.safe_load(header)
    assert data["license"] == "other"
    assert data["license_name"] == data["model-index"][0]["name"] == one_line(text)
    metrics = [Metric("plain", 0.5, Basis.MEASURED, 3, "plain")]
    plain = model_card(provenance_for(manifest_named("plain"), metrics=metrics), certificate=False)
    assert _kinds(MARKDOWN.parse(body)) == _kinds(MARKDOWN.parse(plain.split("---\n", 2)[2]))
    bill = bill_of_materials(provenance, b"onnx", b"manifest", None)
    assert json.loads(bill)["metadata"]["component"]["name"] == one_line(text)


def manifest_named(name: str) -> Manifest:
    card = {"name": name, "description": name, "licence": name, "author": name}
    return Manifest.model_validate_json(json.dumps(example(card=card)))


def _kinds(tokens: list) -> list[str]:
    """The kinds of blocks, and those of what is within lines but for text."""
    inner = [child.type for token in tokens for child in token.children or () if not child.type.startswith("text")]
    return [token.type for token in tokens] + inner


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    (_, inline, _) = MARKDOWN.parse(f"x{escape(text)}")
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == f"x{one_line(text)}"


def test_the_same_trade_gives_the_same_documents(bundle: Path, tmp_path: Path, onnx_file, manifest, provenance) -> None:
    write_bundle(tmp_path / "again", onnx_file, provenance, manifest=manifest.to_bytes(), certificate=b"{}")
    for name in ("model.onnx", "README.md", "manifest.json", "certificate.json", "MLmodel"):
        assert (tmp_path / "again" / name).read_bytes() == (bundle / name).read_bytes()
    bills = [json.loads((folder / "bom.cdx.json").read_text()) for folder in (bundle, tmp_path / "again")]
    assert bills[0]["serialNumber"] == bills[1]["serialNumber"]
    assert bills[0]["metadata"]["component"] == bills[1]["metadata"]["component"]


@pytest.mark.parametrize("kind", ["file", "full folder", "link", "dangling link"])
def test_what_is_in_the_way_is_left_as_it_is(tmp_path: Path, onnx_file, manifest, provenance, kind: str) -> None:
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    if kind == "file":
        target.write_text("mine")
    elif kind == "full folder":
        target.mkdir()
        (target / "mine").write_text("mine")
    else:
        if kind == "link":
            elsewhere.mkdir()
        target.symlink_to(elsewhere)
    with pytest.raises(PublishingError, match="no empty folder"):
        write_bundle(target, onnx_file, provenance, manifest=manifest.to_bytes())
    assert not elsewhere.exists() or not list(elsewhere.iterdir())
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "elsewhere", "classifier.onnx"}


def test_a_manifest_of_another_listing_is_refused(tmp_path: Path, onnx_file: bytes, provenance) -> None:
    with pytest.raises(PublishingError, match="not the one whose hash"):
        write_bundle(tmp_path / "out", onnx_file, provenance, manifest=manifest_named("other").to_bytes())


@pytest.mark.parametrize("kind", ["link to a secret", "foreign file", "missing file", "folder", "link to the bundle"])
def test_nothing_foreign_is_signed_or_uploaded(bundle: Path, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    folder = bundle
    match kind:
        case "link to a secret":
            (bundle / "manifest.json").unlink()
            (bundle / "manifest.json").symlink_to(secret)
        case "foreign file":
            (bundle / ".env").write_text("TOKEN=1")
        case "missing file":
            (bundle / "README.md").unlink()
        case "folder":
            (bundle / "certificate.json").unlink()
            (bundle / "certificate.json").mkdir()
        case _:
            folder = tmp_path / "link"
            folder.symlink_to(bundle)
    with pytest.raises(PublishingError):
        sign_bundle(folder, secret, "password")
    with pytest.raises(PublishingError):
        export_hf(folder, "me/model")


@pytest.mark.parametrize(
    "changes",
    [
        {"market": "0x12"},
        {"buyer": "nobody"},
        {"transactions": {"prove": "0x12"}},
        {"transactions": {"pro|ve": HASH}},
        {"metrics": [Metric("accuracy", float("nan"), Basis.PROVEN, 3, "")]},
        {"metrics": [Metric("accuracy", 0.5, Basis.PROVEN, -1, "")]},
    ],
)
def test_facts_that_are_none_are_refused(manifest: Manifest, changes) -> None:
    known = {"chain_id": 1, "market": ADDRESS, "listing_id": 1, "trade_id": 1, "buyer": ADDRESS}
    with pytest.raises(PublishingError):
        provenance_of(manifest, **known | changes)
