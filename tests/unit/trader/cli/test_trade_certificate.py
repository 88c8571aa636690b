"""`modelseal audit verify-certificate`: what it prints, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "vectors" / "trade_certificates"


def test_says_what_was_checked_and_what_was_not(modelseal: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETH_RPC_URL", raising=False)
    ran = modelseal("audit", "verify-certificate", FOLDER / "settled.json")
    assert ran.code == 0, ran.err
    assert ran.out.count("✓") == 5
    assert "no chain was given" in " ".join(ran.out.split())
    assert "the delivery key in it is no secret" in " ".join(ran.out.lower().split())
    assert "Nobody vouches for the model card" in ran.out
    facts = json.loads(modelseal("audit", "verify-certificate", FOLDER / "slashed.json", "--json").out)
    assert (facts["verified"], facts["complete"], facts["ended"]) == (True, False, "slashed")
    assert [check["number"] for check in facts["checks"]] == list(range(1, 9))


def test_names_whose_fault_it_is(modelseal: Callable, tmp_path: Path) -> None:
    changed = tmp_path / "changed.json"
    changed.write_bytes((FOLDER / "expired.json").read_bytes().replace(b'"trade":"1"', b'"trade":"2"'))
    ran = modelseal("audit", "verify-certificate", changed)
    assert ran.code == 3
    assert "(1) it is not signed by" in ran.err
    assert modelseal("audit", "verify-certificate", tmp_path / "missing.json").code == 2
    other = tmp_path / "model.onnx"
    other.write_bytes(b"another model")
    assert modelseal("audit", "verify-certificate", FOLDER / "settled.json", "--model", other).code == 3


def test_prints_a_checkpoint_that_completes_the_log(modelseal: Callable, tmp_path: Path) -> None:
    known = json.loads((FOLDER / "settled.json").read_bytes())["log"]["checkpoint"]
    file = tmp_path / "checkpoint"
    file.write_text(known)
    ran = modelseal("audit", "verify-certificate", FOLDER / "settled.json", "--checkpoint", file, "--json")
    assert json.loads(ran.out)["checks"][6]["outcome"] == "holds"
