"""manifest.json: one byte string per manifest, and nothing unexpected in it."""

import json

import pytest
import rfc8785
from eth_utils.crypto import keccak

from trader.model import Manifest, ManifestError, PostProcessing, PostProcessingKind, parse_manifest
from trader.model.manifest import MAX_MANIFEST_BYTES

AGREEMENT = {
    "largest_error": 0.02,
    "error_99": 0.01,
    "largest_relative_error": 0.002,
    "relative_error_99": 0.001,
    "classes_kept": 0.999,
}
LABEL = {"first": 0, "columns": 2, "column": None, "named": False, "mapped": False}
POINTS = ["0x" + "ab" * 64, "0x" + "cd" * 64]


def example(**changes):
    digest = "0x" + "11" * 32
    document = {
        "version": 2,
        "seller": "0x" + "5e" * 20,
        "card": {"name": "Credit risk", "description": "Überblick ✓", "licence": "MIT", "author": ""},
        "input": {
            "shape": [4],
            "feature_names": [],
            "exponents": [0, 1, -2, 3],
            "magnitude": 8.5,
            "reach": [3, 2, 0, 1],
            "columns": [],
            "edges": [],
        },
        "output": {
            "count": 2,
            "post_processing": {"kind": "softmax", "labels": ["no", "yes"], "exponent": 0, "parts": []},
            "reach": 12.5,
        },
        "interface": {
            "inputs": [{"name": "X", "type": "double", "shape": [0, 4], "read": True}],
            "outputs": [
                LABEL | {"name": "label", "type": "string", "shape": [0], "kind": "argmax", "named": True},
                LABEL | {"name": "probabilities", "type": "float", "shape": [0, 2], "kind": "softmax", "mapped": True},
            ],
        },
        "scale_bits": 13,
        "architecture_digest": digest,
        "circuit": {
            "audit_samples": 8,
            "settings_digest": digest,
            "srs": {"digest": digest, "logrows": 11, "development": True},
            "circuit_digest": digest,
            "layout": {
                "input_columns": 1,
                "parameter_columns": 2,
                "hidden_columns": 1,
                "proof_bytes": 3000,
                "outputs": 2,
                "output_shift_bits": 53,
                "logrows": 11,
                "column_lengths": [100, 40],
            },
            "commit_scale_bits": 12,
            "tolerance": "0x1f",
        },
        "parameter_commitments": POINTS,
        "parameter_commitment": "0x" + keccak(bytes.fromhex("".join(p[2:] for p in POINTS))).hex(),
        "weights_root": digest,
        "sums_root": digest,
        "binding": None,
        "chunk_count": 2,
        "plan": {"ring_degree": 4096, "moduli": [31, 31, 30], "error": 1e-07, "nested": {"deep": [True, None]}},
        "fidelity": {"rows": 100, "delivered": AGREEMENT, "tested": AGREEMENT | {"classes_kept": None}},
        "quota": {"buyer_samples": 100, "listing_samples": 1000, "fee_wei": "0x38d7ea4c68000"},
        "endpoint": "https://seller.example",
        "encryption_public_key": "0x0102",
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = document
        for parent in parents:
            target = target[parent]
        target[last] = value
    return document


def encoded(**changes):
    return rfc8785.dumps(example(**changes))


def test_bytes_and_manifest_stand_for_each_other():
    data = encoded()
    manifest = parse_manifest(data)
    assert manifest.to_bytes() == data
    assert manifest.manifest_hash() == keccak(data)
    assert manifest.output.post_processing == PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=("no", "yes"))
    assert parse_manifest(manifest.to_bytes()) == manifest


def test_same_manifest_made_from_python_objects_has_the_same_hash():
    manifest = parse_manifest(encoded())
    again = Manifest(**{name: getattr(manifest, name) for name in Manifest.model_fields})
    assert again.manifest_hash() == manifest.manifest_hash()


