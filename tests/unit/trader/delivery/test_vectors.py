"""`tests/vectors/commitments.json` on the product, and the file against its generator."""

import json
from dataclasses import asdict

import pytest

from tests.vectors import make_commitments
from zk.binding import MerkleError, verify_path

VECTORS = json.loads(make_commitments.TARGET.read_text())


def data(text):
    return bytes.fromhex(text[2:])


def test_the_file_is_current():
    made = make_commitments.make()
    assert make_commitments.TARGET.read_text() == made, "run python -m tests.vectors.make_commitments"


@pytest.mark.parametrize("case", VECTORS["paths"], ids=lambda case: case["name"])
def test_paths(case):
    claim = (
        data(case["root"]),
        data(case["leaf"]),
        int(case["index"], 16),
        [data(sibling) for sibling in case["path"]],
        int(case["leaf_count"], 16),
    )
    if case["holds"]:
        verify_path(*claim)
    else:
        with pytest.raises(MerkleError):
            verify_path(*claim)


def test_evidence_reads_back():
    for delivery in VECTORS["deliveries"]:
        for case in delivery["disputes"]:
            evidence = make_commitments.evidence_from_json(case["kind"], case["evidence"])
            assert make_commitments.to_json(asdict(evidence)) == case["evidence"]