def test_manifest_can_not_be_changed():
    manifest = parse_manifest(encoded())
    with pytest.raises(ValueError, match="frozen"):
        manifest.scale_bits = 1


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda data: b" " + data,
        lambda data: data + b"\n",
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace(b'"magnitude":8.5', b'"magnitude":8.50'),
        lambda data: data.replace(b'"scale_bits":13', b'"scale_bits":12,"scale_bits":13'),
        lambda data: data.replace(b'"MIT"', b'"\\u004dIT"'),
        lambda data: b"\xef\xbb\xbf" + data,
    ],
    ids=["leading space", "trailing newline", "spaces", "long float", "duplicate key", "escapes", "byte order mark"],
)
def test_other_encodings_of_the_same_manifest_are_refused(rewrite):
    data = encoded()
    assert rewrite(data) != data
    with pytest.raises(ManifestError):
        parse_manifest(rewrite(data))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"version": 1}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"circuit__layout__surprise": 1}, "circuit.layout.surprise"),
        ({"seller": "0x" + "5E" * 20}, "seller"),
        ({"seller": "0x" + "5e" * 21}, "seller"),
        ({"seller": None}, "seller"),
        ({"scale_bits": "13"}, "scale_bits"),
        ({"scale_bits": 13.5}, "scale_bits"),
        ({"scale_bits": True}, "scale_bits"),
        ({"scale_bits": 25}, "scale_bits"),
        ({"weights_root": "0x" + "AA" * 32}, "weights_root"),
        ({"weights_root": "0x" + "aa" * 31}, "weights_root"),
        ({"circuit__tolerance": "0x01"}, "tolerance"),
        ({"circuit__tolerance": 31}, "tolerance"),
        ({"circuit__tolerance": "0x1" + "0" * 64}, "tolerance"),
        ({"quota__fee_wei": "-0x1"}, "fee_wei"),
        ({"quota__buyer_samples": -1}, "buyer_samples"),
        ({"quota__buyer_samples": 1 << 32}, "buyer_samples"),
        ({"input__shape": [0]}, "input.shape"),
        (
            {"input__shape": [1 << 20, 1 << 20], "input__exponents": [], "input__reach": []},
            "input.shape, interface.inputs contradicts",
        ),
        ({"input__exponents": [1]}, "input.exponents contradicts"),
        ({"input__edges": [[0.5, 0.5], [], [], []]}, "edges of column 0"),
        ({"input__edges": [[0.1], [], [], []]}, "edges of column 0"),
        ({"input__edges": [[0.5]], "scale_bits": 0}, "input.edges contradicts"),
        ({"input__edges": [[0.5], [], [], []]}, "input.edges contradicts"),
        ({"output__post_processing__labels": ["a", "b", "c"]}, "labels, interface.outputs contradicts"),
        ({"output__post_processing__labels": ["a", 1]}, "labels"),
        ({"output__post_processing__kind": "exec"}, "kind"),
        ({"interface__inputs": []}, "interface.inputs"),
        ({"interface__outputs": []}, "interface.outputs"),
        ({"circuit__layout__outputs": 3}, "layout.outputs contradicts"),
        ({"parameter_commitments": POINTS[:1]}, "contradicts"),
        ({"parameter_commitments": POINTS[::-1]}, "parameter_commitment contradicts"),
        ({"card__name": ""}, "card.name"),
        ({"card__description": "x" * 5000}, "description"),
        ({"plan": []}, "plan"),
    ],
)
def test_unexpected_contents_are_refused_with_their_place(changes, place):
    with pytest.raises(ManifestError, match=place) as caught:
        parse_manifest(encoded(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", sorted(set(example()) - {"version", "binding", "endpoint", "fidelity"}))
def test_missing_part_is_refused(field):
    document = example()
    del document[field]
    with pytest.raises(ManifestError, match=field):
        parse_manifest(rfc8785.dumps(document))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"\xff\xfe",
        b'{"version":1' + b" " * MAX_MANIFEST_BYTES,
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":' + b"9" * 10_000),
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":1e999'),
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":9007199254740993'),
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":NaN'),
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":"\\ud800"'),
        encoded().replace(b'"ring_degree":4096', b'"ring_degree":' + b"[" * 5000 + b"]" * 5000),
        encoded().replace(b"8.5", b"1e999"),
    ],
    ids=range(15),
)
def test_hostile_bytes_are_refused(data):
    with pytest.raises(ManifestError):
        parse_manifest(data)
